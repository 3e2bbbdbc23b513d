"""Values for a table's columns that types, checks and parents' rows allow, and in which mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.constraints import Candidates, Solution, Solver, groups
from coordinator.adapters.rehearsals._postgresql.hints import literals
from coordinator.adapters.rehearsals._postgresql.tables import ForeignKey, Table, TableColumn
from coordinator.adapters.rehearsals._postgresql.values import Types, taken
from coordinator.rehearsal_ports import THREE_ROWS, Sampling, Texts
from coordinator.wanted import Link, WantedRow, as_text, choices_for

_PARENTS: Final = 2
"""Fewer than a table's rows: one stays without children, which a DELETE may take."""
_FREE: Final = 3
_UUID: Final = 2950


@dataclass(frozen=True, slots=True)
class Solved:
    """For each group of columns that depend on each other its solutions, the likely ones first."""

    full: list[list[Solution]]
    """Without NULL where that can be."""
    sparse: list[list[Solution]]
    """With NULL wherever it can be."""


class Suggestions:
    """What may stand in the columns of one database's tables."""

    def __init__(self, connection: psycopg.Connection, sampling: Sampling = THREE_ROWS) -> None:
        self._connection = connection
        self._sampling = sampling
        self.types = Types(connection)

    def solved(self, table: Table) -> Solved | str:
        """Return mixtures of values for a row, or a clause that says what stands in the way."""
        columns = _settable(table)
        candidates = self._candidates(table, columns)
        solver = Solver(self._connection, table)
        solved = Solved([], [])
        for group in groups(table, [column.name for column in columns]):
            with_null = _with_null(table, group, candidates)
            found = solver.solve(group, candidates) or solver.solve(group, with_null)
            if not found:
                return solver.blame(group, with_null)
            solved.full.append(found)
            solved.sparse.append(_emptiest(solver.solve(group, with_null, nulls=True)) or found)
        return solved

    def wanted(self, table: Table, solved: Solved, wanted: WantedRow, links: Sequence[Link]) -> Solved | None:
        """Return `solved` with what is wanted of columns and parents; None where that cannot be."""
        columns = _settable(table)
        told = {name: list(map(as_text, values)) for name, values in choices_for(wanted, links).items()}
        if any(each.is_required and None in told.get(each.name.lower(), ()) for each in columns):
            return None
        solver = Solver(self._connection, table)
        found = Solved([], [])
        every = groups(table, [each.name for each in columns])
        for group, full, sparse in zip(every, solved.full, solved.sparse, strict=True):
            here = {name: told[name.lower()] for name in group if name.lower() in told}
            firm = [name for name in group if name.lower() in wanted.values]
            if not here and not firm:
                found.full.append(full)
                found.sparse.append(sparse)
                continue
            known = self._candidates(table, [table.column(name) for name in group])
            free = {**_with_null(table, group, known), **{name: known[name] for name in firm}, **here}
            found.full.append(solver.solve(group, {**known, **here}) or solver.solve(group, free))
            found.sparse.append(_emptiest(solver.solve(group, free, nulls=True)))
        return found if all(found.full) and all(found.sparse) else None

    def _candidates(self, table: Table, columns: Sequence[TableColumn]) -> dict[str, tuple[str, ...]]:
        self.types.learn([column.type_oid for column in columns])
        suggested = [(column.type, self._suggested(table, column)) for column in columns]
        kept = taken(self._connection, suggested)
        return {column.name: values for column, values in zip(columns, kept, strict=True)}

    def _suggested(self, table: Table, column: TableColumn) -> tuple[str, ...]:
        for key in table.foreign_keys:
            if column.name in key.columns and key.parent != table.oid:
                parents = self.parents(key, place=key.columns.index(column.name))
                if parents or not column.is_required:
                    return parents
        checks = [check.expression for check in table.checks if column.name in check.columns]
        hints = tuple(value for check in checks for value in literals(check))
        plain = self.types.plain(column.type_oid, written=column.type)
        texts = self._sampling.texts_of(table.bare, column.name)
        if texts is not Texts.WORDS:
            made = self.types.texts(column.type_oid, texts, written=column.type)
            return (*made, *self._default(column), *plain, *hints)
        return (*self._default(column), *plain, *hints)

    def _default(self, column: TableColumn) -> tuple[str, ...]:
        if column.default is None or column.is_given:
            return ()
        asked = f"SELECT ({_escaped(column.default)})::text"
        try:
            [[value]], [[again]] = (self._connection.execute(asked, []).fetchall() for _ in range(2))
        except psycopg.Error:
            return ()  # it would be refused in a row as well
        is_steady = column.type_oid != _UUID or value == again  # else no row of another table refers to it
        return (str(value),) if value is not None and is_steady else ()

    def parents(self, key: ForeignKey, *, place: int = 0) -> tuple[str, ...]:
        """Return values of a column of the parent that a foreign key refers to."""
        name = _quoted(key.parent_columns[place])
        rows = self._connection.execute(
            f"SELECT DISTINCT {name}::text FROM {key.parent_name}"
            f" WHERE {name} IS NOT NULL ORDER BY 1 LIMIT {_PARENTS}"
        ).fetchall()
        return tuple(str(value) for (value,) in rows)

    def without_row(self, table: Table, key: ForeignKey) -> list[tuple[str, ...]]:
        """Return keys of parents, column by column, that no row of the table refers to yet."""
        ours, theirs = ([_quoted(each) for each in names] for names in (key.columns, key.parent_columns))
        listed = ", ".join(f"p.{each}::text" for each in theirs)
        refers = " AND ".join(f"c.{one} = p.{other}" for one, other in zip(ours, theirs, strict=True))
        rows = self._connection.execute(
            f"SELECT DISTINCT {listed} FROM {key.parent_name} p"
            f" WHERE NOT EXISTS (SELECT FROM {table.name} c WHERE {refers})"
            f" AND {' AND '.join(f'p.{each} IS NOT NULL' for each in theirs)}"
            f" ORDER BY {', '.join(str(place) for place, _ in enumerate(theirs, 1))} LIMIT {_FREE}"
        ).fetchall()
        return [tuple(map(str, row)) for row in rows]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _settable(table: Table) -> list[TableColumn]:
    return [column for column in table.columns if not column.is_given or _refers_to_itself(table, column)]


def _refers_to_itself(table: Table, column: TableColumn) -> bool:
    return any(
        key.parent == table.oid and table.requires(key) and column.name in key.parent_columns
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
