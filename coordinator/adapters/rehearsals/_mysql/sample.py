"""Sample rows, so that the layers execute and result have something to meet.

Three rows for each empty table: two that are full and one with NULL wherever NULL may stand; then one for
each row that a query looks for (coordinator/wanted.py), if none is like it. A parent that has fewer
gets three: a migration put them there, and they are never touched. Other values come from values.py, those
of a foreign key from its parent's rows. Nothing is random, and no clock is read. Tables may point at each
other, so foreign keys are not checked meanwhile; what points at nothing in the end is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, product
from typing import Final

import pymysql
from pymysql.connections import Connection

from coordinator.adapters.mysql_url import message_of
from coordinator.adapters.rehearsals._mysql.connection import SqlValue, fetch
from coordinator.adapters.rehearsals._mysql.schema import ForeignKey, Table, TableColumn
from coordinator.adapters.rehearsals._mysql.values import candidates, is_checked
from coordinator.adapters.rehearsals._scratch.nulls import in_turn_with_null
from coordinator.adapters.rehearsals._scratch.order import in_order, parents_with_few
from coordinator.adapters.rehearsals._scratch.tokens import quoted
from coordinator.adapters.rehearsals._scratch.wanting import insert_wanted
from coordinator.rehearsal_ports import Sampling
from coordinator.wanted import MOST_WANTED, NOTHING_TOLD, Told

ROWS: Final = 3
READ: Final = ROWS + 2 * MOST_WANTED
"""Rows of a table that are read."""
_TRIES: Final = 2_000
"""Rows that are tried for one that a table takes."""
_MOST_CANDIDATES: Final = 12
_DEFAULT: Final = object()

Row = dict[str, SqlValue]
"""Column → value; a column that is not named is left to its default."""


class _Filling:
    """One filling: its connection, and the tables by their names in lower case."""

    def __init__(self, connection: Connection, tables: Sequence[Table], sampling: Sampling) -> None:
        self.connection = connection
        self.tables = {table.name.lower(): table for table in tables}
        self.sampling = sampling

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        [[count]] = fetch(self.connection, f"SELECT count(*) FROM {quoted(table.name)}")
        return int(count)

    def fill(self, table: Table, numbers: Iterable[int]) -> str | None:
        """Insert a table's rows by their numbers; return why not one of them was taken."""
        refusal = None
        for number in numbers:
            refusal = self.insert(table, number) or refusal
        return refusal

    def fill_wanted(self, table: Table) -> None:
        """Insert what queries look for, each in full and, if wanted, with NULL wherever that may be."""
        with_nulls = self.sampling.with_nulls
        insert_wanted(
            table,
            self.sampling.wanted.get(table.name.lower(), ()),
            tables=self.tables,
            rows_of=partial(rows_of, self.connection),
            insert=partial(self.insert, table),
            after=ROWS,
            nullable=[each.name for each in table.writable if not each.not_null] if with_nulls else (),
        )

    def insert(self, table: Table, number: int, told: Told = NOTHING_TOLD) -> str | None:
        """Insert the row of a number, with what is told of it; return why a table took none."""
        refusal = None
        for row in self._to_try(table, number, told):
            names = ", ".join(map(quoted, row))
            marks = ", ".join(["%s"] * len(row))
            try:
                fetch(
                    self.connection,
                    f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})",
                    list(row.values()),
                )
            except pymysql.Error as error:
                refusal = message_of(error)
            else:
                return None
        return refusal

    def _to_try(self, table: Table, number: int, told: Told) -> Iterator[Row]:
        """Yield rows, the likeliest first; only columns of checks and keys take several values."""
        columns = table.writable
        names = [column.name for column in columns]
        full = [told.get(column.name.lower()) or self._choices(table, column, number) for column in columns]
        nullable = [not column.not_null and column.name.lower() not in told for column in columns]
        checked = [is_checked(table, column) for column in columns]
        for choices in in_turn_with_null(full, nullable=nullable, checked=checked, is_sparse=number == ROWS):
            for values in islice(product(*reversed(choices)), _TRIES):
                pairs = zip(names, reversed(values), strict=True)
                yield {name: value for name, value in pairs if value is not _DEFAULT}  # type: ignore[misc]  # narrowed

    def _choices(self, table: Table, column: TableColumn, number: int) -> Sequence[object]:
        key = next((each for each in table.foreign_keys if column.name in each.columns), None)
        if key is not None:
            return self._of_parent(table, key, column=column, number=number)
        found: list[object] = [*self._candidates(table, column, number)[:_MOST_CANDIDATES]]
        if column.has_default:
            found = [_DEFAULT, *found] if number % 2 else [*found, _DEFAULT]
        several = is_checked(table, column) or any(column.name in columns for columns in table.uniques)
        return found if several else found[:2]

    def _candidates(self, table: Table, column: TableColumn, number: int) -> list[SqlValue]:
        return candidates(table, column, number, self.sampling.texts_of(table.name, column.name))

    def _of_parent(
        self, table: Table, key: ForeignKey, *, column: TableColumn, number: int
    ) -> Sequence[object]:
        """Return the value of the parent's row of the same number; before it is there, what it will be."""
        parent = self.tables.get(key.parent.lower())
        if parent is None:
            return (None,)
        name = key.parent_columns[key.columns.index(column.name)]
        rows = [] if parent.name == table.name else values_in(self.connection, parent, name)
        if rows:
            # The last parent stays without children, so that a query has one to delete or to give a child.
            rows = rows[:-1] or rows
            turn = (number - 1) % len(rows)
            return [*rows[turn:], *rows[:turn]]
        pointed = next((each for each in parent.columns if each.name.lower() == name.lower()), None)
        found: Sequence[object] = () if pointed is None else self._candidates(parent, pointed, number)[:1]
        return found if column.not_null else [*found, None]

    def remove_orphans(self, tables: Sequence[Table]) -> None:
        """Take rows of ours away whose foreign keys point at nothing; that may make more of them."""
        while any([self._remove_orphans(table, key) for table in tables for key in table.foreign_keys]):  # noqa: C419 - each is wanted
            pass

    def _remove_orphans(self, table: Table, key: ForeignKey) -> int:
        pairs = list(zip(key.columns, key.parent_columns, strict=True))
        alike = " AND ".join(f"p.{quoted(there)} = c.{quoted(here)}" for here, there in pairs)
        filled = " AND ".join(f"c.{quoted(here)} IS NOT NULL" for here, _ in pairs)
        with self.connection.cursor() as cursor:
            return cursor.execute(
                f"DELETE c FROM {quoted(table.name)} c LEFT JOIN {quoted(key.parent)} p ON {alike}"
                f" WHERE {filled} AND p.{quoted(pairs[0][1])} IS NULL"
            )


