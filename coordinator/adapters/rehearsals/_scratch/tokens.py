"""A query's tokens, as far as a question to the engine has to be rewritten before it is put.

What a text means is never read from them; they say only where a word or a parameter stands. Each engine reads
its texts with a pattern of its own (`_sqlite/tokens.py`, `_mysql/tokens.py`), whose groups name the kinds.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_WRITES: Final = ("INSERT", "REPLACE", "UPDATE", "DELETE")
_BEFORE_TARGET: Final = (
    "OR", "INTO", "FROM", "ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE",
    "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One token that is neither blank nor comment; `depth` counts the parentheses around it."""

    kind: str
    text: str
    start: int
    depth: int

    @property
    def end(self) -> int:
        """Return the offset behind it."""
        return self.start + len(self.text)

    @property
    def keyword(self) -> str:
        """Return a bare word in capitals, any other token as it stands."""
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def name(self) -> str | None:
        """Return the name that it is, without its quotes and in lower case; None if it can be none."""
        if self.kind == "word":
            return self.text.lower()
        if self.kind in ("quoted", "bracketed"):
            return unquoted(self.text).lower()
        return None


@lru_cache(maxsize=4_096)  # a query's text is read at each state, with each set of values
def read(pattern: re.Pattern[str], text: str) -> tuple[Token, ...]:
    """Return the tokens of a text by a pattern whose group `blank` is none of them."""
    found: list[Token] = []
    depth = 0
    for match in pattern.finditer(text):
        kind = match.lastgroup or ""
        if kind == "blank":
            continue
        depth -= match[0] == ")"
        found.append(Token(kind, match[0], match.start(), depth))
        depth += match[0] == "("
    return tuple(found)


def unquoted(name: str) -> str:
    """Return a quoted name's letters."""
    close = {"[": "]"}.get(name[0], name[0])
    return name[1:-1] if close == "]" else name[1:-1].replace(close * 2, close)


def quoted(name: str) -> str:
    """Return a name for SQL, in the one form that neither SQLite nor MySQL ever takes for text."""
    return "`" + name.replace("`", "``") + "`"


def replaced(text: str, tokens: Iterable[tuple[Token, str]]) -> str:
    """Return the text with each of some tokens, given in their order, replaced."""
    parts: list[str] = []
    position = 0
    for token, new in tokens:
        parts += [text[position : token.start], new]
        position = token.end
    return "".join([*parts, text[position:]])


def without_parameters(text: str, tokens: Sequence[Token]) -> str:
    """Return the text with NULL for each of its parameters."""
    return replaced(text, ((token, "NULL") for token in tokens if token.kind == "parameter"))


def aliases(tokens: Sequence[Token], tables: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield what a statement may call its tables: the word behind a table's name, without AS."""
    for at, token in enumerate(tokens):
        behind = [each for each in tokens[at + 1 : at + 3] if each.keyword != "AS"]
        if token.name is not None and token.name in tables and behind and behind[0].name is not None:
            yield behind[0].name, token.name


# -- statements that write ------------------------------------------------------------------------------


def select_of(text: str, tokens: Sequence[Token]) -> str:
    """Return a query without parameters that has a text's columns; for RETURNING, a SELECT on its table."""
    place = _returning(tokens)
    if place is None:
        return without_parameters(text, tokens)
    tail = tokens[place].end
    after = [token for token in tokens if token.start >= tail and token.kind == "parameter"]
    return f"SELECT {replaced(text, ((token, 'NULL') for token in after))[tail:]} FROM {target_of(tokens)}"


def has_returning(tokens: Sequence[Token]) -> bool:
    """Tell whether a statement that writes has a RETURNING."""
    return _returning(tokens) is not None


def _returning(tokens: Sequence[Token]) -> int | None:
    """Return the place of the RETURNING of a statement that writes; a SELECT may use the word as a name."""
    top = [place for place, token in enumerate(tokens) if token.depth == 0]
    if not any(tokens[place].keyword in _WRITES for place in top):
        return None
    return next((place for place in reversed(top) if tokens[place].keyword == "RETURNING"), None)


def target_of(tokens: Sequence[Token]) -> str:
    """Return the table that a statement writes, with its alias, as it stands in the text."""
    top = [token for token in tokens if token.depth == 0]
    verb = next(at for at, each in enumerate(top) if each.keyword in _WRITES)
    rest = top[verb + 1 :]
    while rest and rest[0].keyword in _BEFORE_TARGET:
        rest = rest[1:]
    kept = [each.text for each in rest[:1]]
    rest = rest[1:]
    if rest and rest[0].text == ".":
        kept += [each.text for each in rest[:2]]
        rest = rest[2:]
    if rest and rest[0].keyword == "AS":
        kept += [" AS ", *(each.text for each in rest[1:2])]
    return "".join(kept)
