"""Which of the sample values a column has in which row, where the n-th value of a type is the same in each.

All columns of a type take theirs from the same few, so that a foreign key that comes later finds its parents,
and each in another order: were two alike in every row, a migration that exchanges them would change nothing
that is seen.
"""

from __future__ import annotations

from itertools import permutations
from typing import Final

_ORDERS: Final = tuple(permutations((1, 2, 3)))


def turned(number: int, place: int) -> int:
    """Return whose value a column has in the row of a number, from 1; a row beyond the third has its own.

    `place` counts the columns of the table that come before it and have the same values.
    """
    return number if number > len(_ORDERS[0]) else _ORDERS[place % len(_ORDERS)][number - 1]


def text_of(name: str, number: int, place: int) -> str:
    """Return the text of a column in the row of a number; where no order is left, one of its own."""
    return f"sample {turned(number, place)}" if place < len(_ORDERS) else f"{name} {number}"
