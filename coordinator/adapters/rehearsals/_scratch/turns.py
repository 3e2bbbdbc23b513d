"""Which of the sample values a column has in which row, where the n-th value of a type is the same in each.

All columns of a type take theirs from the same few, so that a foreign key that comes later finds its parents,
and each in another order: were two alike in every row, a migration that exchanges them would change nothing
that is seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Final, TypeVar

from coordinator.rehearsal_ports import Texts

_ORDERS: Final = tuple(permutations((1, 2, 3)))
_BIT: Final = re.compile(r"[bB]'([01])'")
_WORDS: Final = {"true": "1", "false": "0"}

_V = TypeVar("_V")


def turned(number: int, place: int) -> int:
    """Return whose value a column has in the row of a number, from 1; a row beyond the third has its own.

    `place` counts the columns of the table that come before it and have the same values.
    """
    return number if number > len(_ORDERS[0]) else _ORDERS[place % len(_ORDERS)][number - 1]


def text_of(name: str, number: int, place: int, texts: Texts = Texts.WORDS) -> str:
    """Return the text of a column in the row of a number; where no order is left, one of its own.

    One begins with a capital: what makes small letters of a text is seen by that, and finds the others. A
    number has two digits: so it is hexadecimal too.
    """
    has_order = place < len(_ORDERS)
    row = turned(number, place) if has_order else number
    if texts is Texts.NUMBERS:
        return str(10 + (row if has_order else number * 10 + place))
    if texts is Texts.DOCUMENTS:
        return document_of(row, Texts.WORDS)
    return f"{'Sample' if row == 1 else 'sample'} {row}" if has_order else f"{name} {number}"


def document_of(row: int, texts: Texts) -> str:
    """Return what a column of JSON has."""
    document = f'{{"sample": {row}}}'
    return f"[{document}]" if texts is Texts.NUMBERS else document


def place_of(column: _V, columns: Sequence[_V], begins: Callable[[_V], object]) -> int:
    """Return how many columns before one have the same values, of which `begins` tells the first."""
    before = columns[: columns.index(column)]
    return [begins(each) for each in before].count(begins(column))


def one_of_few(few: Sequence[_V], number: int, place: int, default: str | None) -> _V:
    """Return which of a type's few values (a flag, an enum's labels) a column has in the row of a number.

    The first row has the first everywhere (`WHERE active AND confirmed`), the second another one than that or
    the default, and two flags differ in the third. `default` is the column's, as its catalogue writes it.
    """
    if number % 2 == 0:
        few = [each for each in few if not _is_default(default, each)] or few
    if len(few) <= len(("first", "other")):
        place = place if number == len(_ORDERS[0]) else 0
        return few[(number - 1 + place) % len(few)]
    return few[(turned(number, place) - 1) % len(few)]


def _is_default(default: str | None, value: object) -> bool:
    plain = (default or "").strip("()")
    bit = _BIT.fullmatch(plain)
    text = bit[1] if bit else plain.strip("'")
    return _WORDS.get(text.lower(), text) == str(value)
