"""No drawn release has a query that is proven and does something else on the other schema.

A few releases each time, always the same ones. `make fuzz-verdicts` draws others, as many as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from fixtures.judged_release import Judged, judged
from fixtures.mariadb import TESTED, root_connection
from fixtures.oracle import Database
from fixtures.oracle_databases import OfMariadb, OfPostgresql, OfSqlite
from fixtures.scratch import opened

from coordinator import discovery
from coordinator.evidence import Verdict
from coordinator.model import Engine

FEW = {Engine.POSTGRESQL: 8, Engine.SQLITE: 40, Engine.MARIADB: 3, Engine.MYSQL: 3}
ENGINES = [
    pytest.param(each, marks=[pytest.mark.mariadb] if each.speaks_mysql else [])
    for each in FEW
    if each in TESTED
]
FIRST = int(os.environ.get("COORDINATOR_FUZZ_FIRST", "0"))
RELEASES = os.environ.get("COORDINATOR_FUZZ_RELEASES")
PROVEN_AT_LEAST = 0.85
"""Of the queries that do the same on both schemas, also those in releases that make others break."""


@contextmanager
def databases(engine: Engine, request: pytest.FixtureRequest) -> Iterator[tuple[Database, Database]]:
    names = [f"coordinator_oracle_{os.getpid()}_{when}" for when in ("before", "after")]
    with ExitStack() as stack:
        if engine is Engine.SQLITE:
            yield OfSqlite(), OfSqlite()
        elif engine is Engine.POSTGRESQL:
            url = request.getfixturevalue("postgres")
            before, after = (OfPostgresql(stack.enter_context(opened(url, name))) for name in names)
            yield before, after
        else:
            url = request.getfixturevalue("mariadb")
            one, other = (OfMariadb(stack.enter_context(root_connection(url)), name) for name in names)
            yield one, other
            one.drop()
            other.drop()


@pytest.mark.timeout(0 if RELEASES else 900)
@pytest.mark.parametrize("engine", ENGINES)
def test_no_query_is_proven_that_the_oracle_sees_differ(engine: Engine, request: pytest.FixtureRequest):
    found: list[Judged] = []
    with (
        discovery.rehearsal(engine).server(url=None, live_version=None) as server,
        databases(engine, request) as (before, after),
    ):
        for seed in range(FIRST, FIRST + int(RELEASES or FEW[engine])):
            found += judged(seed, server, engine, before, after)

    alike = [each for each in found if each.difference is None and not each.is_met_within]
    proven = [each for each in alike if each.said is Verdict.PROVEN]
    assert not [str(each) for each in found if each.is_wrong]
    assert len(proven) >= PROVEN_AT_LEAST * len(alike) > 0
    assert any(each.difference for each in found), "the oracle has to find something"
