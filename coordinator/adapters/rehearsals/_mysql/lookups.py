"""How a query finds its rows: by an index that could serve, or not at all (EXPLAIN's `possible_keys`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pymysql.connections import Connection

from coordinator.adapters.rehearsals._mysql.connection import REFUSALS, refusal_of, run, taken_back
from coordinator.adapters.rehearsals._mysql.reading import WHOLE
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.adapters.rehearsals._scratch.tokens import Token, aliases
from coordinator.model import Engine
from coordinator.rehearsal_ports import Lookup, Values

_MOST_ROWS: Final = 1_000
_SORTS: Final = "filesort"


def look_up(
    connection: Connection, text: str, values: Values, *, engine: Engine, tables: frozenset[str]
) -> Lookup | None:
    """Return how a text with the first set of its values finds its rows; None where the server does not say.

    `tables` are those of the database, as the server writes them.
    """
    if refusal_of(text) is not None:
        return None
    form = "FORMAT=TRADITIONAL " if engine is Engine.MYSQL else ""
    first = next((each for each in values if isinstance(each, tuple)), ())
    try:
        with taken_back(connection):
            rows = run(connection, f"EXPLAIN {form}{text}", first, most=_MOST_ROWS).rows
    except REFUSALS:
        return None
    return Lookup.of(_reads(rows, tokens_of(text), tables, engine))


def _reads(
    rows: Sequence[Sequence[object]], tokens: Sequence[Token], tables: frozenset[str], engine: Engine
) -> Iterator[tuple[str, bool]]:
    """Yield each table that is read, and whether all of it is."""
    by_lower = {table.lower(): table for table in tables}
    names = {**{name: name for name in by_lower}, **dict(aliases(tokens, by_lower))}
    has_limit = any(token.keyword == "LIMIT" for token in tokens)
    for _, what, called, *rest in rows:
        kind, possible, key = rest[1:4] if engine is Engine.MYSQL else rest[:3]
        table = names.get(str(called).lower())
        if table is None or kind is None or what == "INSERT":
            continue
        along_index = kind == "index" and key is not None and has_limit and _SORTS not in str(rest[-1])
        yield by_lower[table], kind in WHOLE and possible is None and not along_index
