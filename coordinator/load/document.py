"""The plan file as its authors write it, as pydantic models; build.py makes the domain's values of them.

A class is a mapping of the file and a field is a key: its description is the text of the reference page and
of the JSON Schema, so nothing of the format is said twice. Rejected: pydantic models as the domain's values,
because the text's shape and the plan's change for different reasons.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from coordinator import discovery
from coordinator.fields import Duration, PositiveDuration, QuerySettings, SecretReference, Spec
from coordinator.load.backfills import Backfill, demand_backfills
from coordinator.load.choice import CheckChoice, OneOrMore, PlatformChoice, QueriesChoices
from coordinator.load.command import URL, Command, has_only_url, told_nowhere
from coordinator.load.texts import (
    DatabaseReference,
    Name,
    Release,
    Text,
    Tool,
    Unrepeated,
    VersionText,
    XArgument,
    wrong_server_version,
)
from coordinator.model import Base, Engine, Layer, LocksSpec, OnFailure, Worker


class Migrations(Spec):
    """Where a database's migrations are, and which tool's rules they follow."""

    tool: Tool = Field(description="The migration tool whose files and version table these are.")
    dir: Text = Field(description="The folder of the migration files, relative to the plan file.")
    table: Text | None = Field(
        default=None, description="The tool's version table. Without it: the tool's own default."
    )
    python: Text | None = Field(
        default=None,
        description="Alembic: the interpreter of the environment in which the project's env.py runs. A path "
        "starts at the plan file's folder. Without it: the interpreter that runs coordinator.",
        examples=[".venv/bin/python"],
    )
    section: Text | None = Field(
        default=None,
        description="Alembic: the section of alembic.ini that counts, as with `alembic -n NAME`. Without it: "
        "`alembic`.",
        examples=["stock"],
    )
    x_arguments: dict[XArgument, Annotated[str, AfterValidator(has_only_url)]] = Field(
        default_factory=dict,
        description="Alembic: what env.py asks for by `context.get_x_argument()`, as `alembic -x KEY=VALUE` "
        "says it. `{url}` in a value stands for the database's address, as SQLAlchemy has it. The plan "
        "shows these, so no secret belongs here.",
        examples=[{"tenant": "acme"}],
    )
    command: Command | None = Field(
        default=None,
        description="Your own program, which applies the migrations that are code (goose's `.go` files) and "
        "records them as the tool does: a list of the program and its arguments, without a shell. "
        "`{version}` stands for the migration's version and `{url}` for the database's address, which the "
        "variable of `url: env:NAME` holds too. A program with a slash starts at the plan file's folder.",
    )
    deadline: PositiveDuration = Field(
        default=timedelta(hours=1),
        description="How long `command`, or Alembic, may take for one migration; then it is ended. In a "
        "rehearsal it has 5 minutes at most.",
    )
    repeatable: bool = Field(
        default=False,
        description="A `command` that was cut off may run again. Without it a person has to look.",
    )
    rehearse: bool | None = Field(
        default=None,
        description="Whether `command` is tried on the scratch database of a rehearsal. `true` promises that "
        "it goes where `{url}` or the variable of `url` says, and nowhere else. Without it: if it has "
        "`{url}`.",
    )

    @model_validator(mode="after")
    def _tool_is_alembic(self) -> Self:
        idle = [each for each in ("python", "section", "x_arguments") if each in self.model_fields_set]
        if idle and self.tool not in discovery.names(discovery.RUNNERS):
            raise PydanticCustomError(
                "idle-setting",
                "`{key}` is about migrations of Alembic, and those of {tool} are none. Remove it.",
                {"key": idle[0], "tool": self.tool},
            )
        return self

    @model_validator(mode="after")
    def _command_has_work(self) -> Self:
        if self.command is None:
            has_runner = self.tool in discovery.names(discovery.RUNNERS)
            for key in ("deadline", "repeatable", "rehearse"):
                if key in self.model_fields_set and not (has_runner and key == "deadline"):
                    raise PydanticCustomError(
                        "idle-setting",
                        "`{key}` is about `command`, and there is none. Add `command:`, or remove `{key}`.",
                        {"key": key},
                    )
        elif not discovery.migration_tool(self.tool).may_be_code:
            raise PydanticCustomError(
                "idle-command",
                "No migration of {tool} needs a `command`, so nothing here would run it. Remove it.",
                {"tool": self.tool},
            )
        return self


class Rehearsal(Spec):
    """How the database's migrations are tried out before anything is released."""

    url: SecretReference | None = Field(
        default=None,
        description="A scratch server on which databases may be made and dropped, never one that serves "
        "anybody. Without it: a server of this machine.",
    )
    base: Base = Field(
        default=Base.REPLAY,
        description="What the rehearsal starts from: all migrations replayed on an empty database, or a dump "
        "of the live schema.",
    )
    layers: Annotated[tuple[Layer, ...], Unrepeated] = Field(
        default=tuple(Layer),
        min_length=1,
        description="What the engine is asked about each query. Fewer are faster and see less.",
    )


