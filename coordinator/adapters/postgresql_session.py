"""A session on PostgreSQL by psycopg: every text is sent as it stands.

A migration tool's text may hold several statements, `%` signs and its own session settings, so no file is
parsed, prepared or parametrised here, and the session is set back to its start after each batch: a tool
that opens a connection for each step sees the same. A transaction whose texts are single statements of an
ordinary kind goes out in one trip (postgresql_pipeline.py), and what is ours in several that follow each
other is prepared (postgresql_kept.py). Advisory locks are polled, because a session that
waits in `pg_advisory_lock` deadlocks with CREATE INDEX CONCURRENTLY. It stands beside the databases because
a rehearsal watches such a session and must meet the same errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate, chain, pairwise, takewhile

import psycopg
from psycopg.pq import TransactionStatus

from coordinator.adapters.batches import (
    connection_lost,
    cursor_moved,
    ledger_changed,
    lock_held,
    transaction_ended,
    transaction_left_open,
)
from coordinator.adapters.postgresql_blockers import SOON, Connection, LockWatch
from coordinator.adapters.postgresql_kept import KeptTexts, in_one, names_own_table
from coordinator.adapters.postgresql_lock_waits import LockWaits, Send, can_wait_briefly
from coordinator.adapters.postgresql_pipeline import Item, Refused, can_go_together, send_together
from coordinator.adapters.postgresql_poolers import PROCESS, demand_own_session
from coordinator.adapters.postgresql_refusals import CANCELLED, TOO_SHORT, message_of, refusal_from, scrub
from coordinator.adapters.postgresql_restarts import STARTED, has_restarted
from coordinator.adapters.silent_hosts import cut_off
from coordinator.errors import ENDED, OVER_TIME, DatabaseError, Waiting
from coordinator.model import Engine
from coordinator.ports.databases import Batch, LockId, Target
from coordinator.sql import literal

_RESET = "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; RESET ROLE;"
"""RESET ROLE last: a role of the URL's or of the user's own settings is the one to work as."""
_RESETS = tuple(_RESET.removesuffix(";").split("; "))
_ABOUT_SERVER = f"""{PROCESS}, EXISTS (
SELECT FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'), coalesce((
SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc
WHERE proname = 'pg_logical_emit_message'), false), {STARTED}, (
SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout')"""  # noqa: S608 - of constants
_WATCH_CLIENT = "SET client_connection_check_interval = '500ms';SET idle_session_timeout = 0;"
"""A server of 14 or later notices within this time that a killed coordinator is gone, and stops its work; and
it does not end a session of ours that holds locks between two tries, or two steps."""
_POLL_SECONDS = 0.1
_SETTLED = "SET coordinator.settled_for = '{}'"
_IS_SETTLED = "current_setting('coordinator.settled_for', true) = '{}'"
"""Of a group of a pipeline that failed the next group knows nothing, unless there is something to see: the
number of the trip, which no earlier one can have left."""
_DEMAND = "SELECT 1 / CASE WHEN {} THEN 1 ELSE 0 END"
"""Fails where a condition does not hold: what stands behind it in a pipeline is not run."""
_DIVISION_BY_ZERO = "22012"
_LATER = "SET LOCAL synchronous_commit = off"
"""The commit is answered before it is on the disk; the next one that waits for the disk takes it along, as
the log is written in one order (PostgreSQL's manual, "Asynchronous Commit")."""
_FLUSH = "SELECT pg_catalog.pg_logical_emit_message(true, 'coordinator', '')"
"""The smallest transaction of any role that waits for the disk: an empty message in the server's log. Who
decodes the log and asks for messages sees it."""

_HOLDER = """
SELECT l.pid, a.application_name, coalesce(host(a.client_addr), 'local socket'), a.state, a.query_start
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = {lock_id}
"""


class PostgresqlSession:
    """One connection; see ports.Session."""

    def __init__(
        self,
        connection: psycopg.Connection[tuple[object, ...]],
        *,
        secrets: tuple[str, ...],
        settings: str,
        beside: Callable[[], Connection] | None = None,
    ) -> None:
        """`beside` opens another connection, from which somebody can look while this one waits."""
        self._connection = connection
        self._secrets = secrets
        self._settings = settings
        self._beside = beside
        self._is_settled = False
        self._owns_session = beside is None
        """Nobody stands between who gives each transaction another session; not asked of a scratch server."""
        self._label = ""
        self._watch_client: str | None = None
        """What lets the server notice that we are gone, where it can; None: it was not asked yet."""
        self._pid = connection.info.backend_pid
        self._server_since: object = None
        self._limit_ms = 0
        """What the role, the database or the server lets a statement take; 0: for ever, or not asked yet."""
        self._trips = 0
        self._can_flush = False
        self._kept = KeptTexts()
        self._spent = timedelta()
        """What others may have waited already for the transaction that is sent next."""

    @property
    def pid(self) -> int:
        """Return the number of its process, as the server itself says it: a pooler tells another one."""
        return self._pid

    @property
    def is_in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        return self._connection.info.transaction_status is not TransactionStatus.IDLE

    def shown(self, text: str) -> str:
        """Return a text without what must not be shown."""
        return scrub(text, self._secrets)

    def relabel(self, label: str) -> None:
        """Name another step to the server, with what the session sends next."""
        self._is_settled = False
        self._label = f"SET application_name = {literal(shortened(label), Engine.POSTGRESQL)};"

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        [[database, schema]] = self.query("SELECT current_database(), current_schema()")
        return Target(Engine.POSTGRESQL, str(database), None if schema is None else str(schema), table)

    def query(self, sql: str, *, within: timedelta | None = None) -> list[tuple[object, ...]]:
        """Run one query in a read-only transaction and return its rows."""
        self.settle()
        try:
            if within is None:
                return self.send(f"BEGIN READ ONLY;{sql}\n;ROLLBACK", answer=1)
            limit = f"SET LOCAL statement_timeout = {within // timedelta(milliseconds=1)}"
            return self.send(f"BEGIN READ ONLY;{limit};{sql}\n;ROLLBACK", answer=2)
        finally:
            self.roll_back()

    def execute(
        self,
        batch: Batch,
        *,
        send: Send | None = None,
        opening: str = "",
        watch: LockWatch | None = None,
    ) -> None:
        """Send a batch; with `transaction`, either all of it is committed on return or none of it.

        `send` sends its texts instead of `self.send`, so that somebody can look between their statements.
        `opening` is a statement that follows the beginning of a transaction. `watch` looks at what the batch
        waits for, unless it is over too soon.
        """
        self._kept = KeptTexts()  # what is sent here may be anything
        if batch.patience is not None and self._beside is not None:
            spent, self._spent = self._spent, timedelta()
            LockWaits(self, self._beside, batch.patience, spent=spent).execute(batch)
            return
        try:
            if batch.transaction and send is None and _can_go_at_once(batch):
                self._execute_at_once(batch, opening, watch)
                return
            self.settle()  # by itself: a transaction has its properties from before what comes with its BEGIN
            self._is_settled = False
            if watch is not None:
                watch.start()
            if batch.transaction:
                self._execute_together(batch, send, opening)
            else:
                self._execute_each(batch, send or self.send)
        finally:
            self.roll_back()

    def execute_all(self, batches: Iterable[Batch], *, labels: Sequence[str]) -> int:
        """Send transactions in one trip, of which the last alone waits for the disk; see ports.LiveSession.

        None behind one that is not for a trip, or would have to wait patiently for rows.
        """
        fit = takewhile(_can_follow, batches)
        first = next(fit, None)
        if first is None or first.patience is None or self._beside is None:
            return 0
        if self._watch_client is None:
            self.settle()
        if not self._can_flush:
            return 0
        trip = _Trip(chain((first,), fit), labels)
        waits = LockWaits(self, self._beside, first.patience)
        try:
            spent = waits.once(lambda opening, watch: self._send_all(trip, opening, watch))
        finally:
            self.roll_back()
        if trip.is_cut_short:
            self._spent = spent
        return trip.there

    def make_durable(self) -> None:
        """Wait for the disk, where this role may; one that may not has left nothing behind that waits."""
        self.settle()
        if self._can_flush:
            self.send(_FLUSH, commits=True)

    def cut_off(self) -> None:
        """End the connection from another thread."""
        with suppress(psycopg.Error, OSError):  # it is gone already
            cut_off(self._connection.fileno())

    @contextmanager
    def locked(self, lock_ids: Sequence[LockId], *, timeout: timedelta) -> Iterator[None]:
        """Hold advisory locks, polled and never waited for; Waiting with the holder when time is up."""
        self._demand_own_session()
        deadline = time.monotonic() + timeout.total_seconds()
        held: list[int] = []
        try:
            for lock_id in lock_ids:
                assert isinstance(lock_id, int), "no tool has another lock here"
                self._poll_lock(lock_id, deadline)
                held.append(lock_id)
            yield
        finally:
            with suppress(DatabaseError):  # a lost connection has lost its locks as well
                for lock_id in reversed(held):
                    self.send(f"SELECT pg_advisory_unlock({lock_id})")

    def settle(self) -> None:
        """Undo what texts did to the session: its settings, role and authorisation.

        Done before the next use and never after a commit, where a lost connection would look like a failure.
        """
        if self._is_settled:
            return
        self.send(f"{_RESET} {self._settings};{self._label}{self._watch_client or ''}")
        if self._watch_client is None:
            self._watch_client = ""
            with suppress(DatabaseError):  # a server whose platform cannot tell that a client is gone
                [[process, can_watch, can_flush, self._server_since, limit]] = self.send(_ABOUT_SERVER)
                self._limit_ms = int(str(limit))
                self._pid = int(str(process))
                self._can_flush = bool(can_flush)
                if can_watch:
                    self.send(_WATCH_CLIENT)
                    self._watch_client = _WATCH_CLIENT
        self._is_settled = True

    def _execute_at_once(self, batch: Batch, opening: str, watch: LockWatch | None) -> None:
        """Send a transaction in one trip; what undoes earlier texts goes before it, as a group of its own."""
        if self._watch_client is None:
            self.settle()
        self._trips += 1
        settles = () if self._is_settled else (*self._settling(), _SETTLED.format(self._trips))
        demands = (
            *((_IS_SETTLED.format(self._trips),) if settles else ()),
            *(() if batch.guard is None else (f"NOT EXISTS ({batch.guard})",)),
        )
        self._is_settled = False
        before = ("BEGIN", *filter(None, (opening,)), *map(_DEMAND.format, demands))
        refused = send_together(
            self._connection,
            (settles, (*before, *batch.statements, "COMMIT")),
            watch=watch,
        )
        if refused is not None:
            raise self._error_at(refused, batch, first=len(settles) + len(before))

    def _send_all(self, trip: _Trip, opening: str, watch: LockWatch) -> None:
        self._trips += 1
        # Each of them waits no longer than a first try, so it is soon enough to look when that is over.
        soon = SOON if watch.limit is None else watch.limit.total_seconds()
        refused = send_together(self._connection, self._groups(trip, opening), watch=watch, soon=soon)
        if refused is None:
            trip.there = len(trip.sizes) // 2
            return
        trip.is_cut_short = True
        self._kept = KeptTexts()
        if refused.at is None or self._connection.closed:
            raise self._error_from(refused.error, index=None, commits=True)
        trip.there = sum(end <= refused.at for end in accumulate(trip.sizes)) // 2
        self.roll_back()
        if trip.there:
            try:
                self.make_durable()
            except DatabaseError as error:
                error.ambiguous = True  # they are there, and nobody knows for how long
                raise

    def _groups(self, trip: _Trip, opening: str) -> Iterator[tuple[Item, ...]]:
        """Yield two groups for each transaction: behind the one before it, which has to be there, or it does
        nothing itself.

        That the one before is there is said by a setting that was made in it: a tool's own guard would be
        content with a version that somebody else has recorded.
        """
        kept = self._kept.items
        each_with_next = pairwise(chain(trip.batches, (None,)))
        for at, ((batch, following), label) in enumerate(zip(each_with_next, trip.labels, strict=False)):
            assert batch is not None, "what is last is followed by None"
            self.relabel(label)
            begun, before = f"{self._trips}.{at}", f"{self._trips}.{at - 1} is there"
            demand = kept(_DEMAND.format(_IS_SETTLED.format(before))) if at else ()
            settings = kept(in_one((*self._own_settings(), _SETTLED.format(begun))))
            yield trip.sized((*demand, *_RESETS, *settings))
            holds = f"{_IS_SETTLED.format(begun)} AND NOT EXISTS ({batch.guard})"
            opening_ones = kept(in_one((opening, _LATER) if following else (opening,)))
            opened = ("BEGIN", *opening_ones, *kept(_DEMAND.format(holds)))
            records = chain.from_iterable(map(kept, batch.of_tool))
            ended = (_SETTLED.format(f"{begun} is there"), "COMMIT")
            yield trip.sized((*opened, *batch.of_file, *records, *ended))

    def _settling(self) -> tuple[str, ...]:
        return (*_RESETS, *self._own_settings())

    def _own_settings(self) -> tuple[str, ...]:
        own = (*self._settings.split(";"), self._label, *(self._watch_client or "").split(";"))
        return tuple(each.strip("; ") for each in own if each.strip("; "))

    def _error_at(self, refused: Refused, batch: Batch, *, first: int) -> DatabaseError:
        """Return what stopped a transaction that went out at once, of which `first` is the first text."""
        if refused.at is None:
            return self._error_from(refused.error, index=None, commits=True)
        index = refused.at - first
        if index == -1 and batch.guard is not None and refused.error.sqlstate == _DIVISION_BY_ZERO:
            return ledger_changed()
        is_of_file = 0 <= index < len(batch.of_file)
        is_commit = index >= len(batch.statements)  # behind its answer, the server was gone before the end
        return self._error_from(refused.error, index=index if is_of_file else None, commits=is_commit)

    def _execute_together(self, batch: Batch, send: Send | None, opening: str) -> None:
        begin = f"BEGIN;{opening};"
        if batch.guard is None:
            self.send(begin)
        elif self.send(f"{begin}{batch.guard}", answer=-1):
            raise ledger_changed()
        if batch.before_fence is None:
            self._pass_fence(batch)
        # What is the tool's own goes out with the commit; whoever looks between statements sees each.
        records = batch.records if send is None else 0
        texts = batch.statements[: len(batch.statements) - records]
        for index, text in enumerate(texts):
            (send or self.send)(text, index=index, commits=False)
            if self._connection.info.transaction_status is not TransactionStatus.INTRANS:
                raise transaction_ended(index)
        if batch.before_fence is not None:
            batch.before_fence()
            self._pass_fence(batch)
        self.send(";".join((*batch.statements[len(texts) :], "COMMIT")), commits=True)

    def _pass_fence(self, batch: Batch) -> None:
        if batch.fence is not None and len(self.send(f"{batch.fence} RETURNING 1")) != 1:
            raise cursor_moved()

    def _execute_each(self, batch: Batch, send: Send) -> None:
        for index, text in enumerate(batch.statements):
            send(text, index=index, commits=True)
            if mark := batch.mark_after(index):
                self.send(mark)
        if self._connection.info.transaction_status is not TransactionStatus.IDLE:
            raise transaction_left_open()

    def _demand_own_session(self) -> None:
        """Raise Usage where locks of this session would not be its own; asked once."""
        if self._owns_session or self._beside is None:
            return
        if self.send(PROCESS) != [(self._connection.info.backend_pid,)]:  # a pooler made the number up
            demand_own_session(self.send, self._beside)
        self._owns_session = True

    def _poll_lock(self, lock_id: int, deadline: float) -> None:
        while self.send(f"SELECT pg_try_advisory_lock({lock_id})") != [(True,)]:
            if time.monotonic() >= deadline:
                raise self._lock_held(lock_id)
            time.sleep(_POLL_SECONDS)

    def _lock_held(self, lock_id: int) -> Waiting:
        holders = [
            f"process {pid} ({name or 'without a name'}, {address}, {state}, its query began at {began})"
            for pid, name, address, state, began in self.send(_HOLDER.format(lock_id=lock_id))
        ]
        return lock_held(lock_id, holders, unseen="it has just let go")

    def send(
        self, text: str, *, index: int | None = None, commits: bool = False, answer: int = 0
    ) -> list[tuple[object, ...]]:
        """Send one text as it is and return the rows of its first statement, or of that at `answer`.

        `index` is the text's place in its batch; `commits` says that it may commit, so that a connection
        that is lost leaves a doubt. Raises: DatabaseError.
        """
        began = time.monotonic()
        try:
            # A str without parameters goes out by the simple protocol, `%` untouched.
            cursor = self._connection.execute(text)
            while answer and cursor.nextset():
                answer -= 1
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            refusal = self._error_from(error, index=index, commits=commits)
            # A person who cancels it has the same code, and the words are of the server's language.
            is_over = 0 < self._limit_ms <= (time.monotonic() - began) * 1000
            refusal.took_too_long = refusal.sqlstate == CANCELLED and is_over
            raise refusal from error

    def _error_from(self, error: psycopg.Error, *, index: int | None, commits: bool) -> DatabaseError:
        message = scrub(message_of(error), self._secrets)
        if self._connection.closed:
            state = None if error.sqlstate == ENDED and self._has_restarted() else error.sqlstate
            lost = connection_lost(message, commits=commits, statement=index, sqlstate=state)
            lost.next_step = TOO_SHORT if state in OVER_TIME else lost.next_step
            return lost
        if self._connection.info.transaction_status is TransactionStatus.ACTIVE:
            self._connection.close()  # the server waits for COPY's data, and nothing else ends that
        return refusal_from(error, message, statement=index)

    def _has_restarted(self) -> bool:
        return self._beside is not None and has_restarted(self._beside, since=self._server_since)

    def roll_back(self) -> None:
        """End the transaction that is open, if one is; nothing of it stays."""
        if not self._connection.closed:
            with suppress(psycopg.Error):
                self._connection.rollback()


@dataclass
class _Trip:
    """Transactions that are sent one behind the other, and what is known of them then."""

    batches: Iterable[Batch]
    labels: Sequence[str]
    sizes: list[int] = field(default_factory=list)
    """How many items each group has that was sent; two groups are a transaction."""
    there: int = 0
    """So many of them, from the first, are committed."""
    is_cut_short: bool = False

    def sized(self, group: tuple[Item, ...]) -> tuple[Item, ...]:
        """Return a group that is sent now."""
        self.sizes.append(len(group))
        return group


def _can_follow(batch: Batch) -> bool:
    """Tell whether a transaction may be sent before the answer to the one before it is there."""
    is_fit = batch.guard is not None and can_wait_briefly(batch) and _can_go_at_once(batch)
    return is_fit and not names_own_table(batch.of_file, batch.of_tool)


def _can_go_at_once(batch: Batch) -> bool:
    """Tell whether nobody has to look between a transaction's statements. Its records are the tool's own."""
    return batch.fence is None and can_go_together(batch.of_file)


_LABEL_BYTES = 63


def shortened(label: str) -> str:
    """Return a step's name as the server can keep it: NAMEDATALEN is 64."""
    return label.encode()[:_LABEL_BYTES].decode(errors="ignore")
