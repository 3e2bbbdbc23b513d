"""A foreign key that is not NOT VALID reads the whole table while nobody may write to either side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, SHORT_WAIT, Context, Danger, Rule, added


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    made = {each.relation: each for each in added(statement, "column")}
    for key in added(statement, "constraint"):
        table, definition = key.relation or "", key.after or ""
        is_new = any(each.relation == table and each.is_new for each in statement.locks)
        if not definition.startswith("FOREIGN KEY") or " NOT VALID" in definition or is_new:
            continue
        if not context.takes_long(table):
            continue
        column = made.get(table)
        yield Danger(
            f"The foreign key {key.name} reads all of {table}{context.told_size(table)} to prove every row.",
            "Meanwhile nobody may write to the table, nor to the one that it references.",
            (f"ALTER TABLE {table} ADD COLUMN {column.name} {column.after};\n{NEXT}\n" if column else "")
            + f"{SHORT_WAIT}\n"
            f"ALTER TABLE {table} ADD CONSTRAINT {key.name} {definition} NOT VALID;\n"
            f"{NEXT}\nALTER TABLE {table} VALIDATE CONSTRAINT {key.name};",
        )


RULE: Final[Rule] = Rule(code="foreign-key-scans-table", check=_check)
