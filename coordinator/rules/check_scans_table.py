"""A CHECK that is not added as NOT VALID reads the whole table while nobody may use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, added


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    made = {each.relation: each for each in added(statement, "column")}
    for check in added(statement, "constraint"):
        table, definition = check.relation or "", check.after or ""
        is_scanned = table in statement.scanned and table not in statement.rewritten
        if not definition.startswith("CHECK") or not is_scanned:
            continue
        if not context.takes_long(table):
            continue
        column = made.get(table)
        yield Danger(
            f"The new CHECK {check.name} reads all of {table}{context.told_size(table)}.",
            "It holds an ACCESS EXCLUSIVE lock meanwhile: nobody reads or writes the table.",
            (f"ALTER TABLE {table} ADD COLUMN {column.name} {column.after};\n" if column else "")
            + f"ALTER TABLE {table} ADD CONSTRAINT {check.name} {definition} NOT VALID;\n"
            f"{NEXT}\nALTER TABLE {table} VALIDATE CONSTRAINT {check.name};",
        )


RULE: Final[Rule] = Rule(code="check-scans-table", check=_check)
