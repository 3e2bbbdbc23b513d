"""Workers, which no client reaches: a mark says who works, and a handover never lets two run at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from fixtures.cluster import Cluster
from fixtures.cluster_api import ApiError
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_postgres import Database
from fixtures.cluster_release import kill, running
from fixtures.cluster_world import Echo
from fixtures.local import until

from coordinator.model import Worker

pytestmark = pytest.mark.cluster

JOBS = "-- +goose Up\nCREATE TABLE jobs (id bigint PRIMARY KEY, place text, shelf text);\n"
NO_PLACE = "-- coordinator: phase=contract\n-- +goose Up\nALTER TABLE jobs DROP COLUMN place;\n"
READS = {"1.4": "SELECT id, place FROM jobs;", "1.5": "SELECT id, shelf FROM jobs;"}


@dataclass
class Watch:
    """The sets of colours that had a Pod, one after the other, as the API showed them."""

    seen: list[frozenset[str]] = field(default_factory=list)

    def look(self, cluster: Cluster, namespace: str) -> None:
        """Look once; a Pod counts from its creation until its containers have ended."""
        pods = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        now = frozenset(
            each["metadata"]["labels"]["color"]
            for each in pods
            if each["status"].get("phase") not in ("Succeeded", "Failed")
        )
        if not self.seen or self.seen[-1] != now:
            self.seen.append(now)


@contextmanager
def watching(release: EchoRelease) -> Iterator[Watch]:
    """Look all the time while the block lasts."""
    watch, over = Watch(), threading.Event()

    def run() -> None:
        while not over.wait(0.05):
            with suppress(ApiError, ConnectionError):
                watch.look(release.echo.cluster, release.echo.namespace)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


@pytest.fixture(params=Worker, ids=str)
def worker(
    request: pytest.FixtureRequest, cluster: Cluster, namespace: str, database: Database, tmp_path: Path
) -> EchoRelease:
    """Return a worker of which 1.4 runs, with a database that 1.5 takes a column from."""
    echo = Echo(cluster, namespace, tmp_path, service=None, worker=request.param)
    echo.settings = {"connections": None}
    echo.set_up(replicas=1)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "00001_jobs.sql").write_text(JOBS)
    for version, query in READS.items():
        (tmp_path / "queries" / version).mkdir(parents=True)
        (tmp_path / "queries" / version / "jobs.sql").write_text(query)
    of_tool = {"tool": "goose", "dir": "migrations"}
    databases = {"jobs": {"engine": "postgresql", "url": "env:JOBS_URL", "migrations": of_tool}}
    release = EchoRelease(
        echo,
        plan={"uses": ["jobs"], "queries": {"sql": "queries/{version}"}},
        beside={"databases": databases},
        environment={"JOBS_URL": database.url},
    )
    release.serve("1.4")
    (tmp_path / "migrations" / "00002_no_place.sql").write_text(NO_PLACE)
    return release


def columns(database: Database) -> set[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs'"
    with psycopg.connect(database.url) as connection:
        return {str(name) for (name,) in connection.execute(query)}


def test_a_worker_is_replaced_in_the_order_that_its_plan_says(
    worker: EchoRelease, database: Database, figure
):
    with watching(worker) as watch:
        ran = worker.release("1.5")

    ended = [each["step"] for each in worker.events() if each["type"] == "step-finished"]
    figure("colours with Pods", " → ".join("+".join(sorted(each)) or "none" for each in watch.seen))
    both = frozenset({"blue", "green"})
    if worker.echo.worker is Worker.HANDOVER:
        assert both not in watch.seen
        assert ended.index("stop:echo") < ended.index("deploy:echo")
    else:
        assert both in watch.seen
        assert frozenset() not in watch.seen
        assert ended.index("deploy:echo") < ended.index("stop:echo")
    contract = next(each for each in ended if each.startswith("contract:"))
    assert ended.index(contract) > max(ended.index("stop:echo"), ended.index("deploy:echo")), str(ran)
    assert (worker.size("blue"), worker.version("green"), worker.size("green")) == (0, "1.5", 1)
    assert columns(database) == {"id", "shelf"}


def test_the_way_back_of_a_worker_goes_the_same_way(worker: EchoRelease, database: Database, figure):
    worker.lay_out(verify=[{"command": ["sleep", "60"]}])
    with watching(worker) as watch:
        with running(worker.start("run", version="1.5")) as release:
            worker.wait_for_step("verify:echo")
            kill(release)
        ran = worker.call("rollback", version="1.5")
        until(lambda: worker.pods("green") == [])

    figure("colours with Pods", " → ".join("+".join(sorted(each)) or "none" for each in watch.seen))
    assert ran.code == 0, str(ran)
    assert (worker.version("blue"), worker.size("blue"), worker.size("green")) == ("1.4", 1, 0)
    assert columns(database) == {"id", "place", "shelf"}
    if worker.echo.worker is Worker.HANDOVER:
        assert frozenset({"blue", "green"}) not in watch.seen
    else:
        assert all("blue" in each for each in watch.seen)
    worker.lay_out()
    assert worker.call("run", version="1.5").code == 0
    assert (worker.size("blue"), worker.version("green"), worker.size("green")) == (0, "1.5", 1)
