"""Fill empty tables with a few rows, so that layers 4 and 5 have something to meet.

Three rows a table where they fit: full ones, and one with NULL wherever NULL is allowed. They are made from
the catalogue alone, the same each time, so that two databases with the same schema get the same rows. Rows
that are there (a migration put them there) are never touched, and serve as parents. Tables are filled after
the tables that they refer to; in a circle, a reference that may be NULL is NULL first and set afterwards.
Triggers fire as they would for the service. What cannot be filled is said, and nothing is forced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.constraints import Candidates, Solution, Solver, groups
from coordinator.adapters.rehearsals._postgresql.hints import literals
from coordinator.adapters.rehearsals._postgresql.pipeline import at_ease
from coordinator.adapters.rehearsals._postgresql.tables import ForeignKey, Table, TableColumn, tables
from coordinator.adapters.rehearsals._postgresql.values import Types, taken

_WISHES: Final = ("full", "sparse", "full")
_TRIES: Final = 12
_PARENTS: Final = 5


def fill(connection: psycopg.Connection) -> tuple[str, ...]:
    """Insert sample rows into empty tables; return a clause for each that could not be filled.

    The connection is idle, in autocommit mode, and the owner's.
    """
    with at_ease(connection):
        return _Filling(connection).run()


class _Filling:
    """One filling of one database: which tables still wait, and what is wrong with those that failed."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._types = Types(connection)
        self._tables = tables(connection)
        self._waiting = {
            table.oid: table for table in self._tables if not table.is_ledger and self._is_empty(table)
        }
        self._problems: dict[int, str] = {}
        self._open_keys: list[tuple[Table, ForeignKey]] = []

    def run(self) -> tuple[str, ...]:
        while self._waiting:
            table = self._next()
            del self._waiting[table.oid]
            self._open_keys += [
                (table, key)
                for key in table.foreign_keys
                if key.parent in self._waiting or key.parent == table.oid
            ]
            problem = self._fill(table)
            if problem:
                self._problems[table.oid] = f"`{table.name}`: {problem}"
        for table, key in self._open_keys:
            self._close(table, key)
        return tuple(self._problems[table.oid] for table in self._tables if table.oid in self._problems)

    def _next(self) -> Table:
        """Return a table whose parents are done; else one whose open references may be NULL; else any."""

        def waits_for(table: Table, *, required: bool) -> bool:
            return any(
                key.parent in self._waiting and key.parent != table.oid
                for key in table.foreign_keys
                if not required or _is_required(table, key)
            )

        waiting = list(self._waiting.values())
        for required in (False, True):
            for table in waiting:
                if not waits_for(table, required=required):
                    return table
        return waiting[0]

    def _is_empty(self, table: Table) -> bool:
        return self._connection.execute(f"SELECT FROM {table.name} LIMIT 1").fetchone() is None

    def _fill(self, table: Table) -> str | None:
        if not table.has_partition:
            return "it has no partition"
        for key in table.foreign_keys:
            if _is_required(table, key) and key.parent != table.oid and not self._parents(key, 0):
                return f"its parent `{key.parent_name}` has no rows"
        columns = [
            column for column in table.columns if not column.is_given or _refers_to_itself(table, column)
        ]
        candidates = self._candidates(table, columns)
        solver = Solver(self._connection, table)
        full: list[list[Solution]] = []
        sparse: list[list[Solution]] = []
        for group in groups(table, [column.name for column in columns]):
            with_null = _with_null(table, group, candidates)
            found = solver.solve(group, candidates) or solver.solve(group, with_null)
            if not found:
                return solver.blame(group, with_null)
            full.append(found)
            sparse.append(_emptiest(solver.solve(group, with_null, nulls=True)) or found)
        return self._insert(table, full, sparse)

    def _candidates(self, table: Table, columns: Sequence[TableColumn]) -> dict[str, tuple[str, ...]]:
        self._types.learn([column.type_oid for column in columns])
        suggested = [(column.type, self._suggested(table, column)) for column in columns]
        kept = taken(self._connection, suggested)
        return {column.name: values for column, values in zip(columns, kept, strict=True)}

    def _suggested(self, table: Table, column: TableColumn) -> tuple[str, ...]:
        for key in table.foreign_keys:
            if column.name in key.columns and key.parent != table.oid:
                parents = self._parents(key, key.columns.index(column.name))
                if parents or not column.is_required:
                    return parents
        checks = [check.expression for check in table.checks if column.name in check.columns]
        hints = tuple(value for check in checks for value in literals(check))
        plain = self._types.plain(column.type_oid, written=column.type)
        return (*self._default(column), *plain, *hints)

    def _default(self, column: TableColumn) -> tuple[str, ...]:
        if column.default is None or column.is_given:
            return ()
        [[value]] = self._connection.execute(f"SELECT ({_escaped(column.default)})::text", []).fetchall()
        return () if value is None else (str(value),)

    def _parents(self, key: ForeignKey, place: int) -> tuple[str, ...]:
        name = '"' + key.parent_columns[place].replace('"', '""') + '"'
        rows = self._connection.execute(
            f"SELECT DISTINCT {name}::text FROM {key.parent_name}"
            f" WHERE {name} IS NOT NULL ORDER BY 1 LIMIT {_PARENTS}"
        ).fetchall()
        return tuple(str(value) for (value,) in rows)

    def _insert(self, table: Table, full: list[list[Solution]], sparse: list[list[Solution]]) -> str | None:
        inserted, problem, number = 0, "", 0
        for wish in _WISHES:
            solutions = sparse if wish == "sparse" else full
            for _ in range(_TRIES if wish == "full" else 2):
                row: Solution = {}
                for found in solutions:
                    row |= found[number % len(found)]
                number += 1
                refused = self._insert_row(table, row)
                if refused is None:
                    inserted += 1
                    break
                problem = problem or refused
        return None if inserted else f"the engine refuses sample rows: {problem}"

    def _insert_row(self, table: Table, row: Solution) -> str | None:
        names = ", ".join(_escaped(table.column(name).quoted) for name in row)
        texts = ", ".join(f"%s::text::{_escaped(table.column(name).type)}" for name in row)
        query = f"INSERT INTO {_escaped(table.name)} ({names}) OVERRIDING SYSTEM VALUE VALUES ({texts})"
        try:
            with self._connection.transaction():
                done = self._connection.execute(
                    query if row else f"INSERT INTO {table.name} DEFAULT VALUES", list(row.values()) or None
                )
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            return (error.diag.message_primary or str(error)).strip()
        return None if done.rowcount else "a rule or a trigger drops them"

    def _close(self, table: Table, key: ForeignKey) -> None:
        """Set a reference that had to wait for its parent, in the first row, if the engine lets us."""
        ours = ", ".join(_escaped(table.column(name).quoted) for name in key.columns)
        theirs = ", ".join('"' + name.replace('"', '""') + '"' for name in key.parent_columns)
        try:
            with self._connection.transaction():
                self._connection.execute(
                    f"UPDATE {table.name} SET ({ours}) ="
                    f" (SELECT {theirs} FROM {key.parent_name} ORDER BY {theirs} LIMIT 1)"
                    f" WHERE (tableoid, ctid) ="
                    f" (SELECT tableoid, ctid FROM {table.name} ORDER BY 1, 2 LIMIT 1)"
                )
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error:
            return  # the row keeps its NULL: it is only less to meet


def _is_required(table: Table, key: ForeignKey) -> bool:
    return all(table.column(name).is_required for name in key.columns)


def _refers_to_itself(table: Table, column: TableColumn) -> bool:
    return any(
        key.parent == table.oid and _is_required(table, key) and column.name in key.parent_columns
        for key in table.foreign_keys
    )


def _with_null(table: Table, group: Sequence[str], candidates: Candidates) -> dict[str, list[str | None]]:
    return {name: [*([] if table.column(name).is_required else [None]), *candidates[name]] for name in group}


def _emptiest(solutions: list[Solution]) -> list[Solution]:
    most = max((_nulls(each) for each in solutions), default=0)
    return [each for each in solutions if _nulls(each) == most]


def _nulls(solution: Solution) -> int:
    return sum(value is None for value in solution.values())


def _escaped(sql: str) -> str:
    return sql.replace("%", "%%")
