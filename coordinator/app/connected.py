"""ports.Ports over the real adapters, each imported and connected when a plan's step first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from copy import copy
from dataclasses import replace
from threading import Lock
from typing import cast

from coordinator import discovery
from coordinator.adapters import secrets
from coordinator.adapters.clock import SystemClock
from coordinator.diagnostics import Diagnostic
from coordinator.errors import DatabaseError, PlanInvalid, Usage
from coordinator.load.migrations import errors_of_folder, read_migrations
from coordinator.model import (
    BackfillSpec,
    CheckSpec,
    DatabaseName,
    DatabaseSpec,
    Engine,
    Migration,
    MigrationId,
    Plan,
    SecretRef,
    ServiceName,
)
from coordinator.ports.checks import Answer, Subject
from coordinator.ports.databases import Database, LiveSession
from coordinator.ports.machine import Clock
from coordinator.ports.migrations import MigrationTool
from coordinator.ports.platforms import Platform
from coordinator.ports.programs import MigrationRunner, RangeProgram
from coordinator.secret import Secret, without
from coordinator.steps import StepKind


class ConnectedPorts:
    """The world that one plan names. Making it reads the migration files and contacts nobody."""

    def __init__(self, plan: Plan, *, environment: Mapping[str, str]) -> None:
        self.plan = plan
        self.clock: Clock = SystemClock()
        self._environment = environment
        self._secrets: dict[SecretRef, Secret] = {}
        self._migrations: dict[DatabaseName, tuple[Migration, ...]] = {}
        self._platforms: dict[ServiceName, Platform] = {}
        self._runners: dict[DatabaseName, MigrationRunner] = {}
        self._connecting = Lock()
        problems: list[Diagnostic] = []
        for name, spec in plan.databases.items():
            reading = read_migrations(spec.migrations, spec.engine)
            self._migrations[name] = reading.migrations
            problems.extend(errors_of_folder(reading))
        if problems:
            raise PlanInvalid(tuple(problems))
        self._by_version = {name: _by_version(each) for name, each in self._migrations.items()}

    def resolve(self, reference: SecretRef) -> Secret:
        """Read a secret anew, and remember what it was, so that no check's output shows it."""
        secret = secrets.resolve(reference, folder=self.plan.folder, environment=self._environment)
        self._secrets[reference] = secret
        return self._meant(reference, secret)

    def _meant(self, reference: SecretRef, secret: Secret) -> Secret:
        """Return a database's address as those meant it who use its tool: three slashes are not the same."""
        for spec in self.plan.databases.values():
            if spec.url == reference and spec.migrations.tool in discovery.names(discovery.RUNNERS):
                address_from = cast(
                    "Callable[[Secret, Engine], Secret]",
                    discovery.member(discovery.RUNNERS, spec.migrations.tool, "address_from"),
                )
                return address_from(secret, spec.engine)
        return secret

    def tool(self, database: DatabaseName) -> MigrationTool:
        return discovery.migration_tool(self.plan.databases[database].migrations.tool)

    def runner(self, database: DatabaseName) -> MigrationRunner | None:
        spec = self.plan.databases[database]
        if spec.migrations.tool in discovery.names(discovery.RUNNERS):
            with self._connecting:
                if database not in self._runners:
                    self._runners[database] = self._runner_of_tool(spec)
                return self._runners[database]
        if spec.migrations.command is None:
            return None
        from coordinator.adapters.command_runner import CommandRunner  # noqa: PLC0415 - hardly a plan names one

        return CommandRunner(
            spec,
            spec.migrations.command,
            environment=self._environment,
            secrets=lambda: tuple(self._secrets.values()),
        )

    def _runner_of_tool(self, spec: DatabaseSpec) -> MigrationRunner:
        connect = discovery.runner_of(spec.migrations.tool)
        known, session_at = self._secrets, self._session_at  # not `self`: what keeps a runner ends it too
        return connect(
            spec,
            folder=self.plan.folder,
            environment=self._environment,
            secrets=lambda: tuple(known.values()),
            connect=lambda url: session_at(spec, url, label="coordinator alembic"),
        )

    def range_program(self, database: DatabaseName, backfill: BackfillSpec) -> RangeProgram | None:
        if backfill.command is None:
            return None
        from coordinator.adapters import range_program  # noqa: PLC0415 - hardly a plan names one

        spec = self.plan.databases[database]
        return range_program.RangeProgram(
            spec,
            backfill.name,
            backfill.command,
            url=lambda: self.resolve(spec.url),
            environment=self._environment,
            secrets=lambda: tuple(self._secrets.values()),
        )

    def migrations(self, database: DatabaseName) -> tuple[Migration, ...]:
        return self._migrations[database]

    def migration(self, database: DatabaseName, version: MigrationId) -> Migration | None:
        return self._by_version[database].get(version)

    def with_migrations(self, database: DatabaseName, migrations: tuple[Migration, ...]) -> ConnectedPorts:
        """Return the same world with other migrations in one database's folder."""
        other = copy(self)
        other._migrations = {**self._migrations, database: migrations}  # noqa: SLF001 - our own
        other._by_version = {**self._by_version, database: _by_version(migrations)}  # noqa: SLF001 - our own
        return other

    @contextmanager
    def session(self, database: DatabaseName, *, label: str) -> Iterator[LiveSession]:
        spec = self.plan.databases[database]
        with ExitStack() as stack:
            try:
                session = stack.enter_context(self._session_at(spec, self.resolve(spec.url), label=label))
            except (DatabaseError, Usage) as error:
                if error.code in ("database-unreachable", "bad-database-url"):
                    # an adapter knows the address alone; who has several databases looks for this one's
                    error.what = f"`{database}` ({spec.url}): {error.what}"
                if isinstance(error, DatabaseError) and spec.url.scheme != "env":
                    error.is_login_refused = False  # it is read anew: where it rotates, the new one may come
                raise
            yield session

    @staticmethod
    def _session_at(spec: DatabaseSpec, url: Secret, *, label: str) -> AbstractContextManager[LiveSession]:
        connect = cast(
            "Callable[..., Database]", discovery.member(discovery.DATABASES, spec.engine, "connect")
        )
        return connect(url, lock_timeout=spec.lock_timeout).session(label=label)

    def platform(self, service: ServiceName) -> Platform:
        with self._connecting:
            if service not in self._platforms:
                spec = self.plan.services[service]
                self._platforms[service] = discovery.platform(spec.platform).connect(
                    service=spec, release=self.plan.release, folder=self.plan.folder, resolve=self.resolve
                )
            return self._platforms[service]

    def ask(self, check: CheckSpec, subject: Subject) -> Answer:
        """Ask a check once; what a program printed is shown without the secrets that are known here."""
        for database in self.plan.databases.values():
            with suppress(Usage):  # one that cannot be read now was not given to the program either
                self.resolve(database.url)
        answer = discovery.check(check.kind).ask(check.spec, subject)
        return replace(answer, detail=without(answer.detail, tuple(self._secrets.values())))


def _by_version(migrations: tuple[Migration, ...]) -> Mapping[MigrationId, Migration]:
    return {each.version: each for each in migrations}


def step_kinds() -> Mapping[str, StepKind]:
    """Return every kind of step by its name."""
    return {
        name: cast("StepKind", discovery.member(discovery.STEPS, name, "STEP"))
        for name in discovery.names(discovery.STEPS)
    }
