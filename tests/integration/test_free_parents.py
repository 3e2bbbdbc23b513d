"""A table that a migration fills with one row for each parent: the next version finds one that is free."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.model import Engine

__all__ = ["servers"]
BASE = "CREATE TABLE customer (id integer PRIMARY KEY, bio varchar(20));\n"
PROFILE = """CREATE TABLE profile (customer integer NOT NULL {}, bio varchar(20),
    FOREIGN KEY (customer) REFERENCES customer (id));
"""
FILL = "INSERT INTO profile SELECT id, bio FROM customer;\n"
WITH = """INSERT INTO profile (customer, bio)
    WITH old AS (SELECT id, bio FROM customer) SELECT id, bio FROM old;
"""
INSERT = "INSERT INTO profile (customer, bio) VALUES ($1, $2)"
READ = "SELECT customer.id, profile.bio FROM customer JOIN profile ON profile.customer = customer.id"
ENGINES = [
    pytest.param(each, marks=[pytest.mark.mariadb] * each.speaks_mysql)
    for each in (Engine.POSTGRESQL, Engine.SQLITE, MYSQL_ENGINE)
]
every_engine = pytest.mark.parametrize("engine", ENGINES)


def verdicts(servers: Servers, engine: Engine, *pending: str, next_: str, base: str = BASE) -> str:
    text = next_ if engine is Engine.POSTGRESQL else next_.replace("$1", "?").replace("$2", "?")
    files = (TOGETHER + each for each in pending)
    rehearsal, [_, found] = rehearsed(
        servers[engine], engine, base, *files, live="SELECT id, bio FROM customer", next_=text
    )
    assert rehearsal.failed is None
    assert not any("DELETE" in each.statement.text for each in rehearsal.statements)
    return found


@every_engine
@pytest.mark.parametrize("key", ["UNIQUE", "PRIMARY KEY"])
def test_an_insert_into_it_is_proven(servers: Servers, engine: Engine, key: str):
    assert verdicts(servers, engine, PROFILE.format(key) + FILL, next_=INSERT) == "bp"


@every_engine
def test_so_it_is_where_an_earlier_file_made_it(servers: Servers, engine: Engine):
    assert verdicts(servers, engine, PROFILE.format("UNIQUE"), WITH, next_=INSERT) == "bpp"


@every_engine
def test_what_reads_it_still_finds_rows(servers: Servers, engine: Engine):
    gone = "ALTER TABLE customer DROP COLUMN bio;"

    assert verdicts(servers, engine, PROFILE.format("UNIQUE") + FILL, gone, next_=READ) == "bpp"


@every_engine
def test_a_migration_that_counts_on_each_row_fails_no_more_than_before(servers: Servers, engine: Engine):
    child = "CREATE TABLE photo (id integer PRIMARY KEY, profile integer REFERENCES profile (customer));"
    copied = "INSERT INTO photo SELECT customer, customer FROM profile;"

    files = (PROFILE.format("PRIMARY KEY") + FILL, child + "\n" + copied)

    assert verdicts(servers, engine, *files, next_=INSERT) == "bpp"
