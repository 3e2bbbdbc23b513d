"""How the server changes a table: the cheapest ALGORITHM and LOCK that it accepts for a statement.

The statement is sent with each pair in turn, the one that disturbs least first. What the server refuses it
refuses before it has done anything, and what it accepts is the statement itself, so the schema ends as it
would without. It is what the server takes by itself where a statement says nothing (MySQL 8.0 Reference
Manual 17.12.1, MariaDB's "InnoDB Online DDL Overview"). Of other statements the manual says what they lock.
A statement that names its ALGORITHM alone is asked for the LOCK; one that names a LOCK is taken at its word.
Where the session's own setting names the ALGORITHM, only that one is asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coordinator.adapters.mysql_session import Rows
from coordinator.adapters.rehearsals._mysql import clauses, partitions
from coordinator.adapters.rehearsals._mysql.tokens import name_in, tokens_of
from coordinator.adapters.rehearsals._scratch.tokens import Token
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
_LOCKS: Final = ("NONE", "SHARED", "EXCLUSIVE")
_OF_MARIADB_ALONE: Final = "NOCOPY"
_SETTING: Final = {Engine.MARIADB: "alter_algorithm", Engine.MYSQL: "old_alter_table"}
_SET: Final = {"1": "COPY", "COPY": "COPY", "INPLACE": "INPLACE", "NOCOPY": "NOCOPY", "INSTANT": "INSTANT"}
"""The values of these settings that name an ALGORITHM; the others leave it to the server."""
_REFUSALS: Final = ("Error 1845.", "Error 1846.", "Error 4092.")
"""ER_ALTER_OPERATION_NOT_SUPPORTED, the same with a reason, and ER_INNODB_MAX_ROW_VERSION: the table had its
last INSTANT change (the replayed files count). Anything else is about the statement."""
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
    copies: bool = False
    """All rows of the table are written anew."""

    def lock_on(self, *, is_new: bool) -> Lock:
        """Return it as a lock on the table."""
        return Lock(self.table, f"ALGORITHM={self.algorithm} LOCK={self.lock}", is_new)


def run_cheapest(
    statement: SqlStatement,
    text: str,
    send: Callable[[str], Rows],
    engine: Engine,
    *,
    before: Mapping[str, str],
) -> Way | None:
    """Run a statement in the way that disturbs least, and return which; None if the server does not say.

    `before` is the catalogue that it finds.
    """
    table = _changed_table(statement)
    if table is None:
        send(text)
        return None
    clause = partitions.clause_of(text) if statement.words[0] == "ALTER" else None
    if clause is not None and not partitions.is_answered(clause, engine):
        send(text)
        stops = partitions.stops_writers(clause, text, engine)
        return Way(table, "COPY", "SHARED", copies=True) if stops else None
    is_copy = clause is not None and partitions.copies_only(clause, engine)
    if engine is Engine.MARIADB and statement.words[0] == "ALTER":
        is_copy = is_copy or clauses.copies_whatever_is_said(text, before.get(f"table {table}", ""))
    in_front = clause is not None or clauses.takes_no_words_behind(text)
    if (named := clauses.stated(text)) != clauses.Stated():
        said = Way(table, named.algorithm, named.lock)
        if is_copy:
            send(text)
            return replace(said, algorithm="COPY", lock="SHARED", copies=True)
        return _run_stated(statement, text, said, send, in_front=in_front)
    refused: set[str] = set()
    only = "COPY" if is_copy else _algorithm_of_session(send, engine)
    for algorithm, lock in _pairs(engine, only):
        words = [f"ALGORITHM={algorithm}", *([f"LOCK={lock}"] if lock else [])]
        try:
            send(_with(text, statement, words, in_front=in_front))
        except DatabaseError as error:
            if error.why not in _REFUSALS:
                break  # the statement fails, and shall say so itself
            refused.add(algorithm)
        else:
            is_rebuilt = algorithm == "INPLACE" and _OF_MARIADB_ALONE in refused
            moves = clause is not None and lock not in (None, "NONE")
            return Way(table, algorithm, lock or "NONE", copies=algorithm == "COPY" or is_rebuilt or moves)
    send(text)
    return None


def _algorithm_of_session(send: Callable[[str], Rows], engine: Engine) -> str | None:
    """Return the only ALGORITHM that the session's own setting leaves a statement; None if any."""
    try:
        [[value]] = send(f"SELECT @@{_SETTING[engine]}")
    except DatabaseError:  # MariaDB has it since 10.3.7
        return None
    return _SET.get(str(value))


def _pairs(engine: Engine, only: str | None) -> list[tuple[str, str | None]]:
    """Return the pairs of ALGORITHM and LOCK that a server is asked about, and whose answer holds."""
    return [
        (algorithm, lock)
        for algorithm, lock in _PAIRS
        if only in (None, algorithm) and (algorithm != _OF_MARIADB_ALONE or engine is Engine.MARIADB)
    ]


def brief_locks(statement: SqlStatement, tables: frozenset[str], old: frozenset[str]) -> Iterator[Lock]:
    """Yield what a statement locks for a moment, of which the server tells nothing."""
    clause = partitions.clause_of(statement.text) if statement.words[:1] == ("ALTER",) else None
    is_brief = clause is not None and partitions.is_brief(clause)
    if is_brief or any(statement.words[: len(start)] == start for start in _BRIEF):
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
    token = _token_after(keyword, tokens_of(text))
    return token.text.strip("`") if token is not None and token.name is not None else None


def _token_after(keyword: str, tokens: Sequence[Token]) -> Token | None:
    """Return a name's token behind a keyword."""
    place = next((at for at, token in enumerate(tokens) if token.keyword == keyword), len(tokens))
    return name_in(tokens[place + 1 :])


def _run_stated(
    statement: SqlStatement, text: str, said: Way, send: Callable[[str], Rows], *, in_front: bool
) -> Way:
    """Run a statement that names its ALGORITHM or LOCK; where it names no LOCK, the server says which."""
    way = replace(said, copies=said.algorithm == "COPY")
    if said.lock == "DEFAULT" and said.algorithm in ("COPY", "INPLACE", "NOCOPY"):
        for lock in _LOCKS:
            try:
                send(_with(text, statement, [f"LOCK={lock}"], in_front=in_front))
            except DatabaseError as error:
                if error.why not in _REFUSALS:
                    break
            else:
                return replace(way, lock=lock)
    send(text)
    return way


def _with(text: str, statement: SqlStatement, words: list[str], *, in_front: bool) -> str:
    """Return a statement with more words: behind it, or behind the table's name."""
    comma = "," if statement.words[0] == "ALTER" else ""
    if not in_front:
        last = [token for token in tokens_of(text) if token.text != ";"][-1]
        return f"{text[: last.end]}{comma} {f'{comma} '.join(words)}"
    tokens = tokens_of(text)
    name = _token_after("TABLE", tokens)
    assert name is not None, "a table was found by the same name"
    rest = next(token for token in tokens if token.start >= name.end)
    behind = "" if rest.keyword in ("PARTITION", "REMOVE") else ","
    return f"{text[: name.end]} {', '.join(words)}{behind} {text[rest.start :]}"
