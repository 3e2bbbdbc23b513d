"""Parents in which a migration put a row or two get sample rows beside."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
SEEDED = """CREATE TABLE account (id varchar(40) PRIMARY KEY, role varchar(20));
INSERT INTO account (id, role) VALUES ('system', 'owner');
CREATE TABLE team (id varchar(40) PRIMARY KEY, name varchar(20));
INSERT INTO team (id, name) VALUES ('internal', 'internal');
CREATE TABLE member (account varchar(40) NOT NULL, team varchar(40) NOT NULL, note varchar(20),
    PRIMARY KEY (account, team),
    FOREIGN KEY (account) REFERENCES account (id), FOREIGN KEY (team) REFERENCES team (id));
INSERT INTO member (account, team) VALUES ('system', 'internal');
"""
INSERT = "INSERT INTO member (account, team, note) VALUES ($1, $2, $3)"
COLUMN = "ALTER TABLE team ADD COLUMN plan integer;"
ENGINES = [
    pytest.param(each, marks=[pytest.mark.mariadb] * each.speaks_mysql)
    for each in (Engine.POSTGRESQL, Engine.SQLITE, MYSQL_ENGINE)
]
every_engine = pytest.mark.parametrize("engine", ENGINES)


def said(servers: Servers, engine: Engine, pending: str, live: str, *, base: str = SEEDED) -> str:
    text = live
    for number in "123":
        text = text if engine is Engine.POSTGRESQL else text.replace(f"${number}", "?")
    return verdict(servers, engine, base, pending, text)


@every_engine
def test_a_child_can_be_given_to_another_parent(servers: Servers, engine: Engine):
    assert said(servers, engine, COLUMN, INSERT) == "pp"


@every_engine
def test_a_row_that_the_seed_alone_meets_is_still_met(servers: Servers, engine: Engine):
    gone = "UPDATE account SET role = 'other' WHERE id = 'system';"

    assert said(servers, engine, gone, "SELECT role FROM account WHERE id = $1") == "pu"


@every_engine
def test_a_check_that_the_seed_meets_and_a_client_may_not_is_no_proof(servers: Servers, engine: Engine):
    if engine is Engine.SQLITE:
        check = """CREATE TABLE fresh (id varchar(40) PRIMARY KEY, role varchar(20) CHECK (role <> 'guest'));
INSERT INTO fresh SELECT * FROM account;
DROP TABLE account;
ALTER TABLE fresh RENAME TO account;"""
    else:
        check = "ALTER TABLE account ADD CONSTRAINT known CHECK (role <> 'guest');"

    assert said(servers, engine, check, "INSERT INTO account (id, role) VALUES ($1, $2)") == "pu"


@every_engine
def test_a_migration_that_bears_the_seed_alone_is_rehearsed_without_rows_beside(
    servers: Servers, engine: Engine
):
    if engine is Engine.SQLITE:
        only = """CREATE TABLE fresh (id varchar(40) PRIMARY KEY, role varchar(20) CHECK (role = 'owner'));
INSERT INTO fresh SELECT * FROM account;
DROP TABLE account;
ALTER TABLE fresh RENAME TO account;"""
    else:
        only = "ALTER TABLE account ADD CONSTRAINT known CHECK (role = 'owner');"

    text = "SELECT id, role FROM account"
    rehearsal, [live, _] = rehearsed(
        servers[engine], engine, SEEDED, TOGETHER + only, live=text, next_="SELECT 1"
    )

    assert rehearsal.failed is None
    assert live == "pp"


@every_engine
def test_a_row_to_which_nothing_refers_stays_alone(servers: Servers, engine: Engine):
    base = """CREATE TABLE info (id varchar(40) PRIMARY KEY, build integer);
INSERT INTO info (id, build) VALUES ('this', 1);
CREATE TABLE post (id integer PRIMARY KEY, build integer);
"""
    one = "SELECT id FROM post WHERE build = (SELECT build FROM info)"

    assert said(servers, engine, "ALTER TABLE post ADD COLUMN n integer;", one, base=base) == "pp"
