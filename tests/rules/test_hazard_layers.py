"""The rows of the table that break an old query: the layer that says so, and the engine's own code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hazard_table import BASE, ROWS, Row

from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.model import DatabaseName, Layer, Migration, Role, Script, ServiceName, Statement
from coordinator.ports.databases import Batch
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.walk import Pair, walk_states
from coordinator.secret import Secret

USE = (DatabaseName("shop"), ServiceName("orders"), Role.LIVE)


@pytest.fixture(scope="module")
def base(postgres: str) -> Iterator[RehearsalDatabase]:
    with REHEARSAL.server(url=Secret(postgres), live_version=None) as server, server.database() as database:
        with database.session() as session:
            session.execute(Batch((BASE,), transaction=True))
        database.fill()
        yield database


@pytest.mark.parametrize("row", [pytest.param(row, id=row.operation) for row in ROWS if row.layer])
def test_the_engine_objects_to_the_old_query_at_the_layer_that_the_table_names(
    base: RehearsalDatabase, row: Row
):
    subject = Subject(
        USE, Catalogue("a test", (Query("Old", row.query, Place("queries.sql", 1)),)), _role_of(row)
    )
    migration = Migration(1, "00001_row", Script((Statement(row.sql, 1),), transaction=True), None, ())

    with base.clone() as walk, base.clone() as ahead:
        walked = walk_states(Pair(walk, ahead), [migration], [subject], layers=tuple(Layer), apply=_apply)

    [[before], [after]] = walked.answers[USE]
    assert walked.failures == ()
    assert before.broken is None
    assert after.broken is not None
    layer, objection = after.broken
    assert layer is row.layer
    assert objection.code == row.sqlstate or not row.sqlstate
    assert [each.place.line for each in walked.statements][:1] == [1]


def _role_of(row: Row) -> str | None:
    return "pg_monitor" if row.operation in ("revoke", "row security") else None


def _apply(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
    assert migration.up is not None
    with database.session() as session:
        session.execute(Batch(tuple(each.text for each in migration.up.statements), transaction=True))
    return None
