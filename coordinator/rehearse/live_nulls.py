"""Columns that become NOT NULL and in which the live version leaves NULL for as long as it serves. Pure.

Nothing breaks before: the engine refuses live's query only behind the migration, and then live is gone. But
the rows that it wrote until then are there, and on them the migration fails, where there is no way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.backfills.order import CONTRACT, named
from coordinator.diagnostics import Place
from coordinator.evidence import Hazard, Rehearsal, StatementEvidence
from coordinator.model import BackfillSpec, Migration, Role
from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.lost_indexes import named_queries
from coordinator.rehearse.renewed import changed_columns

_REFUSED: Final = frozenset({"23502", "1048", "1364", "SQLITE_CONSTRAINT_NOTNULL"})
"""not_null_violation; ER_BAD_NULL_ERROR, ER_NO_DEFAULT_FOR_FIELD."""
_NOT_NULL: Final = re.compile(r"\bnot null\b", re.IGNORECASE)
_FILLS: Final = frozenset({"coalesce", "ifnull", "case"})
"""Words with which a table that is made anew gets what was NULL."""
_REWRITE: Final = """-- in the same file, before it:
UPDATE {table} SET {column} = … WHERE {column} IS NULL;
-- or, for many rows, a backfill of the plan with `before: contract`, which counts once more what is left"""


def hazards_of_live_nulls(
    rehearsal: Rehearsal, backfills: Sequence[BackfillSpec], pending: Sequence[Migration]
) -> Iterator[Hazard]:
    """Yield a hazard for each column that neither the migration itself nor a backfill before it fills."""
    for migration in pending:
        statements = [each for each in rehearsal.statements if each.migration == migration.name]
        filled = _filled(statements) | {
            bare(each.table)
            for each in backfills
            if each.before == CONTRACT or named(pending, each.before) is migration
        }
        for table, column in _narrowed(statements):
            queries = sorted(
                {
                    each.query
                    for each in rehearsal.breaks
                    if (each.use[2], each.migration) == (Role.LIVE, migration.name)
                    and each.objection.code in _REFUSED
                    and column in words_of(each.objection.message)
                }
            )
            if queries and table not in filled:
                yield Hazard(
                    code="not-null-meets-live-rows",
                    place=_place(statements, column),
                    migration=migration.name,
                    what=f"{table}.{column} becomes NOT NULL, and live leaves it NULL by"
                    f" {named_queries(queries)} for as long as it serves.",
                    why="A row that it wrote since makes this fail, also where all were filled before."
                    " By then live is gone, and there is no way back.",
                    rewrite=_REWRITE.format(table=table, column=column),
                )


def _narrowed(statements: Sequence[StatementEvidence]) -> Iterator[tuple[str, str]]:
    """Yield the columns of tables that may be NULL before a migration, and not behind it."""
    for (table, column), definitions in sorted(changed_columns(statements).items()):
        before, after = definitions[0][0], definitions[-1][1]
        if before and after and not _NOT_NULL.search(before) and _NOT_NULL.search(after):
            yield table, column


def _filled(statements: Sequence[StatementEvidence]) -> frozenset[str]:
    """Return the tables in which a migration writes rows, or that it makes anew with something for NULL."""
    written = {bare(table) for each in statements for table in each.written}
    if any(not _FILLS.isdisjoint(words_of(each.statement.text)) for each in statements):
        written |= {bare(one.name) for each in statements for one in each.changes if one.kind == "table"}
    return frozenset(written)


def _place(statements: Sequence[StatementEvidence], column: str) -> Place:
    """Return where the column is changed last."""
    return next(
        each.place
        for each in reversed(statements)
        if any(one.kind == "column" and bare(one.name) == column for one in each.changes)
    )
