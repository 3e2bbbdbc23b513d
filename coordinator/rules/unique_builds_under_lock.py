"""UNIQUE or PRIMARY KEY as a constraint builds its index while nobody may use the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ALONE, NEXT, Context, Danger, Rule, added, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    made = {each.relation: each for each in added(statement, "column")}
    for key in added(statement, "constraint"):
        table, definition = key.relation or "", key.after or ""
        is_new = any(each.relation == table and each.is_new for each in statement.locks)
        if not definition.startswith(("UNIQUE", "PRIMARY KEY")) or is_new or "USING" in words_of(statement):
            continue
        if not context.takes_long(table):
            continue
        kind, columns = definition.partition(" (")[0], definition.partition(" (")[2]
        column = made.get(table)
        yield Danger(
            f"The new {kind} {key.name} builds an index over all of {table}{context.told_size(table)}.",
            "It holds an ACCESS EXCLUSIVE lock meanwhile: nobody reads or writes the table.",
            (f"ALTER TABLE {table} ADD COLUMN {column.name} {column.after};\n{NEXT}\n" if column else "")
            + ("-- the columns must be NOT NULL before\n" if kind == "PRIMARY KEY" else "")
            + f"{ALONE}\n"
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {key.name} ON {table} ({columns};\n"
            f"{NEXT}\nALTER TABLE {table} ADD CONSTRAINT {key.name} {kind} USING INDEX {key.name};",
        )


RULE: Final[Rule] = Rule(code="unique-builds-under-lock", check=_check)
