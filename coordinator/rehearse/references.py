"""Foreign keys: what they refer to, and when they are asked, as a schema's catalogue writes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from coordinator.rehearse.catalogued import FOREIGN_KEY, PARENT, Read, bare, words_of

_DEFERRABLE: Final = re.compile(r"(?<!NOT )DEFERRABLE(?P<is_deferred> INITIALLY DEFERRED)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key, without its name."""

    table: str
    columns: frozenset[str]
    parent: str
    keys: frozenset[str]
    """The parent's columns that it refers to."""
    patience: int
    """0 where each statement is asked, 1 where a transaction may put it off, 2 where it does."""


def references(read: Read) -> Iterator[Reference]:
    """Yield those of a schema."""
    for key, definition in read.things.items():
        parent = PARENT.search(definition)
        columns = FOREIGN_KEY.search(f"{key} {definition}")
        if parent is None or columns is None or not key.startswith("constraint "):
            continue
        deferrable = _DEFERRABLE.search(definition)
        yield Reference(
            bare(read.table_of(key.partition(" ")[2], definition)),
            words_of(columns["columns"]),
            bare(parent["parent"]),
            words_of(parent["keys"]),
            patience=0 if deferrable is None else 2 if deferrable["is_deferred"] else 1,
        )
