"""Columns that become NOT NULL and in which the live version leaves NULL for as long as it serves. Pure.

Nothing breaks before: the engine refuses live's query only behind the migration, and then live is gone. But
the rows that it wrote until then are there, and on them the migration fails, where there is no way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from coordinator.backfills.order import CONTRACT, named
from coordinator.diagnostics import Place
from coordinator.evidence import Break, Hazard, Rehearsal, StatementEvidence, Use
from coordinator.model import BackfillSpec, Migration, Role
from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.lost_indexes import last_of_live, named_queries
from coordinator.rehearse.renewed import changed_columns

_REFUSED: Final = frozenset({"23502", "1048", "1364", "SQLITE_CONSTRAINT_NOTNULL"})
"""not_null_violation; ER_BAD_NULL_ERROR, ER_NO_DEFAULT_FOR_FIELD."""
_QUOTED: Final = re.compile(r"(?<=[^\w\s])[^\W\d][\w$]*")
"""A message's names stand in quotation marks, or behind a dot."""
_DEFAULT: Final = re.compile(r"\bdefault (?!null\b)", re.IGNORECASE)
_NOT_NULL: Final = re.compile(r"\bnot null\b", re.IGNORECASE)
_FILLS: Final = frozenset({"coalesce", "ifnull", "case"})
"""Words with which a table that is made anew gets what was NULL."""
_REWRITE: Final = """-- in the same file, before it:
UPDATE {table} SET {column} = … WHERE {column} IS NULL;
-- or, for many rows, a backfill of the plan with `before: contract`, which counts once more what is left"""


def hazards_of_live_nulls(
    rehearsal: Rehearsal,
    backfills: Sequence[BackfillSpec],
    pending: Sequence[Migration],
    texts: Mapping[tuple[Use, str], str],
) -> Iterator[Hazard]:
    """Yield a hazard for each column that nothing fills when live is gone, before it becomes NOT NULL.

    `texts` are those of the queries.
    """
    last = last_of_live(rehearsal, pending)
    for at, migration in enumerate(pending):
        own = [each for each in rehearsal.statements if each.migration == migration.name]
        refused = [
            each
            for each in rehearsal.breaks
            if (each.use[2], each.migration) == (Role.LIVE, migration.name)
            and each.objection.code in _REFUSED
        ]
        alone = pending[last : at + 1]
        filled = _filled_behind_live(rehearsal.statements, backfills, alone) if refused else None
        if filled is None:
            continue
        for (table, column), queries in sorted(_left_null(own, refused, texts).items()):
            if table not in filled | _without_trigger(own):
                yield Hazard(
                    code="not-null-meets-live-rows",
                    place=_place(own, column, table),
                    migration=migration.name,
                    what=f"{table}.{column} becomes NOT NULL, and live leaves it NULL by"
                    f" {named_queries(sorted(queries))} for as long as it serves.",
                    why="A row that it wrote since makes this fail, also where all were filled before."
                    " By then live is gone, and there is no way back.",
                    rewrite=_REWRITE.format(table=table, column=column),
                    fails=True,
                )


def _left_null(
    statements: Sequence[StatementEvidence], refused: Sequence[Break], texts: Mapping[tuple[Use, str], str]
) -> Mapping[tuple[str, str], set[str]]:
    """Return the queries that leave NULL in each column that becomes NOT NULL, by its table and name."""
    narrowed = _narrowed(statements)
    found: dict[tuple[str, str], set[str]] = {}
    for each in refused:
        message = each.objection.message
        quoted, words = frozenset(name.lower() for name in _QUOTED.findall(message)), words_of(message)
        for column in _meant(narrowed.keys(), quoted, words):
            tables = narrowed[column]
            for table in _meant(
                tables.keys(), quoted, words_of(texts.get((each.use, each.query), "")), tables.keys()
            ):
                for named_one in tables[table]:
                    found.setdefault((named_one, column), set()).add(each.query)
    return found


def _meant(names: AbstractSet[str], *ways: AbstractSet[str]) -> AbstractSet[str]:
    """Return those of some names that the first of several ways to tell tells of."""
    return next((found for each in ways if (found := names & each)), frozenset())


def _narrowed(statements: Sequence[StatementEvidence]) -> Mapping[str, Mapping[str, AbstractSet[str]]]:
    """Return the columns that may be NULL before a migration, and not behind it, each with its tables.

    A table stands there with the one that the migration names: its partitions follow it.
    """
    found: dict[str, set[str]] = {}
    for (table, column), definitions in changed_columns(statements).items():
        before, after = definitions[0][0], definitions[-1][1]
        if not before or not after or _NOT_NULL.search(before) or not _NOT_NULL.search(after):
            continue
        # Who is refused for want of the default that it had left no NULL before.
        if not _DEFAULT.search(before) or _DEFAULT.search(after):
            found.setdefault(column, set()).add(bare(table))
    words = words_of(" ".join(each.statement.text for each in statements))
    return {
        column: {each: {each} & words or tables & words or {each} for each in tables}
        for column, tables in found.items()
    }


def _filled_behind_live(
    statements: Sequence[StatementEvidence], backfills: Sequence[BackfillSpec], alone: Sequence[Migration]
) -> AbstractSet[str] | None:
    """Return the tables in which rows are written by migrations that run `alone`, when live is gone, or by a
    backfill that one of them waits for, or that are made anew with something for NULL. None: nobody knows.
    """
    filled = {bare(each.table) for each in backfills if each.before == CONTRACT or named(alone, each.before)}
    for migration in alone:
        own = [each for each in statements if each.migration == migration.name]
        if migration.is_code and not own:
            return None
        filled |= {bare(table) for each in own for table in each.written}
        if any(not _FILLS.isdisjoint(words_of(each.statement.text)) for each in own):
            filled |= {bare(one.name) for each in own for one in each.changes if one.kind == "table"}
    return filled


def _without_trigger(statements: Sequence[StatementEvidence]) -> AbstractSet[str]:
    """Return the tables that lose a trigger, which may have given live's rows a value until then."""
    changes = [one for each in statements for one in each.changes if one.kind == "trigger" and one.relation]
    last = {(bare(one.relation or ""), one.name): one for one in changes}
    return {table for (table, _), one in last.items() if one.after is None}


def _place(statements: Sequence[StatementEvidence], column: str, table: str) -> Place:
    """Return where the column is changed last."""
    return next(
        each.place
        for each in reversed(statements)
        if any(
            one.kind == "column" and (bare(one.relation or ""), bare(one.name)) == (table, column)
            for one in each.changes
        )
    )
