"""Find combinations of values that meet a table's checks and foreign keys, by asking the engine.

Nothing of a check is understood here: the engine says in one query which of the candidates it would take.
The search is bounded, so a check that needs more wit than that is left to a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.tables import Check, ForeignKey, Table, TableColumn

Candidates = Mapping[str, Sequence[str | None]]
Solution = dict[str, str | None]
"""A value for each column of a group, as text."""

_COMBINATIONS: Final = 4000
_SOLUTIONS: Final = 200
_KEPT: Final = 14
_SHOWN: Final = 200


def groups(table: Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the columns in groups whose values depend on each other by a check or a foreign key."""
    group_of = {name: {name} for name in names}
    tied = [check.columns for check in table.checks] + [_tied(table, key) for key in table.foreign_keys]
    for together in tied:
        merged: set[str] = set()
        for name in together:
            merged |= group_of.get(name, set())
        for name in merged:
            group_of[name] = merged
    seen: set[str] = set()
    found = []
    for name in names:
        if name not in seen:
            found.append(tuple(each for each in names if each in group_of[name]))
            seen |= group_of[name]
    return found


def _tied(table: Table, key: ForeignKey) -> tuple[str, ...]:
    """A row that must refer to a row of its own table may refer to itself."""
    if key.parent == table.oid and table.requires(key):
        return (*key.columns, *key.parent_columns)
    return key.columns


class Solver:
    """Asks one database which combinations of values a table's checks and foreign keys take."""

    def __init__(self, connection: psycopg.Connection, table: Table) -> None:
        self._connection = connection
        self._table = table

    def solve(self, group: Sequence[str], candidates: Candidates, *, nulls: bool = False) -> list[Solution]:
        """Return combinations that hold, different from each other; with `nulls` those with most NULLs."""
        checks = [each for each in self._table.checks if set(each.columns) <= set(group)]
        keys = [key for key in self._table.foreign_keys if set(_tied(self._table, key)) <= set(group)]
        if not checks and not keys and len(group) == 1:
            return [{group[0]: value} for value in candidates[group[0]]][:_KEPT]
        pruned = dict(candidates)
        for name in group if len(group) > 1 else ():
            if (name,) in {check.columns for check in checks} | {key.columns for key in keys}:
                pruned[name] = [row[name] for row in self._ask([name], pruned, nulls=nulls)]
        most = max(2, int(_COMBINATIONS ** (1 / len(group))))
        return _diverse(
            self._ask(group, {name: pruned[name][:most] for name in group}, nulls=nulls), nulls=nulls
        )

    def blame(self, group: Sequence[str], candidates: Candidates) -> str:
        """Return a clause that says what stands in the way where `solve` found nothing."""
        for name in group:
            if not candidates[name]:
                column = self._table.column(name)
                return f"no value of type `{column.type}` is known for column `{name}`"
        checks = [each for each in self._table.checks if set(each.columns) <= set(group)]
        for check in checks:
            alone = {name: candidates[name] for name in check.columns}
            if not self._ask(check.columns, alone, nulls=False, only=check):
                shown = f" {check.expression}" if len(check.expression) <= _SHOWN else ""
                return f"no value was found for which check `{check.name}`{shown} holds"
        names = ", ".join(f"`{name}`" for name in group)
        return f"no values were found for {names} that its checks and foreign keys take together"

    def _ask(
        self, group: Sequence[str], candidates: Candidates, *, nulls: bool, only: Check | None = None
    ) -> list[Solution]:
        columns = [self._table.column(name) for name in group]
        query = _query(self._table, columns, nulls=nulls, only=only)
        try:
            with self._connection.transaction():
                rows = self._connection.execute(query, [list(candidates[name]) for name in group]).fetchall()
        except psycopg.Error:
            return []  # a check that raises on some candidate cannot be searched
        return [dict(zip(group, (_as_text(value) for value in row), strict=True)) for row in rows]


def _query(table: Table, columns: Sequence[TableColumn], *, nulls: bool, only: Check | None) -> str:
    names = {column.name for column in columns}
    checks = [only] if only else [each for each in table.checks if set(each.columns) <= names]
    keys = [] if only else [key for key in table.foreign_keys if set(_tied(table, key)) <= names]
    sources = " CROSS JOIN ".join(
        f"unnest(%s::text[]) WITH ORDINALITY AS c{n}(sample_value, sample_place)" for n in range(len(columns))
    )
    typed = ", ".join(
        f"c{n}.sample_value::{_escaped(column.type)} AS {_escaped(column.quoted)}"
        for n, column in enumerate(columns)
    )
    conditions = [f"({_escaped(each.expression)}) IS NOT FALSE" for each in checks]
    conditions += [_refers(table, each) for each in keys]
    order = " + ".join(f"c{n}.sample_place" for n in range(len(columns)))
    order += ", " + ", ".join(f"c{n}.sample_place" for n in range(len(columns)))
    if nulls:
        empty = ", ".join(f"c{n}.sample_value" for n in range(len(columns)))
        order = f"num_nulls({empty}) DESC, {order}"
    return (
        f"SELECT {', '.join(f'c{n}.sample_value' for n in range(len(columns)))} FROM {sources}"
        f" CROSS JOIN LATERAL (SELECT {typed} OFFSET 0) AS sample_row"
        f" WHERE {' AND '.join(conditions) or 'true'} ORDER BY {order} LIMIT {_SOLUTIONS}"
    )


def _refers(table: Table, key: ForeignKey) -> str:
    ours = [f"sample_row.{_escaped(table.column(name).quoted)}" for name in key.columns]
    theirs = [f'parent."{_escaped(name.replace(chr(34), chr(34) * 2))}"' for name in key.parent_columns]
    same = " AND ".join(f"{a} = {b}" for a, b in zip(theirs, ours, strict=True))
    ways = [*(f"{each} IS NULL" for each in ours)]
    ways.append(f"EXISTS (SELECT FROM {_escaped(key.parent_name)} AS parent WHERE {same})")
    if _tied(table, key) != key.columns:
        ways.append("(" + same.replace("parent.", "sample_row.") + ")")
    return f"({' OR '.join(ways)})"


def _diverse(solutions: list[Solution], *, nulls: bool) -> list[Solution]:
    """Keep the first, and then each time the one that has least in common with those that were kept."""
    if nulls or len(solutions) <= 1:
        return solutions[:_KEPT]
    kept = [solutions[0]]
    rest = solutions[1:]
    while rest and len(kept) < _KEPT:
        best = min(rest, key=lambda each: sum(_shared(each, other) for other in kept))
        kept.append(best)
        rest.remove(best)
    return kept


def _shared(one: Solution, other: Solution) -> int:
    return sum(value == other[name] for name, value in one.items())


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _escaped(sql: str) -> str:
    return sql.replace("%", "%%")
