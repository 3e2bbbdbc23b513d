"""Triggers and rules, with what they call, where a query was not seen to set one off. Pure.

What they do beside a write is compared by the numbers of rows. A write that finds no sample row (`WHERE
status = 'open'`) sets off none, or none that does something for what a sample has, so that one which is gone,
or does something else, does not show. What a channel is told (`NOTIFY`) shows nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.rehearse.catalogued import TRIGGER, Read, bare, called, words_of

_RULE = re.compile(r"CREATE RULE \S+ AS\s+ON (?P<when>\w+) TO \S+", re.DOTALL)
_WRITES = re.compile(
    r"\b(?:INTO|UPDATE|DELETE FROM)\s+(?!SET\b|OF\b|ON\b)(?P<table>[\w\"`.]+)", re.IGNORECASE
)
_TELLS = re.compile(r"\b(?:pg_notify|NOTIFY)\b", re.IGNORECASE)
_INSTEAD = re.compile(r"\bWHERE\b.*\bDO\s+INSTEAD\b", re.IGNORECASE | re.DOTALL)
_HEADS = {"trigger": TRIGGER, "rule": _RULE}


@dataclass(frozen=True, slots=True)
class Acting:
    """A trigger or a rule, without its name."""

    table: str
    text: str
    body: str
    """The text without when it runs."""
    events: frozenset[str]
    tells: bool
    """It tells a channel."""
    writes_others: bool
    """It writes rows of other tables."""
    acts_instead: bool
    """It does something in the place of a write, under a condition."""


def acting(read: Read) -> Iterator[Acting]:
    """Yield those of a schema."""
    for key, definition in read.things.items():
        kind, _, name = key.partition(" ")
        head = _HEADS[kind].match(definition) if kind in _HEADS else None
        if head is not None:
            body = "; ".join([definition[head.end() :], *called(definition, read.functions)])
            text = f"{head['when']} {body}"
            table = bare(read.table_of(name, definition))
            others = {bare(each["table"]) for each in _WRITES.finditer(text)} & _tables(read) - {table}
            yield Acting(
                table,
                text,
                body,
                words_of(head["when"]),
                tells=_TELLS.search(text) is not None,
                writes_others=bool(others),
                acts_instead=kind == "rule" and _INSTEAD.search(text) is not None,
            )


def _tables(read: Read) -> frozenset[str]:
    return frozenset(map(bare, read.tables))