class Locks(Spec):
    """How a migration waits for a table that others use, while their queries would queue behind it."""

    attempt: PositiveDuration | None = Field(
        default=None,
        alias="try",
        description="How long one try may wait for a lock; then it is taken back and everybody passes. "
        "Without it: 100ms. On MySQL and MariaDB what waits for rows has as many seconds, 2 without it.",
        examples=["100ms"],
    )
    budget: PositiveDuration = Field(
        default=LocksSpec().budget,
        description="How long all tries of one migration may keep others waiting together; in a file without "
        "a transaction, those of one statement.",
    )
    deadline: PositiveDuration = Field(
        default=LocksSpec().deadline,
        description="When to give up, with the pauses in which nobody waits.",
    )


class Database(Spec):
    """A database that the release migrates."""

    engine: Engine = Field(description="The database engine.")
    url: SecretReference = Field(
        description="Where the connection's URL is, never the URL itself: `env:NAME` for an environment "
        "variable, `file:PATH` for a file (relative to the plan file; one newline at its end is ignored)."
    )
    server_version: Text | None = Field(
        default=None,
        description="The live server's version, for `plan --against`, which asks nothing live: a rehearsal "
        "on another major version (PostgreSQL) or series (MariaDB, MySQL) then decides nothing. What asks "
        "the server goes by its answer, and warns where this is another one.",
        examples=["16", "10.11"],
    )
    migrations: Migrations = Field(description="Where its migrations are.")
    locks: Locks = Field(
        default_factory=Locks, description="How long its migrations may make the application wait for locks."
    )
    rehearsal: Rehearsal = Field(
        default_factory=Rehearsal, description="How its migrations are tried out before the release."
    )
    backfills: tuple[Backfill, ...] = Field(
        default=(), description="What is changed row by row, in batches, while the release goes on."
    )

    @model_validator(mode="after")
    def _has_a_server_of_that_version(self) -> Self:
        if self.server_version is not None:
            wrong = wrong_server_version(self.server_version, self.engine)
            if wrong is not None:
                raise wrong
        return self

    @model_validator(mode="after")
    def _can_be_backfilled(self) -> Self:
        demand_backfills(self.backfills, self.engine, has_variable=self.url.scheme == "env")
        return self

    @model_validator(mode="after")
    def _tool_knows_engine(self) -> Self:
        if self.engine not in discovery.migration_tool(self.migrations.tool).engines:
            raise PydanticCustomError(
                "engine-not-supported",
                "`{tool}` is not supported with {engine}. Choose another tool or engine.",
                {"tool": self.migrations.tool, "engine": self.engine.value},
            )
        return self

    @model_validator(mode="after")
    def _command_is_told_where(self) -> Self:
        command = self.migrations.command or ()
        if self.migrations.rehearse and self.url.scheme != "env" and not any(URL in each for each in command):
            raise told_nowhere()
        return self


