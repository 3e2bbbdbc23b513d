"""What one database knows of a query's parameters: the rows of their columns, and values beside these."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.beside import Reach
from coordinator.adapters.rehearsals._postgresql.bindings import (
    Binding,
    compared,
    highest_parameter,
    inserted_tables,
    limits,
    written,
)
from coordinator.adapters.rehearsals._postgresql.parameters import Parameter, Question
from coordinator.adapters.rehearsals._postgresql.suggestions import Suggestions
from coordinator.adapters.rehearsals._postgresql.tables import Table, TableColumn, tables
from coordinator.adapters.rehearsals._postgresql.values import quoted_in_array
from coordinator.adapters.rehearsals._scratch.sets import other_case
from coordinator.model import Engine
from coordinator.wanted import WantedRows, wanted_first, wanted_rows

_BOUNDS: Final = r"""
SELECT DISTINCT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(.(\d{4}-\d\d-\d\d[^'')]*)')
FROM pg_catalog.pg_class c WHERE c.relispartition ORDER BY 1 LIMIT 3
"""
"""Where partitions by time begin."""
_ROWS: Final = 20
_TEXT: Final = 25
"""The oid of `text`, for a parameter of which nothing is known."""
_WHOLE: Final = ("int2", "int4", "int8", "oid")
_MERGE: Final = re.compile(r"\bMERGE\s+INTO\b", re.IGNORECASE)
_KINDS: Final = {
    **dict.fromkeys((*_WHOLE, "numeric", "float4", "float8", "money"), "number"),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name", "char"), "text"),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), "time"),
    **dict.fromkeys(("json", "jsonb"), "json"),
}
"""Types whose texts another of the same kind can read."""


class Knowledge:
    """The tables of one database, their rows, and the values that they could take; asked for when needed."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._tables = {table.oid: table for table in tables(connection)}
        self._suggestions = Suggestions(connection)
        self._named: dict[str, Table | None] = {}
        self._rows: dict[int, list[Mapping[str, str | None]]] = {}
        self._pools: dict[int, dict[str, tuple[str, ...]]] = {}
        self._free: dict[tuple[int, str], tuple[str, ...]] = {}
        self._bounds: tuple[str, ...] | None = None
        self._reach = Reach.of(connection)
        self.types = self._suggestions.types

    def question(self, text: str, types: tuple[int, ...], plan: Mapping[str, Any]) -> Question:
        """Return what is known about the parameters of a text."""
        columns = {
            name: tuple(column.name for column in table.columns)
            for name in inserted_tables(text)
            if (table := self.table(name))
        }
        bindings = {**compared(plan), **written(text, columns)}
        fixed = limits(text)
        count = len(types) or highest_parameter(text)
        turns = {n: sum(bindings.get(m) == bindings[n] for m in range(1, n)) for n in bindings}
        self.types.learn(types)
        may_write = self._reach.may_write(text)
        wanted = wanted_rows(text, Engine.POSTGRESQL)
        merges = _MERGE.search(text) is not None  # what is looked for is also what is put in
        return Question(
            text,
            tuple(
                self._parameter(
                    types[n - 1] if types else _TEXT,
                    bindings.get(n),
                    fixed.get(n),
                    wanted=wanted,
                    turn=turns.get(n, 0),
                    is_handed_on=may_write and (merges or n not in bindings),
                )
                for n in range(1, count + 1)
            ),
        )

    def table(self, name: str) -> Table | None:
        """Return the table of a name as a query writes it; of a partition, the table that it is a part of."""
        if name not in self._named:
            try:
                row = self._connection.execute(
                    "SELECT coalesce(pg_partition_root(to_regclass(%s)), to_regclass(%s))::oid::int8",
                    [name, name],
                ).fetchone()
            except psycopg.Error:
                row = None  # not a name after all
            self._named[name] = self._tables.get(row[0]) if row and row[0] else None
        return self._named[name]

    def rows(self, table: Table) -> list[Mapping[str, str | None]]:
        """Return rows as texts, the fullest first."""
        if table.oid not in self._rows:
            columns = ", ".join(f"{column.quoted}::text" for column in table.columns)
            found = self._connection.execute(f"SELECT {columns} FROM {table.name} LIMIT {_ROWS}").fetchall()
            found.sort(key=lambda row: (row.count(None), [value or "" for value in row]))
            names = [column.name for column in table.columns]
            self._rows[table.oid] = [dict(zip(names, row, strict=True)) for row in found]
        return self._rows[table.oid]

    def pool(self, table: Table, column: str) -> tuple[str, ...]:
        """Return values that a column could take beside the rows that are there."""
        if table.oid not in self._pools:
            solved = self._suggestions.solved(table)
            by_column: dict[str, list[str]] = {}
            for group in () if isinstance(solved, str) else solved.full:
                for solution in group:
                    for name, value in solution.items():
                        if value is not None:
                            by_column.setdefault(name, []).append(value)
            self._pools[table.oid] = {name: tuple(values) for name, values in by_column.items()}
        return self._pools[table.oid].get(column, ())

    def bounds(self, oid: int) -> tuple[str, ...]:
        """Return times at which partitions begin, for a type of times: functions make names of them."""
        if _KINDS.get(self.types.type(oid).name) != "time":
            return ()
        if self._bounds is None:
            rows = self._connection.execute(_BOUNDS).fetchall()
            self._bounds = tuple(str(bound) for (bound,) in rows if bound is not None)
        return self._bounds

    def free(self, table: Table, column: str) -> tuple[str, ...]:
        """Return what a column that refers to parents has of those that no row of its table refers to."""
        name = (table.oid, column)
        if name not in self._free:
            key = next((each for each in table.foreign_keys if column in each.columns), None)
            parents = self._suggestions.without_row(table, key) if key else ()
            self._free[name] = tuple(parent[key.columns.index(column)] for parent in parents) if key else ()
        return self._free[name]

    def _parameter(
        self,
        oid: int,
        binding: Binding | None,
        fixed: str | None,
        *,
        wanted: WantedRows,
        turn: int,
        is_handed_on: bool,
    ) -> Parameter:
        if fixed is not None:
            return Parameter((fixed,))
        plain = self.types.plain(oid) or ("",)
        labels = self.types.labels(oid)
        found = self._column(binding)
        if binding is None or found is None:
            plain = (*plain, *self.bounds(oid))
            edges = self.types.edges(oid) if is_handed_on else ()
            return Parameter(plain, edges=edges, labels=labels, is_handed_on=is_handed_on)
        table, column = found
        read = self._reader(oid, column.type_oid)
        if read is None:
            return Parameter(plain, labels=labels)
        looked_for = wanted_first(self.rows(table), wanted.get(table.bare.lower(), ()))
        rows = [row[column.name] for row in looked_for]
        is_unique = column.name in table.unique
        free = self.free(table, column.name) if binding.is_written and is_unique else ()
        pool = self.pool(table, column.name) or self.types.plain(column.type_oid, written=column.type)
        return Parameter(
            plain,
            rows=tuple(None if value is None else read(value) for value in rows),
            fresh=tuple(dict.fromkeys(read(value) for value in pool if value not in rows)),
            edges=tuple(read(value) for value in self._edges(table, column)),
            other_case=other_case(rows) if binding.is_written and self._is_free_text(table, column) else None,
            is_written=binding.is_written,
            is_unique=is_unique,
            may_be_null=binding.is_written and not column.is_required,
            turn=turn,
            labels=labels,
            is_handed_on=is_handed_on,
            free=tuple(read(value) for value in free),
        )

    def _column(self, binding: Binding | None) -> tuple[Table, TableColumn] | None:
        table = self.table(binding.table) if binding else None
        if table is None or binding is None:
            return None
        return next(((table, column) for column in table.columns if column.name == binding.column), None)

    def _reader(self, wanted: int, given: int) -> Callable[[str], str] | None:
        """Return how a text of the type `given` is written for the other; None where it cannot be."""
        ours, theirs = self.types.type(wanted), self.types.type(given)
        if not ours.is_array or theirs.is_array:
            return _reader(ours.name, theirs.name)
        inner = _reader(self.types.type(ours.element).name, theirs.name)
        return (lambda value: f"{{{quoted_in_array(inner(value))}}}") if inner else None

    def _edges(self, table: Table, column: TableColumn) -> tuple[str, ...]:
        if any(column.name in key.columns for key in table.foreign_keys):
            return ()
        if numeric := re.search(r"numeric\((\d+),(\d+)\)", column.type):
            precision, scale = int(numeric[1]), int(numeric[2])
            return ("-1", f"{'9' * (precision - scale) or '0'}.{'9' * scale or '0'}")
        edges = self.types.edges(column.type_oid)
        length = re.search(r"char\w*(?: varying)?\((\d+)\)", column.type)
        if length:
            edges = tuple(edge if len(edge) <= int(length[1]) else "x" * int(length[1]) for edge in edges)
        return edges

    def _is_free_text(self, table: Table, column: TableColumn) -> bool:
        is_text = _KINDS.get(self.types.type(column.type_oid).name) == "text"
        return is_text and not any(column.name in key.columns for key in table.foreign_keys)


def _reader(wanted: str, given: str) -> Callable[[str], str] | None:
    """Return how a text of one type is written for another; None where it cannot be."""
    if wanted in _WHOLE and given not in _WHOLE and _KINDS.get(given) == "number":
        return lambda value: value.lstrip("$").replace(",", "").partition(".")[0]
    if (
        wanted == given
        or _KINDS.get(wanted, wanted) == _KINDS.get(given, given)
        or wanted in ("text", "varchar")
    ):
        return lambda value: value
    return None
