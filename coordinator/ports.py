"""What the core asks of the outside, as Protocols; adapters and migration hooks fulfil them.

Nothing here does anything. A port is as narrow as its users allow, takes the time and every deadline as
arguments, and says for each method what a repetition does: a step may be performed again after a kill.
Everything is synchronous: steps that do not depend on each other run in threads of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from coordinator.diagnostics import Diagnostic
from coordinator.model import (
    BackfillSpec,
    CheckSpec,
    Colour,
    DatabaseName,
    Engine,
    LocksSpec,
    Migration,
    MigrationId,
    Plan,
    Script,
    SecretRef,
    ServiceName,
    ServiceSpec,
    SourceFile,
    Version,
)
from coordinator.pieces import NewMigration
from coordinator.secret import Secret

_FEW_LINES = 5
"""How many of a program's last lines a message has."""


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock that a tool keeps as a row of a table of its own, for engines without a better one."""

    table: str
    lock_id: int


LockId = int | str | TableLock
"""A lock: PostgreSQL has numbers, of one database; MySQL and MariaDB names, of a whole server, and tables."""

# -- migration tools ------------------------------------------------------------------------------------


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
    `cursor-moved`). With `patience` an engine whose waiting locks
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
    patience: Patience | None = field(default=None, compare=False)
    marks: tuple[str | None, ...] = field(default=(), compare=False)
    """What is sent after each of so many first texts: in the transaction if one is open, else durable."""

    def mark_after(self, index: int) -> str | None:
        """Return what is sent after the text at `index`."""
        return self.marks[index] if index < len(self.marks) else None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a version table says; `applied` is in the order in which the tool would undo it, last first."""

    exists: bool
    applied: tuple[MigrationId, ...] = ()
    dirty: MigrationId | None = None
    """The version at which golang-migrate stopped half-way, if it did."""
    is_truncated: bool = False
    """The role may not delete from the table, which its tool empties by TRUNCATE."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A folder of migrations as a tool reads it, ascending by version, with every problem found."""

    migrations: tuple[Migration, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """What the tool would apply next, in its order, and what stands in the way."""

    migrations: tuple[Migration, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file as a tool reads it; a side that the file does not speak of is None."""

    up: Script | None
    down: Script | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; `exit_code` is None where nobody knows, and negative where a signal ended it."""

    exit_code: int | None
    lines: tuple[str, ...]
    """The last lines of its output, without secrets."""
    is_late: bool = False
    """It was ended because its time was up."""

    @property
    def told(self) -> str:
        """How it ended and the last that it said, as the end of a sentence."""
        match self:
            case Ended(is_late=True):
                how = "it was killed because its time was up (`deadline`)"
            case Ended(exit_code=None):
                how = "nobody knows how it ended"
            case Ended(exit_code=int() as code) if code < 0:
                how = f"it was ended by signal {-code}"
            case _:
                how = f"it ended with exit code {self.exit_code}"
        said = " | ".join(self.lines[-_FEW_LINES:])
        return f"{how}; it said: {said}" if said else f"{how} and said nothing"


class MigrationRunner(Protocol):
    """What applies a migration that is code: a program, which records it in the tool's own version table."""

    is_repeatable: bool
    """A migration that was cut off may be run again."""
    rehearses: bool
    """It works on the database at the URL that it gets and on no other, for certain."""

    def up(
        self,
        migration: Migration,
        *,
        url: Secret,
        is_scratch: bool,
        note: Callable[[str], None],
    ) -> Ended:
        """Run the program until it has ended, and everything that it started; `note` gets its output by line.

        It works on the database at `url`. It takes the tool's own locks, so nobody here may hold them. When
        this process dies it is killed. Raises: StepFailed `program-not-started` with nothing done.
        """
        ...

    def scripts(self, migrations: Sequence[Migration], *, url: Secret) -> Mapping[MigrationId, Script | str]:
        """Return what migrations send, by their version, without running them; a text says why not.

        What is not there can be known by `up` on a scratch database alone.
        """
        ...

    def what_ran(self, migration: Migration) -> str:
        """Return sentences about what a migration that did not come to its end has sent; empty: not known."""
        ...

    def demand_gone(self, timeout: timedelta) -> None:
        """Return when no program of an earlier command works on the database. Raises: Waiting."""
        ...


class RangeProgram(Protocol):
    """The program of a backfill, which does the rows of one range after the other."""

    def run(self, condition: str, *, note: Callable[[str], None]) -> Ended:
        """Run it for the rows of which a condition is true, until it and all that it started have ended.

        When this process dies it is killed. Raises: StepFailed `program-not-started` with nothing done,
        Waiting `program-running` where one of an earlier command is still there.
        """
        ...


class MigrationTool(Protocol):
    """A migration tool's conventions, without any I/O: it says what to send and what to record."""

    name: str
    engines: frozenset[Engine]
    may_be_code: bool
    """Some of its migrations may be code, which a `command` of the plan applies."""
    records_start: bool
    """It marks the version table before a file without a transaction runs: no mark, nothing ran."""

    def sources(self, read: Callable[[str], bytes | None]) -> tuple[str | Diagnostic, ...]:
        """Return the files and folders that it reads, as paths from the plan's `dir`, or what is wrong there.

        `read` returns a file's bytes by such a path, None where there is none.
        """
        ...

    def is_migration(self, filename: str) -> bool:
        """Tell whether the tool would look at a file of this name in its folder."""
        ...

    def parse(self, file: SourceFile, engine: Engine = Engine.POSTGRESQL) -> Parsed:
        """Read one file, as `coordinator parse` shows it; `engine` is whose quotes and comments it has."""
        ...

    def read(self, files: Sequence[SourceFile], engine: Engine = Engine.POSTGRESQL) -> Reading:
        """Read a folder's files (those that `is_migration` accepts), in any order."""
        ...

    def ledger_query(self, target: Target) -> str:
        """Return the query whose rows `ledger_from` reads; it may fail only if the table is absent."""
        ...

    def ledger_exists_query(self, target: Target) -> str:
        """Return a query with one row of one truth value: is the version table there?"""
        ...

    def ledger_from(self, rows: Sequence[tuple[object, ...]]) -> Ledger:
        """Read the version table's rows."""
        ...

    def create_ledger(self, target: Target) -> Batch:
        """Return what the tool itself sends to make its version table."""
        ...

    def pending(self, migrations: Sequence[Migration], ledger: Ledger) -> Pending:
        """Return what the tool would still apply, and why it may not: missing, out of order, dirty, newer."""
        ...

    def up(self, migration: Migration, *, target: Target, ledger: Ledger) -> tuple[Batch, ...]:
        """Return what applies and records `migration`, in the fewest transactions that its files allow."""
        ...

    def down(
        self, migration: Migration, *, migrations: Sequence[Migration], target: Target, ledger: Ledger
    ) -> tuple[Batch, ...]:
        """Return what undoes `migration`, the last of the ledger, and records that."""
        ...

    def after(self, ledger: Ledger, migration: Migration) -> Ledger | None:
        """Return the ledger once `up` has recorded a migration; None where only the table itself can tell."""
        ...

    def write(self, new: NewMigration) -> tuple[tuple[str, str], ...]:
        """Return the files of a migration as people write them: each one's name and text.

        Raises: Usage `split-not-possible` where the tool has no files of SQL.
        """
        ...

    def lock_ids(self, target: Target) -> tuple[LockId, ...]:
        """Return the advisory locks to hold, in this order; empty where the engine has none."""
        ...


# -- databases ------------------------------------------------------------------------------------------


class Session(Protocol):
    """One connection, not pooled. Every failure of the engine is a DatabaseError."""

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        ...

    def relabel(self, label: str) -> None:
        """Name another step to the server from the next batch on, where a session can be renamed."""
        ...

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Run one query without parameters and return its rows; nothing of it stays."""
        ...

    def execute(self, batch: Batch) -> None:
        """Send a batch; with `transaction`, either all of it is committed on return or none of it.

        Where an engine cannot keep that, DatabaseError `committed` says what stays; see Batch.
        """
        ...

    def locked(self, lock_ids: Sequence[LockId], *, timeout: timedelta) -> AbstractContextManager[None]:
        """Hold advisory locks, polled and never waited for; Waiting with the holder when time is up."""
        ...


class Database(Protocol):
    """A database of the plan; connecting is cheap and happens for each step anew."""

    def session(self, *, label: str) -> AbstractContextManager[Session]:
        """Connect; `label` names the step to the server (application_name), so that its work can be found."""
        ...


# -- platforms ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """One colour of a service, as observed. A colour that was never deployed is not running."""

    version: Version | None = None
    running: bool = False
    ready: bool = False
    """It is running and answers its readiness check; what `deploy` waits for and a rollback asks."""
    detail: str = ""
    """What a person wants to know when it is not ready: exit code, last line of its log."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A service as observed: which colour new connections reach (None: none yet), and both sides.

    While a canary is out, both are reached, and `live` is the one that served before it. A worker has no
    connections; its live colour is the one that does the work.
    """

    live: Colour | None
    sides: Mapping[Colour, Side]
    diagnostics: tuple[Diagnostic, ...] = ()
    """What the platform found wrong with what is there; an error stops a release before it begins."""


class Platform(Protocol):
    """One service on its platform. Failures are StepFailed; nothing here waits without a deadline."""

    def identity(self) -> str:
        """Name the place where the service runs, so that no other place has the same name.

        A release belongs to the places that it began in: the same plan and database with another place is
        another release, which knows nothing of the versions that run in the first.
        """
        ...

    def fence(self, run: str) -> None:
        """Let nobody but this process change the service from now on; repeating it is harmless.

        What an older process still tries fails there, and says who took over (Waiting `fenced-off`). From
        here on a change of the traffic that no process of this run made is told by every method that looks
        at it (Waiting `changed-by-hand`), and is never overwritten.
        """
        ...

    def survey(self) -> Serving:
        """Observe the service; changes nothing."""
        ...

    def deploy(self, colour: Colour, version: Version, *, deadline: timedelta) -> None:
        """Make `colour` run `version` from the plan's settings and wait until it is ready.

        Repeating it is harmless: what already runs that version is left alone and waited for. Never touches
        traffic; refuses (StepFailed `colour-serves`) to replace the colour that serves by another version.
        On failure it may leave the colour running: `stop` cleans up.
        """
        ...

    def restore(self, colour: Colour, *, deadline: timedelta) -> None:
        """Start again what was last deployed as `colour`, unchanged, and wait until it is ready."""
        ...

    def address(self, colour: Colour) -> str:
        """Return a base URL (no trailing slash) that reaches `colour` whoever serves, for verification."""
        ...

    def public_address(self) -> str:
        """Return the base URL that clients use, for monitoring."""
        ...

    def canary(self, colour: Colour, percent: int, *, deadline: timedelta) -> float:
        """Let `colour` take about `percent` of the new connections beside live; return the true share.

        The share is in percent too, and as near as whole replicas come. Repeating it, with whatever percent,
        is harmless. Live stays as large as it is. Ended by `switch`, or by `end_canary`.
        """
        ...

    def end_canary(self) -> None:
        """Send all new connections to live alone again. Harmless where no canary is out."""
        ...

    def before_switch(self, to: Colour) -> tuple[Answer, ...]:
        """Ask whatever must hold before traffic moves to `to`, each its own answer; changes nothing.

        An answer that is not ok keeps traffic where it is. A way back does not ask.
        """
        ...

    def switch(self, *, expected: Colour | None, to: Colour) -> None:
        """Send new connections to `to`, if they go to `expected` now; StepFailed `switch-conflict` otherwise.

        Atomic for new connections; open ones finish where they are. Returns when the router has confirmed.
        Asks nothing of the colour that it leaves. It ends a canary.
        """
        ...

    def after_switch(self, to: Colour, *, deadline: timedelta) -> tuple[Answer, ...]:
        """Wait until the switch to `to` is seen everywhere; return each thing that was asked with its answer.

        Returns as soon as every answer is ok, or with what is not at the deadline.
        """
        ...

    def open_connections(self, colour: Colour) -> int | None:
        """Return how many client connections are still open to `colour`; None where nobody can count them."""
        ...

    def stop(self, colour: Colour, *, grace: timedelta) -> None:
        """Scale `colour` to nothing: SIGTERM, and SIGKILL after `grace`. Repeating it is harmless.

        Refuses (StepFailed `colour-serves`) to stop the colour that new connections reach. A worker has
        none, and each of its colours may be stopped.
        """
        ...

    def missing_rights(self) -> tuple[str, ...]:
        """Return what we would need and may not do, a clause each; empty where nothing is missing."""
        ...


class PlatformKind(Protocol):
    """A platform's adapter: `PLATFORM: Final[PlatformKind]`, last line of adapters/platforms/<key>.py."""

    spec: type
    """The pydantic model of the plan's `platform: {<key>: …}`; ServiceSpec.platform_spec holds its value."""

    def connect(
        self,
        *,
        service: ServiceSpec,
        release: str,
        folder: Path,
        resolve: Callable[[SecretRef], Secret],
    ) -> Platform:
        """Return the service on its platform; contacts nothing yet.

        `folder` is the plan's; `.coordinator/` below it is for state. `resolve` reads a secret of the
        settings just before use; its value never reaches a log, a file or an argument list.
        """
        ...

    def lint(self, service: ServiceSpec, *, folder: Path) -> tuple[Diagnostic, ...]:
        """Return what is wrong with a service's settings and the files that they name; contacts nobody."""
        ...

    def rights(self, services: Sequence[ServiceSpec], *, folder: Path) -> str:
        """Return the document with which an administrator grants what these services need; empty: nothing."""
        ...


# -- checks ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check found; `detail` is one line for a person: what was asked, what came back."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a check asks."""

    service: str
    version: Version
    address: str
    """A base URL without trailing slash."""
    folder: Path


class CheckKind(Protocol):
    """A kind of check: `CHECK: Final[CheckKind]`, last line of adapters/signals/<key>.py."""

    spec: type
    """The pydantic model of the plan's `{<key>: …}`."""

    def ask(self, spec: object, subject: Subject) -> Answer:
        """Ask once. A refused connection or a time-out is an answer that is not ok; read only."""
        ...


# -- the machine ----------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, so that tests own it."""

    def now(self) -> datetime:
        """Return the time, with its zone (UTC)."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Return after `duration`."""
        ...


class Lease(Protocol):
    """The right to act on a scope, for as long as this process lives; the kernel frees it when it dies."""

    def held(self, scope: str, *, holder: str) -> AbstractContextManager[None]:
        """Hold the lease; Waiting `lease-held` with the other holder's name if somebody has it."""
        ...


class Journal(Protocol):
    """Append-only records, a chain for each run; nothing is updated or deleted."""

    def append(self, run: str, sequence: int, *records: str) -> None:
        """Make `records` durable, all or none, the first as the run's number `sequence`, without gaps from 1.

        When it returns, they survive a power cut. JournalConflict if a number is taken: another coordinator
        wrote, and this one must stop at once.
        """
        ...

    def records(self, run: str) -> tuple[str, ...]:
        """Return the run's records in order; empty for a run that nobody started."""
        ...

    def runs(self) -> tuple[str, ...]:
        """Return the runs, oldest first."""
        ...

    def ask(self, run: str, request: str) -> None:
        """Leave a request for whoever acts on the run, now or later; needs no lease and is durable."""
        ...

    def requests(self, run: str) -> tuple[str, ...]:
        """Return every request that was ever left for the run, in order."""
        ...


# -- all of them, connected ------------------------------------------------------------------------------


class Ports(Protocol):
    """Everything that one plan names, connected on first use; safe to share between threads."""

    plan: Plan
    clock: Clock

    def resolve(self, reference: SecretRef) -> Secret:
        """Read a secret of the plan, just before use."""
        ...

    def tool(self, database: DatabaseName) -> MigrationTool:
        """Return the migration tool of a database."""
        ...

    def runner(self, database: DatabaseName) -> MigrationRunner | None:
        """Return what applies a database's migrations that are code; None where nobody said how."""
        ...

    def range_program(self, database: DatabaseName, backfill: BackfillSpec) -> RangeProgram | None:
        """Return what does a backfill's rows; None where it is SQL."""
        ...

    def migrations(self, database: DatabaseName) -> tuple[Migration, ...]:
        """Return the database's migrations as they were read, once, when the command began."""
        ...

    def migration(self, database: DatabaseName, version: MigrationId) -> Migration | None:
        """Return that one of a database's migrations; None where there is none."""
        ...

    def session(self, database: DatabaseName, *, label: str) -> AbstractContextManager[Session]:
        """Connect to a database; see `Database.session`."""
        ...

    def platform(self, service: ServiceName) -> Platform:
        """Return a service on its platform."""
        ...

    def ask(self, check: CheckSpec, subject: Subject) -> Answer:
        """Ask a check once."""
        ...