class Monitor(Spec):
    """How a new version is watched after traffic moved to it."""

    duration: Duration = Field(
        default=timedelta(), alias="for", description="How long to watch. `0s`: not at all."
    )
    every: PositiveDuration = Field(
        default=timedelta(seconds=1), description="The time from one round of checks to the next."
    )
    failures: int = Field(
        default=1, ge=1, le=1000, description="How many bad rounds in a row fail the release."
    )
    checks: tuple[CheckChoice, ...] = Field(
        default=(), description="What to ask in each round, at the address that clients use."
    )

    @model_validator(mode="after")
    def _watches_something(self) -> Self:
        if self.duration and not self.checks:
            raise PydanticCustomError(
                "idle-monitor",
                "`for` says how long to watch, and there are no checks. Add `checks:`, or remove `for`.",
            )
        if self.checks and not self.duration:
            raise PydanticCustomError(
                "idle-monitor",
                "There are checks, and nothing says how long to watch. Add `for: 10m`, or remove `checks`.",
            )
        return self


class Deploy(Spec):
    """How a new version is started."""

    deadline: PositiveDuration = Field(
        default=timedelta(seconds=60), description="How long the new version may take until it is ready."
    )


class Drain(Spec):
    """How an old version is taken out of service."""

    deadline: PositiveDuration = Field(
        default=timedelta(seconds=30), description="How long open connections may take to finish."
    )


def _percents_ascend(value: tuple[int, ...]) -> tuple[int, ...]:
    if any(one >= other for one, other in pairwise(value)):
        raise PydanticCustomError(
            "percents-not-ascending",
            "A canary grows. Write the percents in ascending order, each once: [10, 50].",
        )
    return value


class Canary(Spec):
    """How much of the traffic the new version gets first."""

    percent: Annotated[
        tuple[Annotated[int, Field(ge=1, le=99)], ...],
        Field(min_length=1),
        AfterValidator(_percents_ascend),
        OneOrMore(),
    ] = Field(
        description="The share of new connections, as near as whole replicas come; a list for several steps.",
        examples=[10, [10, 50]],
    )
    duration: PositiveDuration = Field(
        alias="for", description="How long to watch each share, with the checks of `monitor`."
    )


def _tells_versions_apart(value: str) -> str:
    if "{version}" not in value and "{colour}" not in value:
        raise PydanticCustomError(
            "sessions-not-told-apart",
            "Both versions would have the same name here. Write {version} or {colour} where the "
            "application_name has it, for example `shop-{version}`.",
        )
    return value


def _ref_has_version(value: str) -> str:
    if "{version}" not in value:
        raise PydanticCustomError(
            "ref-without-version",
            "Every version would have the same sources. Write {version} where the version stands in the "
            "tag, for example `release-{version}`.",
        )
    return value


