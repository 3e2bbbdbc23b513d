"""The order of an enum's labels, by which `ORDER BY`, `<` and `max` go, and of a SET's, which are bits. Pure.

Sample rows have few of the labels, so they seldom show that two of them changed places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from coordinator.rehearse.catalogued import Read, bare

Labels = Mapping[tuple[str, str], Sequence[str]]
"""By table and column."""
_OF_MYSQL: Final = re.compile(r"(?:enum|set)\((?P<labels>(?:'(?:[^']|'')*',?)+)\)", re.IGNORECASE)
_NUMBERS: Final = re.compile(
    r"[-+*/%=&|<>,]\s*\d|\bIN\s*\(\s*\d|\b(?:UN)?SIGNED\b|\b(?:SUM|AVG|BIT_\w+)\s*\(|\bWHEN\s+\d",
    re.IGNORECASE,
)
_LESS: Final = re.compile(r"<(?!>)|(?<![<>-])>|\bBETWEEN\b", re.IGNORECASE)
_LABEL: Final = re.compile(r"'((?:[^']|'')*)'")
_ORDERS: Final = re.compile(
    r"\b(?:ORDER\s+BY|MAX|MIN|GREATEST|LEAST|BETWEEN|RANK|OVER)\b|<(?!>)|(?<![<>-])>|[-+*/%=&|]\s*\d",
    re.IGNORECASE,
)


def labels(read: Read) -> Labels:
    """Return those of a schema's columns."""
    enums = _enums(read)
    found: dict[tuple[str, str], Sequence[str]] = {}
    for key, definition in read.things.items():
        if not key.startswith("column "):
            continue
        table, _, column = key.partition(" ")[2].rpartition(".")
        of_mysql = _OF_MYSQL.match(definition)
        mine = _LABEL.findall(of_mysql["labels"]) if of_mysql else enums.get(definition.split(" ")[0])
        if mine:
            found[bare(table), bare(column)] = tuple(mine)
    return found


def _enums(read: Read) -> Mapping[str, Sequence[str]]:
    """Return the labels of PostgreSQL's types, of which each tells the one before it."""
    behind: dict[str, dict[str, str]] = {}
    for key, definition in read.things.items():
        if key.startswith("enum-value "):
            of, _, label = key.removeprefix("enum-value ").partition(".'")
            behind.setdefault(of, {})[definition] = label.removesuffix("'")
    found: dict[str, list[str]] = {}
    for of, following in behind.items():
        found[of], place = [], "first"
        while place in following:
            found[of].append(following[place])
            place = f"after '{found[of][-1]}'"
    return found


def ordered_otherwise(
    own: Labels, here: Labels, *, columns: Mapping[tuple[str, str], object]
) -> list[tuple[str, str]]:
    """Return the columns, which `columns` are here, whose labels have another order than at the own state."""
    return [name for name, mine in sorted(own.items()) if name in columns and _differ(mine, here.get(name))]


def _differ(mine: Sequence[str], theirs: Sequence[str] | None) -> bool:
    """Tell whether two labels changed places; a text goes by its letters."""
    if theirs is None:
        return list(mine) != sorted(mine)
    return [each for each in mine if each in theirs] != [each for each in theirs if each in mine]


def replaced(own: Labels, here: Labels) -> list[tuple[tuple[str, str], str]]:
    """Return the columns that have a label less and another one more, each with the one that is gone."""
    both = [(name, {*own[name]}, {*here[name]}) for name in sorted(own.keys() & here.keys())]
    return [(name, min(mine - theirs)) for name, mine, theirs in both if mine - theirs and theirs - mine]


def moved(
    own: Labels, here: Labels, *, types: Mapping[tuple[str, str], str], text: str
) -> list[tuple[str, str]]:
    """Return the columns that have a label before those that were there, where a text goes by their places.

    MySQL counts them, and compares a label with a text by its letters. PostgreSQL knows which is the smaller
    one, and only what is new here may be a row that the text finds.
    """
    is_counted, is_compared = _NUMBERS.search(text) is not None, _LESS.search(text) is not None
    return [
        name
        for name, mine in sorted(own.items() if is_counted or is_compared else ())
        if (theirs := here.get(name)) is not None
        and (is_counted if _OF_MYSQL.match(types.get(name, "")) else is_compared and not {*theirs} <= {*mine})
        and [*mine[: len(theirs)]] != [*theirs[: len(mine)]]
    ]


def goes_by_order(text: str) -> bool:
    """Tell whether it may matter to a text which of two values is the larger one."""
    return _ORDERS.search(text) is not None
