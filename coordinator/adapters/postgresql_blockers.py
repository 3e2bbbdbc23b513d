"""Who holds a lock that a migration wants: what a second connection sees of a session that waits.

Only what is asked and what came back is here, no decision. A waiting request for a strong lock makes
everybody queue who comes after it (PostgreSQL's manual, "Explicit Locking"), and that queue is what the
application notices. A wait behind which nobody queues (for a row, for the transactions that CREATE INDEX
CONCURRENTLY lets end) is told apart here, where the server knows which of the two it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Self

import psycopg

Connection = psycopg.Connection[tuple[object, ...]]

SOON: Final = 0.005
"""Seconds until the first look. Most statements are done by then, and never need a second connection."""
_CLOSE: Final = 0.01
"""Seconds between two looks at a session that waits, or may soon."""
_FAR: Final = 0.05
"""Seconds between two looks at one that has worked for a while."""
_SELDOM: Final = 40
"""Looks at a session that waits for no lock between two questions what else it waits for: two seconds."""
_QUERY_LENGTH: Final = 160
_HIDDEN: Final = "<insufficient privilege>"
"""What pg_stat_activity shows of another role's query (PostgreSQL's manual, "The Statistics Collector")."""

_ROW_SHARE: Final = ("ExclusiveLock", "AccessExclusiveLock")
_ROW_EXCLUSIVE: Final = ("ShareLock", "ShareRowExclusiveLock", *_ROW_SHARE)
_UPDATE_EXCLUSIVE: Final = ("ShareUpdateExclusiveLock", *_ROW_EXCLUSIVE)
_CONFLICTS: Final[Mapping[str, Collection[str]]] = {
    "ShareLock": ("RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock", *_ROW_SHARE),
    "ShareRowExclusiveLock": ("RowExclusiveLock", *_UPDATE_EXCLUSIVE),
    "ExclusiveLock": ("RowShareLock", "RowExclusiveLock", *_UPDATE_EXCLUSIVE),
    "AccessExclusiveLock": ("AccessShareLock", "RowShareLock", "RowExclusiveLock", *_UPDATE_EXCLUSIVE),
}
"""What each strong mode waits for (PostgreSQL's manual, table 13.2)."""

_STRONG = ", ".join(f"'{each}'" for each in _CONFLICTS)
_WAITS = f"""
SELECT w.relation, w.relation::regclass::text, w.mode,
       (w.locktype = 'relation' AND w.mode IN ({_STRONG})) OR EXISTS (
         -- A relation that the transaction itself made is not in anybody else's catalogue yet.
         SELECT FROM pg_catalog.pg_locks h JOIN pg_catalog.pg_class c ON c.oid = h.relation
         WHERE h.pid = w.pid AND h.granted AND h.locktype = 'relation' AND h.mode IN ({_STRONG}))
FROM pg_catalog.pg_locks w WHERE w.pid = {{pid}} AND NOT w.granted
"""  # noqa: S608 - of constants
_CANCEL = """
SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_locks WHERE pid = {pid} AND NOT granted LIMIT 1
"""
_AWAITS_STANDBY = """
SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = {pid} AND wait_event = 'SyncRep'
"""
"""A commit that is on the disk, and that nobody sees before a synchronous standby has it too."""
_ACTIVITY = """
a.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''), coalesce(a.backend_type, ''), a.state,
extract(epoch FROM clock_timestamp() - a.xact_start)::float8, coalesce(a.query, '')
"""
_BLOCKING = f"""
SELECT b.pid, (SELECT l.virtualtransaction FROM pg_catalog.pg_locks l WHERE l.pid = b.pid LIMIT 1),
       '', 0::oid, {_ACTIVITY}
FROM unnest(pg_catalog.pg_blocking_pids({{pid}})) b(pid)
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
"""  # noqa: S608 - of constants
_HOLDING = f"""
SELECT l.pid, l.virtualtransaction, l.mode, l.relation, {_ACTIVITY}
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.locktype = 'relation' AND l.relation = ANY(%(relations)s)
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.pid IS DISTINCT FROM %(pid)s
ORDER BY a.xact_start NULLS FIRST
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session, or a prepared transaction, that holds what a migration waits for."""

    pid: int | None
    """None: a prepared transaction, which no session has any more."""
    transaction: str
    """Its virtual transaction, by which it is known again."""
    application: str
    user: str
    kind: str
    """`client backend`, `autovacuum worker`, …; empty where it may not be seen."""
    state: str | None
    open_for: timedelta | None
    """How long its transaction is open; None where it may not be seen."""
    query: str | None
    """The first line of its last query; None where it may not be seen."""

    @property
    def is_vacuum(self) -> bool:
        """It is an autovacuum that the server itself would end for whoever waits (`deadlock_timeout`)."""
        return self.kind == "autovacuum worker" and "to prevent wraparound" not in (self.query or "")

    def __str__(self) -> str:
        if self.pid is None:
            return "a prepared transaction (see pg_prepared_xacts)"
        who = f"application {self.application or 'without a name'}, user {self.user or 'none'}"
        if self.kind not in ("", "client backend"):
            who = self.kind
        if self.query is None:
            return f"pid {self.pid} ({who}), whose query our role may not see (pg_read_all_stats shows it)"
        since = "" if self.open_for is None else f" for {_told(self.open_for)}"
        does = "idle, " if (self.state or "").startswith("idle") else ""
        return f"pid {self.pid} ({who}), {does}in transaction{since}: {self.query}"


def _told(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    if seconds < 1:
        return "less than 1 s"
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 7200 else f"{seconds // 3600:.0f} h"  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Wanted:
    """A relation that a migration was seen to wait for, and the mode in which it wants it."""

    relation: int
    name: str
    mode: str


def warm(connection: Connection) -> None:
    """Look once, so that the server has read its catalogue when the next look has to be quick."""
    connection.execute(_WAITS.format(pid=0))


def holders(connection: Connection, pid: int, wanted: Collection[Wanted]) -> tuple[Blocker, ...]:
    """Return who holds a lock that conflicts with what `pid` wants, oldest transaction first."""
    if not wanted:
        return ()
    rows = connection.execute(_HOLDING, {"pid": pid, "relations": [each.relation for each in wanted]})
    conflicting = {(each.relation, mode) for each in wanted for mode in _CONFLICTS.get(each.mode, ())}
    found = {
        str(row[1]): _blocker_from(row) for row in rows if (int(str(row[3])), str(row[2])) in conflicting
    }
    return tuple(found.values())


def cancel(connection: Connection, pid: int) -> None:
    """Cancel what a session does."""
    connection.execute("SELECT pg_catalog.pg_cancel_backend(%s)", (pid,))


def _blocker_from(row: tuple[object, ...]) -> Blocker:
    pid, transaction, _, _, _, application, user, kind, state, seconds, query = row
    text = str(query or "").strip()
    return Blocker(
        pid=int(str(pid)) or None if pid is not None else None,
        transaction=str(transaction),
        application=str(application or ""),
        user=str(user or ""),
        kind=str(kind or ""),
        state=None if state is None else str(state),
        open_for=None if seconds is None else timedelta(seconds=float(str(seconds))),
        query=None if text == _HIDDEN else text.partition("\n")[0][:_QUERY_LENGTH] or "no query yet",
    )


@dataclass
class LockWatch:
    """Looks at what a session waits for while its statement runs; `with` ends the looking.

    Whoever waits for the statement looks in between (`look`), or lets a thread do it (`start`).

    When others have waited behind the session for `limit`, its statement is cancelled: a server's
    lock_timeout bounds each wait alone, and a statement may wait more than once. Where it cannot look,
    it says so (`is_blind`).
    """

    beside: Callable[[], Connection | None]
    """Opens the connection from which it looks, once a statement takes longer than most; None: it cannot."""
    pid: int
    limit: timedelta | None
    tell: Callable[[tuple[Blocker, ...]], None] | None = None
    """Shows who is waited for, each time that it is somebody else."""
    tell_standby: Callable[[], None] | None = None
    """Shows that a commit waits for a synchronous standby; once."""
    stalled: float = 0.0
    """Seconds for which others may have queued; rather too many than too few."""
    wanted: set[Wanted] = field(default_factory=set)
    blockers: tuple[Blocker, ...] = ()
    """Who was waited for last."""
    has_cancelled: bool = False
    is_blind: bool = False
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _connection: Connection | None = None
    _last: float = 0.0
    """When it was looked last; at first, when the statement began."""
    _pause: float = SOON
    _seen: tuple[object, ...] = ()
    _idle_looks: int = 0

    def __enter__(self) -> Self:
        self.begin()
        return self

    def begin(self) -> None:
        """Take it that a statement begins now, and that nobody waits for what was sent before."""
        self._last = time.monotonic()

    def start(self) -> None:
        """Look from a thread of its own, for whoever waits for the statement where nobody can be asked."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_on, name="lock-watch", daemon=True)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _look_on(self) -> None:
        pause: float | None = SOON
        while pause is not None and not self._is_over.wait(pause):
            pause = self.look()

    def look(self) -> float | None:
        """Look once; return in how many seconds it is time for the next look, or None: nobody can look."""
        try:
            self._connection = self._connection or self.beside()
            if self._connection is not None:
                self._look()
                return self._pause
        except psycopg.Error:
            pass
        self.is_blind = True
        return None

    def _look(self) -> None:
        rows = self._rows(_WAITS)
        now = time.monotonic()
        if rows:
            self._take(rows, now - self._last)
        if rows and rows[0][:3] != self._seen:
            self._ask_who()
        if not rows:
            self._look_for_standby()
        self._seen = rows[0][:3] if rows else ()
        self._pause, self._last = (_CLOSE if rows else min(self._pause * 1.5, _FAR)), now

    def _take(self, rows: list[tuple[object, ...]], seconds: float) -> None:
        for relation, name, mode, stalls in rows:
            if not stalls:
                continue
            self.stalled += seconds
            if relation is not None and mode in _CONFLICTS:
                self.wanted.add(Wanted(int(str(relation)), str(name), str(mode)))
        if self.limit is not None and self.stalled >= self.limit.total_seconds():
            self.has_cancelled = self._rows(_CANCEL) == [(True,)] or self.has_cancelled

    def _look_for_standby(self) -> None:
        """Look seldom whether what waits for no lock waits for another server."""
        self._idle_looks += 1
        if self.tell_standby and self._idle_looks % _SELDOM == 0 and self._rows(_AWAITS_STANDBY):
            self.tell_standby()
            self.tell_standby = None

    def _ask_who(self) -> None:
        found = tuple(map(_blocker_from, self._rows(_BLOCKING)))
        if found and self.tell is not None:
            self.tell(found)
        self.blockers = found or self.blockers

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        assert self._connection is not None
        return self._connection.execute(
            sql.format(pid=self.pid)
        ).fetchall()  # no parameters: it is the quicker


def names_of(wanted: Collection[Wanted]) -> Iterator[str]:
    """Yield `orders (AccessExclusiveLock)` for each relation."""
    yield from sorted(f"`{each.name}` ({each.mode})" for each in wanted)
