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


NUMBERED = """CREATE TABLE role (id integer PRIMARY KEY, name varchar(20) NOT NULL);
INSERT INTO role VALUES (1, 'guest');
CREATE TABLE person (id integer PRIMARY KEY, role integer NOT NULL, nick varchar(20),
    FOREIGN KEY (role) REFERENCES role (id));
"""


@every_engine
def test_a_row_that_a_migration_puts_where_none_is_yet_is_seen(servers: Servers, engine: Engine):
    """A row of ours with its key would take its place."""
    add = {
        Engine.POSTGRESQL: "INSERT INTO role VALUES (2, 'admin') ON CONFLICT DO NOTHING;",
        Engine.SQLITE: "INSERT OR IGNORE INTO role VALUES (2, 'admin');",
        MYSQL_ENGINE: "INSERT IGNORE INTO role VALUES (2, 'admin');",
    }[engine]

    assert said(servers, engine, add, "SELECT name FROM role", base=NUMBERED) == "pu"


@every_engine
def test_a_row_that_a_migration_puts_is_not_there_because_a_query_looks_for_it(
    servers: Servers, engine: Engine
):
    base = "CREATE TABLE role (id integer PRIMARY KEY, name varchar(20) NOT NULL UNIQUE);"
    add = "INSERT INTO role SELECT 77, 'admin' WHERE NOT EXISTS (SELECT 1 FROM role WHERE name = 'admin');"

    assert said(servers, engine, add, "SELECT id FROM role WHERE name = 'admin'", base=base) == "pu"


@every_engine
def test_a_row_that_a_migration_puts_beside_the_seed_costs_no_row_with_null(servers: Servers, engine: Engine):
    pending = "INSERT INTO role VALUES (2, 'admin'); UPDATE person SET nick = 'none' WHERE nick IS NULL;"

    assert said(servers, engine, pending, "SELECT nick FROM person", base=NUMBERED) == "pu"


@every_engine
def test_a_row_that_an_earlier_migration_of_the_release_put_is_a_seed(servers: Servers, engine: Engine):
    base = "CREATE TABLE t (id integer);"
    pending = (TOGETHER + SEEDED, f"{TOGETHER}{COLUMN}")
    insert = INSERT if engine is Engine.POSTGRESQL else INSERT.replace("$1, $2, $3", "?, ?, ?")

    _, [_, found] = rehearsed(servers[engine], engine, base, *pending, live="SELECT 1", next_=insert)

    assert found == "bpp"


@every_engine
@pytest.mark.parametrize("role", ["(SELECT id FROM role)", "(SELECT r.id FROM role AS r)"])
def test_the_only_row_of_a_table_that_a_query_takes_for_a_value_stays_alone(
    servers: Servers, engine: Engine, role: str
):
    text = f"INSERT INTO person (id, role, nick) VALUES ($1, {role}, $2)"

    assert said(servers, engine, "ALTER TABLE person ADD COLUMN n integer;", text, base=NUMBERED) == "pp"
