"""A new collation or type may rebuild the column's indexes while nobody may use the table.

The indexes are made anew under their old names, so all that is seen is that the table was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, bare, quoted

_TYPE_ENDS: Final = re.compile(r" (?:default|not null|generated|storage)\b")


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for column in statement.changes:
        table = column.relation or ""
        if column.kind != "column" or column.before is None or column.after is None:
            continue
        before, after = (_TYPE_ENDS.split(each, maxsplit=1)[0] for each in (column.before, column.after))
        is_rebuilt = before != after and table in statement.scanned and table not in statement.rewritten
        if is_rebuilt and context.takes_long(table):
            yield Danger(
                f"The new type of {table}.{column.name} rebuilds its indexes{context.told_size(table)}.",
                "It holds an ACCESS EXCLUSIVE lock on the table until they are built.",
                f"ALTER TABLE {table} ADD COLUMN {quoted(bare(column.name), 'next')} {after};\n"
                "-- then an index CONCURRENTLY, the values in batches, and the versions move to it",
            )


RULE: Final[Rule] = Rule(code="index-rebuilds-under-lock", check=_check)
