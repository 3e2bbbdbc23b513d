"""How a query finds its rows, by EXPLAIN QUERY PLAN (sqlite.org/eqp.html).

SQLite plans without counting rows where nobody ran ANALYZE, so that it scans where no index serves.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token, aliases
from coordinator.adapters.rehearsals._sqlite.asking import count_of
from coordinator.adapters.rehearsals._sqlite.connection import REFUSALS, limited
from coordinator.adapters.rehearsals._sqlite.schema import SCHEMA
from coordinator.adapters.rehearsals._sqlite.tokens import numbered, parameters_of, tokens_of
from coordinator.rehearsal_ports import Lookup

_READ: Final = re.compile(r"(?P<how>SCAN|SEARCH) (?P<name>\S+)(?P<using> USING (?!AUTOMATIC)\S.*)?")
"""An automatic index is built anew, from all rows, by each statement."""


def look_up(connection: sqlite3.Connection, text: str, tables: frozenset[str]) -> Lookup | None:
    """Return how a text finds its rows in those `tables`, in lower case; None where SQLite does not say."""
    tokens = tokens_of(text)
    parameters = parameters_of(tokens)
    try:
        with limited(connection):
            plan = connection.execute(
                f"EXPLAIN QUERY PLAN {numbered(text, parameters)}", (None,) * count_of(parameters)
            ).fetchall()
    except REFUSALS:
        return None
    return Lookup.of(_reads([str(row[3]) for row in plan], tokens, tables))


def _reads(
    details: Sequence[str], tokens: Sequence[Token], tables: frozenset[str]
) -> Iterator[tuple[str, bool]]:
    """Yield each table that is read, and whether all of it is."""
    names = {**{table: table for table in tables}, **dict(aliases(tokens, tables))}
    stops_early = any(token.keyword == "LIMIT" for token in tokens) and not any(
        "TEMP B-TREE" in each for each in details
    )
    for detail in details:
        read = _READ.match(detail)
        table = names.get(read["name"].lower()) if read else None
        if read and table:
            few = read["using"] and (read["how"] == "SEARCH" or stops_early)
            yield f"{SCHEMA}.{table}", not few
