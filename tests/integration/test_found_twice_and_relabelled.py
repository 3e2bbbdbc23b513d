"""Rows that are looked up by what is unique no more, and labels of another name: no sample row tells."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
T = "CREATE TABLE {} (id integer PRIMARY KEY, mail integer, of integer, n integer, CONSTRAINT k UNIQUE ({}));"
S = "CREATE TABLE s (id integer PRIMARY KEY, mail integer);"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT n FROM t WHERE mail = {}", "pu"),
        ("UPDATE t SET n = 7 WHERE mail = {}", "pu"),
        ("DELETE FROM t WHERE mail = {}", "pu"),
        ("SELECT t.n FROM s JOIN t ON t.mail = s.mail WHERE s.id = {}", "pu"),
        ("SELECT n FROM t WHERE mail = {} AND of = 7", "pp"),
        ("SELECT n FROM t WHERE mail = 7 AND id = {}", "pp"),
        ("UPDATE t SET mail = 77 WHERE id = {}", "pp"),
        ("SELECT n FROM t WHERE mail > {}", "pp"),
        ("SELECT mail FROM s WHERE mail = {}", "pp"),
        ("SELECT x.n FROM t AS x, s AS y WHERE y.mail = {}", "pp"),
        ("SELECT x.n FROM t AS x JOIN s AS y ON y.id = x.id WHERE x.mail = {}", "pu"),
        ("SELECT mail FROM s WHERE id = (SELECT n FROM t WHERE mail = {})", "pu"),
        ("SELECT EXISTS (SELECT 1 FROM t WHERE mail = {})", "pp"),
        (
            "SELECT id FROM s WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.mail = s.mail AND (n=1)) AND id = {}",
            "pp",
        ),
        (
            "SELECT EXISTS (SELECT 1 FROM s WHERE EXISTS (SELECT n FROM t WHERE t.mail = s.mail) AND id={})",
            "pp",
        ),
        ("SELECT EXISTS (SELECT 1 FROM t WHERE mail = {} GROUP BY n HAVING count(*) = 1)", "pu"),
        ("SELECT EXISTS (SELECT 1 FROM s WHERE id = (SELECT n FROM t WHERE mail = {}))", "pu"),
        ("SELECT n FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.mail = t.mail) AND mail = {}", "pu"),
    ],
)
def test_a_lookup_by_what_is_unique_no_more(servers: Servers, engine: Engine, query: str, expected: str):
    base, query = T.format("t", "mail") + S, query.format("$1" if engine is Engine.POSTGRESQL else "?")
    pending = {
        Engine.POSTGRESQL: "ALTER TABLE t DROP CONSTRAINT k; ALTER TABLE t ADD UNIQUE (of, mail);",
        Engine.SQLITE: T.format("u", "of, mail")
        + "INSERT INTO u SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;",
    }.get(engine, "ALTER TABLE t DROP INDEX k, ADD UNIQUE (of, mail);")

    assert verdict(servers, engine, base, pending, query) == expected


def test_a_next_version_before_its_unique_finds_the_rows_that_it_will_have(servers: Servers):
    base = T.format("t", "of, mail")
    query = "SELECT n FROM t WHERE mail = $1"

    def at_first(*before: str) -> str:
        pending = [TOGETHER + each for each in (*before, "CREATE UNIQUE INDEX l ON t (mail);")]
        engine = Engine.POSTGRESQL
        return rehearsed(servers[engine], engine, base, *pending, live=query, next_=query)[1][1][0]

    assert at_first() == "p"
    assert at_first("DELETE FROM t WHERE n < 0;") == "u"


def test_a_lookup_by_what_stays_unique_under_another_name(servers: Servers):
    pending = "ALTER TABLE t DROP CONSTRAINT k; CREATE UNIQUE INDEX l ON t (mail);"
    query = "SELECT n FROM t WHERE mail = $1 AND of = $2"

    for columns in ("mail", "of, mail"):
        assert verdict(servers, Engine.POSTGRESQL, T.format("t", columns), pending, query) == "pp"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, ON_MYSQL])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id, a FROM t", "pu"),
        ("SELECT id FROM t WHERE a <> 'a'", "pu"),
        ("SELECT id FROM t", "pp"),
    ],
)
def test_a_label_that_gets_another_name(servers: Servers, engine: Engine, query: str, expected: str):
    labels = "'a', 'b', 'c', 'd', 'e', '{}'"
    if engine is Engine.POSTGRESQL:
        base = f"CREATE TYPE l AS ENUM ({labels}); CREATE TABLE t (id integer PRIMARY KEY, a l);".format("f")
        pending = "ALTER TYPE l RENAME VALUE 'f' TO 'g';"
    else:
        base = f"CREATE TABLE t (id integer PRIMARY KEY, a enum({labels}));".format("f")
        pending = f"ALTER TABLE t MODIFY a enum({labels});".format("g")

    assert verdict(servers, engine, base, pending, query) == expected
