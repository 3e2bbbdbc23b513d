"""How the server changes a table: the cheapest ALGORITHM and LOCK that it accepts for a statement.

The statement is sent with each pair in turn, the one that disturbs least first. What the server refuses it
refuses before it has done anything, and what it accepts is the statement itself, so the schema ends as it
would without. It is what the server takes by itself where a statement says nothing (MySQL 8.0 Reference
Manual 17.12.1, MariaDB's "InnoDB Online DDL Overview"). Of other statements the manual says what they lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from coordinator.adapters.mysql_session import Rows
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.errors import DatabaseError
from coordinator.evidence import Lock
from coordinator.model import Engine
from coordinator.sql import SqlStatement

_PAIRS: Final = (
    ("INSTANT", None),  # it takes no LOCK
    ("NOCOPY", "NONE"),
    ("INPLACE", "NONE"),
    ("NOCOPY", "SHARED"),
    ("INPLACE", "SHARED"),
    ("COPY", "NONE"),
    ("COPY", "SHARED"),
    ("COPY", "EXCLUSIVE"),
)
_OF_MARIADB_ALONE: Final = "NOCOPY"
_REFUSALS: Final = ("Error 1845.", "Error 1846.")
"""ER_ALTER_OPERATION_NOT_SUPPORTED, and the same with a reason; anything else is about the statement."""
_BY_THE_MANUAL: Final = "metadata lock (by the manual)"
"""Exclusive, and held for a moment: it waits for every transaction that has used the table."""
_BRIEF: Final = (
    ("DROP", "TABLE"),
    ("TRUNCATE",),
    ("RENAME", "TABLE"),
    ("DROP", "INDEX"),
    ("CREATE", "TRIGGER"),
)


@dataclass(frozen=True, slots=True)
class Way:
    """How a statement changed a table."""

    table: str
    algorithm: str
    lock: str
    copies: bool
    """All rows of the table are written anew."""

    def lock_on(self, *, is_new: bool) -> Lock:
        """Return it as a lock on the table."""
        return Lock(self.table, f"ALGORITHM={self.algorithm} LOCK={self.lock}", is_new)


def run_cheapest(
    statement: SqlStatement, text: str, send: Callable[[str], Rows], engine: Engine
) -> Way | None:
    """Run a statement in the way that disturbs least, and return which; None if the server does not say."""
    table = _changed_table(statement)
    if table is None:
        send(text)
        return None
    if {"ALGORITHM", "LOCK"} & set(statement.words):
        send(text)
        return _stated(statement, table)
    comma = "," if statement.words[0] == "ALTER" else ""
    body = _without_end(text)
    refused: set[str] = set()
    for algorithm, lock in _PAIRS:
        if algorithm == _OF_MARIADB_ALONE and engine is not Engine.MARIADB:
            continue
        chosen = f"ALGORITHM={algorithm}" + (f"{comma} LOCK={lock}" if lock else "")
        try:
            send(f"{body}{comma} {chosen}")
        except DatabaseError as error:
            if error.why not in _REFUSALS:
                break  # partitions take no such words; or the statement fails, and shall say so itself
            refused.add(algorithm)
        else:
            is_rebuilt = algorithm == "INPLACE" and _OF_MARIADB_ALONE in refused
            return Way(table, algorithm, lock or "NONE", copies=algorithm == "COPY" or is_rebuilt)
    send(text)
    return None


def brief_locks(statement: SqlStatement, tables: frozenset[str], old: frozenset[str]) -> Iterator[Lock]:
    """Yield what a statement locks for a moment, of which the server tells nothing."""
    if any(statement.words[: len(start)] == start for start in _BRIEF):
        named = {token.name for token in tokens_of(statement.text)}
        for table in sorted(tables):
            if table.lower() in named:
                yield Lock(table, _BY_THE_MANUAL, is_new=table not in old)


def _changed_table(statement: SqlStatement) -> str | None:
    """Return the table of an ALTER TABLE or a CREATE INDEX; None of anything else."""
    words = statement.words
    if words[:1] == ("ALTER",) and "TABLE" in words[1:3]:
        return _name_after("TABLE", statement.text)
    if words[:1] == ("CREATE",) and "INDEX" in words[1:4]:
        return _name_after("ON", statement.text)
    return None


def _name_after(keyword: str, text: str) -> str | None:
    tokens = tokens_of(text)
    place = next((at for at, token in enumerate(tokens) if token.keyword == keyword), len(tokens))
    names = [token for token in tokens[place + 1 :] if token.keyword not in ("IF", "EXISTS")]
    if len(names) > 2 and names[1].text == ".":  # noqa: PLR2004 - `schema.name`
        names = names[2:]
    return names[0].text.strip("`") if names and names[0].name is not None else None


def _stated(statement: SqlStatement, table: str) -> Way:
    """Return what a statement says itself; the server has accepted it."""
    words = statement.words
    said = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word in ("ALGORITHM", "LOCK")}
    algorithm = said.get("ALGORITHM", "DEFAULT")
    return Way(table, algorithm, said.get("LOCK", "DEFAULT"), copies=algorithm == "COPY")


def _without_end(text: str) -> str:
    """Return a statement without its `;` and what stands behind its last word."""
    tokens = [token for token in tokens_of(text) if token.text != ";"]
    return text[: tokens[-1].end]
