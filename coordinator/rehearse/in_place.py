"""A view in the place of a table: whether it shows the rows that the table had, as they are. Pure.

Which rows a view shows is compared on sample rows. A condition or an expression of columns that the table had
as well may hide others of them, or show other values. One of a column that only the view's table has
(`deleted_at IS NULL`) is about what the other version writes there.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from coordinator.rehearse.bodies import parts_of
from coordinator.rehearse.catalogued import words_of

_PLAIN: Final = re.compile(r"\s*(?:(?:[\w\"`$]+\s*\.\s*)*[\w\"`$]+|(?:[\w\"`$]+\s*\.\s*)?\*)\s*", re.DOTALL)
_LEAVES_OUT: Final = re.compile(
    r"\b(?:DISTINCT|GROUP|HAVING|LIMIT|OFFSET|FETCH|UNION|INTERSECT|EXCEPT)\b"
    r"|(?<!LEFT )(?<!LEFT OUTER )\bJOIN\b",
    re.IGNORECASE,
)
_WHERE: Final = re.compile(r"\bWHERE\b(?P<condition>.*)", re.IGNORECASE | re.DOTALL)


def shows_otherwise(view: str, *, columns: Collection[str]) -> bool:
    """Tell whether a view may show other rows or values than a table with these columns."""
    items, rest = parts_of(view)
    condition = _WHERE.search(rest)
    computed = [each for each in items if not _PLAIN.fullmatch(each)]
    made_of = words_of(" ".join([*computed, condition["condition"] if condition else ""]))
    return (
        not items
        or not made_of.isdisjoint(columns)
        or _LEAVES_OUT.search(" ".join([*items, rest])) is not None
    )
