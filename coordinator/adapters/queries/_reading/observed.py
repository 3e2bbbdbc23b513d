"""Statements that somebody saw pass by, in a log or in the server's statistics: which of them are queries.

Only what reads or writes rows can work at one schema state and fail at another; settings, transactions and
utility statements are left out. The same text with other blanks or comments is the same query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from coordinator.diagnostics import Place
from coordinator.model import Engine
from coordinator.queries import Query
from coordinator.sql import beginning_of, split_statements, tokens

_QUERIES: Final = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "REPLACE"}
)
_STATISTICS: Final = "pg_stat_statements"
"""Who names it looks at the statistics, as this program does."""


def queries_among(texts: Iterable[tuple[str, Place]], engine: Engine, *, cut_off: str) -> Iterator[Query]:
    """Yield each different query; `cut_off` is the obstacle of one whose end is missing."""
    seen: set[str] = set()
    for text, place in texts:
        query = _only_query_in(text, engine)
        if query is None or (fingerprint := _fingerprint_of(query, engine)) in seen:
            continue
        seen.add(fingerprint)
        yield Query(
            beginning_of(query, engine), query, place, obstacle=None if _is_closed(query, engine) else cut_off
        )


def _only_query_in(text: str, engine: Engine) -> str | None:
    """Return the one query of a text without its `;`, None if it is something else or more than one."""
    statements = split_statements(text, engine)
    if len(statements) != 1 or not statements[0].words or statements[0].words[0] not in _QUERIES:
        return None
    code = statements[0].text.removesuffix(";").rstrip()
    return None if _STATISTICS in code else code


def _is_closed(text: str, engine: Engine) -> bool:
    """Tell whether every quote and comment of a text ends in it: one that was cut off seldom is."""
    return all(each.is_closed for each in split_statements(text, engine))


def _fingerprint_of(text: str, engine: Engine) -> str:
    """Return what two texts have in common that differ in blanks, comments and capitals alone."""
    kinds = ((kind, text[start:end]) for kind, start, end, _ in tokens(text, engine))
    return " ".join(
        piece.upper() if kind == "word" else piece
        for kind, piece in kinds
        if kind not in ("space", "comment", "block")
    )
