"""A migration that fails until a backfill is complete: SET NOT NULL, as most backfills are made for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.backfilling import COUNT_UP
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.evidence import Rehearsal, Verdict
from coordinator.model import BackfillSpec, Engine

__all__ = ["servers"]
POSTGRESQL, SQLITE = Engine.POSTGRESQL, Engine.SQLITE
ENGINES = (POSTGRESQL, SQLITE, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb))
BASE = "CREATE TABLE orders (id integer NOT NULL PRIMARY KEY, total integer NOT NULL);"
ADDS = "ALTER TABLE orders ADD COLUMN cents integer;"
SETS_NOT_NULL = {
    POSTGRESQL: "ALTER TABLE orders ALTER COLUMN cents SET NOT NULL;",
    SQLITE: """CREATE TABLE other (id integer NOT NULL PRIMARY KEY, total integer NOT NULL,
        cents integer NOT NULL);
        INSERT INTO other SELECT id, total, cents FROM orders;
        DROP TABLE orders;
        ALTER TABLE other RENAME TO orders;""",
    MYSQL_ENGINE: "ALTER TABLE orders MODIFY cents integer NOT NULL;",
}
CONTRACT = "-- coordinator: phase=contract\n"
LIVE = "SELECT id, total FROM orders"
NEXT = "SELECT id, cents FROM orders"
every_engine = pytest.mark.parametrize("engine", ENGINES)
CENTS = replace(
    COUNT_UP,
    name="cents",
    table="orders",
    key=("id",),
    after="00002_m",
    before="contract",
    sql="UPDATE orders SET cents = total * 100 WHERE {range}",
    remaining="SELECT count(*) FROM orders WHERE cents IS NULL",
)


def found(
    servers: Servers, engine: Engine, backfill: BackfillSpec, *, live: str = LIVE, next_: str = NEXT
) -> tuple[list[str], Rehearsal]:
    rehearsal, verdicts = rehearsed(
        servers[engine],
        engine,
        BASE,
        TOGETHER + ADDS,
        CONTRACT + TOGETHER + SETS_NOT_NULL[engine],
        live=live,
        next_=next_,
        backfills=(backfill,),
    )
    return verdicts, rehearsal


@every_engine
def test_it_is_applied_to_rows_that_the_backfill_has_done(servers: Servers, engine: Engine):
    (live, following), rehearsal = found(servers, engine, replace(CENTS, before="switch"))

    assert rehearsal.is_whole
    assert rehearsal.needs == (("00003_m", "cents"),)
    assert live[:2] == "pp"
    assert following[1:] == "pp"
    assert [each.verdict for name, state, each in rehearsal.backfills if state == 1] == [Verdict.PROVEN]


@every_engine
def test_a_next_version_that_may_read_undone_rows_is_unproven_until_then(servers: Servers, engine: Engine):
    (_, following), rehearsal = found(servers, engine, CENTS)

    assert following[1:] == "up"
    [open_one] = [each for each in rehearsal.unchecked if each.state == 1 and each.use[2] == "next"]
    assert "`backfill cents` writes rows, and nobody knows if it minds" in open_one.reason


@every_engine
def test_a_next_version_that_does_not_read_them_is_proven(servers: Servers, engine: Engine):
    (live, following), _ = found(servers, engine, CENTS, next_=LIVE)

    assert (live[:2], following[1:]) == ("pp", "pp")


@every_engine
def test_what_no_backfill_mends_is_refused_on_sample_rows_as_ever(servers: Servers, engine: Engine):
    leaves = replace(CENTS, sql="UPDATE orders SET cents = NULL WHERE {range}", remaining="SELECT 0")

    _, rehearsal = found(servers, engine, leaves)

    assert rehearsal.needs == ()
    assert any("fails on sample rows" in each for each in rehearsal.notes)
