"""Live rows that a migration does not bear: found by asking the live database, on each engine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, migration, rehearsed, servers, shop_on

from coordinator import discovery
from coordinator.app import live_rows
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.live_rows import count_rows
from coordinator.app.planning import plan_release
from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.evidence import Hazard, Verdict
from coordinator.load import load_plan
from coordinator.model import BackfillSpec, DatabaseName, Engine, Migration
from coordinator.ports.databases import Batch, Session
from coordinator.prove import risks
from coordinator.rehearsal_ports import RowQuery
from coordinator.rehearse import asked_of_live, hazards_of_live_rows
from coordinator.report.page import as_html
from coordinator.report.story import tell

__all__ = ["servers"]
TABLES = (
    "CREATE TABLE p (id integer PRIMARY KEY)",
    "CREATE TABLE t (id integer PRIMARY KEY, a integer, b varchar(20), c integer)",
)
SERIES = (
    "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 100000)"
    " SELECT value FROM n)"
)
ROWS = (
    "INSERT INTO p VALUES (1)",
    "INSERT INTO t VALUES (1, 1, 'one', 1), (2, NULL, 'ONE', NULL), (3, -3, 'one', 3), (4, 4, NULL, 1)",
)
REBUILT = """CREATE TABLE u (id integer PRIMARY KEY, a integer{a}, b varchar(20){b}, c integer);
INSERT INTO u SELECT id, {a_is}, b, c FROM t;
DROP TABLE t;
ALTER TABLE u RENAME TO t;"""

PLAN = """\
version: 1
release: shop-2
databases:
  shop: {engine: sqlite, url: env:URL, migrations: {tool: goose, dir: migrations}}
services:
  api: {version: "2", uses: [shop], queries: {sql: queries}, platform: {local: {command: [none]}}}
