"""Values that a check's literals suggest: themselves, their neighbours, and texts of their shape or length.

A check is not understood: the engine says which of them it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from coordinator.adapters.rehearsals._scratch.tokens import Token

_LONGEST_SHAPE: Final = 200
"""A number in a check may be a length, up to here."""
_SHAPES: Final = (
    ("[0-9]", "1"),
    ("[a-z]", "a"),
    ("[A-Z]", "A"),
    ("*", "a"),
    ("?", "a"),
    ("%", "a"),
    ("_", "a"),
)
"""What the wildcards of GLOB and LIKE stand for in a sample."""

_V = TypeVar("_V")


def suggested(tokens: Sequence[Token], row: int) -> Iterator[str | int | float]:
    """Yield values for the row of a number, from the tokens of a check that speaks of their column."""
    if any((token.name or "").startswith("json") for token in tokens):
        yield f'{{"sample": {row}}}'
    for token in tokens:
        yield from _of_literal(token, row)


def likeliest_first(spoken: Iterable[_V], plain: _V, row: int, other: Sequence[_V]) -> list[_V]:
    """Return each value to try for the row of a number once; what checks speak of goes ahead of `other`."""
    told = list(dict.fromkeys(spoken))
    turn = row % len(told) if told else 0
    first = [plain] if not any(isinstance(each, str) for each in told) else []
    return list(dict.fromkeys([*first, *told[turn:], *told[:turn], plain, *other]))


def _of_literal(token: Token, row: int) -> Iterator[str | int | float]:
    if token.kind == "string":
        text = token.text[1:-1].replace("''", "'")
        shape = text
        for wildcard, letter in _SHAPES:
            shape = shape.replace(wildcard, letter)
        yield from (text, shape)
    elif token.kind == "number" and re.fullmatch(r"\d+", token.text):
        number = int(token.text)
        yield from (number + 1, number, number - 1)
        if 0 < number <= _LONGEST_SHAPE:
            yield from (_of_length(each, row) for each in (number, number + 1, number - 1))
    elif token.kind == "number" and re.fullmatch(r"[\d.]+", token.text):
        yield from (float(token.text) + 1, float(token.text), float(token.text) - 1)


def _of_length(length: int, row: int) -> str:
    """Return a text of a length that no other row has, as far as the length allows."""
    return f"{row:x>{length}}"[-length:] if length else ""
