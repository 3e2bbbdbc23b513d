"""Which tables a statement of a migration must read from end to end: the server's own plan says it.

On a few sample rows a planner reads a table whole, whatever indexes it has. So a table counts where no index
could serve at all (`possible_keys` is NULL). What a planner makes of one that could is a matter of the live
server's statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from coordinator.adapters.mysql_session import Rows
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.adapters.rehearsals._scratch.tokens import Token, aliases
from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.sql import SqlStatement

WHOLE: Final = ("ALL", "index")
"""How the servers call the reading of all rows, or of all entries of an index."""
_EXPLAINED: Final = frozenset({"DELETE", "INSERT", "REPLACE", "UPDATE"})
_READS_ON: Final = frozenset({"WHERE", "GROUP", "HAVING", "DISTINCT", "UNION", "EXCEPT", "INTERSECT"})
"""With one of these more rows may be read than a LIMIT lets through."""
_OF_THE_LAST: Final = frozenset({"ROW_COUNT", "FOUND_ROWS"})
"""What asks for the statement before, which an EXPLAIN in between would be."""
_TARGETS: Final = ("INSERT", "REPLACE")
"""How they call the table that gets the rows, of which none is read; it says ALL all the same."""
_ALL_ROWS: Final = "Deleting all rows"
"""What MariaDB says of a DELETE without a condition, in place of the table's name."""


def tables_read_whole(
    statement: SqlStatement, send: Callable[[str], Rows], engine: Engine, tables: frozenset[str]
) -> frozenset[str]:
    """Return those of `tables` that a statement which writes rows reads whole; it does not run."""
    tokens = tokens_of(statement.text)
    locking = _locking_part(statement, tokens)
    if locking is None or not _OF_THE_LAST.isdisjoint(statement.words):
        return frozenset()
    form = "FORMAT=TRADITIONAL " if engine is Engine.MYSQL else ""
    try:
        rows = send(f"EXPLAIN {form}{locking}")
    except DatabaseError:  # what the server runs and does not explain, or what fails and shall say so itself
        return frozenset()
    by_lower = {table.lower(): table for table in tables}
    names = dict(aliases(tokens, by_lower))
    found = set()
    read = [row for row in rows if row[1] not in _TARGETS]
    if _stops_early(tokens, read):
        return frozenset()
    for _, _, table, *rest in read:
        kind, possible = rest[1:3] if engine is Engine.MYSQL else rest[:2]
        if table is None and str(rest[-1]) == _ALL_ROWS:
            found.add(_behind("FROM", tokens))
        elif kind in WHOLE and possible is None:
            found.add(names.get(str(table).lower(), str(table).lower()))
    return frozenset(by_lower[name] for name in found if name in by_lower)


def _locking_part(statement: SqlStatement, tokens: Sequence[Token]) -> str | None:
    """Return what EXPLAIN takes of a statement that locks the rows that it reads; None of any other.

    That is one that writes rows, with a WITH before it or not, and the query whose rows make a table.
    """
    words = statement.words
    if words[:1] and words[0] in _EXPLAINED:
        return statement.text
    if words[:1] == ("WITH",):
        outside = {token.keyword for token in tokens if token.depth == 0}
        return None if outside.isdisjoint(_EXPLAINED) else statement.text
    if words[:1] == ("CREATE",) and "TABLE" in words[1:4]:
        return _query_in(statement.text, tokens)
    return None


def _query_in(text: str, tokens: Sequence[Token]) -> str | None:
    """Return the query of a CREATE TABLE … SELECT."""
    for at, token in enumerate(tokens):
        if token.keyword in ("SELECT", "WITH") and token.depth == 0:
            return text[token.start :]
        if token.keyword in ("SELECT", "WITH") and tokens[at - 1].text == "(":  # … AS (SELECT …)
            end = next((each.start for each in tokens[at:] if each.depth < token.depth), len(text))
            return text[token.start : end]
    return None


def _stops_early(tokens: Sequence[Token], read: Sequence[Sequence[object]]) -> bool:
    """Tell whether a LIMIT lets it read so many rows of one table and no more, by the server's plan.

    Rows that are sorted or counted first are all read.
    """
    words = [token.keyword for token in tokens if token.depth == 0]
    if "LIMIT" not in words or not _READS_ON.isdisjoint(words) or len(read) != 1:
        return False
    query = words[words.index("SELECT") :] if "SELECT" in words else []
    return "(" not in query and "filesort" not in str(read[0][-1])


def _behind(keyword: str, tokens: Sequence[Token]) -> str | None:
    place = next((at for at, each in enumerate(tokens) if each.keyword == keyword), len(tokens))
    names = [each for each in tokens[place + 1 : place + 4] if each.name is not None]
    is_qualified = [each.text for each in tokens[place + 2 : place + 3]] == ["."]
    return names[1 if is_qualified else 0].name if len(names) > is_qualified else None
