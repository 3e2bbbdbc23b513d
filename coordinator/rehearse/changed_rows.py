"""Columns to whose rows a migration gives other values, and tables of which it takes rows away. Pure.

Results tell of an UPDATE or a DELETE only where it met a sample row that the query meets as well. So who
reads what it is about is told; who only writes it is not. Nor is it told of a column that the release makes:
live does not know it, and to the next version it is what the migration says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import bare
from coordinator.rehearse.recomputed import ALL, Concerns, Recomputed
from coordinator.rehearse.renewed import changed_columns
from coordinator.rehearse.written import set_by, targets_of
from coordinator.sql import split_statements

_CHANGED: Final = "changes `{table}.{column}` in rows that are there"
_DELETED: Final = "takes rows of `{table}` away"


def changed_by_writes(
    statements: Sequence[StatementEvidence], release: Sequence[StatementEvidence]
) -> Iterator[Recomputed]:
    """Yield the columns that a migration of a release changes, and the tables of which it deletes rows."""
    changed = changed_columns(release)  # a table that is made anew had its columns before
    made = {(bare(table), column) for (table, column), [(first, _), *_] in changed.items() if first is None}
    for each in statements:
        text = each.statement.text
        words = [one.words[:1] for one in split_statements(text)]
        if words not in ([("UPDATE",)], [("DELETE",)]):
            continue
        columns = {*set_by(text)} if words == [("UPDATE",)] else {ALL}
        for table in sorted(targets_of(text)):
            yield from (
                Recomputed(table, column, _CHANGED if column else _DELETED, Concerns.READING)
                for column in sorted(columns)
                if (table, column) not in made
            )
