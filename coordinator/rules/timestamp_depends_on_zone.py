"""The value of a timestamp that becomes one with time zone depends on the session's TimeZone.

On MySQL and MariaDB it is `datetime` that has no zone, and `timestamp` that has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import MYSQL, NEXT, Context, Danger, Rule, bare, quoted, text_of, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    yield from _check_mysql(statement, context)
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


def _check_mysql(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for column in statement.changes:
        kinds = {(each or "").partition(" ")[0].partition("(")[0] for each in (column.before, column.after)}
        table = column.relation or ""
        if column.kind != "column" or kinds != {"timestamp", "datetime"} or not context.is_old(table):
            continue
        if not any("TIME_ZONE" in words_of(each) for each in context.before_in_file(statement)):
            yield Danger(
                f"{table}.{column.name} changes between datetime and timestamp.",
                "Each value is read in the session's time_zone, which is the live server's; here it was UTC.",
                "-- the zone that the values of the datetime are meant in, in the same file\n"
                f"SET time_zone = '+00:00';\n{text_of(statement)}",
            )


RULE: Final[Rule] = Rule(
    code="timestamp-depends-on-zone", check=_check, engines=frozenset({"postgresql", *MYSQL})
)
