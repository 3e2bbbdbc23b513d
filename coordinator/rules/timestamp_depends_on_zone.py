"""The value of a timestamp that becomes one with time zone depends on the session's TimeZone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, bare, quoted


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for column in statement.changes:
        before, after = column.before or "", column.after or ""
        if (
            column.kind != "column"
            or not before
            or not after
            or (column.relation or "") in statement.rewritten
        ):
            continue
        if ("without time zone" in before) == (
            "without time zone" in after
        ) or "time zone" not in before + after:
            continue
        if "time zone" in before and "time zone" in after and context.is_old(column.relation or ""):
            copy = quoted(bare(column.name), "next")
            kind = after.partition(" default ")[0].partition(" not null")[0]
            yield Danger(
                f"{column.relation}.{column.name} changes between timestamps with and without time zone.",
                "Each value is read in the session's TimeZone, and where that is not UTC the whole table is"
                " rewritten under an ACCESS EXCLUSIVE lock; here it was UTC.",
                f"ALTER TABLE {column.relation} ADD COLUMN {copy} {kind};\n"
                f"{NEXT}\n"
                "-- again and again, each time in a transaction of its own, until it writes no row\n"
                f"UPDATE {column.relation} SET {copy} = {column.name} AT TIME ZONE 'UTC'"
                " WHERE ctid IN\n"
                f"    (SELECT ctid FROM {column.relation} WHERE {copy} IS NULL AND"
                f" {column.name} IS NOT NULL LIMIT 1000);",
            )


RULE: Final[Rule] = Rule(code="timestamp-depends-on-zone", check=_check)