"""


def rebuilt(a: str = "", b: str = "", a_is: str = "a") -> str:
    return REBUILT.format(a=a, b=b, a_is=a_is)


PG, LITE, MY = Engine.POSTGRESQL, Engine.SQLITE, MYSQL_ENGINE
NOT_NULL = {PG: "ALTER TABLE t ALTER a SET NOT NULL;", MY: "ALTER TABLE t MODIFY a bigint NOT NULL;"}
NOT_NULL[LITE] = rebuilt(a=" NOT NULL")
CHECK = dict.fromkeys((PG, MY), "ALTER TABLE t ADD CONSTRAINT is_more CHECK (a > 0);")
CHECK[LITE] = rebuilt(a=" CHECK (a > 0)")
UNIQUE = dict.fromkeys((PG, MY), "ALTER TABLE t ADD CONSTRAINT once UNIQUE (c, b);")
UNIQUE[LITE] = "CREATE UNIQUE INDEX once ON t (c, b);"
ENGINES = [pytest.param(each, marks=[pytest.mark.mariadb] * each.speaks_mysql) for each in NOT_NULL]
every_engine = pytest.mark.parametrize("engine", ENGINES)


def found(
    servers: Servers,
    engine: Engine,
    *pending: str,
    rows: Sequence[str] = ROWS,
    backfills: tuple[BackfillSpec, ...] = (),
) -> list[Hazard]:
    """Return what is said of migrations on a live database with these rows; a scratch one plays it."""
    base, files = ";\n".join(TABLES) + ";\n", [TOGETHER + each for each in pending]
    rehearsal, _ = rehearsed(
        servers[engine], engine, base, *files, live="SELECT 1", next_="SELECT 1", backfills=backfills
    )
    assert rehearsal.failed is None
    migrations = [migration(at, text) for at, text in enumerate(files, 2)]
    port = discovery.rehearsal(engine)
    asked = tuple(
        asked_of_live(rehearsal, port, pending=migrations, backfills=shop_on(engine, backfills).backfills)
    )
    with servers[engine].database() as database, database.session() as session:
        session.execute(Batch((*TABLES, *rows), transaction=False))
        counts = count_rows(session, [each.query for each in asked])
    return list(hazards_of_live_rows(asked, counts))


@every_engine
@pytest.mark.parametrize(
    ("files", "rows"),
    [
        (NOT_NULL, "rows of `{t}` where `a` is NULL (1 of them)"),
        (CHECK, "rows of `{t}` for which `a > 0` is false (1 of them)"),
    ],
    ids=["NOT NULL", "CHECK"],
)
def test_rows_are_counted_that_a_constraint_of_a_column_refuses(
    servers: Servers, engine: Engine, files: dict[Engine, str], rows: str
):
    [hazard] = found(servers, engine, files[engine])

    told = rows.replace("{t}", "public.t" if engine is PG else "t")
    assert hazard.code == "live-rows-refused"
    assert hazard.what == f"The live database has {told}, on which this fails."
    assert hazard.fails
    assert hazard.rows.startswith("SELECT * FROM ")
    assert (hazard.migration, hazard.place.file) == ("00002_m", "00002_m.sql")


@every_engine
def test_values_are_counted_that_several_rows_have(servers: Servers, engine: Engine):
    twice = "INSERT INTO t VALUES (5, 5, 'one', 1), (6, 6, 'one', NULL), (7, 7, 'one', NULL)"

    [hazard] = found(servers, engine, UNIQUE[engine], rows=(*ROWS, twice))

    assert "has values of `c, b` that several rows of" in hazard.what
    assert "(1 of them)" in hazard.what, "NULL is like no other"


@pytest.mark.parametrize("engine", [PG, pytest.param(MY, marks=pytest.mark.mariadb)])
def test_rows_are_counted_whose_parent_is_not_there(servers: Servers, engine: Engine):
    [hazard] = found(servers, engine, "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES p (id);")

    file = "INSERT INTO p VALUES (3);\nALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES p (id);"
    assert found(servers, engine, file) == [], "the release brings parents"
    parent = "public.p" if engine is PG else "p"
    assert f"whose `c` is in no row of `{parent}` (1 of them)" in hazard.what


@every_engine
def test_nothing_is_said_where_all_rows_meet_it(servers: Servers, engine: Engine):
    rows = ("INSERT INTO p VALUES (1)", "INSERT INTO t VALUES (1, 1, 'one', 1)")

    assert found(servers, engine, CHECK[engine], UNIQUE[engine], rows=rows) == []


@every_engine
def test_nothing_is_asked_of_a_table_that_the_release_writes_before(servers: Servers, engine: Engine):
    fills = {LITE: rebuilt(a=" NOT NULL", a_is="coalesce(a, 0)")}
    in_file = fills.get(engine, f"UPDATE t SET a = 0 WHERE a IS NULL;\n{NOT_NULL[engine]}")

    assert found(servers, engine, in_file) == []
    assert found(servers, engine, "UPDATE t SET a = 0 WHERE a IS NULL;", NOT_NULL[engine]) == []


@every_engine
def test_nothing_is_asked_of_a_table_with_a_backfill(servers: Servers, engine: Engine):
    left = "SELECT count(*) FROM t WHERE a IS NULL"
    place = Place("plan.yaml", 1, 1)
    fills = BackfillSpec("b", "1", "2", "t", ("id",), "UPDATE t SET a = 1 WHERE {range}", left, place)

    assert found(servers, engine, NOT_NULL[engine], backfills=(fills,)) == []


@every_engine
def test_nothing_is_asked_of_what_only_the_release_brings(servers: Servers, engine: Engine):
    adds = "ALTER TABLE t ADD COLUMN d integer;\n"
    index = "CREATE UNIQUE INDEX once ON t (d);"

    assert found(servers, engine, adds + index) == []
    assert found(servers, engine, adds, index) == []


@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("CREATE UNIQUE INDEX once ON t (lower(b));", 1),
        ("CREATE UNIQUE INDEX once ON t (lower(b) DESC) WHERE a > 0;", 0),
        ("ALTER TABLE t ADD CHECK (a > 0) NOT VALID;", 0),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;\nALTER TABLE t VALIDATE CONSTRAINT c;", 1),
        ("ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (a);", 0),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey;\nALTER TABLE t ADD PRIMARY KEY (b);", 2),
        ("ALTER TABLE t ADD CHECK (a > 0) NO INHERIT;", 1),
        ("SELECT count(*) FROM p WHERE id IN (SELECT max(id) FROM p);\nALTER TABLE t ADD CHECK (a > 0);", 1),
        (
            "SELECT pg_catalog.set_config('geqo', 'off', false);\nALTER TABLE t ADD CHECK (a > 0);",
            1,
        ),
        ("ALTER TABLE t DROP COLUMN c, ALTER b DROP NOT NULL, ALTER a SET NOT NULL;", 1),
        ("TRUNCATE t;\nALTER TABLE t ADD CHECK (a > 0);", 0),
        ("DO $$ BEGIN DELETE FROM t WHERE a < -900; END $$;\nALTER TABLE t ADD CHECK (a > 0);", 0),
    ],
)
def test_what_postgresql_writes_is_understood(servers: Servers, file: str, count: int):
    assert len(found(servers, PG, file)) == count


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("CREATE UNIQUE INDEX once ON t (b(1));", 1),
        ("CREATE UNIQUE INDEX once ON t (a, b);", 0),
        (r"ALTER TABLE t ADD CHECK (b <> 'it''s (two)\\');", 0),
        ("ALTER TABLE t ADD CHECK (b <> 'it''s' AND b <> 'one');", 1),
        ("ALTER IGNORE TABLE t ADD CONSTRAINT once UNIQUE (b);" if MY is Engine.MARIADB else "DO 1;", 0),
        ("TRUNCATE t;\nALTER TABLE t MODIFY a integer NOT NULL;", 0),
        ("SET sql_mode = '';\nALTER TABLE t MODIFY a integer NOT NULL;", 0),
    ],
    ids=["a part", "no row", "quotes", "a quote", "IGNORE", "TRUNCATE", "a mode that makes 0 of NULL"],
)
def test_what_mariadb_writes_is_understood(servers: Servers, file: str, count: int):
    assert len(found(servers, MY, file)) == count


@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("CREATE UNIQUE INDEX once ON t (lower(b));", 1),
        ("CREATE UNIQUE INDEX once ON t (b desc) where a > 0;", 0),
        ("CREATE UNIQUE INDEX once ON t (b);", 1),
        (rebuilt(b=" UNIQUE"), 1),
        (rebuilt(a=" CHECK (a > 0 /* can't be less */)"), 1),
        (rebuilt(b=" CHECK (b <> 'it''s' AND b <> 'one' || [b] || '\\')"), 0),
        ("CREATE UNIQUE INDEX once ON t (lower(b) /* can't be */);", 1),
        (rebuilt(b=" UNIQUE") + "\nUPDATE t SET b = NULL;", 0),
    ],
)
def test_what_sqlite_writes_is_understood(servers: Servers, file: str, count: int):
    assert len(found(servers, LITE, file)) == count


MENDS = "$$ BEGIN IF EXISTS (SELECT FROM t WHERE a = -3) THEN DELETE FROM t WHERE a = -3; END IF; END $$;\n"
BODY = "-- +goose StatementBegin\n{}-- +goose StatementEnd\n"
MORE = "ALTER TABLE t ADD CONSTRAINT is_more CHECK (a > 0);"
PARTED = """ALTER TABLE t RENAME TO t1;
CREATE TABLE t (id integer NOT NULL, a integer, b varchar(20), c integer) PARTITION BY RANGE (id);
ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (0) TO (10);"""
PARTED_BY_ID = """ALTER TABLE t DROP PRIMARY KEY;
ALTER TABLE t PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (4),
PARTITION p1 VALUES LESS THAN (9));"""
IS_OK = "CREATE OR REPLACE FUNCTION is_ok(x integer) RETURNS boolean IMMUTABLE LANGUAGE sql"
FOLLOWS = "ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES p (id) ON DELETE CASCADE;"
FEW = ("INSERT INTO p VALUES (1), (3)", ROWS[1])
"""Each row has its parent."""


def taken(
    servers: Servers, engine: Engine, before: str, *files: str, rows: Sequence[str] = ROWS
) -> list[Hazard]:
    """Return what is said of files that a live database takes, where another file ran before."""
    base = ";\n".join(TABLES) + f";\n{before}\n"
    texts = [TOGETHER + each for each in files]
    rehearsal, _ = rehearsed(servers[engine], engine, base, *texts, live="SELECT 1", next_="SELECT 1")
    assert rehearsal.failed is None
    done, *pending = [migration(at, text) for at, text in enumerate((TOGETHER + base, *texts), 1)]
    asked = tuple(asked_of_live(rehearsal, discovery.rehearsal(engine), pending=pending, backfills=()))
    with servers[engine].database() as database, database.session() as session:
        applies(session, done)
        session.execute(Batch(tuple(rows), transaction=False))
        hazards = list(hazards_of_live_rows(asked, count_rows(session, [each.query for each in asked])))
        for each in pending:
            applies(session, each)
    return hazards


def applies(session: Session, file: Migration) -> None:
    assert file.up is not None
    session.execute(Batch(tuple(each.text for each in file.up.statements), transaction=False))


@pytest.mark.parametrize(
    ("before", "files"),
    [
        ("", ["ALTER TABLE t ALTER a TYPE integer USING abs(a), ADD CHECK (a > 0);"]),
        ("", ["ALTER TABLE t ALTER a TYPE bigint USING coalesce(a, 0), ALTER a SET NOT NULL;"]),
        ("", ["ALTER TABLE t ALTER a TYPE integer USING coalesce(a, 0);", NOT_NULL[PG]]),
        ("", ["ALTER TABLE t DROP a, ADD a integer NOT NULL DEFAULT 3;"]),
        ("", ["ALTER TABLE t RENAME a TO old;\nALTER TABLE t RENAME id TO a;\n" + MORE]),
        ("", ["DROP TABLE t;\nCREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL);"]),
        ("", ["DROP TABLE t;\nCREATE TABLE t (id integer PRIMARY KEY, a integer);", MORE]),
        ("", [BODY.format(f"CREATE PROCEDURE mend() LANGUAGE plpgsql AS {MENDS}") + "CALL mend();", MORE]),
        (
            BODY.format(f"CREATE FUNCTION mend() RETURNS void LANGUAGE plpgsql AS {MENDS}"),
            ['SELECT "mend"();\n' + MORE],
        ),
        (
            f"{IS_OK} AS 'SELECT x > 0';",
            [f"{IS_OK} AS 'SELECT x > -9';\nALTER TABLE t ADD CHECK (is_ok(a));"],
        ),
        (PARTED, ["ALTER TABLE t DETACH PARTITION t1;\n" + MORE]),
        (PARTED, ["DROP TABLE t1;", MORE]),
        (PARTED, ["CREATE UNIQUE INDEX once ON ONLY t (b, id);"]),
        (
            "CREATE TABLE h () INHERITS (t);\nINSERT INTO h VALUES (1);",
            ["CREATE UNIQUE INDEX once ON t (id);"],
        ),
        ("CREATE TABLE h () INHERITS (t);\nINSERT INTO h VALUES (1);", ["ALTER TABLE t ADD UNIQUE (id);"]),
        (
            "CREATE TABLE h () INHERITS (t);\nINSERT INTO h (id, c) VALUES (1, 77);",
            ["ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES p (id);"],
        ),
    ],
)
def test_nothing_is_said_where_postgresql_takes_the_rows(servers: Servers, before: str, files: list[str]):
    rows = FEW if "FOREIGN KEY" in files[0] else ROWS

    assert taken(servers, PG, before, *files, rows=rows) == []


@pytest.mark.parametrize("engine", [PG, pytest.param(MY, marks=pytest.mark.mariadb)])
def test_nothing_is_said_of_rows_that_go_with_their_parents(servers: Servers, engine: Engine):
    assert taken(servers, engine, FOLLOWS, "DELETE FROM p WHERE id = 3;\n" + MORE, rows=FEW) == []


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("before", "file"),
    [
        ("", "SET foreign_key_checks = 0;\nALTER TABLE t ADD FOREIGN KEY (c) REFERENCES p (id);"),
        ("", "/*!40014 SET FOREIGN_KEY_CHECKS = 0 */;\nALTER TABLE t ADD FOREIGN KEY (c) REFERENCES p (id);"),
        ("", "RENAME TABLE t TO o;\nCREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL);"),
        ("", "SET @mends = 'DELETE FROM t WHERE a = -3';\nPREPARE x FROM @mends;\nEXECUTE x;\n" + MORE),
        ("ALTER TABLE t ADD d integer UNIQUE;", "ALTER TABLE t MODIFY d integer NOT NULL AUTO_INCREMENT;"),
        (PARTED_BY_ID, "ALTER TABLE t TRUNCATE PARTITION p0;\n" + MORE),
    ],
    ids=["FOREIGN_KEY_CHECKS", "in a comment", "RENAME", "EXECUTE", "AUTO_INCREMENT", "TRUNCATE PARTITION"],
)
def test_nothing_is_said_where_mariadb_takes_the_rows(servers: Servers, before: str, file: str):
    if "AUTO_INCREMENT" in file:
        before += "\nALTER TABLE t DROP PRIMARY KEY;"
    rows = [each.replace("INTO t VALUES", "INTO t (id, a, b, c) VALUES") for each in ROWS]

    assert taken(servers, MY, before, file, rows=rows) == []


@pytest.mark.parametrize(
    ("before", "file"),
    [
        ("", rebuilt(a=" NOT NULL", a_is="id")),
        ("", rebuilt(a=" CHECK (a > 0)", a_is="abs(a)")),
        ("", rebuilt(a=" CHECK (a > 0)", a_is="5")),
        ("", rebuilt(a=" NOT NULL ON CONFLICT REPLACE DEFAULT 3")),
        ("", rebuilt(b=" UNIQUE ON CONFLICT REPLACE")),
        (
            "",
            rebuilt(a=" NOT NULL DEFAULT 7")
            .replace("INTO u", "INTO u (id, c, b)")
            .replace("a, b, c F", "c, b F"),
        ),
        ("", "DROP TABLE t;\nCREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL);"),
        (rebuilt(b=" COLLATE NOCASE"), "CREATE UNIQUE INDEX once ON t (a, b COLLATE BINARY);"),
        (rebuilt(b=" COLLATE NOCASE"), rebuilt().replace("c integer);", "c integer, UNIQUE (a, b));")),
    ],
)
def test_nothing_is_said_where_sqlite_takes_the_rows(servers: Servers, before: str, file: str):
    rows = (*ROWS, "INSERT INTO t VALUES (5, 1, 'ONE', 7)") if before else ROWS

    assert taken(servers, LITE, before, file, rows=rows) == []


def test_rows_are_asked_that_alembic_copies_to_a_table_made_anew(servers: Servers):
    file = rebuilt(a=" NOT NULL").replace("SELECT id, a, b, c", "SELECT t.id, t.a, t.b, t.c")

    [hazard] = found(servers, LITE, "-- made anew\n" + file.replace("INTO u ", "INTO u (id, a, b, c) "))

    assert "where `a` is NULL (1 of them)" in hazard.what


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[ConnectedPorts, sqlite3.Connection]]:
    """Yield a release that makes an index unique, and its live database, of which two rows are alike."""
    for file, text in (
        ("plan.yaml", PLAN),
        ("queries/t.sql", "SELECT a FROM t WHERE id = ?;\n"),
        ("migrations/00001_base.sql", TOGETHER + ";\n".join(TABLES) + ";\n"),
        ("migrations/00002_m.sql", TOGETHER + UNIQUE[LITE]),
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    with closing(sqlite3.connect(tmp_path / "live.db")) as live:
        live.executescript(";\n".join(TABLES) + ";\nINSERT INTO t VALUES (1, 1, 'x', 1), (2, 2, 'x', 1);")
        live.executescript(
            "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP);"
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1);"
        )
        environment = {"URL": f"sqlite://{tmp_path}/live.db"}
        plan = load_plan(tmp_path / "plan.yaml", settings={}, environment=environment)
        yield ConnectedPorts(plan, environment=environment), live


def test_a_release_is_not_proven_whose_migration_the_live_rows_refuse(
    shop: tuple[ConnectedPorts, sqlite3.Connection],
):
    ports, live = shop

    refused, _ = plan_release(ports, step_kinds())
    live.executescript("UPDATE t SET b = 'y' WHERE id = 2;")
    mended, _ = plan_release(ports, step_kinds())

    [risk] = risks(refused)
    assert (refused.verdict, mended.verdict) == (Verdict.UNPROVEN, Verdict.PROVEN)
    assert (risk.code, Path(risk.place.file).name) == ("live-rows-refused", "00002_m.sql")
    assert not risks(mended)
    story = " ".join(" ".join(tell(refused)).split())
    assert "but a migration fails on rows that the live database has, or that live writes" in story
    assert "These: SELECT `c`, `b`, count(*) FROM `t`" in story
    assert "<p>These:</p><pre>SELECT `c`, `b`, count(*) FROM `t`" in as_html(refused)


def test_what_is_not_found_out_in_time_is_a_note(
    shop: tuple[ConnectedPorts, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
):
    ports, live = shop
    many = f"INSERT INTO t (b, c) SELECT hex(randomblob(8)), a.value FROM {SERIES} AS a"
    live.executescript(f"DELETE FROM t; {many};")
    monkeypatch.setattr(live_rows, "_WITHIN", timedelta(milliseconds=1))

    proof, _ = plan_release(ports, step_kinds())

    [note] = [each for each in proof.evidence.rehearsals[DatabaseName("shop")].notes if "in time" in each]
    assert note == (
        "whether live has values of `c, b` that several rows of `t` have, on which `00002_m` fails,"
        " was not found out in time"
    )


ENDS_ITSELF = {
    PG: "FROM pg_terminate_backend(pg_backend_pid())",
    MYSQL_ENGINE: "FROM (SELECT 1 AS one) AS x WHERE (SELECT ended() = 1)",
}


@pytest.mark.parametrize("engine", [PG, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)])
def test_a_lost_connection_answers_no_question(servers: Servers, engine: Engine):
    asked = [RowQuery("rows", "1", each) for each in (ENDS_ITSELF[engine], "FROM t")]
    ends = "CREATE FUNCTION ended() RETURNS int READS SQL DATA BEGIN KILL CONNECTION_ID(); RETURN 1; END"
    tables = TABLES if engine is PG else (*TABLES, ends)

    with servers[engine].database() as database, database.session() as session:
        session.execute(Batch(tables, transaction=False))
        with pytest.raises(DatabaseError) as lost:
            count_rows(session, asked)

    assert lost.value.code == "connection-lost"


def test_a_connection_that_is_lost_over_the_question_leaves_the_rest_proven(
    shop: tuple[ConnectedPorts, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
):
    def lost(*_: object, **__: object) -> NoReturn:
        raise DatabaseError("connection-lost", "The connection is gone.")

    monkeypatch.setattr(live_rows, "count_rows", lost)

    proof, _ = plan_release(shop[0], step_kinds())

    assert proof.verdict is Verdict.PROVEN
    assert "live's rows were not asked: The connection is gone" in (
        proof.evidence.rehearsals[DatabaseName("shop")].notes
    )


def test_a_plan_says_which_question_the_user_may_not_ask(
    shop: tuple[ConnectedPorts, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
):
    def refused(_: Session, queries: list[RowQuery], *, denied: Callable[[RowQuery, str], None]):
        denied(queries[0], "permission denied for table t")
        return {}

    monkeypatch.setattr(live_rows, "count_rows", refused)

    proof, _ = plan_release(shop[0], step_kinds())

    assert (
        "whether live has values of `c, b` that several rows of `t` have, on which `00002_m` fails,"
        " was not found out: permission denied for table t"
    ) in proof.evidence.rehearsals[DatabaseName("shop")].notes
