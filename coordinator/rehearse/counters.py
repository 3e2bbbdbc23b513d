"""Sequences and columns that count: which numbers they give, and which columns get them. Pure.

A run on sample rows draws the first few numbers. That there are fewer of them at a state, or that they come
again (`CYCLE`), is met years later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from coordinator.rehearse.catalogued import Read, bare

_SEQUENCE: Final = re.compile(
    r"\S+ start -?\d+ increment (?P<step>-?\d+) min (?P<least>-?\d+) max (?P<most>-?\d+)"
    r" cache \d+(?P<cycle> cycle)?"
)
_COUNTS: Final = re.compile(
    r"\bdefault nextval\('(?P<sequence>[^']+)'"
    r"|\bauto_increment\b|\bgenerated (?:always|by default) as identity\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a sequence gives."""

    step: int
    least: int
    most: int
    comes_again: bool

    def gives_less_than(self, other: Numbers) -> bool:
        """Tell whether it ends sooner, may give a number twice, or takes smaller steps."""
        return (
            self.least > other.least
            or self.most < other.most
            or abs(self.step) < abs(other.step)
            or (self.comes_again and not other.comes_again)
        )


def sequences(read: Read) -> Iterator[tuple[str, Numbers]]:
    """Yield those of a schema, where their catalogue tells the numbers."""
    for key, definition in read.things.items():
        found = _SEQUENCE.match(definition) if key.startswith("sequence ") else None
        if found is not None:
            numbers = Numbers(
                int(found["step"]), int(found["least"]), int(found["most"]), bool(found["cycle"])
            )
            yield key.removeprefix("sequence "), numbers


def counted(read: Read) -> Mapping[tuple[str, str], str]:
    """Return by table and column the sequence that gives its value; an identity's has the usual name."""
    found: dict[tuple[str, str], str] = {}
    for key, definition in read.things.items():
        counts = _COUNTS.search(definition) if key.startswith("column ") else None
        if counts is not None:
            table, _, column = key.partition(" ")[2].rpartition(".")
            usual = f"{table}_{column}_seq".replace('"', "")
            found[bare(table), bare(column)] = counts["sequence"] or usual
    return found


def never_again(read: Read) -> frozenset[tuple[str, str]]:
    """Return SQLite's keys, each with its table, that do not get the number of a row that is gone again."""
    names = (
        key.partition(" ")[2].rpartition(".")
        for key, definition in read.things.items()
        if key.startswith("column ") and definition.endswith(" autoincrement")
    )
    return frozenset((bare(table), bare(column)) for table, _, column in names)
