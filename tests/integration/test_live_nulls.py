"""A column that becomes NOT NULL, in which the live version leaves NULL until it is stopped."""

from __future__ import annotations

import re

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.diagnostics import Place
from coordinator.evidence import Hazard
from coordinator.model import BackfillSpec, Engine

__all__ = ["servers"]
BASE = "CREATE TABLE t (id integer PRIMARY KEY, a integer);"
FILLED = "ALTER TABLE t ADD COLUMN b integer;\nUPDATE t SET b = 1;"
REBUILT = """CREATE TABLE u (id integer PRIMARY KEY, a integer, b integer NOT NULL);
INSERT INTO u SELECT id, a, {} FROM t;
DROP TABLE t;
ALTER TABLE u RENAME TO t;"""
NOT_NULL = {
    Engine.POSTGRESQL: "ALTER TABLE t ALTER b SET NOT NULL;",
    Engine.SQLITE: REBUILT.format("b"),
    MYSQL_ENGINE: "ALTER TABLE t MODIFY b integer NOT NULL;",
}
ENGINES = [pytest.param(each, marks=[pytest.mark.mariadb] * each.speaks_mysql) for each in NOT_NULL]
every_engine = pytest.mark.parametrize("engine", ENGINES)
LEAVES_NULL, WRITES = "INSERT INTO t (id, a) VALUES ($1, $2)", "INSERT INTO t (id, a, b) VALUES ($1, $2, $3)"
BEHIND_LIVE = "-- coordinator: phase=contract\n"
TRIGGERS = {
    Engine.POSTGRESQL: """-- +goose StatementBegin
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.b := coalesce(NEW.b, 0); RETURN NEW; END $$;
-- +goose StatementEnd
CREATE TRIGGER fills BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();""",
    Engine.SQLITE: """-- +goose StatementBegin
CREATE TRIGGER fills AFTER INSERT ON t WHEN NEW.b IS NULL BEGIN UPDATE t SET b = 0 WHERE id = NEW.id; END;
-- +goose StatementEnd""",
    MYSQL_ENGINE: "CREATE TRIGGER fills BEFORE INSERT ON t FOR EACH ROW SET NEW.b = coalesce(NEW.b, 0);",
}


def found(
    servers: Servers,
    engine: Engine,
    *pending: str,
    base: str = BASE,
    live: str = LEAVES_NULL,
    backfills: tuple[BackfillSpec, ...] = (),
) -> list[Hazard]:
    texts = [live, WRITES]
    if engine is not Engine.POSTGRESQL:
        texts = [re.sub(r"\$\d", "?", each) for each in texts]
    files = (TOGETHER + each for each in pending)
    rehearsal, _ = rehearsed(
        servers[engine], engine, base, *files, live=texts[0], next_=texts[1], backfills=backfills
    )
    assert rehearsal.failed is None
    return [each for each in rehearsal.hazards if each.code == "not-null-meets-live-rows"]


def backfill(before: str) -> BackfillSpec:
    place = Place("plan.yaml", 1, 1)
    left = "SELECT count(*) FROM t WHERE b IS NULL"
    return BackfillSpec("b", "2", before, "t", ("id",), "UPDATE t SET b = 1 WHERE {range}", left, place)


@every_engine
def test_the_column_and_live_s_query_are_named(servers: Servers, engine: Engine):
    [hazard] = found(servers, engine, FILLED, NOT_NULL[engine])

    assert (
        hazard.what == "t.b may be NULL no more, and live leaves it NULL by `Ask` for as long as it serves."
    )
    assert (hazard.migration, hazard.place.file) == ("00003_m", "00003_m.sql")
    assert "UPDATE t SET b = … WHERE b IS NULL" in hazard.rewrite
    assert hazard.fails


