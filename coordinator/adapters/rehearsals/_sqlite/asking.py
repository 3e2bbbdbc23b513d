"""Layers prepare and describe: does SQLite compile a text, and what does a client see of it?

`EXPLAIN` compiles a text in full, triggers and views included, and does not run it. One thing it does not
show: a double-quoted word that names no column is silently taken for text, so that a query goes on compiling
after its column is gone. Each such word is asked about again in back quotes, which only ever quote names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token, quoted, replaced, unquoted
from coordinator.adapters.rehearsals._sqlite.columns import describe
from coordinator.adapters.rehearsals._sqlite.connection import REFUSALS, limited, objection_from, taken_back
from coordinator.adapters.rehearsals._sqlite.tokens import numbered, parameters_of, tokens_of
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Description

WRITES: Final = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
"""The actions of the authorizer that change rows."""
_ANY: Final = "any"
"""SQLite's parameters have no types."""
_MOST_PARAMETERS: Final = 250_000
"""SQLite's own highest limit (SQLITE_MAX_VARIABLE_NUMBER as distributions set it)."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What SQLite's program for a text shows."""

    width: int | None
    """How many columns it returns; None if no rows."""
    inside: frozenset[str]
    """The views and triggers that it runs."""
    written: str | None
    """The table that the text itself writes to, if it is one of the service's."""
    reached: frozenset[str]
    """All tables that it writes to, also in triggers and by actions of foreign keys."""
    read: frozenset[str]


def prepare(connection: sqlite3.Connection, text: str) -> Description | Objection:
    """Return what a client knows of a text once it is compiled, or SQLite's refusal."""
    tokens = tokens_of(text)
    count = count_of(parameters_of(tokens))
    try:
        compiled = compile_text(connection, text)
        width = compiled.width
        columns = None if width is None else describe(connection, text, tokens, width=width)
    except REFUSALS as error:
        return objection_from(error)
    words = [token for token in tokens if token.kind == "quoted"]
    strings = [token.text for token in _not_names(connection, text, words)] if words else []
    for name in sorted(compiled.inside):
        strings += _strings_inside(connection, text, name)
    return Description((_ANY,) * count, columns, tuple(strings))


def plan(connection: sqlite3.Connection, text: str) -> Objection | None:
    """Return SQLite's refusal to compile a text, which includes to plan it."""
    try:
        compile_text(connection, text)
    except REFUSALS as error:
        return objection_from(error)
    return None


def count_of(parameters: Sequence[tuple[Token, int]]) -> int:
    """Return how many values a text with these parameters takes; SQLite refuses one with more."""
    return min(_MOST_PARAMETERS, max((number for _, number in parameters), default=0))


def compile_text(connection: sqlite3.Connection, text: str) -> Compiled:
    """Compile a text and do not run it. Raises: one of REFUSALS."""
    tokens = tokens_of(text)
    if tokens and tokens[0].keyword == "QUERY":  # `EXPLAIN QUERY PLAN …` would be something else
        raise sqlite3.OperationalError(f'near "{tokens[0].text}": syntax error')
    parameters = parameters_of(tokens)
    inside: set[str] = set()
    written: list[str] = []
    reached: set[str] = set()
    read: set[str] = set()

    def touched(action: int, first: str, _: str, name: str) -> None:
        inside.add(name)
        if action == sqlite3.SQLITE_READ:
            read.add(first)
        if action in WRITES and not first.startswith("sqlite_"):
            reached.add(first)
            written.extend([] if name else [first])

    with limited(connection, touched):
        program = connection.execute(
            f"EXPLAIN {numbered(text, parameters)}", (None,) * count_of(parameters)
        ).fetchall()
    widths = [row[3] for row in program if row[1] == "ResultRow"]
    return Compiled(
        widths[0] if widths else None,
        frozenset(inside - {""}),
        written[0] if written else None,
        frozenset(reached),
        frozenset(read),
    )


def _not_names(connection: sqlite3.Connection, text: str, words: Sequence[Token]) -> list[Token]:
    """Return the words that cannot be back-quoted; halves the list until each culprit stands alone."""
    if plan(connection, _back_quoted(text, words)) is None:
        return []
    if len(words) == 1:
        return list(words)
    middle = len(words) // 2
    return _not_names(connection, text, words[:middle]) + _not_names(connection, text, words[middle:])


def _back_quoted(text: str, words: Sequence[Token]) -> str:
    return replaced(text, ((word, quoted(unquoted(word.text))) for word in words))


# -- the same inside views and triggers -------------------------------------------------------------------


def _strings_inside(connection: sqlite3.Connection, text: str, name: str) -> list[str]:
    """Return the double-quoted words of a view or trigger of `text` that are taken for text there."""
    row = connection.execute(
        "SELECT type, sql FROM sqlite_schema WHERE name = ? COLLATE NOCASE AND type IN ('view', 'trigger')",
        (name,),
    ).fetchone()
    if row is None:
        return []
    kind, sql = row
    words = [token for token in tokens_of(sql) if token.kind == "quoted"]
    return [
        f"{name}: {word.text}"
        for word in words
        if not _compiles_with(connection, text, _remade(connection, kind, name, _back_quoted(sql, [word])))
    ]


def _remade(connection: sqlite3.Connection, kind: str, name: str, changed: str) -> list[str]:
    """Return what makes a view or trigger anew with a changed text; a dropped view loses its triggers."""
    triggers = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE", (name,)
    ).fetchall()
    return [f"DROP {kind} {quoted(name)}", changed, *(each for [each] in triggers)]


def _compiles_with(connection: sqlite3.Connection, text: str, definitions: Sequence[str]) -> bool:
    with taken_back(connection):
        try:
            for each in definitions:
                connection.execute(each)
        except REFUSALS:
            return False
        return plan(connection, text) is None
