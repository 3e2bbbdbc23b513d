"""Defaults that lie some time before or behind the present, of whose values no two runs tell the same. Pure.

PostgreSQL's clock goes on, so what differs from run to run is left out of what is compared: that a session
now ends in 30 days and not in 7 shows in no row. A rehearsal's own zone is UTC, in which `localtime` and the
like are the time that they are not elsewhere. The default says so itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from coordinator.rehearse.catalogued import Read, bare

_SHIFTED: Final = re.compile(
    r"\bdefault (.*(?:::interval\b|\bat time zone\b|\b(?:timezone|date_trunc)\(|\butc_\w+"
    r"|'(?:localtime|utc)').*)",
    re.IGNORECASE | re.DOTALL,
)

Shifts = Mapping[tuple[str, str], str]
"""By table and column, the default that is computed with an interval or a zone."""


def shifts(read: Read) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield those of a schema."""
    for key, definition in read.things.items():
        found = _SHIFTED.search(definition) if key.startswith("column ") else None
        if found is not None:
            table, _, column = key.partition(" ")[2].rpartition(".")
            yield (bare(table), bare(column)), found[1]


def shifted(
    ours: Shifts, theirs: Shifts, *, tables: frozenset[str], columns: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Yield the columns of `tables`, each with its table, of which such a default is not the same at both."""
    for table, column in sorted(ours.keys() | theirs.keys()):
        if table in tables and column in columns and ours.get((table, column)) != theirs.get((table, column)):
            yield table, column
