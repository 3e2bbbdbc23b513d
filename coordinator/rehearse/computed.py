"""Generated columns and indexes of expressions that cannot be computed of each value. Pure.

Three sample rows seldom have the one number that makes a divisor 0, or a text that is no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coordinator.rehearse.catalogued import SQLITE, Constraint, Read, asking, words_of

_EXPRESSION = re.compile(
    r"generated always as (?P<column>.*) stored|INDEX \S+ ON (?:ONLY )?\S+ (?:USING \w+ )?(?P<index>\(.*)"
)
_STORED_IN_MYSQL = re.compile(r"\bas (?P<column>\(.*\)) (?:stored|persistent) generated\b", re.IGNORECASE)
_MAY_FAIL = re.compile(
    r"[/%](?! *(?:\d*[1-9]\d*\b|nullif\())|\b(?:div|mod)\b"
    r"|\b(?:sqrt|ln|log\d*|power|decode|chr|convert_from)\(",
    re.IGNORECASE,
)
"""What cannot be computed of each number: a division by 0, a root of -1."""
_CAST = re.compile(r"(?:\((?P<of>\w+)\)|\))::(?!text\b|character|bpchar\b|jsonb?\b)")
"""Of a column or an expression, not of a literal, and to a type that has no place for some texts."""
_NO_NUMBERS = ("text", "character", "json")


def expressions(read: Read) -> Iterator[Constraint]:
    """Yield the generated columns and indexes that cannot be computed of each number.

    Those of PostgreSQL as well that turn texts into what not each text is. SQLite computes NULL instead.
    """
    for key, definition in read.things.items():
        kind, _, name = key.partition(" ")
        if kind not in ("column", "index"):
            continue
        found = _EXPRESSION.search(definition) or _STORED_IN_MYSQL.search(definition)
        table = read.table_of(name, definition) if found else ""
        if found is None or table.startswith(SQLITE):
            continue
        text = next(filter(None, found.groups()))
        types = [read.things.get(f"column {table}.{cast['of']}", "") for cast in _CAST.finditer(text)]
        if _MAY_FAIL.search(text) or any(not each or each.startswith(_NO_NUMBERS) for each in types):
            yield asking(table, f"{kind} {text}", words_of(text))
