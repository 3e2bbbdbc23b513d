"""What a SQLite table does with a row that breaks a constraint (`UNIQUE (a) ON CONFLICT REPLACE`), and when.

No pragma tells it, so it is read from the text of the CREATE. A CHECK's is none: SQLite reads and ignores it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token

_RULES: Final = {"UNIQUE": "unique", "PRIMARY": "primary key", "NULL": "not null"}
_USUAL: Final = "ABORT"
_DEFERRED: Final = "DEFERRABLE INITIALLY DEFERRED"


def conflicts_of(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """Yield by the constraint, with its columns, what is done: `replace`, `ignore`, `fail`, `rollback`."""
    for item in _items(tokens):
        top = [place for place, each in enumerate(item) if each.depth == 1]
        for place in top:
            if [each.keyword for each in item[place : place + 2]] != ["ON", "CONFLICT"]:
                continue
            before = [at for at in top if at < place and item[at].keyword in _RULES]
            does = item[place + 2].keyword
            if not before or does == _USUAL:
                continue
            inside = [each.name for each in item[before[-1] : place] if each.depth > 1 and each.name]
            columns = inside or [item[0].name or ""]
            yield f"{_RULES[item[before[-1]].keyword]} ({', '.join(columns)})", does.lower()


def deferred_of(tokens: Sequence[Token]) -> Iterator[frozenset[str]]:
    """Yield the columns of each foreign key that is asked when a transaction ends (INITIALLY DEFERRED)."""
    for item in _items(tokens):
        words = [each.keyword for each in item if each.depth == 1]
        if _DEFERRED in " ".join(words) and f"NOT {_DEFERRED}" not in " ".join(words):
            place = next((at for at, each in enumerate(item) if each.keyword == "FOREIGN"), None)
            inside = takewhile(lambda each: each.text != ")", item[place:] if place is not None else ())
            named = [each.name for each in inside if each.depth > 1 and each.name]
            yield frozenset(named or [item[0].name or ""])


def _items(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Yield what stands between the commas of a CREATE TABLE: its columns and constraints."""
    opening = next((place for place, each in enumerate(tokens) if each.text == "("), len(tokens))
    begin = opening + 1
    for place, each in enumerate(tokens):
        if place > opening and (each.text, each.depth) in ((",", 1), (")", 0)):
            yield tokens[begin:place]
            begin = place + 1
