"""A check that wants one of two columns and not both: sample rows have NULL in one of them."""

from __future__ import annotations

import re

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
BASE = """CREATE TABLE person (id integer PRIMARY KEY, name varchar(20));
CREATE TABLE team (id integer PRIMARY KEY, name varchar(20));
CREATE TABLE grant_of (id integer PRIMARY KEY, person integer, team integer,
    kind varchar(20) NOT NULL, n integer,
    FOREIGN KEY (person) REFERENCES person (id), FOREIGN KEY (team) REFERENCES team (id),
    CONSTRAINT one CHECK ((person IS NULL AND team IS NOT NULL) OR (person IS NOT NULL AND team IS NULL)),
    CONSTRAINT known CHECK (kind IN ('read', 'write')));
"""
INSERT = "INSERT INTO grant_of (id, person, team, kind, n) VALUES (77, $1, $2, $3, $4)"
OF_PERSON = "SELECT id, n FROM grant_of WHERE person = $1"
OF_TEAM = "SELECT id, n FROM grant_of WHERE team = $1"
COLUMN = "ALTER TABLE team ADD COLUMN plan integer;"
ENGINES = [
    pytest.param(each, marks=[pytest.mark.mariadb] * each.speaks_mysql)
    for each in (Engine.POSTGRESQL, Engine.SQLITE, MYSQL_ENGINE)
]
every_engine = pytest.mark.parametrize("engine", ENGINES)


def said(servers: Servers, engine: Engine, pending: str, live: str) -> str:
    text = re.sub(r"\$\d", "?", live) if engine.speaks_mysql else live
    return verdict(servers, engine, BASE, pending, text)


@every_engine
def test_an_insert_is_proven(servers: Servers, engine: Engine):
    assert said(servers, engine, COLUMN, INSERT) == "pp"


@every_engine
@pytest.mark.parametrize("read", [OF_PERSON, OF_TEAM])
def test_rows_of_both_kinds_are_met(servers: Servers, engine: Engine, read: str):
    """Whoever reads them sees that they change."""
    assert said(servers, engine, "UPDATE grant_of SET n = 999;", read) == "pu"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize("read", [OF_PERSON, OF_TEAM])
def test_rows_that_go_are_missed(servers: Servers, engine: Engine, read: str):
    assert said(servers, engine, "DELETE FROM grant_of;", read) == "pu"


@every_engine
def test_a_sparse_row_is_there_where_no_check_forbids_it(servers: Servers, engine: Engine):
    filled = "UPDATE grant_of SET n = 1 WHERE n IS NULL;"

    assert said(servers, engine, filled, "SELECT id FROM grant_of WHERE n IS NULL") == "pu"
