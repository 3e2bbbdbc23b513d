"""What the core asks of a database: sessions, their locks, and texts that are sent whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from coordinator.model import Engine, LocksSpec


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock that a tool keeps as a row of a table of its own, for engines without a better one."""

    table: str
    lock_id: int


LockId = int | str | TableLock
"""A lock: PostgreSQL has numbers, of one database; MySQL and MariaDB names, of a whole server, and tables."""


@dataclass(frozen=True, slots=True)
class Target:
    """The database as a migration tool's conventions see it."""

    engine: Engine
    database: str
    """The database's name as the engine says it; for SQLite the file's path."""
    schema: str | None
    """PostgreSQL's current schema at connect; None where there is none, or where a database is a schema."""
    table: str | None
    """The version table that the plan names; None for the tool's default."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How a session waits for the engine's locks on behalf of a step."""

    locks: LocksSpec
    wait: Callable[[timedelta], None]
    """Return after a time; raises Interrupted when the step is to stop: only while nothing has happened."""
    sleep: Callable[[timedelta], None]
    """Return after a time, whatever was asked meanwhile: what has begun is to end."""
    note: Callable[[str], None]
    """Show a line of progress."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts for the engine: each sent as a message of its own, in order, without parameters.

    With `transaction` they commit together or not at all; without it each stands for itself. MySQL and
    MariaDB cannot keep that: a statement that changes the schema commits itself and what stood before it, and
    a failure after it says how many texts are committed (`DatabaseError.committed`). `guard` is a
    query that goes first in the transaction: if it returns a row, somebody else moved the ledger, and the
    batch is refused whole (DatabaseError `ledger-changed`). `fence` is a statement that goes first and must
    change exactly one row, or somebody else was faster and the batch is refused whole (DatabaseError
    `cursor-moved`). With `before_fence` (PostgreSQL) the fence goes last: that is called when all texts are
    done, and what it raises takes the batch back. With `patience` an engine whose waiting locks
    make others wait (PostgreSQL) tries again and again, each time briefly, and never repeats what has
    happened; when it gives up it is a DatabaseError `lock-blocked`.
    """

    statements: tuple[str, ...]
    transaction: bool
    guard: str | None = None
    records: int = 0
    """So many texts at its end are the tool's own: what is wrong with them is in no line of a file.

    On PostgreSQL each of them is one statement."""
    fence: str | None = None
    before_fence: Callable[[], None] | None = field(default=None, compare=False)
    patience: Patience | None = field(default=None, compare=False)
    marks: tuple[str | None, ...] = field(default=(), compare=False)
    """What is sent after each of so many first texts: in the transaction if one is open, else durable."""

    @property
    def of_file(self) -> tuple[str, ...]:
        """Return the texts that are the file's."""
        return self.statements[: len(self.statements) - self.records]

    @property
    def of_tool(self) -> tuple[str, ...]:
        """Return the texts that are the tool's own, or ours."""
        return self.statements[len(self.statements) - self.records :]

    def mark_after(self, index: int) -> str | None:
        """Return what is sent after the text at `index`."""
        return self.marks[index] if index < len(self.marks) else None


class Session(Protocol):
    """One connection, not pooled. Every failure of the engine is a DatabaseError."""

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        ...

    def relabel(self, label: str) -> None:
        """Name another step to the server from the next batch on, where a session can be renamed."""
        ...

    def query(self, sql: str, *, within: timedelta | None = None) -> list[tuple[object, ...]]:
        """Run one query without parameters and return its rows; nothing of it stays.

        A SELECT that takes longer than `within` is ended, and a DatabaseError.
        """
        ...

    def execute(self, batch: Batch) -> None:
        """Send a batch; with `transaction`, either all of it is committed on return or none of it.

        Where an engine cannot keep that, DatabaseError `committed` says what stays; see Batch.
        """
        ...

    def locked(self, lock_ids: Sequence[LockId], *, timeout: timedelta) -> AbstractContextManager[None]:
        """Hold advisory locks, polled and never waited for; Waiting with the holder when time is up."""
        ...


class LiveSession(Session, Protocol):
    """A session on a database of the plan."""

    def execute_all(self, batches: Iterable[Batch], *, labels: Sequence[str]) -> int:
        """Send transactions one behind the other, each named by its label, in one trip or one commit.

        Return how many of them, from the first, are committed, and so that they would survive a crash of the
        server; of those behind nothing has happened, and `execute` says why. An engine, or a batch, that is
        not fit for it returns 0. One of `batches` may be made while those before it are at work.
        Raises: DatabaseError that is ambiguous, where nobody knows of any of them.
        """
        ...

    def make_durable(self) -> None:
        """Return when what this session may have seen committed would survive a crash of the server."""
        ...

    def cut_off(self) -> None:
        """End the connection from another thread: who waits for it gets DatabaseError `connection-lost`."""
        ...


class Database(Protocol):
    """A database of the plan; connecting is cheap and happens for each step anew."""

    def session(self, *, label: str) -> AbstractContextManager[LiveSession]:
        """Connect; `label` names the step to the server (application_name), so that its work can be found."""
        ...
