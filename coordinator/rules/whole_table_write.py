"""An UPDATE or DELETE of all rows in one statement holds their locks, and its garbage, to the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, is_write, text_of, words_of

_SIMPLE: Final = re.compile(
    r"(?:--[^\n]*\n|\s)*(?:UPDATE\s+(?:ONLY\s+)?[\w.\"]+\s+SET\s+(?P<set>(?:(?!\bFROM\b|\bWHERE\b|\bRETURNING\b).)+?)"
    r"|DELETE\s+FROM\s+(?:ONLY\s+)?[\w.\"]+)"
    r"(?:\s+WHERE\s+(?P<condition>(?:(?!\bRETURNING\b).)+?))?\s*;",
    re.IGNORECASE | re.DOTALL,
)
"""An UPDATE or DELETE of one table without an alias; others are not rewritten by words."""
_ASSIGNMENT: Final = re.compile(r"\s*(?P<column>\w+)\s*=\s*(?P<value>\w+|'(?:[^']|'')*')\s*")
"""One column, and a constant or another column: a call may give another value each time."""
_BY_RANGES: Final = (
    "-- the same statement by ranges of the primary key, each in a transaction of its own:\n"
    "-- … AND id BETWEEN 1 AND 1000"
)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    command = words_of(statement)[:1]
    if not is_write(statement) or command == ("INSERT",):
        return
    if not {"UPDATE", "DELETE", "MERGE"} & set(words_of(statement)):
        return
    read = [each for each in statement.scanned if context.takes_long(each)]
    for table in statement.written:
        if read and context.takes_long(table):
            yield Danger(
                f"One statement writes rows all over {table}{context.told_size(table)}.",
                "Writers of these rows wait until it commits (4 to 12 s for a million rows), and it is done"
                " whole or not at all.",
                _in_batches(text_of(statement), table),
            )


def _in_batches(text: str, table: str) -> str:
    """Return a batch that ends by itself: no row that it wrote meets its condition again."""
    found = _SIMPLE.fullmatch(text)
    condition = found["condition"] if found else None
    if found is None or "--" in text or "/*" in text:
        return _BY_RANGES
    if found["set"]:
        one = _ASSIGNMENT.fullmatch(found["set"])
        if one is None or re.search(rf"\b{re.escape(one['column'])}\b", one["value"], re.IGNORECASE):
            return _BY_RANGES
        unlike = f"{one['column']} IS DISTINCT FROM {one['value']}"
        condition = f"({condition}) AND {unlike}" if condition else unlike
    inner = f"SELECT ctid FROM {table}" + (f" WHERE {condition}" if condition else "") + " LIMIT 1000"
    write = f"UPDATE {table} SET {found['set']}" if found["set"] else f"DELETE FROM {table}"
    return (
        "-- again and again, each time in a transaction of its own, until it writes no row\n"
        f"{write} WHERE ctid IN ({inner});"
    )


RULE: Final[Rule] = Rule(code="whole-table-write", check=_check)
