"""Migrations of one database that follow each other: in one session, under one hold of the tool's locks.

Connecting, taking the locks and reading a version table of a thousand rows cost more than a small migration
does. So a step leaves what it opened to the next one, and the engine's loop ends it as soon as no migration
of that database is at work: no lock outlives the reason for it. What the version table says is carried along.
Who takes the tool's locks cannot move it meanwhile, and who takes none is met by the guard of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from threading import Lock
from typing import Final, Self

from coordinator.applied import Book, Mark, Standing, read_marks
from coordinator.apply import batch_up, demand_next, ledger_before, look, read_ledger, send_up
from coordinator.errors import CoordinatorError
from coordinator.halfway import may_remain
from coordinator.model import DatabaseName, Engine, Migration, MigrationId, Script
from coordinator.ports.databases import Batch, LiveSession, Patience, Target
from coordinator.ports.migrations import Ledger, MigrationTool
from coordinator.sql import controls_transaction, split_statements

_CALM: Final = frozenset(
    {"CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE", "COMMENT", "TRUNCATE", "GRANT", "REVOKE"}
)
"""Statements after which a session is as it was, but for temporary tables."""
WORTH_IT: Final = 2
"""Migrations that go together, at least."""
_TEMPORARY: Final = frozenset({"TEMP", "TEMPORARY"})


def may_follow(script: Script | None, engine: Engine) -> bool:
    """Tell whether the session of a migration is as good as new after it.

    A temporary table, a PRAGMA or a variable that the next file finds there would be missing if that one ran
    after a kill, and so it must not find them at all.
    """
    pieces = (
        (piece for text in script.statements for piece in split_statements(text.text, engine))
        if script
        else ()
    )
    return all(
        not piece.words or (piece.words[0] in _CALM and _TEMPORARY.isdisjoint(piece.words))
        for piece in pieces
    )


def is_whole(migration: Migration, engine: Engine) -> bool:
    """Tell whether all of a migration is there with its record, or nothing of it, whenever it is cut off."""
    script = migration.up
    if migration.is_code:
        return migration.is_atomic
    if may_remain(script, engine):
        return False
    texts = script.statements if script else ()
    pieces = (piece for text in texts for piece in split_statements(text.text, engine))
    return not any(map(controls_transaction, pieces))


@dataclass
class Series:
    """An open session that holds the tool's locks, and what the version table says under them."""

    session: LiveSession
    tool: MigrationTool
    target: Target
    ledger: Ledger
    standing: Standing
    _held: ExitStack
    _coming: tuple[Migration, ...] = ()
    """What the tool would apply next, where that is known; the first is due."""
    _at: int = 0
    _stopped_at: MigrationId | None = None
    """What several that went together ended before: it goes by itself, and is not sent with others again."""
    _marks: Mapping[str, Mark] | None = None

    @classmethod
    def opened(
        cls,
        session: AbstractContextManager[LiveSession],
        tool: MigrationTool,
        *,
        table: str | None,
        lock_timeout: timedelta,
    ) -> Self:
        """Connect, take the tool's locks and look. Raises: Waiting `migration-lock-held`."""
        with ExitStack() as held:
            connected = held.enter_context(session)
            target = connected.target(table)
            held.enter_context(connected.locked(tool.lock_ids(target), timeout=lock_timeout))
            ledger, standing = look(connected, tool, target)
            return cls(connected, tool, target, ledger, standing, held.pop_all())

    def is_due(self, migration: Migration) -> bool:
        """Tell whether a migration is known to be the tool's next one."""
        return self._at < len(self._coming) and self._coming[self._at].version == migration.version

    def mark_of(self, migration: Migration) -> Mark | None:
        """Return how far a file is known to have run before the series: nobody else moves a mark in it."""
        if not may_remain(migration.up, self.target.engine):
            return None
        if self._marks is None:
            self._marks = read_marks(self.session, self.tool, self.target)
        return self._marks.get(str(migration.version))

    def apply(
        self,
        migration: Migration,
        *,
        migrations: Sequence[Migration],
        patience: Patience,
        book: Book,
        label: str,
        start: int | None = None,
    ) -> None:
        """Apply and record a migration, which must be the tool's next one; see `send_up`.

        Raises: as `demand_next`, with nothing done, and `send_up`. After an error it is of no use any more.
        """
        is_dirty = start is not None and self.ledger.dirty == migration.version
        if is_dirty:
            before = ledger_before(migration, migrations)
            self.ledger = replace(before, is_truncated=self.ledger.is_truncated)
        if is_dirty or not self.is_due(migration):
            self._coming = demand_next(self.tool, migration, migrations, ledger=self.ledger)
            self._at = 0
        self.session.relabel(label)
        self.standing = send_up(
            self.session,
            self.tool,
            migration,
            migrations,
            target=self.target,
            ledger=self.ledger,
            patience=patience,
            book=book,
            standing=self.standing,
            start=start,
            is_dirty=is_dirty,
        )
        after = self.tool.after(self.ledger, migration)
        self._at += 1
        if after is None:
            after, self._coming = read_ledger(self.session, self.tool, self.target), ()
        self.ledger = after

    def apply_all(
        self,
        migrations: Sequence[Migration],
        *,
        patience: Patience,
        book: Book,
        labels: Sequence[str],
        is_halted: Callable[[], bool],
    ) -> int:
        """Apply and record what is to come, in one trip; return how many of them, from the first, are there.

        None where that is not to be had, or would not be worth it, and none behind what cannot go along:
        `apply` does it then, or says why not. No more are sent than are under way when `is_halted`. Each is
        `is_whole` and `may_follow`. Raises: DatabaseError that is ambiguous; it is of no use any more then.
        """
        ledgers = [self.ledger]
        up = partial(batch_up, self.tool, target=self.target, patience=patience, book=book)
        batches = self._batches(migrations, ledgers, up, is_halted)
        first = tuple(islice(batches, WORTH_IT))
        if len(first) < WORTH_IT:
            return 0
        count = self.session.execute_all(chain(first, batches), labels=labels)
        if count < len(ledgers) - 1:
            self._stopped_at = migrations[count].version
        self.ledger = ledgers[count]
        self._at += count
        return count

    def _batches(
        self,
        migrations: Sequence[Migration],
        ledgers: list[Ledger],
        up: Callable[..., Batch | None],
        is_halted: Callable[[], bool],
    ) -> Iterator[Batch]:
        """Yield the transaction of each migration that is due, and add to `ledgers` what is recorded then."""
        if not self.ledger.exists or self.standing is not Standing.READY:
            return
        for migration, due in zip(migrations, self._coming[self._at :], strict=False):
            after = self.tool.after(ledgers[-1], migration)
            is_due = due.version == migration.version != self._stopped_at
            if not is_due or after is None or is_halted():
                return
            try:
                batch = up(migration, ledger=ledgers[-1])
            except CoordinatorError:
                return  # by itself it meets that again, and says it of itself
            if batch is None:
                return
            ledgers.append(after)
            yield batch

    def close(self) -> None:
        """Let go of the locks and disconnect."""
        self._held.close()


