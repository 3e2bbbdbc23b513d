"""Triggers that give a column of the new row a value: what a client sent for it may not stay. Pure.

What they make of sample values is compared. One that makes small letters of large ones, or does so under a
condition, may change none of them, and changes the client's: it says so itself, by `NEW.name := …`. One that
gives a value where there is none (`NEW.name IS NULL`, `coalesce(NEW.name, …)`) leaves what was sent alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coordinator.rehearse.catalogued import ANY, TRIGGER, Read, bare, called, words_of

_GIVEN = re.compile(r"\bNEW\.([\w\"`]+)\s*:?=(?!=)|\bINTO\s+NEW\.([\w\"`]+)", re.IGNORECASE)
_IF_NULL = re.compile(
    r"\bNEW\.([\w\"`]+)\s+IS\s+NULL|\b(?:COALESCE|IFNULL)\s*\(\s*NEW\.([\w\"`]+)", re.IGNORECASE
)
_COMPARED = re.compile(r"\b(?:IF|ELSIF|ELSEIF|AND|OR|WHEN|NOT)\s+\(*\s*NEW\.[\w\"`]+\s*=", re.IGNORECASE)
"""Where `=` asks and gives nothing."""


@dataclass(frozen=True, slots=True)
class Giver:
    """A trigger, without its name, with what it calls."""

    table: str
    text: str
    columns: frozenset[str]
    """Those of the new row that it gives a value."""
    replaced: frozenset[str]
    """Those of them of which it does not ask whether they are NULL."""
    events: frozenset[str]


def givers(read: Read) -> Iterator[Giver]:
    """Yield those of a schema."""
    for key, definition in read.things.items():
        head = TRIGGER.match(definition) if key.startswith("trigger ") else None
        if head is None:
            continue
        text = " ".join([head["when"], definition[head.end() :], *called(definition, read.functions)])
        if columns := _named(_GIVEN, _COMPARED.sub(" ", text)):
            table = bare(read.table_of(key.partition(" ")[2], definition))
            yield Giver(table, text, columns, columns - _named(_IF_NULL, text), words_of(head["when"]))


def _named(pattern: re.Pattern[str], text: str) -> frozenset[str]:
    return words_of(" ".join(one or other for one, other in pattern.findall(text)))


def replacing(lone_ones: Iterable[Giver], *, columns: frozenset[str], events: frozenset[str]) -> str | None:
    """Return a column, with its table, of which a trigger of one state alone replaces what a client sends."""
    for each in lone_ones:
        found = columns & each.replaced
        if found and not (events | ANY).isdisjoint(each.events):
            return f"{each.table}.{min(found)}"
    return None
