"""All rows of a scratch database, table by table, to be compared with those of another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from coordinator.model import Engine
from coordinator.rehearsal_ports import BOOKS, RehearsalDatabase

Row = tuple[str, ...]


def rows_of(database: RehearsalDatabase, table: str, columns: Sequence[str], engine: Engine) -> list[Row]:
    """Return the rows of a table as `tables_of` names it, each value as a text."""
    with database.session() as session:
        return [tuple(map(repr, row)) for row in session.query(_query(table, columns, engine))]


def tables_of(schema: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each table of a catalogue with its columns."""
    for table in (name.removeprefix("table ") for name in schema if name.startswith("table ")):
        start = f"column {table}."
        columns = tuple(name.removeprefix(start) for name in schema if name.startswith(start))
        if columns and table.rpartition(".")[2] not in BOOKS:
            yield table, columns


def _query(table: str, columns: Sequence[str], engine: Engine) -> str:
    """Return what reads a table; PostgreSQL's catalogue has its names quoted already."""
    listed = ", ".join(_quoted(each, engine) for each in columns)
    place = table if engine is Engine.POSTGRESQL else _quoted(table.removeprefix("main."), engine)
    return f"SELECT {listed} FROM {place}"  # noqa: S608 - quoted names


def _quoted(name: str, engine: Engine) -> str:
    if engine is Engine.POSTGRESQL:
        return name
    quote = "`" if engine.speaks_mysql else '"'
    return quote + name.replace(quote, quote * 2) + quote
