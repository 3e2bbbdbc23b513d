"""Columns that may be NULL at a state and could not be where a version was made, as reads meet it. Pure.

`id NOT IN (SELECT item FROM t)` finds nothing at all as soon as one `item` is NULL, and a client that was
made for no NULL may fail where it gets one. Sample rows were made where there was none.
"""

from __future__ import annotations

import re
from typing import Final

from coordinator.rehearse.catalogued import ANY, Read, bare, words_of

_NEVER: Final = re.compile(r"\bnot null\b|^integer primary key\b", re.IGNORECASE)
_IS_NOT_NULL: Final = re.compile(r"([\w\"`]+)\s+IS\s+NOT\s+NULL\b", re.IGNORECASE)
_SUBQUERY: Final = re.compile(
    r"(?:\bIN|(?:<>|!=)\s*ALL)\s*\(\s*SELECT\b(?P<shown>.*?)\bFROM\b", re.IGNORECASE | re.DOTALL
)
_SHOWN: Final = re.compile(
    r"\bSELECT\b(?:\s+(?:ALL|DISTINCT)\b)?(?P<first>.*?)\bFROM\b|\bRETURNING\b(?P<second>.*)",
    re.IGNORECASE | re.DOTALL,
)
_ALL: Final = re.compile(r"(?:^|,|\.)\s*\*")
_MINDS: Final = re.compile(
    r"\b(?:COALESCE|IFNULL|NULLIF|COUNT)\b|\bIS\s+(?:NOT\s+)?NULL\b|<=>", re.IGNORECASE
)
"""What gives no NULL where its column is NULL, or was written with one in mind."""
_DENIES: Final = re.compile(r"\bNOT\b|(?:<>|!=)\s*ALL\b", re.IGNORECASE)


def never_null(read: Read) -> frozenset[tuple[str, str]]:
    """Return the columns, each with its table, in which no row has NULL, whatever schema it is of."""
    found: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    for key, definition in read.things.items():
        if key.startswith("column "):
            table, _, column = key.partition(" ")[2].rpartition(".")
            found[_NEVER.search(definition) is not None].add((bare(table), bare(column)))
    return frozenset(found[True] - found[False])


def denied_by(text: str) -> frozenset[str]:
    """Return the words among which the columns are whose NULL makes a text find nothing."""
    asked = words_of(" ".join(_IS_NOT_NULL.findall(text)))
    rest = _IS_NOT_NULL.sub(" ", text)
    if not _DENIES.search(rest):
        return frozenset()
    return words_of(" ".join(each["shown"] for each in _SUBQUERY.finditer(rest))) - asked


def shown_by(text: str) -> frozenset[str]:
    """Return the words among which the columns are that a text's result shows; `*` for all of them."""
    found = _SHOWN.search(text)
    shown = (found["first"] or found["second"] or "") if found else ""
    if _MINDS.search(shown):
        return frozenset()
    return words_of(shown) | (ANY if _ALL.search(shown) else frozenset())