class Service(Spec):
    """A service that the release replaces."""

    version: VersionText = Field(
        description="The version that shall serve when the release is done. `1.10` needs no quotes.",
    )
    uses: Annotated[tuple[DatabaseReference, ...], Unrepeated] = Field(
        default=(), description="The databases of this plan that the service reads or writes."
    )
    queries: QueriesChoices = Field(
        default=(), description="Where its queries are written down: one source, or a list of them."
    )
    ref: Annotated[Text, AfterValidator(_ref_has_version)] | None = Field(
        default=None,
        description="The git tag or commit of a version's sources, with `{version}` for the version. Without "
        "it: a tag that is the version, with or without a `v` before it, or the commit of that id.",
        examples=["release-{version}"],
    )
    database_role: Text | None = Field(
        default=None,
        description="The database role that the service connects as. The rehearsal checks its privileges.",
    )
    sessions: Annotated[Text, AfterValidator(_tells_versions_apart)] | None = Field(
        default=None,
        description="The application_name of its database sessions, with `{version}` or `{colour}`. With it, "
        "contract waits until the old version has no session left.",
        examples=["shop-{version}"],
    )
    worker: Worker | None = Field(
        default=None,
        description="For a service without traffic (a queue consumer, a timer): `overlap` where both "
        "versions may work at once, `handover` where the old one is stopped before the new one starts.",
    )
    platform: PlatformChoice = Field(description="Where the service runs.")
    verify: tuple[CheckChoice, ...] = Field(
        default=(), description="What the new version must answer before traffic moves to it."
    )
    canary: Canary | None = Field(
        default=None, description="Let the new version serve a part of the traffic first."
    )
    monitor: Monitor = Field(
        default_factory=Monitor, description="How the new version is watched after traffic moved to it."
    )
    deploy: Deploy = Field(default_factory=Deploy, description="How the new version is started.")
    drain: Drain = Field(default_factory=Drain, description="How the old version is taken out of service.")
    keep_blue: Duration = Field(
        default=timedelta(),
        description="The rollback window: how long the old version stays at full size after monitoring "
        "was content.",
    )

    @model_validator(mode="after")
    def _canary_is_watched(self) -> Self:
        if self.canary is not None and self.worker is not None:
            raise PydanticCustomError(
                "canary-without-traffic",
                "A worker has no traffic to share. Remove `canary`, or `worker`.",
            )
        if self.canary is not None and not self.monitor.checks:
            raise PydanticCustomError(
                "idle-canary",
                "There is a canary, and nobody watches it. Add `monitor:` with `checks:`, which it uses too.",
            )
        return self

    @model_validator(mode="after")
    def _queries_have_a_database(self) -> Self:
        for each in self.queries:
            assert isinstance(each.spec, QuerySettings)
            if each.spec.database is None and len(self.uses) != 1:
                raise PydanticCustomError(
                    "queries-without-database",
                    "The service uses {many} databases, and `{kind}` does not say which of them gets its "
                    "queries. Add `database:` to it.",
                    {"many": len(self.uses) or "no", "kind": each.kind},
                )
            if each.spec.database is not None and each.spec.database not in self.uses:
                raise PydanticCustomError(
                    "queries-without-database",
                    "`{kind}` gives its queries to `{database}`, which the service does not use. "
                    "Add it to `uses:`, or correct the name.",
                    {"kind": each.kind, "database": each.spec.database},
                )
        return self


class ContractGate(Spec):
    """Who is asked before contract starts."""

    approve: Annotated[tuple[Text, ...], Unrepeated] = Field(
        default=(), description="Who must approve, with `coordinator approve`."
    )


class Gates(Spec):
    """Where the release waits for a person."""

    contract: ContractGate = Field(
        default_factory=ContractGate, description="Before the first change that cannot be taken back."
    )


def _is_format(value: int) -> int:
    if value != 1:
        raise PydanticCustomError(
            "unsupported-version", "This coordinator reads version 1 of the plan file. Write `version: 1`."
        )
    return value


class PlanDocument(Spec):
    """The whole file: a release of services and of the databases that they use."""

    version: Annotated[int, AfterValidator(_is_format)] = Field(
        description="The version of the file's format.", json_schema_extra={"const": 1}
    )
    release: Release = Field(
        description="The release's name. A run of this name starts once and is resumed afterwards.",
        examples=["shop-${VERSION}"],
    )
    databases: dict[Name, Database] = Field(default_factory=dict, description="The databases, by name.")
    services: dict[Name, Service] = Field(default_factory=dict, description="The services, by name.")
    gates: Gates = Field(default_factory=Gates, description="Where the release waits for a person.")
    on_failure: OnFailure = Field(
        default=OnFailure.ROLLBACK, description="What a failure before the point of no return leads to."
    )

    @model_validator(mode="after")
    def _releases_something(self) -> Self:
        if not self.databases and not self.services:
            raise PydanticCustomError(
                "nothing-to-release",
                "The plan names no database and no service. Add one under `databases:` or `services:`.",
            )
        return self
