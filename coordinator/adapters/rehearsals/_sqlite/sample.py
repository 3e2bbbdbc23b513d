"""Sample rows, so that the layers execute and result have something to meet.

Three rows for each empty table: two that are full and one with NULL wherever NULL may stand; then one for
each row that a query looks for (coordinator/wanted.py), if none is like it. A parent that has fewer
gets three: a migration put them there, and they are never touched. Other values come from values.py,
those of a foreign key from its parent's rows. Nothing is random, and no clock is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from typing import Final

from coordinator.adapters.rehearsals._scratch.nulls import in_turn_with_null
from coordinator.adapters.rehearsals._scratch.order import in_order, parents_with_few
from coordinator.adapters.rehearsals._scratch.tokens import quoted
from coordinator.adapters.rehearsals._scratch.wanting import insert_wanted
from coordinator.adapters.rehearsals._sqlite.connection import SqlValue
from coordinator.adapters.rehearsals._sqlite.schema import ForeignKey, Table, TableColumn, tables
from coordinator.adapters.rehearsals._sqlite.values import candidates, is_checked
from coordinator.rehearsal_ports import Sampling
from coordinator.wanted import MOST_WANTED, NOTHING_TOLD, Told

ROWS: Final = 3
READ: Final = ROWS + 2 * MOST_WANTED
"""Rows of a table that are read."""
_TRIES: Final = 2_000
"""Rows that are tried for one that a table takes."""
_MOST_CANDIDATES: Final = 12

Row = dict[str, SqlValue]
"""Column → value; a column that is not named is left to its default."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The tables of a database, by their names in small letters, and which rows they get."""

    tables: Mapping[str, Table]
    sampling: Sampling

    def candidates(self, table: Table, column: TableColumn, number: int) -> list[SqlValue]:
        """Return the values to try for a column in the row of a number."""
        return candidates(table, column, number, self.sampling.texts_of(table.name, column.name))


def fill(connection: sqlite3.Connection, sampling: Sampling, *, filled: set[str]) -> Iterator[str]:
    """Insert sample rows and commit; yield a clause for each table that stays empty.

    `filled` has the names of the tables of earlier fillings, and gets those of this one: rows that come to a
    table in a later state would be a difference that no migration made.
    """
    connection.execute("BEGIN")
    # Tables may point at each other, so that no order of them would do.
    connection.execute("PRAGMA defer_foreign_keys = ON")
    known = tables(connection)
    new = [
        table
        for table in in_order(known)
        if table.name not in filled and table.name.lower() not in sampling.without
    ]
    filled.update(table.name for table in new)
    rows = ROWS if sampling.with_nulls else ROWS - 1  # the last one has the NULLs
    counts = {table.name: _count(connection, table) for table in new}
    empty = [table for table in new if counts[table.name] == 0]
    parents = parents_with_few(known, counts, enough=ROWS) if sampling.with_nulls else []
    few = [each for each in parents if each.name.lower() not in sampling.left_alone]
    orphaned = {table for table, *_ in connection.execute("PRAGMA foreign_key_check").fetchall()}
    names = {table.name for table in (*empty, *few)} - orphaned
    by_name = _Known({table.name.lower(): table for table in known}, sampling)
    reasons = {
        table.name: reason
        for table in new
        if table.name in names
        and (
            reason := _fill_table(
                connection, table, sampling.numbers_of(table.name, counts[table.name], rows), by_name
            )
        )
    }
    for table in new:
        if table.name in names:
            insert_wanted(
                table,
                sampling.wanted.get(table.name.lower(), ()),
                tables=by_name.tables,
                rows_of=partial(rows_of, connection),
                insert=partial(_insert_one, connection, table, known=by_name),
                after=ROWS,
                nullable=_nullable(table) if sampling.with_nulls else (),
            )
    _remove_orphans(connection, names)
    connection.execute("COMMIT")
    for table in empty:
        if _count(connection, table) == 0:
            yield f"`{table.name}`: {reasons.get(table.name, 'its foreign keys point at no row')}"


def _nullable(table: Table) -> Sequence[str]:
    return [each.name for each in table.writable if not each.not_null and not each.key]


def _count(connection: sqlite3.Connection, table: Table) -> int:
    [count] = connection.execute(f"SELECT count(*) FROM {quoted(table.name)}").fetchone()
    return int(count)


def _fill_table(
    connection: sqlite3.Connection, table: Table, numbers: Iterable[int], known: _Known
) -> str | None:
    """Insert a table's rows by their numbers; return why not one of them was taken."""
    refusal = None
    for number in numbers:
        refusal = _insert_one(connection, table, number, known=known) or refusal
    return f"no row was found that it takes: {refusal}" if refusal else None


