"""SET NOT NULL reads the whole table while nobody may use it, unless a valid CHECK has proved it before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, added, bare, quoted, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    has_key = any((each.after or "").startswith("PRIMARY KEY") for each in added(statement, "constraint"))
    if has_key and "USING" not in words_of(statement):
        return  # another rule speaks of it
    what = "PRIMARY KEY USING INDEX, and with it SET NOT NULL," if has_key else "SET NOT NULL"
    for column in statement.changes:
        table = column.relation or ""
        if (
            column.kind != "column"
            or " not null" in (column.before or " not null")
            or " not null" not in (column.after or "")
            or table not in statement.scanned
            or table in statement.rewritten
            or not context.takes_long(table)
        ):
            continue
        check = quoted(bare(table), bare(column.name), "not_null")
        yield Danger(
            f"{what} on {table}.{column.name} reads all of {table}{context.told_size(table)}.",
            "It holds an ACCESS EXCLUSIVE lock meanwhile: nobody reads or writes the table.",
            f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column.name} IS NOT NULL) NOT VALID;\n"
            f"{NEXT}\nALTER TABLE {table} VALIDATE CONSTRAINT {check};\n"
            f"{NEXT}\nALTER TABLE {table} ALTER COLUMN {column.name} SET NOT NULL;\n"
            f"ALTER TABLE {table} DROP CONSTRAINT {check};",
        )


RULE: Final[Rule] = Rule(code="not-null-scans-table", check=_check)
