"""What a table of SQLite says is done where a row breaks a constraint: `UNIQUE (a) ON CONFLICT REPLACE`.

No pragma tells it, so it is read from the text of the CREATE. A CHECK's is none: SQLite reads and ignores it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token

_RULES: Final = {"UNIQUE": "unique", "PRIMARY": "primary key", "NULL": "not null"}
_USUAL: Final = "ABORT"


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


def _items(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Yield what stands between the commas of a CREATE TABLE: its columns and constraints."""
    opening = next((place for place, each in enumerate(tokens) if each.text == "("), len(tokens))
    begin = opening + 1
    for place, each in enumerate(tokens):
        if place > opening and (each.text, each.depth) in ((",", 1), (")", 0)):
            yield tokens[begin:place]
            begin = place + 1
