"""HTML that cannot be broken by what it shows: text is escaped where it is put in, and nowhere else. Pure.

Queries, migrations and the engine's messages are other people's text. The type tells what is markup already:
a `str` never gets into a page unescaped, and nobody has to remember to do it. Control characters, and those
that turn the direction of writing, are shown by their number: else a text could show itself as another one.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Final

_VOID: Final = frozenset({"meta"})
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs"})
"""Unicode's categories of control, format and surrogate characters."""


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that may stand in a page as it is."""

    text: str


Child = Html | str


def element(tag: str, /, *children: Child, **attributes: str) -> Html:
    """Return an element; `class_` is `class`, and other underscores are hyphens (`aria_label`)."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"' for key, value in attributes.items()
    )
    if tag in _VOID:
        return Html(f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{joined(*children).text}</{tag}>")


def joined(*children: Child) -> Html:
    """Return several pieces as one; a string is text."""
    return Html("".join(each.text if isinstance(each, Html) else _escaped(each) for each in children))


def sentence(text: str) -> Html:
    """Return text with what stands between backticks as code; a backtick without a second one stays."""
    *pairs, last = text.split("`")
    pieces = [*pairs, last] if len(pairs) % 2 == 0 else [*pairs[:-1], f"{pairs[-1]}`{last}"]
    return joined(*(element("code", each) if at % 2 else each for at, each in enumerate(pieces)))


def details(summary: Child, *children: Child, is_open: bool = False) -> Html:
    """Return what a click unfolds."""
    attribute = {"open": ""} if is_open else {}
    return element("details", element("summary", summary), *children, **attribute)


@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_visible, text))
    return escape(text, quote=True)


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _HIDDEN:
        return character
    return f"\\u{ord(character):04x}"
