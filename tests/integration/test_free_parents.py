"""A table that a migration fills with one row for each parent: the next version finds one that is free."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

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


SEEDED = """CREATE TABLE tenant (id varchar(20) PRIMARY KEY, name varchar(20));
INSERT INTO tenant (id, name) VALUES ('acme', 'a'), ('blue', 'b'), ('coil', 'c');
CREATE TABLE setting (id integer PRIMARY KEY, tenant varchar(20) NOT NULL UNIQUE, note varchar(20),
    FOREIGN KEY (tenant) REFERENCES tenant (id));
"""
"""Parents with keys that are no sample values: the rows of `setting` refer to the first two."""
ALONE = "INSERT INTO setting (id, tenant) VALUES (77, $1)"
WITH_NOTE = "INSERT INTO setting (id, tenant, note) VALUES (77, $1, $2)"
NOT_NULL = {
    Engine.POSTGRESQL: "ALTER TABLE setting ALTER COLUMN note SET NOT NULL;",
    Engine.SQLITE: """CREATE TABLE fresh (id integer PRIMARY KEY, tenant varchar(20) NOT NULL UNIQUE,
    note varchar(20) NOT NULL, FOREIGN KEY (tenant) REFERENCES tenant (id));
INSERT INTO fresh SELECT * FROM setting;
DROP TABLE setting;
ALTER TABLE fresh RENAME TO setting;""",
    MYSQL_ENGINE: "ALTER TABLE setting MODIFY note varchar(20) NOT NULL;",
}


def verdict_of_live(servers: Servers, engine: Engine, migration: str, live: str) -> str:
    text = live if engine is Engine.POSTGRESQL else live.replace("$1", "?").replace("$2", "?")
    return verdict(servers, engine, SEEDED, migration, text)


@every_engine
def test_an_insert_finds_the_seeded_parent_that_has_no_row(servers: Servers, engine: Engine):
    comment = "ALTER TABLE tenant ADD COLUMN plan integer;"

    assert verdict_of_live(servers, engine, comment, ALONE) == "pp"
    assert verdict_of_live(servers, engine, comment, WITH_NOTE) == "pp"


@every_engine
def test_it_tries_null_beside_such_a_parent(servers: Servers, engine: Engine):
    noted = "UPDATE setting SET note = 'x' WHERE note IS NULL;\n" + NOT_NULL[engine]

    assert verdict_of_live(servers, engine, noted, WITH_NOTE) == "pb"


@every_engine
def test_it_is_not_known_where_each_parent_was_given_its_row(servers: Servers, engine: Engine):
    filled = """INSERT INTO setting (id, tenant)
    SELECT 90, id FROM tenant WHERE id NOT IN (SELECT tenant FROM setting);"""

    assert verdict_of_live(servers, engine, filled, ALONE) == "pu"


@every_engine
def test_it_does_not_take_a_check_for_met_that_it_did_not_meet(servers: Servers, engine: Engine):
    if engine is Engine.SQLITE:
        check = NOT_NULL[engine].replace("note varchar(20) NOT NULL", "note varchar(20) CHECK (note <> 'no')")
    else:
        check = "ALTER TABLE setting ADD CONSTRAINT noted CHECK (note <> 'no');"

    assert verdict_of_live(servers, engine, check, WITH_NOTE) == "pu"


def test_what_minds_no_row_that_is_there_stays_proven(servers: Servers):
    filled = """INSERT INTO setting (id, tenant)
    SELECT 90, id FROM tenant WHERE id NOT IN (SELECT tenant FROM setting);"""
    upsert = ALONE + " ON CONFLICT DO NOTHING"

    assert verdict_of_live(servers, Engine.POSTGRESQL, filled, upsert) == "pp"


def test_what_is_made_anew_and_gets_its_rows_back_gives_none(servers: Servers):
    anew = """ALTER TABLE setting RENAME TO old;
CREATE TABLE setting (id integer PRIMARY KEY, tenant varchar(20) NOT NULL UNIQUE, note text,
    FOREIGN KEY (tenant) REFERENCES tenant (id));
INSERT INTO setting SELECT id, tenant, note FROM old;
DROP TABLE old;"""

    assert verdict_of_live(servers, Engine.SQLITE, anew, ALONE) == "pp"
