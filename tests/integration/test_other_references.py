"""Foreign keys that refer to something else at a state, or are asked sooner, and no sample row tells."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)]
PARENTS = """CREATE TABLE p (id integer PRIMARY KEY, code integer UNIQUE);
CREATE TABLE q (id integer PRIMARY KEY, code integer UNIQUE);"""
INSERTS, DELETES = "INSERT INTO c (id, a) VALUES ({}, {})", "DELETE FROM p WHERE id = {}"


def child(engine: Engine, before: str, after: str) -> tuple[str, str]:
    """Return what makes a table with a foreign key, and with another one in its place."""
    table = "CREATE TABLE {} (id integer PRIMARY KEY, a integer, b integer, CONSTRAINT k FOREIGN KEY (a) {});"
    base = PARENTS + table.format("c", before)
    if engine is Engine.SQLITE:
        rebuilt = "INSERT INTO n SELECT * FROM c; DROP TABLE c; ALTER TABLE n RENAME TO c;"
        return base, f"{table.format('n', after)} {rebuilt}"
    drop = "CONSTRAINT" if engine is Engine.POSTGRESQL else "FOREIGN KEY"
    return base, f"ALTER TABLE c DROP {drop} k; ALTER TABLE c ADD CONSTRAINT l FOREIGN KEY (a) {after};"


def with_parameters(engine: Engine, query: str) -> str:
    """Return a query with parameters as an engine writes them."""
    places = ("$1", "$2") if engine is Engine.POSTGRESQL else ("?", "?")
    return query.format(*places)


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("after", "query", "expected"),
    [
        ("REFERENCES q (id)", INSERTS, "pu"),
        ("REFERENCES p (code)", INSERTS, "pu"),
        ("REFERENCES q (id)", "UPDATE c SET b = {} WHERE id = {}", "pp"),
        ("REFERENCES p (id) ON UPDATE CASCADE", INSERTS, "pp"),
    ],
)
def test_a_foreign_key_to_another_parent(
    servers: Servers, engine: Engine, after: str, query: str, expected: str
):
    base, pending = child(engine, "REFERENCES p (id)", after)

    assert verdict(servers, engine, base, pending, with_parameters(engine, query)) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_a_parent_of_another_name_is_the_same(servers: Servers, engine: Engine):
    base, _ = child(engine, "REFERENCES p (id)", "")

    query = with_parameters(engine, INSERTS)

    assert verdict(servers, engine, base, "ALTER TABLE p RENAME TO r;", query) == "pp"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        ("DEFERRABLE INITIALLY DEFERRED", "", INSERTS, "pu"),
        ("DEFERRABLE INITIALLY DEFERRED", "", DELETES, "pu"),
        ("DEFERRABLE INITIALLY DEFERRED", "", "UPDATE c SET b = {} WHERE id = {}", "pp"),
        ("DEFERRABLE INITIALLY DEFERRED", "NOT DEFERRABLE INITIALLY IMMEDIATE", INSERTS, "pu"),
        ("", "DEFERRABLE INITIALLY DEFERRED", INSERTS, "pp"),
    ],
)
def test_a_foreign_key_that_was_asked_when_a_transaction_ends(
    servers: Servers, engine: Engine, before: str, after: str, query: str, expected: str
):
    base, pending = child(engine, f"REFERENCES p (id) {before}", f"REFERENCES p (id) {after}")

    assert verdict(servers, engine, base, pending, with_parameters(engine, query)) == expected


def test_a_column_of_sqlite_that_refers_at_the_end_of_a_transaction(servers: Servers):
    table = "CREATE TABLE {} (id integer PRIMARY KEY, a integer REFERENCES p{});"
    base = PARENTS + table.format("c", " DEFERRABLE INITIALLY DEFERRED")
    pending = (
        table.format("n", "") + "INSERT INTO n SELECT * FROM c; DROP TABLE c; ALTER TABLE n RENAME TO c;"
    )

    assert verdict(servers, Engine.SQLITE, base, pending, with_parameters(Engine.SQLITE, INSERTS)) == "pu"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("action", "live", "expected"),
    [
        ("", "DELETE FROM t WHERE state = 'paid'", "pu"),
        ("", "UPDATE t SET note = 1 WHERE state = 'paid'", "pp"),
        ("", "DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.t_id = t.id)", "pp"),
        ("", "DELETE FROM c WHERE id > 5", "pp"),
        ("ON DELETE CASCADE", "DELETE FROM t WHERE state = 'paid'", "pp"),
    ],
)
def test_a_new_reference_to_rows_of_which_none_was_met_that_has_one(
    servers: Servers, engine: Engine, action: str, live: str, expected: str
):
    base = """CREATE TABLE t (id integer PRIMARY KEY, state varchar(9) NOT NULL, note integer);
CREATE TABLE c (id integer PRIMARY KEY, t_id integer NOT NULL);"""
    key = f"FOREIGN KEY (t_id) REFERENCES t (id) {action}"
    pending = f"ALTER TABLE c ADD CONSTRAINT fk {key};"
    if engine is Engine.SQLITE:
        pending = f"""CREATE TABLE n (id integer PRIMARY KEY, t_id integer NOT NULL, {key});
INSERT INTO n SELECT * FROM c; DROP TABLE c; ALTER TABLE n RENAME TO c;"""

    assert verdict(servers, engine, base, pending, live) == expected


def test_a_reference_of_a_table_that_gets_another_name_is_no_new_one(servers: Servers):
    base = """CREATE TABLE t (id integer PRIMARY KEY, state varchar(9) NOT NULL);
CREATE TABLE c (id integer PRIMARY KEY, t_id integer NOT NULL REFERENCES t (id));"""
    pending = "ALTER TABLE c RENAME TO d;"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "DELETE FROM t WHERE state = 'paid'") == "pp"
