"""A parent without a child, where a migration gives one to each.

    CREATE TABLE profile (customer integer UNIQUE REFERENCES customer, …);
    INSERT INTO profile SELECT id, … FROM customer;

The live version goes on to write parents, so the next one finds some without a child. Without any, no INSERT
of it would find a key that is free, and nothing would be known of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from coordinator.backfills.keys import quote
from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.catalogued import Constraint, Read, bare, constraints
from coordinator.rehearse.written import targets_of
from coordinator.sql import literal, split_statements

_COPIES = frozenset({"INSERT", "SELECT"})


def free_parents(database: RehearsalDatabase, migration: Migration, engine: Engine) -> None:
    """Take one row away from each table that a migration filled by a query and that has one for a parent."""
    filled = frozenset(_filled(migration, engine))
    if not filled:
        return
    for table, column in _of_one_parent(Read.of(database.catalogue()), filled, engine):
        with suppress(DatabaseError), database.session() as session:  # its row may have rows of its own
            rows = session.query(f"SELECT {column} FROM {table} ORDER BY {column} DESC")  # noqa: S608
            if len(rows) > 1:
                last = literal(str(rows[0][0]), engine)
                delete = f"DELETE FROM {table} WHERE {column} = {last}"  # noqa: S608
                session.execute(Batch((delete,), transaction=True))


def _filled(migration: Migration, engine: Engine) -> Iterator[str]:
    for text in migration.up.statements if migration.up else ():
        yield from filled_by(text.text, engine)


def filled_by(text: str, engine: Engine = Engine.POSTGRESQL) -> Iterator[str]:
    """Yield the tables that a text fills with what a query of it returns."""
    for each in split_statements(text, engine):
        if each.words[:1] in (("INSERT",), ("WITH",)) and _COPIES.issubset(each.words):
            yield from targets_of(each.text)


def _of_one_parent(read: Read, tables: frozenset[str], engine: Engine) -> Iterator[tuple[str, str]]:
    """Yield tables with a column that is unique and refers to a parent, both as SQL names them."""
    names = {bare(key): key.removeprefix("table ") for key in read.things if key.startswith("table ")}
    every = constraints(read)
    for table in sorted(tables & names.keys()):
        column = parent_of(each for each in every if each.table == table)
        if column is not None:
            name = names[table]
            if engine is not Engine.POSTGRESQL:  # whose catalogue quotes what has to be
                name = quote(name.removeprefix("main."), engine)
            yield name, quote(column, engine)


def parent_of(constraints: Iterable[Constraint]) -> str | None:
    """Return the column of a table that is unique and refers to a parent, by the table's constraints."""
    own = tuple(constraints)
    unique = {key for each in own if each.is_unique for key in _alone(each.keys)}
    refers = (each for each in own if each.text.upper().startswith("FOREIGN KEY"))
    return next((word for each in refers for word in each.words if {word} == each.words & unique), None)


def _alone(keys: frozenset[tuple[str, str]] | None) -> Iterator[str]:
    """Yield the column of a key that has one."""
    if keys is not None and len(keys) == 1:
        yield from (column for column, _ in keys)