def fill(
    connection: Connection,
    tables: Sequence[Table],
    sampling: Sampling,
    *,
    filled: set[str],
) -> Iterator[str]:
    """Insert sample rows and commit; yield a clause for each table that stays empty.

    `filled` has the names of the tables of earlier fillings, and gets those of this one: rows that come to a
    table in a later state would be a difference that no migration made.
    """
    filling = _Filling(connection, tables, sampling)
    new = [
        table
        for table in in_order(tables)
        if table.name not in filled and table.name.lower() not in sampling.without
    ]
    filled.update(table.name for table in new)
    rows = ROWS if sampling.with_nulls else ROWS - 1  # the last one has the NULLs
    counts = {table.name: filling.count(table) for table in new}
    empty = [table for table in new if counts[table.name] == 0]
    parents = parents_with_few(tables, counts, enough=ROWS) if sampling.with_nulls else []
    few = {each.name for each in parents if each.name.lower() not in sampling.left_alone}
    chosen = [table for table in new if table in empty or table.name in few]
    fetch(connection, "SET SESSION foreign_key_checks = 0")
    fetch(connection, "START TRANSACTION")
    reasons: Mapping[str, str | None] = {
        table.name: filling.fill(table, sampling.numbers_of(table.name, counts[table.name], rows))
        for table in chosen
    }
    for table in chosen:
        filling.fill_wanted(table)
    filling.remove_orphans(chosen)
    connection.commit()
    for table in empty:
        if filling.count(table) == 0:
            reason = reasons[table.name]
            why = (
                "its foreign keys point at no row"
                if reason is None
                else f"no row was found that it takes: {reason}"
            )
            yield f"`{table.name}`: {why}"


def values_in(connection: Connection, table: Table, column: str) -> list[SqlValue]:
    """Return the values that a column has in its first rows."""
    rows = fetch(connection, f"SELECT {quoted(column)} FROM {quoted(table.name)} LIMIT {READ}")
    return [value for [value] in rows]


def rows_of(connection: Connection, table: Table) -> list[Mapping[str, SqlValue]]:
    """Return a table's first rows, by the names of its columns."""
    names = [column.name for column in table.columns]
    rows = fetch(connection, f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table.name)} LIMIT {READ}")
    return [dict(zip(names, row, strict=True)) for row in rows]