@dataclass
class KeptSeries:
    """The series between two migrations, by database; safe to share between threads."""

    _idle: dict[DatabaseName, Series] = field(default_factory=dict)
    _programs: dict[DatabaseName, Callable[[], None]] = field(default_factory=dict)
    _stopped_at: dict[DatabaseName, MigrationId] = field(default_factory=dict)
    _alone: Lock = field(default_factory=Lock)

    def take_or(self, database: DatabaseName, begin: Callable[[], Series]) -> Series:
        """Return the series of a database, which is the caller's from now on; begun where there is none."""
        with self._alone:
            kept = self._idle.pop(database, None)
        return kept or begin()

    def take_due(self, database: DatabaseName, migration: Migration) -> Series | None:
        """Return the series that knows the migration as the tool's next one, which is the caller's then."""
        with self._alone:
            kept = self._idle.get(database)
            return self._idle.pop(database) if kept is not None and kept.is_due(migration) else None

    def is_due(self, database: DatabaseName, migration: Migration) -> bool:
        """Tell whether a series is kept that knows the migration as the tool's next one."""
        with self._alone:
            kept = self._idle.get(database)
        return kept is not None and kept.is_due(migration)

    def stop_at(self, database: DatabaseName, migration: Migration) -> None:
        """Remember what the programs of several migrations ended before: it gets one of its own."""
        with self._alone:
            self._stopped_at[database] = migration.version

    def has_stopped_at(self, database: DatabaseName, migration: Migration) -> bool:
        """Tell whether a program of several migrations ended before this one."""
        with self._alone:
            return self._stopped_at.get(database) == migration.version

    def leave(self, database: DatabaseName, series: Series) -> None:
        """Keep a series for the next migration."""
        with self._alone:
            self._idle[database] = series

    def leave_program(self, database: DatabaseName, let_go: Callable[[], None]) -> None:
        """Let the program of a migration wait for the next one; `let_go` ends it."""
        with self._alone:
            self._programs[database] = let_go

    def end(self, database: DatabaseName) -> None:
        """End the series of a database, for whoever takes its tool's locks another way."""
        with self._alone:
            kept = self._idle.pop(database, None)
        if kept is not None:
            kept.close()

    def end_all_but(self, busy: Collection[DatabaseName | None]) -> None:
        """End the series and the programs of databases of which no step is at work."""
        with self._alone:
            ended = [self._idle.pop(name).close for name in tuple(self._idle) if name not in busy]
            ended += [self._programs.pop(name) for name in tuple(self._programs) if name not in busy]
        for end in ended:
            end()


class UnkeptSeries(KeptSeries):
    """Where no loop ends what a step leaves open: each migration stands for itself."""

    def leave(self, database: DatabaseName, series: Series) -> None:
        """End the series."""
        del database
        series.close()

    def leave_program(self, database: DatabaseName, let_go: Callable[[], None]) -> None:
        """End the program."""
        del database
        let_go()
