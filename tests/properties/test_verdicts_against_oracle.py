"""No drawn release has a query that is proven and does something else on the other schema.

A few releases each time, always the same ones. `make fuzz-verdicts` draws others, as many as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from fixtures.judged_release import Judged, judged
from fixtures.oracle import Database
from fixtures.oracle_databases import OfPostgresql, OfSqlite
from fixtures.scratch import opened

from coordinator import discovery
from coordinator.evidence import Verdict
from coordinator.model import Engine

FEW = {Engine.POSTGRESQL: 8, Engine.SQLITE: 40}
FIRST = int(os.environ.get("COORDINATOR_FUZZ_FIRST", "0"))
RELEASES = os.environ.get("COORDINATOR_FUZZ_RELEASES")
PROVEN_AT_LEAST = 0.85
"""Of the queries that do the same on both schemas, also those in releases that make others break."""


@contextmanager
def databases(engine: Engine, postgres: str) -> Iterator[tuple[Database, Database]]:
    if engine is Engine.SQLITE:
        yield OfSqlite(), OfSqlite()
        return
    with ExitStack() as stack:
        names = [f"coordinator_oracle_{os.getpid()}_{when}" for when in ("before", "after")]
        before, after = (OfPostgresql(stack.enter_context(opened(postgres, name))) for name in names)
        yield before, after


@pytest.mark.timeout(0 if RELEASES else 900)
@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_no_query_is_proven_that_the_oracle_sees_differ(engine: Engine, postgres: str):
    found: list[Judged] = []
    with (
        discovery.rehearsal(engine).server(url=None, live_version=None) as server,
        databases(engine, postgres) as (before, after),
    ):
        for seed in range(FIRST, FIRST + int(RELEASES or FEW[engine])):
            found += judged(seed, server, engine, before, after)

    alike = [each for each in found if each.difference is None]
    proven = [each for each in alike if each.said == Verdict.PROVEN.value]
    assert not [str(each) for each in found if each.is_wrong]
    assert len(proven) >= PROVEN_AT_LEAST * len(alike) > 0
    assert any(each.difference for each in found), "the oracle has to find something"
