"""Small releases for tests, in a line each: what a plan says, what a survey saw, what was found out.

release = Release(app=Service(uses=("db",)), pending={"db": "expand expand contract"})
proof = release.proof()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from coordinator.app.connected import step_kinds
from coordinator.classify import classify
from coordinator.compile import compile_release
from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import Evidence
from coordinator.graph import Graph, Step
from coordinator.model import (
    BackfillSpec,
    CanarySpec,
    CheckSpec,
    Colour,
    DatabaseName,
    DatabaseSpec,
    Engine,
    Migration,
    MigrationsSpec,
    MonitorSpec,
    OnFailure,
    Phase,
    Plan,
    Script,
    SecretRef,
    ServiceName,
    ServiceSpec,
    SourceFile,
    Statement,
    Version,
    Worker,
)
from coordinator.ports.databases import Target
from coordinator.ports.platforms import Serving, Side
from coordinator.prove import Proof, prove
from coordinator.survey import DatabaseSurvey, Survey, service_survey
from coordinator.world import Effect

KINDS = step_kinds()


def effects_of(step: Step) -> tuple[Effect, ...]:
    """Say what a step does, as its kind says it."""
    return KINDS[step.kind].effects(step)


@dataclass(frozen=True)
class Service:
    """A service of a release: what the plan wants and what runs. `live` and `next` are versions."""

    uses: tuple[str, ...] = ()
    live: str | None = "1"
    next: str = "2"
    left_over: str | None = None
    """What runs on the other colour than the one that serves."""
    keep_blue: timedelta = timedelta()
    verify: tuple[CheckSpec, ...] = ()
    worker: Worker | None = None
    canary: tuple[int, ...] = ()

    def spec(self, name: str) -> ServiceSpec:
        """Return it as a plan has it."""
        return ServiceSpec(
            name=ServiceName(name),
            version=Version(self.next),
            uses=tuple(map(DatabaseName, self.uses)),
            platform="local",
            platform_spec=None,
            verify=self.verify,
            monitor=MonitorSpec(timedelta(), timedelta(seconds=1), 1, ()),
            deploy_deadline=timedelta(seconds=60),
            drain_deadline=timedelta(seconds=30),
            keep_blue=self.keep_blue,
            place=Place("plan.yaml", 1, 1),
            worker=self.worker,
            canary=CanarySpec(self.canary, timedelta(seconds=1)) if self.canary else None,
        )

    def serving(self) -> Serving:
        """Return it as a platform sees it: what is live is blue."""
        blue = Side() if self.live is None else Side(Version(self.live), running=True, ready=True)
        green = Side() if self.left_over is None else Side(Version(self.left_over), running=True, ready=True)
        live = None if self.live is None else Colour.BLUE
        return Serving(live, {Colour.BLUE: blue, Colour.GREEN: green})


def migration(version: int, sql: str = "", *, declared: Phase | None = None) -> Migration:
    """Return a migration of one file, whose up side is sent as one text."""
    name = f"{version:05}_m{version}"
    file = SourceFile(f"migrations/{name}.sql", sql.encode(), f"digest-{version}")
    up = Script((Statement(sql, 1),) if sql else (), transaction=True)
    return Migration(version, name, up, None, (file,), declared)


def declared(phases: str) -> tuple[Migration, ...]:
    """Return migrations that declare `phases`: "expand expand contract"."""
    return tuple(migration(at, declared=Phase(phase)) for at, phase in enumerate(phases.split(), 1))


@dataclass(frozen=True)
class Release:
    """A whole release: `pending` names a database's migrations, or the phases that they declare."""

    services: Mapping[str, Service] = field(default_factory=dict)
    pending: Mapping[str, str | tuple[Migration, ...]] = field(default_factory=dict)
    approve: tuple[str, ...] = ()
    applied: int = 0
    """How many migrations each database has already."""
    on_failure: OnFailure = OnFailure.ROLLBACK
    backfills: tuple[BackfillSpec, ...] = ()
    """Those of each database."""
    are_complete: bool = False
    """The backfills were done by an earlier release."""

    def plan(self) -> Plan:
        """Return what the plan file would say."""
        return Plan(
            file=Path("plan.yaml"),
            release="shop-2",
            databases={
                DatabaseName(name): replace(_database(name), backfills=self.backfills)
                for name in self.pending
            },
            services={ServiceName(name): service.spec(name) for name, service in self.services.items()},
            approve_contract=self.approve,
            on_failure=self.on_failure,
            digest="plan-digest",
        )

    def survey(self) -> Survey:
        """Return what the world looks like."""
        specs = self.plan().services
        return Survey(
            {
                DatabaseName(name): DatabaseSurvey(
                    Target(Engine.POSTGRESQL, name, "public", None),
                    self.applied,
                    declared(pending) if isinstance(pending, str) else pending,
                    backfills=() if self.are_complete else self.backfills,
                )
                for name, pending in self.pending.items()
            },
            {
                ServiceName(name): service_survey(specs[ServiceName(name)], service.serving())
                for name, service in self.services.items()
            },
            (),
        )

    def classified(self) -> tuple[Evidence, tuple[Diagnostic, ...]]:
        """Return the phases and the matrix, and what has to be declared."""
        return classify(self.plan(), self.survey())

    def evidence(self) -> Evidence:
        """Return the phases and the matrix of a release that has no problem."""
        evidence, problems = self.classified()
        assert not problems, problems
        return evidence

    def graph(self) -> Graph:
        """Return the compiled steps."""
        return compile_release(self.plan(), self.survey(), self.evidence())

    def proof(self, graph: Graph | None = None) -> Proof:
        """Return the proof of the compiled steps, or of `graph` in their place."""
        graph = self.graph() if graph is None else graph
        return prove(graph, self.evidence(), self.survey(), plan=self.plan(), effects_of=effects_of)


def _database(name: str) -> DatabaseSpec:
    migrations = MigrationsSpec("goose", Path("migrations"), None, Place("plan.yaml", 2, 1))
    return DatabaseSpec(
        name=DatabaseName(name),
        engine=Engine.POSTGRESQL,
        url=SecretRef("env", "URL"),
        migrations=migrations,
        lock_timeout=timedelta(seconds=2),
        place=Place("plan.yaml", 3, 1),
    )


def one_service(phases: str, **service: object) -> Release:
    """Return a release of `app` on `db`, whose pending migrations declare `phases`."""
    return Release({"app": Service(uses=("db",), **service)}, {"db": phases})  # type: ignore[arg-type]


def without_edge(graph: Graph, step: str, before: str) -> Graph:
    """Return the graph without one edge; the steps stay."""
    return Graph(
        tuple(
            replace(each, after=tuple(edge for edge in each.after if edge != before))
            if each.id == step
            else each
            for each in graph
        )
    )
