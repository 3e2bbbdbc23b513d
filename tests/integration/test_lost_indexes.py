"""A query that reads a whole table at a state, because the index is gone, or not there yet."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.evidence import Hazard
from coordinator.model import Engine

__all__ = ["servers"]
BASE = """
CREATE TABLE t (id integer PRIMARY KEY, name varchar(20) NOT NULL, email varchar(20) NOT NULL,
    at integer NOT NULL);
CREATE TABLE u (id integer PRIMARY KEY, t_id integer NOT NULL, note varchar(20));
CREATE INDEX of_email ON t (email);
CREATE INDEX of_at ON t (at);
CREATE INDEX of_t ON u (t_id);
"""
CONTRACT = "-- coordinator: phase=contract\n"
BY_EMAIL = "SELECT id, name FROM t WHERE email = $1"
ENGINES = (
    Engine.POSTGRESQL,
    Engine.SQLITE,
    pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb),
)
every_engine = pytest.mark.parametrize("engine", ENGINES)


def found(
    servers: Servers,
    engine: Engine,
    *pending: str,
    base: str = BASE,
    live: str = "SELECT id FROM t",
    next_: str = "SELECT id FROM t",
) -> list[Hazard]:
    """Return what is said of lost indexes; statements are written as PostgreSQL has them."""
    texts, files = [live, next_], list(pending)
    if engine is not Engine.POSTGRESQL:
        texts = [each.replace("$1", "?") for each in texts]
    if engine.speaks_mysql:
        files = [each.replace("INDEX of_email;", "INDEX of_email ON t;") for each in files]
        files = [each.replace("INDEX of_at;", "INDEX of_at ON t;") for each in files]
        files = [each.replace("INDEX of_t;", "INDEX of_t ON u;") for each in files]
    rehearsal, verdicts = rehearsed(
        servers[engine], engine, base, *(TOGETHER + each for each in files), live=texts[0], next_=texts[1]
    )
    assert all("b" not in each for each in verdicts)
    return [each for each in rehearsal.hazards if each.code == "query-loses-index"]


@every_engine
@pytest.mark.parametrize(
    ("live", "gone", "table"),
    [
        (BY_EMAIL, "of_email", "t"),
        ("SELECT x.name FROM t AS x WHERE x.email = $1", "of_email", "t"),
        ("UPDATE t SET name = 'a' WHERE email = $1", "of_email", "t"),
        ("DELETE FROM t WHERE email = $1", "of_email", "t"),
        ("SELECT t.name, u.note FROM t JOIN u ON u.t_id = t.id WHERE t.email = $1", "of_t", "u"),
        ("SELECT id FROM t ORDER BY at DESC LIMIT 5", "of_at", "t"),
    ],
)
def test_a_query_whose_index_is_dropped_while_its_version_lives(
    servers: Servers, engine: Engine, live: str, gone: str, table: str
):
    [hazard] = found(servers, engine, f"SELECT 1;\nDROP INDEX {gone};", live=live)

    assert hazard.place.file.endswith("00002_m.sql")
    assert hazard.place.line == 3
    assert f"{table} is read by `Ask` of shop (live) once this has run." in hazard.what


@every_engine
@pytest.mark.parametrize(
    ("pending", "live"),
    [
        (("DROP INDEX of_email;",), "SELECT id, name FROM t"),
        (("CREATE INDEX other ON t (email, name);\nDROP INDEX of_email;",), BY_EMAIL),
        (("DROP INDEX of_at;",), BY_EMAIL),
        (("DROP INDEX of_at;",), "SELECT id, at FROM t ORDER BY at"),
        (("CREATE INDEX more ON u (note);", "ALTER TABLE u ADD COLUMN extra integer;"), BY_EMAIL),
    ],
)
def test_a_query_that_finds_its_rows_as_before_or_never_did(
    servers: Servers, engine: Engine, pending: tuple[str, ...], live: str
):
    assert found(servers, engine, *pending, live=live, next_=live) == []


@every_engine
def test_next_has_no_index_while_it_waits_behind_the_live_version(servers: Servers, engine: Engine):
    by_name = "SELECT id FROM t WHERE name = $1"
    drops, makes = f"{CONTRACT}DROP INDEX of_at;", "CREATE INDEX of_name ON t (name);"

    [late] = found(servers, engine, drops, makes, next_=by_name)
    in_time = found(servers, engine, makes, drops, next_=by_name)

    assert late.place.file.endswith("00003_m.sql")
    assert "t is read by `Ask` of shop (next) until `00003_m` has run." in late.what
    assert in_time == []


@every_engine
@pytest.mark.parametrize("phase", ["", CONTRACT])
def test_an_index_that_both_versions_need_is_missed_whenever_it_goes(
    servers: Servers, engine: Engine, phase: str
):
    [hazard] = found(servers, engine, f"{phase}DROP INDEX of_email;", live=BY_EMAIL, next_=BY_EMAIL)

    assert "t is read by `Ask` of shop once this has run." in hazard.what
    assert hazard.why.startswith("Both versions ask that.")
    assert "keep the index" in hazard.rewrite


@every_engine
def test_an_index_that_waits_until_live_is_gone_is_not_missed(servers: Servers, engine: Engine):
    assert found(servers, engine, f"{CONTRACT}DROP INDEX of_email;", live=BY_EMAIL) == []
