"""Queries for rows that a constraint does not bear, on any engine.

An engine's own module reads its catalogue's definitions and hands their parts over as SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.rehearsal_ports import RowQuery

_NOT_NULL: Final = re.compile(r"\bnot null\b")
_QUOTES: Final = "'\"`"


def becomes_not_null(before: str | None, after: str) -> bool:
    """Tell whether a column that was there may have NULL no more."""
    return before is not None and not _NOT_NULL.search(before) and _NOT_NULL.search(after) is not None


def missing(table: str, column: str) -> RowQuery:
    """Return what finds rows without a value."""
    return RowQuery(
        f"rows of {_told(table)} where {_told(column)} is NULL", "*", f"FROM {table} WHERE {column} IS NULL"
    )


def failing(table: str, check: str) -> RowQuery:
    """Return what finds rows for which a check is false; one that is NULL holds."""
    # `\\'` ends a text on one engine and not on another: what has one keeps its parentheses
    while check.startswith("(") and "\\" not in check and f"({inside(check, 0)})" == check:
        check = inside(check, 0)
    return RowQuery(
        f"rows of {_told(table)} for which {_told(check)} is false", "*", f"FROM {table} WHERE NOT ({check})"
    )


def repeated(
    table: str,
    terms: Sequence[str],
    *,
    alike: Sequence[str] | None = None,
    where: str | None = None,
    nulls_are_alike: bool = False,
) -> RowQuery:
    """Return what finds values that more than one row has; rows with NULL count only if those are alike.

    `alike` are expressions that are equal where the terms are, if those themselves are so too often.
    """
    keys = ", ".join(terms)
    conditions = [f"({where})"] if where else []
    conditions += [] if nulls_are_alike else [f"{each} IS NOT NULL" for each in terms]
    source = f"FROM {table} WHERE {' AND '.join(conditions)}" if conditions else f"FROM {table}"
    return RowQuery(
        f"values of {_told(keys)} that several rows of {_told(table)} have",
        f"{keys}, count(*)",
        f"{source} GROUP BY {', '.join(alike or terms)} HAVING count(*) > 1",
    )


def orphaned(table: str, columns: Sequence[str], parent: str, keys: Sequence[str]) -> RowQuery | None:
    """Return what finds rows whose parent is not there; one with NULL has none to have.

    None where the columns were not understood: a name may have any letter in it.
    """
    if len(columns) != len(keys):
        return None
    same = " AND ".join(
        f"parent_row.{key} = child_row.{column}" for key, column in zip(keys, columns, strict=True)
    )
    filled = " AND ".join(f"child_row.{each} IS NOT NULL" for each in columns)
    return RowQuery(
        f"rows of {_told(table)} whose {_told(', '.join(columns))} is in no row of {_told(parent)}",
        "*",
        f"FROM {table} child_row WHERE {filled}"
        f" AND NOT EXISTS (SELECT 1 FROM {parent} parent_row WHERE {same})",
    )


def _told(sql: str) -> str:
    """Return a part of a query for a person."""
    return "`" + sql.removeprefix("ONLY ").replace("`", "") + "`"


def inside(text: str, opening: int) -> str:
    """Return what stands between the parenthesis at a place and the one that closes it; quotes are heeded.

    Where nothing seems to close it, all that is behind it: no engine takes a query of that, so none answers.
    """
    for place, letter, depth in _outside_quotes(text, opening):
        if letter == ")" and depth == 0:
            return text[opening + 1 : place].strip()
    return text[opening + 1 :].strip()


def terms_of(text: str) -> Iterator[str]:
    """Yield the parts of a list between its commas, but for those in parentheses and quotes."""
    began = 0
    for place, letter, depth in _outside_quotes(text):
        if letter == "," and depth == 0:
            yield text[began:place].strip()
            began = place + 1
    yield text[began:].strip()


def _outside_quotes(text: str, begin: int = 0) -> Iterator[tuple[int, str, int]]:
    """Yield each letter with its place, and with how many parentheses are open behind it."""
    depth, quote = 0, ""
    for place in range(begin, len(text)):
        letter = text[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        else:
            depth += (letter == "(") - (letter == ")")
            yield place, letter, depth
