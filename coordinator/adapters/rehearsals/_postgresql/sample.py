"""Fill empty tables with a few rows, so that layers 4 and 5 have something to meet.

Three rows a table where they fit: full ones, and one with NULL wherever NULL is allowed; then one for each
row that a query looks for (coordinator/wanted.py), if none is like it. They are made from the catalogue and
these alone, the same each time, so that two databases with the same schema get the same rows. Rows
that are there (a migration put them there) are never touched, and serve as parents. Where a parent has fewer
than three of them (a system's own user), more come beside: else no child could be given to another one.
Tables are filled after the tables that they refer to; in a circle, a reference that may be NULL is NULL first
and set afterwards.
Triggers fire as they would for the service. What cannot be filled is said, and nothing is forced. A table is
filled once: rows that come in a later state would be a difference that no migration made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.constraints import Solution
from coordinator.adapters.rehearsals._postgresql.pipeline import at_ease
from coordinator.adapters.rehearsals._postgresql.suggestions import Solved, Suggestions
from coordinator.adapters.rehearsals._postgresql.tables import ForeignKey, Table, tables
from coordinator.rehearsal_ports import Sampling
from coordinator.wanted import MOST_WANTED, Link, WantedRow, is_met, link

_WISHES: Final = ("full", "sparse", "full")
_TRIES: Final = 12
_BOTH: Final = 2
_MATERIALIZED: Final = """
SELECT oid::regclass::text FROM pg_catalog.pg_class
WHERE relkind = 'm' AND relispopulated AND oid::regclass::text <> ALL(%s) ORDER BY oid
"""
"""In the order in which they were made: one may read another."""
_STAMPED: Final = """
SELECT c.oid::regclass::text, pg_catalog.array_agg(pg_catalog.quote_ident(a.attname))
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
WHERE c.oid::regclass::text = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
    AND EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE NOT tgisinternal)
