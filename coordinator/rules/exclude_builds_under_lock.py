"""EXCLUDE builds its index while nobody may use the table, and there is no other way to add one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, added, bare, quoted, schema_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for key in added(statement, "constraint"):
        table, definition = key.relation or "", key.after or ""
        is_new = any(each.relation == table and each.is_new for each in statement.locks)
        if not definition.startswith("EXCLUDE") or is_new:
            continue
        if not context.takes_long(table):
            continue
        copy = f"{schema_of(table)}.{quoted(bare(table), 'next')}"
        yield Danger(
            f"The new EXCLUDE {key.name} builds an index over all of {table}{context.told_size(table)}.",
            "It holds an ACCESS EXCLUSIVE lock meanwhile: 75 s for a million rows. There is no NOT VALID.",
            f"CREATE TABLE {copy} (LIKE {table} INCLUDING ALL);\n"
            f"ALTER TABLE {copy} ADD CONSTRAINT {key.name} {definition};\n"
            "-- then copy the rows in batches, keep both tables alike by a trigger, and exchange their names",
        )


RULE: Final[Rule] = Rule(code="exclude-builds-under-lock", check=_check)
