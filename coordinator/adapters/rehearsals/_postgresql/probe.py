"""A session that watches each statement of a migration: its locks, rewrites, scans, writes and changes.

A text of several statements is one transaction for PostgreSQL, and so it stays: its statements are sent one
by one, with a look after each, inside a transaction that begins and ends where the text's own does. Looking
changes nothing: no savepoint, no setting that stays. If a look fails, what it broke is rolled back and sent
again without looking, because a migration must not fail for being watched. A text that takes its
transaction apart, or that refuses one, is sent whole and looked at before and after; what it locked is then
known by the class of its command alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from coordinator.adapters.postgresql_session import PostgresqlSession
from coordinator.adapters.rehearsals._postgresql.sight import Difference, Sight, compare, look, names_of
from coordinator.adapters.rehearsals._postgresql.written import planned
from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.evidence import Lock, StatementEvidence
from coordinator.model import Statement
from coordinator.ports.databases import Batch, LockId, Target
from coordinator.sql import (
    SqlStatement,
    controls_transaction,
    has_own_transaction,
    may_refuse_transaction,
    split_statements,
)

_UNPLACED: Final = Place("")
_SILENT: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "SAVEPOINT", "RELEASE", "SET", "RESET"})
"""They touch no table. After SET TRANSACTION a look would even be a mistake: it may not follow a query."""
_WANTS_BLOCK: Final = frozenset({"LOCK", "DECLARE", "FETCH", "MOVE", "CLOSE", "SAVEPOINT", "RELEASE"})
"""They fail outside of a transaction block, or look for one; so does SET LOCAL, which does nothing there."""
_PLANNED: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "WITH"})

_KNOWN_LOCKS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("VACUUM", "FULL"), "AccessExclusiveLock"),
    (("CLUSTER",), "AccessExclusiveLock"),
    (("REINDEX", "CONCURRENTLY"), "ShareUpdateExclusiveLock"),
    (("REINDEX",), "AccessExclusiveLock"),
    (("INDEX", "CONCURRENTLY"), "ShareUpdateExclusiveLock"),
    (("VACUUM",), "ShareUpdateExclusiveLock"),
    (("DETACH", "CONCURRENTLY"), "ShareUpdateExclusiveLock"),
)
"""What a command that refuses a transaction locks, by its words (PostgreSQL's manual, 13.3 and each command);
afterwards nobody can see it any more."""


class _LookFailed(Exception):
    """A look ended in an error of the engine, which has aborted the transaction that was watched."""


class ProbedSession:
    """One connection to a scratch database; see ports.Session. `record` gets what each statement did."""

    def __init__(
        self,
        connection: psycopg.Connection[tuple[object, ...]],
        *,
        record: Callable[[StatementEvidence], None],
        settings: str = "",
    ) -> None:
        self._connection = connection
        self._session = PostgresqlSession(connection, secrets=(), settings=settings)
        self._record = record

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        return self._session.target(table)

    def relabel(self, label: str) -> None:
        """Name another step to the server."""
        self._session.relabel(label)

    def query(self, sql: str, *, within: timedelta | None = None) -> list[tuple[object, ...]]:
        """Run one query in a read-only transaction and return its rows."""
        return self._session.query(sql, within=within)

    def locked(self, lock_ids: Sequence[LockId], *, timeout: timedelta) -> AbstractContextManager[None]:
        """Hold advisory locks, as on a live database."""
        return self._session.locked(lock_ids, timeout=timeout)

    def execute(self, batch: Batch) -> None:
        """Send a batch as an ordinary session does, and record what each of its statements did."""
        seen: list[StatementEvidence] = []
        watch = _Watch(self._connection, self._session, seen)
        try:
            self._session.settle()
            watch.begin_batch()
            self._session.execute(batch, send=watch.send_inside if batch.transaction else watch.send_alone)
        except _LookFailed:
            seen.clear()
            self._session.execute(batch)
        finally:
            for each in seen:
                self._record(each)


class _Watch:
    """One batch being watched: what was last seen, and what its statements did so far."""

    def __init__(
        self,
        connection: psycopg.Connection[tuple[object, ...]],
        session: PostgresqlSession,
        seen: list[StatementEvidence],
    ) -> None:
        self._connection = connection
        self._session = session
        self._seen = seen
        self._last = Sight()
        self._old: frozenset[int] = frozenset()
        self._is_blind = False
        """A look failed, and the next one would as well: the texts set something that forbids it."""
        self._has_begun = False
        """The counters were read in the transaction that is open."""

    def begin_batch(self) -> None:
        """Look before anything is sent: what is there now is what the migration finds there."""
        self._last = self._look(None)
        self._old = frozenset(self._last.relations)
        self._last = self._last.at_begin()

    def send_inside(self, text: str, *, index: int, commits: bool) -> None:
        """Send a text of a batch that is one transaction."""
        pieces = split_statements(text)
        if self._is_blind or not all(each.is_closed for each in pieces) or not pieces:
            self._session.send(text, index=index, commits=commits)
            return
        for piece, offset in _with_offsets(text, pieces):
            self._send_piece(piece, index=index, offset=offset, commits=commits)

    def send_alone(self, text: str, *, index: int, commits: bool) -> None:
        """Send a text that stands for itself, in one transaction if it is one."""
        if self._is(TransactionStatus.INTRANS):  # an earlier text has begun it
            self.send_inside(text, index=index, commits=commits)
            return
        if self._is_blind:
            self._session.send(text, index=index, commits=commits)
            return
        pieces = split_statements(text)
        has_own = has_own_transaction(pieces)
        if not has_own and not _is_one_transaction(pieces):
            self._send_whole(text, pieces, index=index, commits=commits)
            return
        kept = len(self._seen)
        self._last, self._has_begun = self._last.at_begin(), False
        try:
            if not has_own:
                self._session.send("BEGIN", index=index, commits=commits)
            for piece, offset in _with_offsets(text, pieces):
                self._send_piece(piece, index=index, offset=offset, commits=commits, alone=len(pieces) == 1)
            if not has_own:
                self._session.send("COMMIT", index=index, commits=commits)
        except DatabaseError:
            del self._seen[kept:]  # nothing of the text stays
            raise
        except _LookFailed:
            del self._seen[kept:]
            self._session.roll_back()
            self._is_blind = True
            self._session.send(text, index=index, commits=commits)

    def _send_whole(self, text: str, pieces: Sequence[SqlStatement], *, index: int, commits: bool) -> None:
        before, began = self._last, time.perf_counter()
        self._session.send(text, index=index, commits=commits)
        seconds = time.perf_counter() - began
        if self._is(TransactionStatus.INTRANS):
            self._last, self._has_begun = self._last.at_begin(), False
        if not pieces or not self._is(TransactionStatus.IDLE):
            return
        try:
            self._last = self._look(None)
        except _LookFailed:
            self._is_blind = True
            return
        [words, *others] = [each.words for each in pieces]
        found = compare(before, self._last, old=self._old)
        if not others:
            found = replace(found, locks=tuple(_known_locks(words, found)))
        for piece in pieces:
            if piece.words[:1] and piece.words[0] in _PLANNED:
                with suppress(_LookFailed):  # nothing is open that it could abort
                    found = self._with_plan(found, piece.text)
        self._note(
            SqlStatement(text.strip(), pieces[0].line, words, is_closed=True),
            found,
            seconds,
            alone=not others,
        )

    def _send_piece(
        self, piece: SqlStatement, *, index: int, offset: int, commits: bool, alone: bool = False
    ) -> None:
        command = piece.words[0] if piece.words else ""
        if command not in _SILENT and not self._has_begun:
            self._last, self._has_begun = self._look(self._last), True
        began = time.perf_counter()
        try:
            self._session.send(piece.text, index=index, commits=commits)
        except DatabaseError as error:
            error.position = piece.offset + 1 if error.position is None else error.position + offset
            raise
        seconds = time.perf_counter() - began
        if command in _SILENT or self._connection.info.transaction_status is not TransactionStatus.INTRANS:
            self._note(piece, Difference(), seconds, alone=alone)
            return
        before, self._last = self._last, self._look(self._last)
        found = compare(before, self._last, old=self._old)
        if command in _PLANNED:
            found = self._with_plan(found, piece.text)
        self._note(piece, found, seconds, alone=alone)

    def _with_plan(self, found: Difference, text: str) -> Difference:
        """Say for a write what the planner says: the counters count nothing in a table without rows."""
        try:
            written, scanned = planned(self._connection, text)
        except psycopg.Error as error:
            raise _LookFailed from error
        names = names_of(written, self._last, old=self._old) | set(found.written)
        read = names_of(scanned, self._last, old=self._old)
        return replace(found, written=tuple(sorted(names)), scanned=tuple(sorted(read)))

    def _is(self, status: TransactionStatus) -> bool:
        return self._connection.info.transaction_status is status

    def _look(self, last: Sight | None) -> Sight:
        try:
            return look(self._connection, last)
        except psycopg.Error as error:
            raise _LookFailed from error

    def _note(self, piece: SqlStatement, found: Difference, seconds: float, *, alone: bool) -> None:
        self._seen.append(
            StatementEvidence(
                migration="",
                statement=Statement(piece.text, piece.line),
                place=_UNPLACED,
                in_transaction=not alone,
                seconds=seconds,
                locks=found.locks,
                rewritten=found.rewritten,
                scanned=found.scanned,
                written=found.written,
                changes=found.changes,
            )
        )


def _with_offsets(text: str, pieces: Sequence[SqlStatement]) -> Iterator[tuple[SqlStatement, int]]:
    """Yield each statement with the number of characters that stand before it."""
    position = 0
    for piece in pieces:
        position = text.index(piece.text, position)
        yield piece, position
        position += len(piece.text)


def _is_one_transaction(pieces: Sequence[SqlStatement]) -> bool:
    """The text is a transaction of PostgreSQL's own making, and would be the same in a block."""
    return bool(pieces) and all(
        each.is_closed
        and bool(each.words)
        and not controls_transaction(each)
        and not may_refuse_transaction(each)
        and each.words[0] not in _WANTS_BLOCK
        and each.words[:2] not in (("SET", "LOCAL"), ("SET", "TRANSACTION"), ("SET", "CONSTRAINTS"))
        for each in pieces
    )


def _known_locks(words: Sequence[str], found: Difference) -> Iterator[Lock]:
    mode = next((mode for known, mode in _KNOWN_LOCKS if set(known) <= set(words)), None)
    if mode is None:
        return
    touched = {each.relation for each in found.changes if each.kind == "index"} | set(found.rewritten)
    for relation in sorted(touched - {None}, key=str):
        yield Lock(str(relation), mode, is_new=False)
