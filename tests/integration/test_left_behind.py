"""A copy that live's writes do not reach: told of as a hazard, on each engine."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, migration, rehearsed, servers

from coordinator.diagnostics import Place
from coordinator.evidence import Hazard
from coordinator.model import BackfillSpec, DatabaseName, Engine, Role, ServiceName
from coordinator.rehearse.left_behind import hazards_of_left_behind

__all__ = ["servers"]
PG, LITE = Engine.POSTGRESQL, Engine.SQLITE
ENGINES = [
    pytest.param(each, marks=[pytest.mark.mariadb] * each.speaks_mysql) for each in (PG, LITE, MYSQL_ENGINE)
]
every_engine = pytest.mark.parametrize("engine", ENGINES)
BASE = "CREATE TABLE t (id integer PRIMARY KEY, a integer, z integer);"
COPY = "ALTER TABLE t ADD COLUMN b integer;\n-- all of them\nUPDATE t SET b = a;"
SPLIT = "CREATE TABLE u (t integer PRIMARY KEY, a integer);\nINSERT INTO u (t, a) SELECT id, a FROM t;"
INSERT, READ = "INSERT INTO t (id, a) VALUES ($1, $2)", "SELECT b FROM t WHERE id = $1"
UPDATE = "UPDATE t SET a = $1 WHERE id = $2"


def found(
    servers: Servers,
    engine: Engine,
    *pending: str,
    live: str,
    next_: str = READ,
    backfills: tuple[BackfillSpec, ...] = (),
) -> list[Hazard]:
    texts = [live, next_]
    if engine is not PG:
        texts = [each.replace("$1", "?").replace("$2", "?").replace("$3", "?") for each in texts]
    files = (TOGETHER + each for each in pending)
    rehearsal, _ = rehearsed(
        servers[engine], engine, BASE, *files, live=texts[0], next_=texts[1], backfills=backfills
    )
    assert rehearsal.failed is None
    return [each for each in rehearsal.hazards if each.code == "rows-left-behind"]


@every_engine
@pytest.mark.parametrize("live", [INSERT, UPDATE])
def test_a_new_column_is_told_of_that_live_does_not_write(servers: Servers, engine: Engine, live: str):
    [hazard] = found(servers, engine, COPY, live=live)

    assert hazard.what == (
        "t.b is filled here, once, and live goes on writing t without it by `Ask`. Next reads it by `Ask`."
    )
    assert (hazard.migration, hazard.place.file, hazard.place.line) == ("00002_m", "00002_m.sql", 4)
    assert "a trigger on t that keeps t.b in step" in hazard.rewrite
    assert not hazard.fails


@every_engine
def test_a_column_is_told_of_that_next_changes_in_its_copy_alone(servers: Servers, engine: Engine):
    live = {"Read": "SELECT a FROM t WHERE id = $1", "Change": UPDATE}
    next_ = {"Read": READ, "Change": "UPDATE t SET b = $1 WHERE id = $2"}

    past_live, past_next = of_queries(servers, engine, live, next_)
    [alone] = of_queries(servers, engine, live, {**next_, "Change": "UPDATE t SET a = $1, b = $1"})

    assert past_live.what.endswith("without it by `Change`. Next reads it by `Read`.")
    assert past_next.what == (
        "t.b takes the place of a, and next changes it alone by `Change`. Live reads a by `Read`."
    )
    assert "a trigger on t that writes t.b back" in past_next.rewrite
    assert alone.what == past_live.what


def of_queries(
    servers: Servers, engine: Engine, live: Mapping[str, str], next_: Mapping[str, str]
) -> list[Hazard]:
    """Return what is said of several queries of each version, where `t.b` is copied."""
    rehearsal, _ = rehearsed(
        servers[engine], engine, BASE, TOGETHER + COPY, live="SELECT 1", next_="SELECT 1"
    )
    database, service = DatabaseName("shop"), ServiceName("shop")
    texts = {((database, service, Role.LIVE), name): text for name, text in live.items()} | {
        ((database, service, Role.NEXT), name): text for name, text in next_.items()
    }
    return list(hazards_of_left_behind(rehearsal, (), [migration(2, TOGETHER + COPY)], texts))


@every_engine
def test_a_new_table_is_told_of_that_live_does_not_write(servers: Servers, engine: Engine):
    [hazard] = found(servers, engine, SPLIT, live=UPDATE, next_="SELECT a FROM u WHERE t = $1")

    assert "u is filled here, once, and live goes on writing t without it" in hazard.what


@every_engine
@pytest.mark.parametrize(
    ("files", "live", "next_"),
    [
        pytest.param([COPY], "UPDATE t SET z = $1 WHERE id = $2", READ, id="live writes something else"),
        pytest.param([COPY], "SELECT a FROM t", READ, id="live writes nothing"),
        pytest.param([COPY], INSERT, "SELECT a FROM t WHERE id = $1", id="next does not read it"),
        pytest.param([COPY], INSERT, "SELECT coalesce(b, a) FROM t WHERE id = $1", id="next minds"),
        pytest.param([COPY], INSERT, INSERT, id="next writes it as live does"),
        pytest.param([COPY.replace("b = a", "b = a WHERE z > 1")], INSERT, READ, id="a part of the rows"),
        pytest.param([COPY.replace("b integer", "b integer DEFAULT 1")], INSERT, READ, id="a default"),
        pytest.param(
            [COPY, "-- coordinator: phase=contract\nUPDATE t SET b = a WHERE b IS NULL;"],
            INSERT,
            READ,
            id="once more behind live",
        ),
        pytest.param(["-- coordinator: phase=contract\n" + COPY], INSERT, READ, id="behind live"),
        pytest.param(["UPDATE t SET a = z;"], INSERT, "SELECT a FROM t", id="an old column"),
    ],
)
def test_nothing_is_said_where_nothing_is_left_behind(
    servers: Servers, engine: Engine, files: list[str], live: str, next_: str
):
    assert found(servers, engine, *files, live=live, next_=next_) == []


KEPT = {
    PG: "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.b := NEW.a; RETURN NEW;"
    " END $$;\nCREATE TRIGGER keep BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION keep();",
    LITE: "CREATE TRIGGER keep AFTER INSERT ON t BEGIN UPDATE t SET b = a WHERE id = NEW.id; END;",
    MYSQL_ENGINE: "CREATE TRIGGER keep BEFORE INSERT ON t FOR EACH ROW SET NEW.b = NEW.a;",
}


@every_engine
def test_nothing_is_said_where_a_trigger_keeps_the_copy(servers: Servers, engine: Engine):
    body = f"-- +goose StatementBegin\n{KEPT[engine]}\n-- +goose StatementEnd\n"

    assert (
        found(servers, engine, f"ALTER TABLE t ADD COLUMN b integer;\n{body}UPDATE t SET b = a;", live=INSERT)
        == []
    )


@every_engine
def test_nothing_is_said_where_a_backfill_counts_what_is_left(servers: Servers, engine: Engine):
    left = "SELECT count(*) FROM t WHERE b IS NULL"
    backfill = BackfillSpec(
        "b", "2", "contract", "t", ("id",), "UPDATE t SET b = a WHERE {range}", left, Place("plan.yaml", 1, 1)
    )

    assert found(servers, engine, COPY, live=INSERT, backfills=(backfill,)) == []


def test_nothing_is_said_of_a_table_that_sqlite_makes_anew(servers: Servers):
    rebuilt = (
        "CREATE TABLE t2 (id integer PRIMARY KEY, a integer, z integer, b integer);\n"
        "INSERT INTO t2 (id, a, z) SELECT id, a, z FROM t;\nDROP TABLE t;\nALTER TABLE t2 RENAME TO t;"
    )

    assert found(servers, LITE, rebuilt, live=INSERT) == []