@every_engine
@pytest.mark.parametrize(
    ("live", "told", "fails"),
    [
        (WRITES, "live may write NULL there", False),
        ("UPDATE t SET b = $1 WHERE id = $2", "live may write NULL there", False),
        ("INSERT INTO t (id, a, b) VALUES ($1, $2, NULL)", "live leaves it NULL", True),
        ("UPDATE t SET b = NULL WHERE id = $1 AND a = coalesce($2, a)", "live leaves it NULL", True),
    ],
)
def test_a_null_that_a_client_may_send_is_told_and_leaves_the_release_proven(
    servers: Servers, engine: Engine, live: str, told: str, fails: bool
):
    base = BASE.replace("a integer", "a integer, b integer")
    files = ("CREATE INDEX i ON t (a);", NOT_NULL[engine])

    [hazard] = found(servers, engine, *files, base=base, live=live)

    assert told in hazard.what
    assert hazard.fails is fails


CHECKED = {
    Engine.POSTGRESQL: "ALTER TABLE t ADD CONSTRAINT has_b CHECK (b IS NOT NULL);",
    Engine.SQLITE: REBUILT.replace("b integer NOT NULL", "b integer CHECK (b IS NOT NULL)").format("b"),
    MYSQL_ENGINE: "ALTER TABLE t ADD CONSTRAINT has_b CHECK (b IS NOT NULL);",
}
LATER = "ALTER TABLE t ADD CONSTRAINT has_b CHECK (b IS NOT NULL) NOT VALID;"


@every_engine
def test_a_check_that_wants_a_value_is_told_like_not_null(servers: Servers, engine: Engine):
    [hazard] = found(servers, engine, FILLED, CHECKED[engine])

    assert (
        hazard.what == "t.b may be NULL no more, and live leaves it NULL by `Ask` for as long as it serves."
    )
    assert hazard.fails
    assert hazard.place.file == "00003_m.sql"


def test_a_check_for_new_rows_alone_is_told_where_it_is_validated(servers: Servers):
    assert found(servers, Engine.POSTGRESQL, FILLED, LATER) == []

    [hazard] = found(servers, Engine.POSTGRESQL, FILLED, f"{LATER}\nALTER TABLE t VALIDATE CONSTRAINT has_b;")

    assert hazard.place.line == 3


@every_engine
def test_nothing_is_said_of_a_check_where_the_migration_fills_it(servers: Servers, engine: Engine):
    fills = {Engine.SQLITE: CHECKED[engine].replace("SELECT id, a, b", "SELECT id, a, coalesce(b, 0)")}
    file = fills.get(engine, f"UPDATE t SET b = 0 WHERE b IS NULL;\n{CHECKED[engine]}")

    assert found(servers, engine, FILLED, file) == []


@every_engine
def test_nothing_is_said_of_a_check_that_wants_more_than_a_value(servers: Servers, engine: Engine):
    more = CHECKED[engine].replace("b IS NOT NULL", "b IS NOT NULL OR a > 0")

    assert found(servers, engine, FILLED, more, live="INSERT INTO t (id, a) VALUES ($1, -1)") == []


@every_engine
def test_nothing_is_said_where_live_does_not_write_the_table(servers: Servers, engine: Engine):
    assert found(servers, engine, FILLED, NOT_NULL[engine], live="SELECT id, a FROM t") == []


@every_engine
def test_nothing_is_said_where_the_migration_fills_it(servers: Servers, engine: Engine):
    fills = {Engine.SQLITE: REBUILT.format("coalesce(b, 0)")}
    file = fills.get(engine, f"UPDATE t SET b = 0 WHERE b IS NULL;\n{NOT_NULL[engine]}")

    assert found(servers, engine, FILLED, file) == []


@every_engine
@pytest.mark.parametrize(("before", "count"), [("contract", 0), ("3", 0), ("switch", 1)])
def test_a_backfill_that_ends_when_live_is_gone_fills_it(
    servers: Servers, engine: Engine, before: str, count: int
):
    files = ("ALTER TABLE t ADD COLUMN b integer;", NOT_NULL[engine])

    assert len(found(servers, engine, *files, backfills=(backfill(before),))) == count


OF_TWO = {
    Engine.POSTGRESQL: "ALTER TABLE s ALTER b SET NOT NULL;",
    Engine.SQLITE: """CREATE TABLE v (b integer NOT NULL);
INSERT INTO v SELECT b FROM s;
DROP TABLE s;
ALTER TABLE v RENAME TO s;""",
    MYSQL_ENGINE: "ALTER TABLE s MODIFY b integer NOT NULL;",
}


