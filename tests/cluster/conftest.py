"""The ground of the tests on a real Kubernetes: a cluster, a namespace a test, a database for Pods, load.

`fixtures/cluster.py` says which cluster it is. All tests of this folder run in one process: a node takes most
of a machine, and the figures of one test would be those of another.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from fixtures.cluster import Cluster, boots_own, obtained
from fixtures.cluster_account import Account
from fixtures.cluster_api import ApiError
from fixtures.cluster_build import Missing
from fixtures.cluster_clients import Stream
from fixtures.cluster_load import Load, loading
from fixtures.cluster_postgres import Database, serving
from fixtures.cluster_release import Shop

_FIGURES = pytest.StashKey[list[str]]()
_numbers = count(1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the node itself where the cluster is given: they say nothing about that one."""
    if boots_own() or os.environ.get("COORDINATOR_TEST_NODE"):
        return
    of_node = [item for item in items if "machine" in getattr(item, "fixturenames", ())]
    if of_node:
        config.hook.pytest_deselected(items=of_node)
        items[:] = [item for item in items if item not in of_node]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Yield the cluster that is given, else one that is booted for this run; fail with what is missing."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(obtained())
        except Missing as missing:
            raise pytest.fail.Exception(str(missing), pytrace=False) from None
        yield cluster


@pytest.fixture(scope="session")
def machine() -> None:
    """Be asked for by what boots nodes of its own, so that it is left out where the cluster is given."""


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Yield the name of a namespace that is empty and this test's own; its end is not waited for."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    cluster.api.wait(f"/api/v1/namespaces/{name}/serviceaccounts", lambda found: bool(found["items"]))
    yield name
    with suppress(ApiError):
        cluster.api.delete(f"/api/v1/namespaces/{name}")
        # Its Pods' grace is no longer of use to anybody, and they take the processor from the next test.
        cluster.api.delete(f"/api/v1/namespaces/{name}/pods", {"gracePeriodSeconds": 1})


@pytest.fixture
def limited_kubeconfig(cluster: Cluster, tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a maker of kubeconfigs: of a namespace's ServiceAccount, with what a test has bound to it."""

    def make(namespace: str, service_account: str) -> Path:
        return cluster.limited_kubeconfig(tmp_path, namespace=namespace, service_account=service_account)

    return make


@pytest.fixture(scope="session")
def database_server(cluster: Cluster) -> Iterator[Database]:
    """Yield the maintenance database of a server that Pods reach as well."""
    given = os.environ.get("COORDINATOR_TEST_POSTGRES_URL")
    if given:
        yield Database(given, given)
        return
    if cluster.layout is None:
        pytest.fail(
            "Pods of the cluster that KUBECONFIG names need a database: set COORDINATOR_TEST_POSTGRES_URL to"
            " a PostgreSQL that they and this machine reach at the same address",
            pytrace=False,
        )
    with serving(cluster.layout) as server:
        yield server


@pytest.fixture
def new_reachable_database(database_server: Database) -> Iterator[Callable[[], Database]]:
    """Yield a maker of empty databases, each with its address for this machine and for Pods."""
    names: list[str] = []

    def make() -> Database:
        names.append(f"coordinator_cluster_{os.getpid()}_{next(_numbers)}")
        with psycopg.connect(database_server.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{names[-1]}"')
        found = (urlsplit(each) for each in (database_server.url, database_server.from_pods))
        return Database(*(urlunsplit(each._replace(path=f"/{names[-1]}")) for each in found))

    yield make
    with psycopg.connect(database_server.url, autocommit=True) as connection:
        for name in names:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def database(new_reachable_database: Callable[[], Database]) -> Database:
    """Return a database that is empty and this test's own: `url` from here, `from_pods` from there."""
    return new_reachable_database()


@pytest.fixture
def shop(cluster: Cluster, namespace: str, database: Database, tmp_path: Path) -> Shop:
    """Return the shop in this test's namespace, with its Service and Secret, and nothing released yet."""
    shop = Shop(cluster, namespace, database, tmp_path / "shop", Account(cluster, namespace))
    shop.set_up()
    return shop


@pytest.fixture
def load() -> Iterator[Callable[..., Load]]:
    """Return a starter of load, `load(url, Stream(rate=50, path="/"), …)`; what is left running ends."""
    with ExitStack() as stack:

        def start(url: str, *streams: Stream) -> Load:
            return stack.enter_context(loading(url, *streams))

        yield start


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Return a writer of figures, which are shown at the end, and go to the file COORDINATOR_FIGURES."""
    shown = request.config.stash.setdefault(_FIGURES, [])

    def write(name: str, value: object) -> None:
        line = f"{request.node.name}: {name}: {value}"
        shown.append(line)
        if path := os.environ.get("COORDINATOR_FIGURES"):
            with Path(path).open("a") as file:
                file.write(f"{line}\n")

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of this run."""
    figures = terminalreporter.config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
    for line in figures:
        terminalreporter.write_line(line)
