"""The loop of a backfill: choose the next rows, change them together with the cursor, rest. It can be ended
anywhere and begun again: everything that it knows stands in the cursor, and is read anew with each session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from coordinator.backfills.ahead import Begun, going_ahead
from coordinator.backfills.cursor import Cursor, begin_cursor, move_cursor
from coordinator.backfills.keys import Key, Place, key_of, number_from
from coordinator.backfills.pace import Pace
from coordinator.backfills.progress import Progress
from coordinator.backfills.ranges import do_by_program
from coordinator.backfills.refusals import (
    batch_refused,
    choice_refused,
    is_busy,
    may_pass,
    question_refused,
)
from coordinator.backfills.replicas import furthest_behind
from coordinator.errors import DatabaseError, Waiting
from coordinator.model import BackfillSpec, DatabaseSpec, Engine
from coordinator.ports.databases import Session
from coordinator.ports.programs import RangeProgram
from coordinator.wording import counted

_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before the next try to connect, when a connection was lost: a server may restart."""
_TAILS: Final = 5
"""How many batches are done in a row for rows that came in after the last one was thought to be."""
_LOOK_AT_REPLICAS: Final = timedelta(seconds=1)
_SAY: Final = timedelta(seconds=1)
_ALONE: Final = 8
"""How many batches are done one at a time after several at once were in each other's way; twice as many after
each such meeting, because there is a reason for it that does not go away."""