@every_engine
def test_of_two_tables_the_one_is_named_that_live_writes(servers: Servers, engine: Engine):
    of_both = f"CREATE TABLE s (b integer);\n{FILLED}"
    file = f"{NOT_NULL[engine]}\n{OF_TWO[engine]}"

    [hazard] = found(servers, engine, of_both, file)

    assert hazard.what.startswith("t.b may be NULL no more")
    assert hazard.place.line == NOT_NULL[engine].count("\n") + 2


@every_engine
def test_nothing_is_said_where_live_s_rows_have_had_a_default(servers: Servers, engine: Engine):
    """Live is refused, for the default goes as well; until then it never left NULL."""
    file = NOT_NULL[engine]
    if engine is Engine.POSTGRESQL:
        file = "ALTER TABLE t ALTER b SET NOT NULL, ALTER b DROP DEFAULT;"

    assert found(servers, engine, "ALTER TABLE t ADD COLUMN b integer DEFAULT 0;", file) == []


@every_engine
def test_nothing_is_said_where_an_earlier_file_fills_it_when_live_is_gone(servers: Servers, engine: Engine):
    """Both wait until then, by the word of the first."""
    fills = "-- coordinator: phase=contract\nUPDATE t SET b = 1 WHERE b IS NULL;"

    assert found(servers, engine, FILLED, fills, NOT_NULL[engine]) == []
    assert len(found(servers, engine, FILLED, fills.partition("\n")[2], NOT_NULL[engine])) == 1


@every_engine
@pytest.mark.parametrize("is_sooner", [False, True])
def test_nothing_is_said_where_a_trigger_has_filled_live_s_rows_that_goes_as_well(
    servers: Servers, engine: Engine, is_sooner: bool
):
    """Live is gone before the trigger is, in the same file or in one before."""
    fills = f"ALTER TABLE t ADD COLUMN b integer;\n{TRIGGERS[engine]}\nUPDATE t SET b = 0;"
    drops = f"DROP TRIGGER fills{' ON t' * (engine is Engine.POSTGRESQL)};\n"
    files = [drops, NOT_NULL[engine]] if is_sooner else [drops + NOT_NULL[engine]]

    assert found(servers, engine, fills, *(BEHIND_LIVE + each for each in files)) == []


@pytest.mark.parametrize("engine", ENGINES[::2])
def test_nothing_is_said_where_a_file_before_took_the_default_when_live_was_gone(
    servers: Servers, engine: Engine
):
    adds, drops = "ALTER TABLE t ADD COLUMN b integer DEFAULT 0;", "ALTER TABLE t ALTER b SET DEFAULT NULL;"

    assert found(servers, engine, adds, BEHIND_LIVE + drops, BEHIND_LIVE + NOT_NULL[engine]) == []
    assert len(found(servers, engine, adds, drops, BEHIND_LIVE + NOT_NULL[engine])) == 1


@pytest.mark.parametrize(
    ("does", "count"),
    [
        ("DO $$ BEGIN UPDATE t SET b = 0 WHERE b IS NULL; END $$;", 0),
        ("DO $$ BEGIN PERFORM 1; END $$;", 1),
        ("TRUNCATE t;", 0),
    ],
)
def test_a_migration_may_fill_rows_unlike_the_sample_where_no_counter_tells(
    servers: Servers, does: str, count: int
):
    file = f"-- +goose StatementBegin\n{does}\n-- +goose StatementEnd\n{NOT_NULL[Engine.POSTGRESQL]}"

    assert len(found(servers, Engine.POSTGRESQL, FILLED, file)) == count


def test_a_partitioned_table_is_named_once_and_a_word_of_the_message_is_no_column(servers: Servers):
    made = """DROP TABLE t;
CREATE TABLE t (id integer, a integer, b integer, value integer DEFAULT 0) PARTITION BY LIST (id);
CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1);
CREATE TABLE t_rest PARTITION OF t DEFAULT;"""
    file = "ALTER TABLE t ALTER b SET NOT NULL, ALTER value SET NOT NULL;"

    hazards = found(servers, Engine.POSTGRESQL, made, file)

    assert [each.what.partition(" ")[0] for each in hazards] == ["t.b"]
