"""What each statement of a migration did: how the server did it, what it wrote, what it changed.

It is looked at from another connection, so that a migration ends here as it would without. Statements about
accounts are left out: they belong to the server and not to a database, and nobody's rights are asked about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from coordinator.adapters.mysql_session import Rows
from coordinator.adapters.rehearsals._mysql.algorithms import Way, brief_locks, run_cheapest
from coordinator.adapters.rehearsals._mysql.catalogue import changes_between
from coordinator.adapters.rehearsals._mysql.connection import without_scratch
from coordinator.adapters.rehearsals._mysql.copying import without_definer
from coordinator.adapters.rehearsals._mysql.partitions import checked_table
from coordinator.adapters.rehearsals._mysql.reading import tables_read_whole
from coordinator.adapters.rehearsals._mysql.relatives import as_locks, locks_on_relatives
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.evidence import LOCK_TABLES, PARTITION_CHECK, Lock, StatementEvidence
from coordinator.model import Engine, Statement
from coordinator.sql import SqlStatement, stays_in_transaction

_OF_ACCOUNTS: Final = (
    ("GRANT",),
    ("REVOKE",),
    ("SET", "PASSWORD"),
    ("SET", "ROLE"),
    ("SET", "DEFAULT", "ROLE"),
    ("FLUSH", "PRIVILEGES"),
    *((verb, kind) for verb in ("CREATE", "ALTER", "DROP", "RENAME") for kind in ("USER", "ROLE")),
)
_CHANGES_ROWS: Final = frozenset(
    {"INSERT", "REPLACE", "UPDATE", "DELETE", "TRUNCATE", "LOAD", "WITH", "CALL", "DO"}
)
_CHANGED: Final = frozenset({1048, 1264, 1265, 1292, 1364, 1366, 1406})
"""ER_BAD_NULL_ERROR, ER_WARN_DATA_OUT_OF_RANGE, WARN_DATA_TRUNCATED, ER_TRUNCATED_WRONG_VALUE,
ER_NO_DEFAULT_FOR_FIELD, ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, ER_DATA_TOO_LONG: errors in a strict mode."""
_OF_PARTITIONS: Final = frozenset({"CONVERT", "DROP", "EXCHANGE", "TRUNCATE"})
"""Clauses that take rows out of a table, or put others into it."""


class Watcher:
    """Collects what the statements of one scratch database did.

    `look` returns its catalogue, `numbers` those by which InnoDB knows a table's files, `in_use` the tables
    that somebody holds by LOCK TABLES.
    """

    def __init__(
        self,
        engine: Engine,
        look: Callable[[], Mapping[str, str]],
        *,
        numbers: Callable[[], Mapping[str, object]],
        in_use: Callable[[], frozenset[str]],
    ) -> None:
        self.left_out: list[str] = []
        """The first words of statements that were not sent."""
        self._engine = engine
        self._look = look
        self._numbers = numbers
        self._in_use = in_use
        self._evidence: list[StatementEvidence] = []
        self._is_watching = False
        self._old: frozenset[str] = frozenset()
        """The tables that were there before the migration."""
        self._seen: Mapping[str, str] | None = None
        """The catalogue as it was last looked at, which nobody else changes; to read it takes long."""

    def take(self) -> tuple[StatementEvidence, ...]:
        """Return what was seen since the last call; watching begins with the first."""
        evidence, self._evidence = tuple(self._evidence), []
        self._is_watching = True
        self._seen = self._look()
        self._old = tables_in(self._seen)
        return evidence

    def watch(
        self, statement: SqlStatement, send: Callable[[str], Rows], has_warned: Callable[[], bool]
    ) -> None:
        """Run a statement and look at what it did; one that fails leaves no evidence."""
        if any(statement.words[: len(start)] == start for start in _OF_ACCOUNTS):
            self.left_out.append(" ".join(statement.words[:2]))
            return
        try:
            self._run(statement, send, has_warned)
        except DatabaseError as error:
            self._seen = None  # it may have done a part of what it says
            error.what = without_scratch(error.what)
            raise

    def _run(
        self, statement: SqlStatement, send: Callable[[str], Rows], has_warned: Callable[[], bool]
    ) -> None:
        text = without_definer(statement.text) if statement.words[:1] == ("CREATE",) else statement.text
        if not self._is_watching:
            send(text)
            return
        before = self._look() if self._seen is None else self._seen
        numbers = self._numbers()
        scanned = tables_read_whole(statement, send, self._engine, self._old & tables_in(before))
        begun = time.monotonic()
        way = run_cheapest(statement, text, send, self._engine, before=before)
        seconds = time.monotonic() - begun
        # The next statement may ask for ROW_COUNT(), so nothing is sent without need.
        warnings = tuple(_changed_values(send("SHOW WARNINGS"))) if has_warned() else ()
        # What stays in its transaction changes no schema: the server commits around each change of one.
        after = self._seen = before if stays_in_transaction(statement) else self._look()
        copies = way is not None and (way.copies or self._has_other_number(way.table, numbers))
        changes = changes_between(before, after)
        locks = tuple(self._locks(statement, way, tables_in(before)))
        related = locks_on_relatives(
            statement,
            way=way,
            named=[each.relation for each in locks],
            before=before,
            changes=changes,
            engine=self._engine,
        )
        self._evidence.append(
            StatementEvidence(
                migration="",
                statement=Statement(statement.text, statement.line),
                place=Place(""),
                in_transaction=stays_in_transaction(statement),
                seconds=seconds,
                locks=(*locks, *as_locks(related, self._old)),
                rewritten=(way.table,) if way is not None and copies and way.table in self._old else (),
                written=tuple(sorted(self._old & _written(statement, tables_in(before)))),
                scanned=tuple(sorted(scanned)),
                changes=changes,
                warnings=warnings,
            )
        )

    def _has_other_number(self, table: str, numbers: Mapping[str, object]) -> bool:
        """Tell whether a table's rows are in another file than before; a new name alone changes none."""
        return table in numbers and numbers[table] not in self._numbers().values()

    def _locks(self, statement: SqlStatement, way: Way | None, tables: frozenset[str]) -> Iterator[Lock]:
        if way is not None:
            yield way.lock_on(is_new=way.table not in self._old)
        yield from brief_locks(statement, tables, self._old)
        if statement.words[:1] == ("ALTER",) and (checked := checked_table(statement.text)):
            table, lock = checked
            yield Lock(table, f"{PARTITION_CHECK} LOCK={lock}", is_new=table not in self._old)
        if statement.words[:1] == ("LOCK",):
            for table in sorted(self._in_use()):
                yield Lock(table, LOCK_TABLES, is_new=table not in self._old)


def _changed_values(warnings: Rows) -> Iterator[str]:
    """Yield what the server says of values that it did not take as they were."""
    for level, number, message in warnings:
        if level == "Warning" and number in _CHANGED:
            yield without_scratch(str(message))


def tables_in(schema: Mapping[str, str]) -> frozenset[str]:
    """Return the names of a catalogue's tables."""
    return frozenset(name.removeprefix("table ") for name in schema if name.startswith("table "))


def _written(statement: SqlStatement, tables: frozenset[str]) -> set[str]:
    """Return the tables whose rows a statement may change: those that it names, or all where it names none.

    A body may write anywhere, and so may a trigger of a table that is written; more than is true only makes a
    difference of rows *unproven* instead of a break.
    """
    words = statement.words
    is_of_partitions = "PARTITION" in words and not _OF_PARTITIONS.isdisjoint(words)
    if words[:1] == () or (words[0] not in _CHANGES_ROWS and not is_of_partitions):
        return set()
    named = {token.name for token in tokens_of(statement.text)}
    found = {table for table in tables if table.lower() in named}
    return found or set(tables)
