"""Columns of SQLite's STRICT tables, which refuse what is not of their type. Pure.

Any other column takes whatever it gets. What a client sends for it nobody knows, and sample values are of the
declared type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.rehearse.catalogued import Constraint, Read, bare

_TAKES_ITS_TYPE_ALONE: Final = re.compile(r"any\b|integer\b.*\bprimary key\b")
"""That of any type takes all, and the key that is the row's number never took anything else."""


def strict_columns(read: Read) -> Iterator[Constraint]:
    """Yield what such tables ask of the values of each column."""
    strict = {
        key.removeprefix("table ") for key, text in read.things.items() if text.startswith("table strict")
    }
    for key, definition in read.things.items() if strict else ():
        table, _, column = key.removeprefix("column ").rpartition(".")
        if key.startswith("column ") and table in strict and not _TAKES_ITS_TYPE_ALONE.match(definition):
            text = f"STRICT {column} {definition.split(' ')[0]}"
            yield Constraint(bare(table), text, is_unique=False, keys=None, words=frozenset({column.lower()}))
