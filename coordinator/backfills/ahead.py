"""Several batches under way at once, each in a session of its own, which are committed one after the other.

A batch is begun as soon as it is known where the one before it ends. Its rows are changed while the others
change theirs; its cursor moves last, when the one before is known to be committed, and from exactly there. So
what is committed is at every instant all that lies before the cursor, and nothing behind it. A transaction
whose coordinator was killed never gets its COMMIT, and ends with its connection; while it still holds rows,
whoever works there next waits for them. If one was sent a COMMIT at the last moment, or another coordinator
works beside, then the cursor stands elsewhere for one of the two, and the fence takes that one's rows back.

The sessions of one backfill may wait for each other in a way that no engine sees: one for a row that a later
batch holds, and that one here for its turn. The server's `lock_timeout` ends the first wait, and a patience
of ours the second. Whatever goes wrong, those that are behind it are taken back first; then the batch is done
by itself, and only what it says then counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from coordinator.backfills.cursor import Cursor, move_cursor
from coordinator.errors import DatabaseError
from coordinator.model import BackfillSpec, Engine
from coordinator.ports.databases import Session
from coordinator.wording import counted

_PATIENCE: Final = 5.0
"""Seconds for which a batch holds its rows until the one before it is committed: ten times of what that shall
take. It ends what `lock_timeout` does not, where the statement calls what sets that to 0."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that moves the cursor from `was` to `now`; it `ends` with the seconds that its work took."""

    session: Session
    was: Cursor
    now: Cursor
    ends: Future[float]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.now.passed - self.was.passed

    @property
    def seconds(self) -> float:
        """How long it worked, without the time in which it waited for its turn."""
        return self.ends.result()


class TakenBack(Exception):
    """The batch before is not committed, so this one must not be either."""


class Ahead:
    """The batches that are under way, oldest first. One thread begins them and sees them end."""

    def __init__(
        self,
        sessions: list[Session],
        threads: ThreadPoolExecutor,
        spec: BackfillSpec,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._idle = sessions
        self._threads = threads
        self._spec = spec
        self._now = now
        self._begun: deque[Begun] = deque()

    @property
    def idle(self) -> Session | None:
        """The session that the next batch gets; nobody else uses it meanwhile. None: each has one."""
        return self._idle[-1] if self._idle else None

    @property
    def is_empty(self) -> bool:
        """Tell whether none is under way."""
        return not self._begun

    def begin(self, was: Cursor, now: Cursor, statements: tuple[str, ...]) -> None:
        """Begin the batch behind the last one, in the idle session."""
        session = self._idle.pop()
        before = self._begun[-1].ends if self._begun else None

        def change() -> float:
            began, seconds = self._now(), 0.0

            def await_turn() -> None:
                nonlocal seconds
                seconds = (self._now() - began).total_seconds()
                if before is not None:
                    _demand_committed(before)

            move_cursor(
                session,
                self._spec,
                was,
                now,
                engine=Engine.POSTGRESQL,
                statements=statements,
                before_fence=await_turn,
            )
            return seconds

        self._begun.append(Begun(session, was, now, self._threads.submit(change)))

    def end_oldest(self) -> Begun | None:
        """Wait for the oldest batch, and return it when it is committed.

        None where nothing of it happened; nor has anything of those behind it then, and none is under way any
        more. Raises: DatabaseError where a connection was lost, and what it was about may have happened.
        """
        oldest = self._begun.popleft()
        error = oldest.ends.exception()
        if error is None:
            self._idle.append(oldest.session)
            return oldest
        wait([each.ends for each in self._begun])  # what they hold is what it may have waited for
        self._begun.clear()
        if isinstance(error, TakenBack) or (isinstance(error, DatabaseError) and not error.is_out_of_reach):
            return None
        raise error


def _demand_committed(before: Future[float]) -> None:
    try:
        error = before.exception(timeout=_PATIENCE)
    except TimeoutError as late:
        raise TakenBack from late
    if error is not None:
        raise TakenBack


@contextmanager
def going_ahead(
    session: Session,
    connect: Callable[[], AbstractContextManager[Session]],
    spec: BackfillSpec,
    *,
    now: Callable[[], datetime],
    note: Callable[[str], None],
) -> Iterator[Ahead]:
    """Open as many sessions beside `session` as the plan says. Leaving waits until no batch is under way."""
    with ExitStack() as opened:
        sessions = [session]
        try:
            while len(sessions) < spec.sessions:
                sessions.append(opened.enter_context(connect()))
        except DatabaseError as error:  # a limit of connections is no reason to stop
            note(f"{error.what} Going on in {counted(len(sessions), 'session')}.")
        with ThreadPoolExecutor(spec.sessions, thread_name_prefix="backfill") as threads:
            yield Ahead(sessions, threads, spec, now=now)
