"""What an ALTER TABLE says of its own ALGORITHM and LOCK, and where these words mean nothing.

Measured on MariaDB 10.11, with rows written meanwhile: it accepts `ALGORITHM=INSTANT` and copies the table
while writers wait, where the storage engine changes, where rows are ordered, and where keys are switched off
or on together with another change. MySQL refuses there what it does not do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.adapters.rehearsals._scratch.tokens import Token

_VALUES: Final = {
    "ALGORITHM": frozenset({"DEFAULT", "INSTANT", "NOCOPY", "INPLACE", "COPY"}),
    "LOCK": frozenset({"DEFAULT", "NONE", "SHARED", "EXCLUSIVE"}),
}
_SWITCHES_KEYS: Final = frozenset({("DISABLE", "KEYS"), ("ENABLE", "KEYS")})


@dataclass(frozen=True, slots=True)
class Stated:
    """The ALGORITHM and the LOCK that a statement names itself."""

    algorithm: str = "DEFAULT"
    lock: str = "DEFAULT"


def stated(text: str) -> Stated:
    """Read what a statement names; a column may have one of these words for its name."""
    tokens = [token for token in _outside(text) if token.text != "="]
    found = {
        token.keyword: behind.keyword
        for token, behind in pairwise(tokens)
        if behind.keyword in _VALUES.get(token.keyword, ())
    }
    return Stated(found.get("ALGORITHM", "DEFAULT"), found.get("LOCK", "DEFAULT"))


def takes_no_words_behind(text: str) -> bool:
    """Tell whether a word behind a comma would be one more column to order the rows by."""
    return _orders_rows([token.keyword for token in _outside(text)])


def copies_whatever_is_said(text: str, table: str) -> bool:
    """Tell whether MariaDB copies a table, described as in the catalogue, though it accepts INSTANT."""
    tokens = _outside(text)
    words = [token.keyword for token in tokens]
    if _orders_rows(words):
        return True
    if not _SWITCHES_KEYS.isdisjoint(pairwise(words)) and "," in words:
        return True
    now = table.partition(" ")[0].lower()
    named = [token for token in tokens if token.text != "="]
    return any(
        token.keyword == "ENGINE" and behind.name is not None and behind.name != now
        for token, behind in pairwise(named)
    )


def _orders_rows(words: list[str]) -> bool:
    return ("ORDER", "BY") in pairwise(words)


def _outside(text: str) -> list[Token]:
    return [token for token in tokens_of(text) if token.depth == 0]