GROUP BY c.oid
"""
_LONG_AGO: Final = "2001-01-01 01:01:01"


def fill(connection: psycopg.Connection, sampling: Sampling, *, filled: set[str]) -> tuple[str, ...]:
    """Insert sample rows into empty tables; return a clause for each that stays empty.

    `filled` has the names of the tables of earlier fillings, and gets those of this one. The connection is
    idle, in autocommit mode, and the owner's.
    """
    with at_ease(connection):
        return _Filling(connection, sampling, filled).run()


class _Filling:
    """One filling of one database: which tables still wait, and what is wrong with those that failed."""

    def __init__(self, connection: psycopg.Connection, sampling: Sampling, filled: set[str]) -> None:
        self._connection = connection
        self._wanted = sampling.wanted
        self._lone = sampling.lone
        self._wishes = tuple(wish for wish in _WISHES if sampling.with_nulls or wish != "sparse")
        self._suggestions = Suggestions(connection, sampling)
        self._tables = tables(connection, without=filled)
        parents = {key.parent for table in self._tables for key in table.foreign_keys if sampling.with_nulls}
        self._seeded = {table.oid: count for table in self._tables if (count := self._count(table))}
        self._waiting = {
            table.oid: table
            for table in self._tables
            if not table.is_ledger
            and table.bare.lower() not in sampling.without
            and (
                table.oid not in self._seeded
                or (table.oid in parents and table.bare.lower() not in sampling.left_alone)
            )
            and self._seeded.get(table.oid, 0) < len(_WISHES)
        }
        filled.update(table.name for table in self._tables)
        self._filled = filled
        self._problems: dict[int, str] = {}
        self._open_keys: list[tuple[Table, ForeignKey]] = []

    def run(self) -> tuple[str, ...]:
        while self._waiting:
            table = self._next()
            del self._waiting[table.oid]
            is_seeded = table.oid in self._seeded
            self._open_keys += [
                (table, key)
                for key in table.foreign_keys
                if (key.parent in self._waiting or key.parent == table.oid) and not is_seeded
            ]
            problem = self._fill(table)
            if problem and not is_seeded:
                self._problems[table.oid] = f"`{table.name}`: {problem}"
        for table, key in self._open_keys:
            self._close(table, key)
        self._age()
        self._refresh()
        return tuple(self._problems[table.oid] for table in self._tables if table.oid in self._problems)

    def _next(self) -> Table:
        """Return a table whose parents are done; else one whose open references may be NULL; else any."""

        def waits_for(table: Table, *, required: bool) -> bool:
            return any(
                key.parent in self._waiting and key.parent != table.oid
                for key in table.foreign_keys
                if not required or table.requires(key)
            )

        waiting = list(self._waiting.values())
        for required in (False, True):
            for table in waiting:
                if not waits_for(table, required=required):
                    return table
        return waiting[0]

    def _count(self, table: Table) -> int:
        """Return how many rows a table has, as far as it matters."""
        rows = self._connection.execute(f"SELECT FROM {table.name} LIMIT {len(_WISHES)}").fetchall()
        return len(rows)

    def _fill(self, table: Table) -> str | None:
        if not table.has_partition:
            return "it has no partition"
        for key in table.foreign_keys:
            if table.requires(key) and key.parent != table.oid and not self._suggestions.parents(key):
                return f"its parent `{key.parent_name}` has no rows"
        solved = self._suggestions.solved(table)
        if isinstance(solved, str):
            return solved
        refused = self._insert(table, solved)
        if refused is None:
            self._insert_wanted(table, solved)
        return refused

    def _insert(self, table: Table, solved: Solved) -> str | None:
        inserted, problem, number = 0, "", self._lone.get(table.bare.lower(), 1) - 1
        last = len(self._wishes) - 1
        for wish in self._wishes_for(table):
            solutions = solved.sparse if wish == "sparse" else solved.full
            for _ in range(_TRIES if wish == "full" else 2):
                row: Solution = {}
                for (found, turn), sparse in zip(_with_turns(solutions), solved.sparse, strict=True):
                    fewer = len(found) == _BOTH and _may_be_null(table, found, sparse)
                    choices = found[1:] if fewer and number == last else found
                    row |= choices[_place(number, turn, rows=len(self._wishes), choices=len(choices))]
                number += 1
                refused = self._insert_row(table, row)
                if refused is None:
                    inserted += 1
                    break
                problem = problem or refused
        return None if inserted else f"the engine refuses sample rows: {problem}"

    def _wishes_for(self, table: Table) -> Sequence[str]:
        """Return what rows a table gets beside those that are there."""
        there = self._seeded.get(table.oid, 0)
        return _WISHES[:1][there:] if table.bare.lower() in self._lone else self._wishes[there:]

    def _insert_wanted(self, table: Table, solved: Solved) -> None:
        """Insert what queries look for, as far as the engine takes it and no row is like it."""
        inserted = 0
        for wanted in self._wanted.get(table.bare.lower(), ()):
            if inserted == MOST_WANTED:
                break
            links = self._links(table, wanted)
            if any(is_met(row, wanted, links) for row in self._rows(table)):
                continue
            solutions = self._suggestions.wanted(table, solved, wanted, links)
            if solutions is None or not self._insert_one(table, solutions.full, place=2 * inserted):
                continue
            if "sparse" in self._wishes and _nulls(solutions.sparse) > _nulls(solutions.full):
                self._insert_one(table, solutions.sparse, place=2 * inserted + 1)
            inserted += 1

    def _insert_one(self, table: Table, solutions: Sequence[list[Solution]], *, place: int) -> bool:
        """Insert a row that comes after those that every table has; tell whether the engine took one.

        Values of unique columns are new, others those of the first rows: a foreign key that comes later shall
        find its parents.
        """
        first = len(_WISHES)
        for number in range(_TRIES):
            row: Solution = {}
            for found, turn in _with_turns(solutions):
                at = first + place if not table.unique.isdisjoint(found[0]) else place % first
                row |= found[_place(at + number, turn, rows=first, choices=len(found))]
            if self._insert_row(table, row) is None:
                return True
        return False

    def _links(self, table: Table, wanted: WantedRow) -> list[Link]:
        parents = {each.oid: each for each in self._tables}
        found = [
            link(key.columns, key.parent_columns, self._rows(parent), beside)
            for key in table.foreign_keys
            if (parent := parents.get(key.parent)) is not None
            and (beside := wanted.beside.get(parent.bare.lower())) is not None
        ]
        return [each for each in found if each is not None]

    def _rows(self, table: Table) -> list[Mapping[str, object]]:
        columns = ", ".join(f"{column.quoted}::text" for column in table.columns)
        names = [column.name.lower() for column in table.columns]
        rows = self._connection.execute(f"SELECT {columns} FROM {table.name}").fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

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

    def _age(self) -> None:
        """Put the times that triggers wrote into the past: that a query writes the present one shall be seen.

        Triggers would write it again; to leave them out takes a right that a team's server may not give.
        """
        rows = self._connection.execute(_STAMPED, [[table.name for table in self._tables]]).fetchall()
        for table, columns in rows:
            is_new = "{0} BETWEEN now() - interval '1 day' AND now() + interval '1 day'"
            aged = ", ".join(
                f"{each} = CASE WHEN {is_new.format(each)} THEN '{_LONG_AGO}' ELSE {each} END"
                for each in columns
            )
            with suppress(psycopg.Error), self._connection.transaction():
                self._connection.execute("SET LOCAL session_replication_role = replica")
                self._connection.execute(
                    f"UPDATE {table} SET {aged} WHERE {' OR '.join(map(is_new.format, columns))}"
                )

    def _refresh(self) -> None:
        """Let materialized views have the rows, as if they were made after them; each once, as a table."""
        for [name] in self._connection.execute(_MATERIALIZED, [sorted(self._filled)]).fetchall():
            self._filled.add(name)
            with suppress(psycopg.Error):  # one that no sample row suits stays as it is
                self._connection.execute(f"REFRESH MATERIALIZED VIEW {name}")

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


def _with_turns(solutions: Sequence[list[Solution]]) -> Iterator[tuple[list[Solution], int]]:
    """Yield each with the number of those before it that begin with the same values.

    Columns of one type shall differ within a row: else nobody sees that a migration exchanged them.
    """
    seen: Counter[tuple[str | None, ...]] = Counter()
    for found in solutions:
        first = tuple(found[0].values())
        yield found, seen[first]
        seen[first] += 1


def _nulls(solutions: Sequence[list[Solution]]) -> int:
    return sum(value is None for found in solutions for value in found[0].values())


def _may_be_null(table: Table, found: Sequence[Solution], sparse: Sequence[Solution]) -> bool:
    """Tell whether a group has NULL in the sparse row, whose value the last row makes up for.

    What refers to a parent has not: of two parents one shall have two children where that can be.
    """
    is_key = any(name in key.columns for key in table.foreign_keys for name in found[0])
    return not is_key and None in sparse[0].values()


def _place(number: int, turn: int, *, rows: int, choices: int) -> int:
    """Return which of its choices a column has in a row.

    As many choices as there are rows, each column in another order: a foreign key that comes later shall find
    its parents. Only a row that is tried again, or a column too many, has others. Where there are but two, a
    row that has the first everywhere is worth more (`WHERE active AND confirmed`); they differ in the last.
    """
    if choices == _BOTH:
        return turn % choices if number == _BOTH else number % choices
    if number < rows <= choices and turn < 2 * rows:
        return (number + turn if turn < rows else turn - number) % rows
    return (number + turn) % choices


def _escaped(sql: str) -> str:
    return sql.replace("%", "%%")
