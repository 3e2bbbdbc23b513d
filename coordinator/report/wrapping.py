"""Long lines for a terminal or a pipe: broken at words, and never inside a name that somebody may copy."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

WIDTH: Final = 96
"""Columns where nobody knows how wide the reader's window is: a pipe, a file, a log."""


_SENTENCES: Final = re.compile(r"(?<=\.) (?=[A-Z`])")
_ITEMS: Final = re.compile(r"[:,] (?=line \d+ \(|and \d+ more, up to line )")
"""Where the statements begin that halfway.named lists."""
_DEEPER: Final = "    "


def folded(text: str, width: int) -> Iterator[str]:
    """Yield a message as lines of a window: where it is too long for one, each sentence begins one.

    The items of a list stand below what they are of. A width of 0 is no window: a log has a line a message.
    """
    for line in text.split("\n"):
        if not width or columns_of(line) <= width:
            yield line
            continue
        deeper = line[: len(line) - len(line.lstrip())] + _DEEPER
        for number, sentence in enumerate(_SENTENCES.split(line)):
            head, *items = _ITEMS.split(sentence)
            yield from wrapped(
                f"{head}{':' if items else ''}", width, first=deeper if number else "", then=deeper
            )
            for item in items:
                yield from wrapped(item, width, first=f"{deeper}- ", then=f"{deeper}  ")


def wrapped(text: str, width: int, *, first: str = "", then: str = "") -> Iterator[str]:
    """Yield a text's lines of at most `width` columns; `first` and `then` begin the first and the others."""
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def aligned(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines, each column as wide as its widest cell."""
    table = list(rows)
    widths = [max(map(columns_of, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: those of East Asia and emoji take two."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):  # stands on the one before it, or is not seen
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut_to(text: str, columns: int) -> str:
    """Return as much of a text as fits; what was cut off is marked."""
    if columns_of(text) <= columns:
        return text
    while columns_of(text) >= columns:
        text = text[:-1]
    return f"{text}…"


def padded(text: str, columns: int) -> str:
    """Return a text with blanks behind it up to so many columns."""
    return text + " " * (columns - columns_of(text))


def shortened(text: str, columns: int) -> str:
    """Return a text in one line of at most `columns` characters; what was cut off is marked."""
    line = " ".join(text.split())
    return line if len(line) <= columns else line[: columns - 1].rstrip() + "…"