@dataclass
class Work:
    """One command's work on one backfill."""

    database: DatabaseSpec
    spec: BackfillSpec
    connect: Callable[[], AbstractContextManager[Session]]
    now: Callable[[], datetime]
    wait: Callable[[timedelta], None]
    """Return after a time; raises Interrupted when the work is to stop."""
    note: Callable[[str], None]
    report: Callable[[Progress], None] = lambda _: None
    """Is told how far it is, about once a second."""
    program: RangeProgram | None = None
    """Does the rows where the plan has a program for that."""
    done: int = 0
    """Rows that this command did."""
    _may_come_late: bool = False
    """A commit was cut off, and no batch was done since: a server that did not notice may still get it, also
    when the cursor was read anew. Until it is over it holds the cursor's row."""
    _has_gone_again: bool = False
    _tails: int = 0
    _meetings: int = 0
    _alone: int = 0
    _busy_since: datetime | None = None
    _said: datetime | None = None
    _looked: datetime | None = None
    _began: datetime | None = None
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self._pace = Pace.of(self.spec, self.database.engine)

    def run(self) -> str:
        """Work until no row is left, and return a line about it.

        Raises: Waiting `backfill-incomplete` or `backfill-blocked`, StepFailed where the plan does not fit
        the database, DatabaseError where the engine refuses, Interrupted.
        """
        tries = 0
        while True:
            before = self.done
            try:
                with self.connect() as session:
                    return self._work(session)
            except DatabaseError as error:
                if is_busy(error):  # the cursor's own row, or on SQLite the file
                    self._give_way(error)
                    continue
                if error.code == "cursor-moved" and self._may_come_late:
                    self.note("A commit that was cut off has arrived after all: going on behind it.")
                    self._may_come_late = False
                    continue
                tries = 0 if self.done > before else tries
                if not may_pass(error) or tries == len(_PAUSES):
                    raise
                self._may_come_late = self._may_come_late or error.ambiguous
                if self._goes_ahead:
                    self._part()  # a server that ends who waits in a transaction would do so again and again
                # Whether the last commit happened is no question: the cursor is read again.
                self.note(f"{error.what} Connecting again in {_PAUSES[tries]:g} s.")
                self.wait(timedelta(seconds=_PAUSES[tries]))
                tries += 1

    def _work(self, session: Session) -> str:
        key, cursor = key_of(session, self.spec), begin_cursor(session, self.spec)
        self._began = self._began or self.now()
        while True:
            self.wait(timedelta())
            self._wait_for_replicas(session)
            if self._goes_ahead:
                cursor = self._go_ahead(session, key, cursor)
            chosen = self._choose(session, key, cursor)
            if chosen is not None:
                moved = self._change(session, key, cursor, chosen)
                if moved is None or not chosen.is_rest:
                    cursor = moved or cursor
                    continue
                cursor = moved
            left = self._count_left(session)
            if not left:
                self._move(session, cursor, cursor.at_end())
                return f"{counted(cursor.passed, 'row')} passed, none left"
            cursor = self._go_on(session, cursor, left, has_moved=chosen is not None)

    @property
    def _goes_ahead(self) -> bool:
        """Tell whether several batches are under way at once, as things are."""
        return self.spec.sessions > 1 and not self._alone

    def _go_ahead(self, session: Session, key: Key, cursor: Cursor) -> Cursor:
        """Do whole batches, several at once, and return where the cursor stands then.

        It ends before the last rows of the table, and before a batch that has to be done by itself.
        """
        with self._choosing(cursor):
            if key.nth_after(cursor.place, self._pace.rows, session) is None:
                return cursor
        head, rested = cursor, self.now()
        with going_ahead(session, self.connect, self.spec, now=self.now, note=self.note) as ahead:
            while True:
                last, rows = None, self._pace.rows
                if idle := ahead.idle:
                    self.wait(timedelta())
                    self._wait_for_replicas(idle)
                    with self._choosing(head):
                        last = key.nth_after(head.place, rows, idle)
                if last is not None:
                    was, head = head, head.past(last, rows)
                    ahead.begin(was, head, self._batch(key, was, last))
                    continue
                if ahead.is_empty:
                    return cursor
                ended = ahead.end_oldest()
                if ended is None:
                    self._part()
                    return cursor
                cursor = ended.now
                self._end(key, ended)
                # What others did meanwhile is work too: at half speed all of them rest half of the time.
                self.wait(self._pace.rest(ended.rows, (self.now() - rested).total_seconds()))
                rested = self.now()

    def _end(self, key: Key, ended: Begun) -> None:
        self.done, self._busy_since, self._tails = self.done + ended.rows, None, 0
        self._may_come_late = False
        self._pace = self._pace.after(ended.rows, ended.seconds)
        self._tell(key, ended.now)

    def _part(self) -> None:
        """Do the next batches one at a time: what is wrong shows without others."""
        self._alone = _ALONE * 2 ** min(self._meetings, 16)
        self._meetings += 1
        self.note(f"a batch beside others was taken back: {self._alone:,} batches are done one at a time")

    def _choose(self, session: Session, key: Key, cursor: Cursor) -> Chosen | None:
        rows = self._pace.rows
        with self._choosing(cursor):
            last = key.nth_after(cursor.place, rows, session)
            if last is not None:
                return Chosen(last, rows, is_rest=False)
            rest = key.last_after(cursor.place, session)
            return None if rest is None else Chosen(*rest, is_rest=True)

    @contextmanager
    def _choosing(self, cursor: Cursor) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise choice_refused(error, self.spec, cursor) from error

    def _count_left(self, session: Session) -> int:
        try:
            return number_from(session, self.spec.remaining, self.spec)
        except DatabaseError as error:
            raise question_refused(error, self.spec) from error

    def _change(self, session: Session, key: Key, cursor: Cursor, chosen: Chosen) -> Cursor | None:
        """Do one batch and return where the cursor stands then; None where it has to be a smaller one."""
        moved = cursor.past(chosen.last, chosen.rows)
        began = self.now()
        try:
            statements = () if self.program else self._batch(key, cursor, chosen.last)
            if self.program:
                do_by_program(self.program, self.spec, key.between(cursor.place, chosen.last), note=self.note)
            self._move(session, cursor, moved, statements)
        except DatabaseError as error:
            if is_busy(error):
                self._give_way(error)
            elif error.took_too_long and chosen.rows > 1:
                self._pace = self._pace.after_timeout()
                rows = counted(self._pace.rows, "row")
                self.note(f"{error.what} Batches are half as long from here on: {rows}.")
            else:
                raise batch_refused(error, self.spec, cursor, chosen.last) from error
            return None
        seconds = (self.now() - began).total_seconds()
        self.done, self._busy_since, self._may_come_late = self.done + chosen.rows, None, False
        self._alone = max(0, self._alone - 1)
        self._tell(key, moved)
        rest = self._pace.rest(chosen.rows, seconds)
        if not chosen.is_rest:
            self._pace, self._tails = self._pace.after(chosen.rows, seconds), 0
        self.wait(rest)
        return moved

    def _move(self, session: Session, was: Cursor, now: Cursor, statements: tuple[str, ...] = ()) -> None:
        move_cursor(session, self.spec, was, now, engine=self.database.engine, statements=statements)

    def _batch(self, key: Key, cursor: Cursor, last: Place) -> tuple[str, ...]:
        """Return what a batch sends beside the cursor.

        A server that crashes may lose the last commits that it did not wait for, of rows and cursor alike, so
        nothing is done twice. The commit at the end is waited for, and makes all those before it durable.
        """
        text = self.spec.statement(key.between(cursor.place, last))
        if self.database.engine is not Engine.POSTGRESQL:
            return (text,)  # the session has the plan's patience already
        attempt = self.database.locks.attempt // timedelta(milliseconds=1)
        return f"SET LOCAL lock_timeout = {attempt}; SET LOCAL synchronous_commit = off", text

    def _give_way(self, error: DatabaseError) -> None:
        """Hold less the next time, and let the others pass first. Raises: Waiting `backfill-blocked`."""
        self._pace, now = self._pace.after_busy(), self.now()
        self._busy_since = self._busy_since or now
        if now - self._busy_since > self.database.locks.deadline:
            raise Waiting(
                "backfill-blocked",
                f"Backfill `{self.spec.name}` got no row for"
                f" {(now - self._busy_since).total_seconds():.0f} s: {error.what}",
                why="Another transaction holds a row of the next batch, which waits for it a moment only.",
                next_step="Look for a transaction that stays open, end it, and run the command again.",
            )
        self.note(
            f"{error.what} Trying {counted(self._pace.rows, 'row')}"
            f" in {self._pace.pause.total_seconds():g} s."
        )
        self.wait(self._pace.pause)

    def _wait_for_replicas(self, session: Session) -> None:
        """Wait while a replica is too far behind, looking once a second, and say so less and less often.

        Raises: Waiting `backfill-blocked` where it only falls further behind.
        """
        allowed = self.spec.replication_lag
        if allowed is None or (self._looked and self.now() - self._looked < _LOOK_AT_REPLICAS):
            return
        began, first, told = self.now(), None, timedelta()
        while (behind := furthest_behind(session)) and behind[1] > allowed.total_seconds():
            name, seconds = behind
            first, waited = seconds if first is None else first, self.now() - began
            if waited > self.database.locks.deadline and seconds - first > waited.total_seconds() / 2:
                raise _left_behind(self.spec, name, seconds, waited)
            if waited >= told:
                told = 2 * waited + _LOOK_AT_REPLICAS
                self.note(f"replica {name} is {seconds:.0f} s behind: waiting for it")
            self.wait(_LOOK_AT_REPLICAS)
        self._looked = self.now()

    def _go_on(self, session: Session, cursor: Cursor, left: int, *, has_moved: bool) -> Cursor:
        """Return where to look for rows that are left. Raises: Waiting `backfill-incomplete`."""
        if has_moved and self._tails < _TAILS:
            self._tails += 1
            return cursor  # rows may have come in behind it meanwhile
        if self.spec.repeatable and not self._has_gone_again:
            self.note(f"After all were passed, {counted(left, 'row')} remain: going over the table again")
            self._has_gone_again, self._tails = True, 0
            self._move(session, cursor, cursor.at_start())
            return cursor.at_start()
        raise Waiting(
            "backfill-incomplete",
            f"Backfill `{self.spec.name}` passed every row of `{self.spec.table}`; {left:,} are left.",
            why="They were written in the old form since, or the statement leaves them alone.",
            next_step="Let whoever writes the old form write both (the live version, or a trigger), and run"
            " the command again. Rows below the cursor are done again only with `repeatable: true`, or by a"
            " backfill of another name.",
        )

    def _tell(self, key: Key, cursor: Cursor) -> None:
        """Say how far it is, about once a second."""
        now = self.now()
        assert self._began is not None, "a batch was done"
        if self._said is None or now - self._said >= _SAY:
            self._said = now
            seconds = (now - self._began).total_seconds()
            speed = self.done / seconds if seconds > 0 else 0.0
            self.report(Progress(cursor.passed, key.rows, speed))


def _left_behind(spec: BackfillSpec, name: str, seconds: float, waited: timedelta) -> Waiting:
    return Waiting(
        "backfill-blocked",
        f"Backfill `{spec.name}` waited {waited.total_seconds():.0f} s for replica {name}, which is"
        f" {seconds:.0f} s behind and falls further behind.",
        why="It replays nothing, or more slowly than others write. What was done stays done.",
        next_step="Look whether its replay is paused or a query holds it up there, and run the command again."
        " `replication_lag` says how far a replica may be behind.",
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows of the next batch: `rows` of them, up to `last`. `is_rest`: no other was behind the cursor."""

    last: Place
    rows: int
    is_rest: bool
