"""The plan as the rest of the program sees it: frozen, typed, complete, free of text and of secrets.

load makes these values; nobody changes them. What varies with the world (which colour serves, which
migrations are applied) is observed by survey.py and never stands here. A platform's own settings are a
value that only the platform's adapter understands, so the core stays blind to Kubernetes and processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, NewType

from coordinator.diagnostics import Diagnostic, Place

DatabaseName = NewType("DatabaseName", str)
ServiceName = NewType("ServiceName", str)
Version = NewType("Version", str)
"""A version of a service's code, as its authors write it: `1.5`, `v2.0.1-rc1`, a commit."""
MigrationId = int | str
"""What a tool calls a migration: a number that orders them, or a word (Alembic's revision)."""


class Colour(StrEnum):
    """The two Deployments of a service."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        """Return the colour that this one is not."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


class Role(StrEnum):
    """What a version is to the release: the one that served when it began, or the one that shall serve."""

    LIVE = "live"
    NEXT = "next"


class Phase(StrEnum):
    """What a migration does: adds what next needs, moves data before next starts, takes what live needs."""

    EXPAND = "expand"
    MIGRATE = "migrate"
    CONTRACT = "contract"


class Engine(StrEnum):
    """The database engines that a plan may name."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"
    MYSQL = "mysql"
    MARIADB = "mariadb"

    @property
    def speaks_mysql(self) -> bool:
        """MySQL's protocol, quotes and locks; a statement that changes the schema commits by itself."""
        return self in (Engine.MYSQL, Engine.MARIADB)


class Layer(StrEnum):
    """What the rehearsal asks the engine about a query, from cheap to dear; docs/explanation/verdicts.md."""

    PREPARE = "prepare"
    """Does it parse and bind?"""
    DESCRIBE = "describe"
    """Are its parameters and result columns those that the version was compiled for?"""
    PLAN = "plan"
    """Can it be planned, with the privileges of the service's role?"""
    EXECUTE = "execute"
    """Does it run with sample values, in a transaction that is rolled back?"""
    RESULT = "result"
    """Does it still see the same of the same sample rows?"""
    SESSION = "session"
    """Does a session that prepared it before a migration survive the migration?"""


class Base(StrEnum):
    """What a rehearsal starts from."""

    REPLAY = "replay"
    """The migrations that the database has, applied from their files to an empty scratch database."""
    DUMP = "dump"
    """The schema of the live database, as pg_dump writes it."""


class Worker(StrEnum):
    """How a service without traffic is replaced: may both versions do its work at once?"""

    OVERLAP = "overlap"
    """Next starts while live still works."""
    HANDOVER = "handover"
    """Live is stopped, and only then next starts."""