def _insert_one(
    connection: sqlite3.Connection,
    table: Table,
    number: int,
    told: Told = NOTHING_TOLD,
    *,
    known: _Known,
) -> str | None:
    refusal = None
    for row in _rows_to_try(connection, table, number, known, told=told):
        try:
            connection.execute(insert_of(table, row), tuple(row.values()))
        except sqlite3.Error as error:
            refusal = str(error)
            if not connection.in_transaction:
                connection.execute("BEGIN")  # ON CONFLICT ROLLBACK took everything back
        else:
            return None
    return refusal


def insert_of(table: Table, row: Row) -> str:
    """Return the INSERT that takes a row's values."""
    if not row:
        return f"INSERT INTO {quoted(table.name)} DEFAULT VALUES"
    columns = ", ".join(map(quoted, row))
    return f"INSERT INTO {quoted(table.name)} ({columns}) VALUES ({', '.join('?' * len(row))})"


_DEFAULT: Final = object()


def _rows_to_try(
    connection: sqlite3.Connection, table: Table, number: int, known: _Known, *, told: Told
) -> Iterator[Row]:
    """Yield rows for a table, the likeliest first; only columns of checks and keys take several values."""
    columns = table.writable
    names = [column.name for column in columns]
    full = [
        told.get(column.name.lower()) or _choices(connection, table, column, number=number, known=known)
        for column in columns
    ]
    nullable = [
        not column.not_null and not column.key and column.name.lower() not in told for column in columns
    ]
    checked = [is_checked(table, column) for column in columns]
    for choices in in_turn_with_null(full, nullable=nullable, checked=checked, is_sparse=number == ROWS):
        for values in islice(product(*reversed(choices)), _TRIES):
            pairs = zip(names, reversed(values), strict=True)
            yield {name: value for name, value in pairs if value is not _DEFAULT}  # type: ignore[misc]  # narrowed


def _choices(
    connection: sqlite3.Connection, table: Table, column: TableColumn, *, number: int, known: _Known
) -> Sequence[object]:
    key = next((each for each in table.foreign_keys if column.name in each.columns), None)
    if key is not None:
        return _of_parent(connection, table, key, known=known, column=column, number=number)
    found: list[object] = [*known.candidates(table, column, number)[:_MOST_CANDIDATES]]
    if column.default is not None:
        found = [_DEFAULT, *found] if number % 2 else [*found, _DEFAULT]
    several = is_checked(table, column) or any(column.name in columns for columns in table.uniques)
    return found if several or not column.not_null else found[:2]


def _of_parent(
    connection: sqlite3.Connection,
    table: Table,
    key: ForeignKey,
    *,
    known: _Known,
    column: TableColumn,
    number: int,
) -> Sequence[object]:
    """Return the value of the parent's row of the same number; before it is there, what it will be."""
    parent, place = known.tables.get(key.parent.lower()), key.columns.index(column.name)
    if parent is None or place >= len(key.parent_columns):
        return (None,)
    name = key.parent_columns[place]
    rows = [] if parent.name == table.name else parent_values(connection, parent, name)
    if rows:
        # The last parent stays without children, so that a query has one to delete or to give a child.
        rows = rows[:-1] or rows
        turn = (number - 1) % len(rows)
        return [*rows[turn:], *rows[:turn]]
    pointed = next((each for each in parent.columns if each.name.lower() == name.lower()), None)
    found: Sequence[object] = () if pointed is None else known.candidates(parent, pointed, number)[:1]
    return found if column.not_null else [*found, None]


def parent_values(connection: sqlite3.Connection, table: Table, column: str) -> list[SqlValue]:
    """Return the values that a column has, in the order of its table."""
    rows = connection.execute(f"SELECT {quoted(column)} FROM {quoted(table.name)} LIMIT {READ}").fetchall()
    return [value for [value] in rows]


def rows_of(connection: sqlite3.Connection, table: Table) -> list[Mapping[str, SqlValue]]:
    """Return a table's first rows, by the names of its columns."""
    names = [column.name for column in table.columns]
    listed = ", ".join(map(quoted, names))
    rows = connection.execute(f"SELECT {listed} FROM {quoted(table.name)} LIMIT {READ}").fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def _remove_orphans(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Take rows of ours away whose foreign keys point at nothing; that may make more of them."""
    while True:
        orphans = {
            (table, rowid)
            for table, rowid, *_ in connection.execute("PRAGMA foreign_key_check").fetchall()
            if table in names
        }
        if not orphans:
            return
        for table, rowid in orphans:
            which = "" if rowid is None else f" WHERE rowid = {rowid}"
            connection.execute(f"DELETE FROM {quoted(table)}{which}")
