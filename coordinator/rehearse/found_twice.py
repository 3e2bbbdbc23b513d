"""Lookups by what is unique where a version was made, and is not any more: they may find two rows. Pure.

No two sample rows are alike there. `UNIQUE (email)` that becomes `UNIQUE (tenant, email)` lets another
version write a second row, which `WHERE email = $1` finds, changes or deletes along with the one it meant.
A next version that is there before its UNIQUE finds the rows that it will have then, unless the release
takes some away: nobody else writes two that would stop it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.pair import Pair
from coordinator.rehearse.schema import Schema
from coordinator.wanted import tables_by_name

_FOUND_TWICE: Final = (
    "`{table}` may have several rows of one `{columns}` here, and could not where the version was made:"
    " whether the version counts on finding one is not known"
)
_ALIKE: Final = re.compile(r"(?<![<>!])=(?!=)|\bIN\b", re.IGNORECASE)
_SET: Final = re.compile(r"\bSET\b.*?(?=\bWHERE\b|$)", re.IGNORECASE | re.DOTALL)
_JOIN: Final = re.compile(r"\bJOIN\b", re.IGNORECASE)
"""Behind it another table's column may have the name that is compared."""
_NAME: Final = re.compile(r"[\w\"`]+(?:\s*\.\s*[\w\"`]+)*")
_CODE: Final = r"(?:(?!\bEXISTS\b)[^()']|'[^']*')"
# The innermost first: what it leaves may be asked for its existence alone as well.
_EXISTS: Final = re.compile(rf"\bEXISTS\s*\((?P<asked>(?:{_CODE}|\({_CODE}*+\))*+)\)", re.IGNORECASE)
_COUNTS: Final = re.compile(r"\b(?:GROUP|HAVING|OFFSET)\b|\bSELECT\b.*\bSELECT\b", re.IGNORECASE | re.DOTALL)
"""What may tell one row from two also where only their existence is asked for."""


def found_twice(pair: Pair) -> str | None:
    """Return whose rows a text looks up one by one, where there may be two; None if there are none."""
    before, now = pair.own.schema, pair.here.schema
    if before.uniques == now.uniques:
        return None
    text = _SET.sub(" ", pair.text)
    found = words_of(_without_existence(text))
    compared = _compared(text)
    is_alone = len(set(tables_by_name(text).values())) == 1
    for each in sorted(before.uniques - now.uniques, key=lambda one: one.text):
        table, columns = each.table, each.key_columns
        alike = {column for of, column in compared if of in (None, table)}
        is_looked_up = table in found and columns <= alike
        is_there = all((table, column) in now.columns for column in columns)
        certain = {column for of, column in compared if of == table or is_alone}
        is_one = _JOIN.search(text) is None and _finds_one(now, table, certain & alike)
        if is_looked_up and is_there and not is_one:
            return _FOUND_TWICE.format(table=table, columns=", ".join(sorted(columns)))
    return None


def _without_existence(text: str) -> str:
    """Return a text without what it asks only the existence of: there, two rows are as good as one."""

    def asked(found: re.Match[str]) -> str:
        return found[0] if _COUNTS.search(found["asked"]) else " TRUE "

    while (shorter := _EXISTS.sub(asked, text)) != text:
        text = shorter
    return text


def _finds_one(schema: Schema, table: str, alike: Collection[str]) -> bool:
    """Tell whether a row is still known by what it is compared with; that of a view by its table's."""
    tables = words_of(schema.views[table]) if table in schema.views else {table}
    return any(one.table in tables and one.key_columns <= {*alike} for one in schema.uniques)


def _compared(text: str) -> frozenset[tuple[str | None, str]]:
    """Return the names on either side of an `=` or before an `IN`, each with its table if that is told."""
    tables = tables_by_name(text)
    found = set()
    for each in _ALIKE.finditer(text):
        before = _NAME.findall(text[: each.start()])[-1:]
        behind = _NAME.findall(text[each.end() :].lstrip().partition(" ")[0])[-1:]
        for name in before + behind:
            owner, _, column = name.rpartition(".")
            found.add((tables.get(bare(owner)) if owner else None, bare(column)))
    return frozenset(found)
