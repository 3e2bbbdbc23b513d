"""Scratch databases by the migrations that they hold, so that each release begins where its files begin.

Releases mostly follow each other, and then the database that the last one ended with is the next one's base.
Release lines that interleave, edits and squashes need another base: it is made from the kept database that
has the longest beginning of it, or from an empty one. A base that had to be made anew is kept as a copy,
because lines that interleave once do it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from coordinator.apply import apply_on_scratch
from coordinator.backtest.checkout import effect
from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration
from coordinator.ports.migrations import MigrationTool
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalServer
from coordinator.rehearse.walk import Apply

_KEPT = 4
"""More lines than this are hardly kept alive side by side, and a scratch database costs disk."""

Content = tuple[str, ...]
"""What was applied, in order, as `effect` tells migrations apart. A late migration came last, wherever its
version belongs, and one that failed as a new one is in no folder's content: that base is made anew."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """One database and what it holds; `close` removes it."""

    database: RehearsalDatabase
    content: Content
    stack: ExitStack

    def close(self) -> None:
        """Remove the database."""
        self.stack.close()

    def copied(self) -> Scratch:
        """Return a copy with a life of its own."""
        return _opened(self.database.clone(), self.content)

    def holding(self, content: Content) -> Scratch:
        """Return the same database, to which somebody has applied more."""
        return replace(self, content=content)


@dataclass(frozen=True, slots=True)
class Applying:
    """Applies a migration, and returns what the engine or the tool refused: the past went on then."""

    tool: MigrationTool
    run_code: Apply | None = None
    """Runs what is code; without it that does nothing."""
    table: str | None = None
    """The tool's version table; None: the one that it has by default."""

    def runs(self, migration: Migration) -> bool:
        """Tell whether a migration is applied at all."""
        return self.run_code is not None or not migration.is_code

    def __call__(self, database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
        """Apply it to a scratch database."""
        if migration.is_code:
            return None if self.run_code is None else self.run_code(database, migration)
        with database.session() as session:
            return apply_on_scratch(session, self.tool, migration, table=self.table)


class Bases:
    """The kept databases; everything that was made is removed at the end."""

    def __init__(self, server: RehearsalServer, apply: Applying, engine: Engine) -> None:
        self.apply = apply
        self.engine = engine
        self._server = server
        self._kept: list[Scratch] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for each in self._kept:
                stack.callback(each.close)

    def take(self, migrations: Sequence[Migration]) -> tuple[Scratch, tuple[str, ...]]:
        """Return a database with exactly these migrations, the caller's own now, and what failed."""
        content = content_of(migrations)
        kept = next((each for each in self._kept if sorted(each.content) == sorted(content)), None)
        if kept is not None:
            self._kept.remove(kept)
            return kept, ()
        start = max((each for each in self._kept if _begins(each, content)), default=None, key=_length)
        made = _opened(self._server.database(), ()) if start is None else start.copied()
        todo = migrations[len(made.content) :]
        refused = [(each, self.apply(made.database, each)) for each in todo]
        made = made.holding(content)
        if self._kept:
            self.keep(made.copied())
        return made, tuple(failure(each, error) for each, error in refused if error is not None)

    def keep(self, scratch: Scratch) -> None:
        """Take a database over; the one that was kept for the longest time gives way."""
        self._kept.append(scratch)
        if len(self._kept) > _KEPT:
            self._kept.pop(0).close()


def content_of(migrations: Sequence[Migration]) -> Content:
    """Return what a database holds that has these migrations."""
    return tuple(effect(each) for each in migrations)


def failure(migration: Migration, error: DatabaseError) -> str:
    """Say that a migration cannot be applied."""
    return f"{migration.name} fails to apply: {error.what.rstrip('.')}."


def key_of(content: Content) -> str:
    """Return a short name of what a database holds."""
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _opened(opening: AbstractContextManager[RehearsalDatabase], content: Content) -> Scratch:
    stack = ExitStack()
    return Scratch(stack.enter_context(opening), content, stack)


def _begins(scratch: Scratch, content: Content) -> bool:
    return sorted(content[: len(scratch.content)]) == sorted(scratch.content)


def _length(scratch: Scratch) -> int:
    return len(scratch.content)
