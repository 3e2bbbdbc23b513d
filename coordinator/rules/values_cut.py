"""MySQL and MariaDB change values that do not fit, where `sql_mode` is not strict, and only warn of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import MYSQL, Context, Danger, Rule, text_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    del context  # a value is lost in a small table as well
    if not statement.warnings:
        return
    more = len(statement.warnings) - 1
    yield Danger(
        f"The server changed values to make them fit: {statement.warnings[0]}"
        + (f" (and {more} more)." if more else "."),
        "What was there before is gone for every version. Here it was a sample row; how many rows of the live"
        " table do not fit, nobody has asked.",
        "-- the server refuses then instead of changing values; in the same file\n"
        f"SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES');\n{text_of(statement)}",
    )


RULE: Final[Rule] = Rule(code="values-cut", check=_check, engines=MYSQL)