class OnFailure(StrEnum):
    """What a failure before the point of no return leads to."""

    ROLLBACK = "rollback"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is, never the secret: `env:NAME` or `file:PATH` (relative to the plan's folder)."""

    scheme: Literal["env", "file"]
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


@dataclass(frozen=True, slots=True)
class Statement:
    """One text that is sent to the engine as it stands; `line` counts from 1 in its file."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Script:
    """One direction of a migration. `transaction` says whether the tool wraps it in one transaction."""

    statements: tuple[Statement, ...]
    transaction: bool


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A migration file as it was read, once: later stages use these bytes and never read the disk again."""

    path: str
    content: bytes = field(repr=False)
    digest: str
    """SHA-256 of `content`, in hex."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One version of a tool's folder; a side that the folder does not have is None."""

    version: MigrationId
    name: str
    """What a person calls it: the file's name without direction and extension, e.g. `00002_add_email`."""
    up: Script | None
    down: Script | None
    files: tuple[SourceFile, ...]
    declared: Phase | None = None
    """The phase of its `-- coordinator: phase=…` comment."""
    declared_at: Place | None = None
    is_code: bool = False
    """Its up side is code: `up` is None, and only a program can apply it (ports.MigrationRunner)."""
    by_program: bool = False
    """A program applies it, and `up` is what it says that it will send; what it then does may differ."""
    parents: tuple[MigrationId, ...] = ()
    """What must be applied before it, where the tool's files make a graph and no line."""
    branch_labels: tuple[str, ...] = ()
    """Those that Alembic is to find in its file, as order and phases rest on them."""
    needs_database: str | None = None
    """Why the SQL that it sends cannot be had without a database."""
    is_atomic: bool = False
    """Code of which nothing stays where it is cut off: what it does and its record commit together."""
    faults: tuple[Diagnostic, ...] = ()
    """The errors of its files, which matter only where it is still to be applied."""

    @property
    def digest(self) -> str:
        """Return what changes if any byte of its files changes."""
        return "-".join(each.digest for each in self.files)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A program of the user's: it applies and records a migration that is code, or does a backfill's rows."""

    argv: tuple[str, ...]
    """With `{version}` for the migration or `{range}` for the rows, and `{url}` for the address."""
    folder: Path
    """The plan's: where it runs, and where a relative program is."""
    deadline: timedelta
    is_repeatable: bool
    """What was cut off may be done again."""
    rehearses: bool
    """It goes to the database that it is told, for certain, and so may be tried on a scratch one."""
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class MigrationsSpec:
    """Which tool reads which folder; `table` is the tool's version table, None for the tool's default."""

    tool: str
    folder: Path
    table: str | None
    place: Place = field(compare=False)
    command: CommandSpec | None = None
    python: str | None = None
    """The interpreter of the user's own environment, for a tool whose migrations are Python."""
    section: str | None = None
    """The section of the tool's configuration that counts, where that has several; None: the tool's own."""
    x_arguments: Mapping[str, str] = field(default_factory=dict)
    """What Alembic's env.py gets as `-x KEY=VALUE`; `{url}` in a value stands for the address."""
    deadline: timedelta = timedelta(hours=1)
    """How long one migration that is code may take."""


@dataclass(frozen=True, slots=True)
class RehearsalSpec:
    """How a database's migrations are rehearsed; `url` is a scratch server of the team, never a live one."""

    url: SecretRef | None = None
    base: Base = Base.REPLAY
    layers: tuple[Layer, ...] = tuple(Layer)


@dataclass(frozen=True, slots=True)
class LocksSpec:
    """How long a migration may wait for locks behind which the application's queries queue."""

    attempt: timedelta = timedelta(milliseconds=100)
    """How long one try may wait before it lets everybody pass."""
    budget: timedelta = timedelta(milliseconds=500)
    """How long all tries of one migration (without a transaction: of one statement) may wait together."""
    deadline: timedelta = timedelta(minutes=2)
    """When to give up, the time between the tries included, in which nobody queues."""


RANGE: Final = "{range}"
"""Where a backfill's statement chooses the rows of a batch: behind the last one, up to its own end.

One word and no two: an author who writes `>= {from} AND <= {to}` has the row at the end done twice.
"""


@dataclass(frozen=True, slots=True)
class BackfillSpec:
    """Rows of a table that are changed in batches while the release goes on; see docs/how-to/backfill.md."""

    name: str
    after: str
    """The migration, by name or version, whose state it needs."""
    before: str
    """What waits until it is done: `switch`, `contract`, or a migration by name or version."""
    table: str
    key: tuple[str, ...]
    sql: str | None
    """One statement with `{range}` where the rows of a batch are chosen; None: `command` does them."""
    remaining: str
    """A query with one number: how many rows are left."""
    place: Place = field(compare=False)
    percent: int = 100
    """How much of the time it works; the rest it sleeps."""
    rows_per_second: int | None = None
    replication_lag: timedelta | None = None
    """How far a replica may be behind before it waits; None: nobody looks."""
    repeatable: bool = False
    """It leaves rows alone that are done, so that the table may be gone over again."""
    sessions: int = 1
    """How many batches may be under way at once, each in a session of its own."""
    command: CommandSpec | None = None
    """A program with `{range}` among its arguments, in place of `sql`: it may do a range more than once."""

    def statement(self, condition: str) -> str:
        """Return what changes the rows of which a condition is true, where that is SQL."""
        assert self.sql is not None, "a program does not say what it sends"
        return self.sql.replace(RANGE, condition)


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """A database of the plan."""

    name: DatabaseName
    engine: Engine
    url: SecretRef
    migrations: MigrationsSpec
    lock_timeout: timedelta
    """How long one statement may wait for a lock behind which nobody queues; on SQLite, for every lock."""
    place: Place = field(compare=False)
    rehearsal: RehearsalSpec = RehearsalSpec()
    locks: LocksSpec = LocksSpec()
    backfills: tuple[BackfillSpec, ...] = ()
    server_version: str | None = None
    """The live server's version as the plan says it, for whoever may not ask it."""
    server_version_at: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One question to a running version. `kind` names the adapter (adapters/signals), `spec` is its own."""

    kind: str
    spec: object
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class QueriesSpec:
    """One source of a service's queries on a database; `kind` names the adapter (adapters/queries)."""

    kind: str
    spec: object
    database: DatabaseName
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class MonitorSpec:
    """Watch `checks` for `duration` after the switch; `failures` bad answers in a row fail the release."""

    duration: timedelta
    every: timedelta
    failures: int
    checks: tuple[CheckSpec, ...]


@dataclass(frozen=True, slots=True)
class CanarySpec:
    """Let next serve a part of the traffic first: each of `percents`, ascending, for `duration`."""

    percents: tuple[int, ...]
    duration: timedelta


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service of the plan; `version` is the one that shall serve when the release is done."""

    name: ServiceName
    version: Version
    uses: tuple[DatabaseName, ...]
    platform: str
    """The platform's key, which names its adapter (adapters/platforms)."""
    platform_spec: object
    verify: tuple[CheckSpec, ...]
    monitor: MonitorSpec
    deploy_deadline: timedelta
    drain_deadline: timedelta
    keep_blue: timedelta
    """The rollback window: how long live stays at full size after monitoring was content."""
    place: Place = field(compare=False)
    queries: tuple[QueriesSpec, ...] = ()
    ref: str | None = None
    """The git tag or commit of a version's sources, with `{version}` for the version; None: the version
    itself, or `v` and the version."""
    database_role: str | None = None
    """The database role that the service connects as, whose privileges the rehearsal asks about."""
    canary: CanarySpec | None = None
    worker: Worker | None = None
    """None: a service with traffic."""
    sessions: str | None = None
    """The application_name of its database sessions, with `{version}` and `{colour}`; None: unknown."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A release as its authors want it."""

    file: Path
    release: str
    databases: Mapping[DatabaseName, DatabaseSpec]
    services: Mapping[ServiceName, ServiceSpec]
    approve_contract: tuple[str, ...]
    """Who must approve before contract starts; empty: nobody has to."""
    on_failure: OnFailure
    digest: str
    """SHA-256 over the resolved plan: it changes with any value, and never with a comment or a blank."""

    @property
    def folder(self) -> Path:
        """Return the folder that every relative path of the plan starts from."""
        return self.file.parent
