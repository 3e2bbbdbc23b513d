"""A foreign key that comes with a migration finds its parents among the sample rows, of whatever type."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.model import Engine

__all__ = ["servers"]
BASE = """CREATE TABLE p (id {0} PRIMARY KEY, name varchar(30) NOT NULL);
CREATE TABLE c (id integer PRIMARY KEY, title varchar(30), p {0}{1}, note varchar(30) NOT NULL);
"""
ALTERS = "ALTER TABLE c ADD CONSTRAINT of_p FOREIGN KEY (p) REFERENCES p (id);"
REBUILDS = """PRAGMA foreign_keys = ON;
CREATE TABLE other (
  id integer PRIMARY KEY, title varchar(30), p {0} REFERENCES p (id), note varchar(30) NOT NULL
);
INSERT INTO other SELECT * FROM c;
DROP TABLE c;
ALTER TABLE other RENAME TO c;
"""


@pytest.mark.parametrize(
    ("engine", "type_"),
    [
        (Engine.POSTGRESQL, "varchar(20)"),
        (Engine.SQLITE, "varchar(20)"),
        *(
            pytest.param(MYSQL_ENGINE, type_, marks=pytest.mark.mariadb)
            for type_ in ("varchar(20)", "char(6)", "binary(16)", "bigint unsigned", "integer")
        ),
    ],
)
@pytest.mark.parametrize("null", ["", " NOT NULL"])
def test_a_later_foreign_key_leaves_what_it_does_not_touch_proven(
    servers: Servers, engine: Engine, type_: str, null: str
):
    rehearsal, found = rehearsed(
        servers[engine],
        engine,
        BASE.format(type_, null),
        TOGETHER + (REBUILDS.format(type_) if engine is Engine.SQLITE else ALTERS),
        live="SELECT id, name FROM p",
        next_="SELECT c.id, p.name FROM c JOIN p ON p.id = c.p",
    )

    assert found == ["pp", "pp"]
    assert not [note for note in rehearsal.notes if "fails on sample rows" in note]


@pytest.mark.parametrize("type_", ["integer", "varchar(20)"])
@pytest.mark.parametrize("engine", [Engine.SQLITE, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)])
def test_two_columns_of_one_type_that_a_view_exchanges_are_seen(servers: Servers, engine: Engine, type_: str):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {type_}, b {type_});\n"

    rehearsal, found = rehearsed(
        servers[engine],
        engine,
        base + "CREATE VIEW v AS SELECT id, a, b FROM t;\n",
        TOGETHER + "DROP VIEW v;\nCREATE VIEW v AS SELECT id, b AS a, a AS b FROM t;",
        live="SELECT id, a FROM v",
        next_="SELECT id FROM t",
    )

    assert found == ["pb", "pp"]
    assert {each.objection.code for each in rehearsal.breaks} >= {"result-differs"}
