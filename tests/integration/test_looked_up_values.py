"""An INSERT that looks up, by a query among its values, the row that it refers to."""

from __future__ import annotations

import re

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
BASE = """CREATE TABLE place (id integer PRIMARY KEY, name varchar(20) NOT NULL);
CREATE TABLE script (id integer PRIMARY KEY, name varchar(20) NOT NULL UNIQUE);
CREATE TABLE asset (id integer PRIMARY KEY, script integer NOT NULL, place integer NOT NULL,
    FOREIGN KEY (script) REFERENCES script (id), FOREIGN KEY (place) REFERENCES place (id));
CREATE TABLE sent (id integer PRIMARY KEY, asset integer NOT NULL, script_name varchar(20) NOT NULL,
    note varchar(20), FOREIGN KEY (asset) REFERENCES asset (id));
"""
INSERT = """INSERT INTO sent (id, asset, script_name, note) VALUES (77,
    (SELECT asset.id FROM asset JOIN place p ON p.id = asset.place JOIN script ON script.id = asset.script
     WHERE script.name = $1 AND p.name = $2), $3, $4)"""
TWICE = """WITH one (id) AS (
    SELECT asset.id FROM asset JOIN script s ON s.id = asset.script WHERE s.name = $1 AND asset.place = $2)
INSERT INTO sent (id, asset, script_name) VALUES (77, (SELECT id FROM one), $1)"""
COLUMN = "ALTER TABLE place ADD COLUMN plan integer;"
FRESH = """CREATE TABLE fresh (id integer PRIMARY KEY, asset integer NOT NULL,
    script_name varchar(20) NOT NULL, note varchar(20) {}, FOREIGN KEY (asset) REFERENCES asset (id));
INSERT INTO fresh SELECT * FROM sent;
DROP TABLE sent;
ALTER TABLE fresh RENAME TO sent;"""
ENGINES = [
    pytest.param(each, marks=[pytest.mark.mariadb] * each.speaks_mysql)
    for each in (Engine.POSTGRESQL, Engine.SQLITE, MYSQL_ENGINE)
]
every_engine = pytest.mark.parametrize("engine", ENGINES)


def said(servers: Servers, engine: Engine, pending: str, live: str = INSERT) -> str:
    text = re.sub(r"\$\d", "?", live) if engine.speaks_mysql else live
    return verdict(servers, engine, BASE, pending, text)


@every_engine
def test_the_row_is_found(servers: Servers, engine: Engine):
    assert said(servers, engine, COLUMN) == "pp"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_a_value_that_is_looked_for_and_written_finds_it(servers: Servers, engine: Engine):
    assert said(servers, engine, COLUMN, TWICE) == "pp"


@every_engine
def test_a_row_that_is_found_no_more_breaks_it(servers: Servers, engine: Engine):
    assert said(servers, engine, "DELETE FROM sent;\nDELETE FROM asset;") == "pb"


@every_engine
def test_null_is_still_tried_for_what_it_writes(servers: Servers, engine: Engine):
    needed = {
        Engine.POSTGRESQL: "ALTER TABLE sent ALTER COLUMN note SET NOT NULL;",
        Engine.SQLITE: FRESH.format("NOT NULL"),
        MYSQL_ENGINE: "ALTER TABLE sent MODIFY note varchar(20) NOT NULL;",
    }[engine]

    assert said(servers, engine, "UPDATE sent SET note = 'x' WHERE note IS NULL;\n" + needed) == "pb"


@every_engine
def test_a_check_that_no_value_met_is_no_proof(servers: Servers, engine: Engine):
    if engine is Engine.SQLITE:
        check = FRESH.format("CHECK (note <> 'no')")
    else:
        check = "ALTER TABLE sent ADD CONSTRAINT noted CHECK (note <> 'no');"

    assert said(servers, engine, check) == "pu"


@every_engine
def test_what_a_name_with_its_table_reads_is_that_column(servers: Servers, engine: Engine):
    one = """SELECT script.id FROM place JOIN asset ON asset.place = place.id
    JOIN script ON script.id = asset.script WHERE script.name = $1"""

    assert said(servers, engine, "UPDATE script SET name = 'other' WHERE id = 1;", one) == "pu"
