"""What a query meets only with a value that no sample row has: on SQLite, and on MariaDB or MySQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures.mariadb import ENGINE
from fixtures.sqlite_rehearsal import apply, found_by, rebuilt

from coordinator import discovery
from coordinator.model import Engine
from coordinator.rehearsal_ports import RehearsalServer

WRITE = "INSERT INTO people (id, email, age, note) VALUES (?, ?, ?, ?)"
READ = "SELECT id FROM people WHERE note = ?"
COLUMNS = {
    "id": "integer PRIMARY KEY",
    "email": "varchar(80) NOT NULL UNIQUE",
    "age": "integer",
    "note": "varchar(500)",
}
BLIND = {
    Engine.SQLITE: "varchar(500) COLLATE NOCASE",
    ENGINE: "varchar(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
}
STRICT = {
    Engine.SQLITE: "varchar(500) COLLATE BINARY",
    ENGINE: "varchar(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
}
"""By engine, a text whose case counts for nothing, and one whose case counts."""
IGNORING = {
    Engine.SQLITE: f"{WRITE} ON CONFLICT DO NOTHING",
    ENGINE: WRITE.replace("INSERT", "INSERT IGNORE"),
}
BOTH = (Engine.SQLITE, ENGINE)
CHANGES: list[tuple[str, str, dict[Engine, str], dict[Engine, str], str]] = [
    ("age", "too large", dict.fromkeys(BOTH, WRITE), {ENGINE: "smallint"}, "execute"),
    ("age", "below zero", dict.fromkeys(BOTH, WRITE), {ENGINE: "int unsigned"}, "execute"),
    ("age", "checked", dict.fromkeys(BOTH, WRITE), {Engine.SQLITE: "integer CHECK (age >= 0)"}, "execute"),
    ("age", "NULL", dict.fromkeys(BOTH, WRITE), dict.fromkeys(BOTH, "integer NOT NULL"), "execute"),
    ("note", "too long", dict.fromkeys(BOTH, WRITE), {ENGINE: "varchar(400)"}, "execute"),
    ("note", "the other case", dict.fromkeys(BOTH, READ), STRICT, "result"),
    ("email", "a lost key", IGNORING, dict.fromkeys(BOTH, "varchar(80) NOT NULL"), "result"),
]


@pytest.fixture(scope="module", params=[Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, RehearsalServer]]:
    """Yield an engine, and where its scratch databases are."""
    engine: Engine = request.param
    with discovery.rehearsal(engine).server(url=None, live_version=None) as server:
        yield engine, server


@pytest.mark.parametrize(("column", "_what", "query", "changed", "layer"), CHANGES)
def test_a_value_that_a_sample_row_has_not_meets_what_a_migration_makes_narrower(
    place: tuple[Engine, RehearsalServer],
    column: str,
    _what: str,
    query: dict[Engine, str],
    changed: dict[Engine, str],
    layer: str,
):
    engine, server = place
    columns = {**COLUMNS, "note": (BLIND if READ in query.values() else STRICT)[engine]}
    for is_changed, type_ in ((False, columns[column]), (True, changed.get(engine))):
        if type_ is None:
            continue
        with server.database() as database:
            apply(database, f"CREATE TABLE people ({_listed(columns)})")
            found, said = found_by(database, _change(engine, {**columns, column: type_}), query[engine])

        assert found == (layer if is_changed else ""), said


def _listed(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {type_}" for name, type_ in columns.items())


def _change(engine: Engine, columns: dict[str, str]) -> str:
    """Return what gives the table these columns; rows that would be in the way go."""
    text = rebuilt("people", _listed(columns), "*")
    if columns["age"].endswith("NOT NULL"):
        text = text.replace("; DROP", " WHERE age IS NOT NULL; DROP", 1)
    return (
        text
        if engine is Engine.SQLITE
        else text.replace("ALTER TABLE rebuilt RENAME TO", "RENAME TABLE rebuilt TO")
    )


NAMED = "INSERT INTO people (id, email, note) VALUES (?, ?, ?)"
TAKEN = {
    Engine.SQLITE: f"{NAMED} ON CONFLICT DO NOTHING",
    ENGINE: f"{NAMED} ON DUPLICATE KEY UPDATE age = age + 1",
}


def test_a_unique_index_with_a_row_without_a_value_is_met_where_another_row_has_one(
    place: tuple[Engine, RehearsalServer],
):
    engine, server = place
    with server.database() as database:
        apply(database, f"CREATE TABLE people ({_listed({**COLUMNS, 'note': STRICT[engine]})})")
        database.fill()
        apply(database, "CREATE UNIQUE INDEX one_note ON people (note)")
        drop = "DROP INDEX one_note" + ("" if engine is Engine.SQLITE else " ON people")
        found, said = found_by(database, drop, TAKEN[engine])

    assert found == "result", said
