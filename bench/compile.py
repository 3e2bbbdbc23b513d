"""How long a release of 100,000 steps takes to compile and to prove: both have to grow with its size alone.

Two shapes, because they stress different things: many services that each have a database of their own, and
one service whose database has very many pending migrations.
"""

from __future__ import annotations

import resource
import time
from datetime import timedelta
from pathlib import Path

from coordinator.app.connected import step_kinds
from coordinator.compile import compile_release
from coordinator.diagnostics import Place
from coordinator.evidence import Basis, Evidence, Finding, Phased, Verdict
from coordinator.model import (
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
    Role,
    SecretRef,
    ServiceName,
    ServiceSpec,
    Version,
)
from coordinator.ports import Ledger, Serving, Side, Target
from coordinator.prove import prove
from coordinator.survey import DatabaseSurvey, ServiceSurvey, Survey

PLACE = Place("bench")
SHAPES = {
    "10 services, 4 migrations each": (10, 4),
    "1 service, 1,000 migrations": (1, 1_000),
    "1,000 services, 4 migrations each": (1_000, 4),
    "1 service, 100,000 migrations": (1, 100_000),
    "10,000 services, 4 migrations each": (10_000, 4),
}


def migrations_of(count: int) -> tuple[Phased, ...]:
    """Return `count` migrations of which the last quarter is contract."""
    phases = [Phase.EXPAND] * (count - count // 4) + [Phase.CONTRACT] * (count // 4)
    return tuple(
        Phased(Migration(number, f"{number:06}_bench", None, None, ()), phase, Basis.DECLARED, "bench", PLACE)
        for number, phase in enumerate(phases, 1)
    )


def database_of(name: str) -> DatabaseSpec:
    migrations = MigrationsSpec("goose", Path("migrations"), None, PLACE)
    return DatabaseSpec(
        DatabaseName(name),
        Engine.POSTGRESQL,
        SecretRef("env", "URL"),
        migrations,
        timedelta(seconds=2),
        PLACE,
    )


def service_of(name: str) -> ServiceSpec:
    monitor = MonitorSpec(timedelta(), timedelta(seconds=1), 1, ())
    return ServiceSpec(
        name=ServiceName(name),
        version=Version("2"),
        uses=(DatabaseName(name),),
        platform="local",
        platform_spec=None,
        verify=(),
        monitor=monitor,
        deploy_deadline=timedelta(seconds=60),
        drain_deadline=timedelta(seconds=30),
        keep_blue=timedelta(),
        place=PLACE,
    )


def release_of(services: int, migrations: int) -> tuple[Plan, Survey, Evidence]:
    """Return a release of services with one database each, whose old version lives up to contract."""
    names = [f"s{number}" for number in range(services)]
    phased = migrations_of(migrations)
    pending = tuple(each.migration for each in phased)
    contract = len(phased) - migrations // 4
    serving = Serving(
        Colour.BLUE, {Colour.BLUE: Side(Version("1"), running=True, ready=True), Colour.GREEN: Side()}
    )
    database = DatabaseSurvey(
        Target(Engine.POSTGRESQL, "bench", "public", None), Ledger(exists=True), pending
    )
    plan = Plan(
        Path("plan.yaml"),
        "bench",
        {DatabaseName(name): database_of(name) for name in names},
        {ServiceName(name): service_of(name) for name in names},
        (),
        OnFailure.ROLLBACK,
        "",
    )
    survey = Survey(
        {DatabaseName(name): database for name in names},
        {ServiceName(name): ServiceSurvey(serving, Colour.GREEN, Colour.BLUE) for name in names},
        (),
    )
    works = Finding(Verdict.UNPROVEN, Basis.DECLARED, "bench")
    breaks = Finding(Verdict.BROKEN, Basis.DECLARED, "bench")
    cells = {
        (DatabaseName(name), state, ServiceName(name), role): breaks
        if (state > contract if role is Role.LIVE else state < contract)
        else works
        for name in names
        for state in range(migrations + 1)
        for role in Role
    }
    return plan, survey, Evidence({DatabaseName(name): phased for name in names}, cells)


def main() -> None:
    kinds = step_kinds()
    print(f"{'release':38} {'steps':>8} {'compile s':>10} {'prove s':>8} {'MiB so far':>11}")
    for name, (services, migrations) in SHAPES.items():
        plan, survey, evidence = release_of(services, migrations)
        begin = time.perf_counter()
        graph = compile_release(plan, survey, evidence)
        compiled = time.perf_counter()
        proof = prove(
            graph, evidence, survey, plan=plan, effects_of=lambda step: kinds[step.kind].effects(step)
        )
        proved = time.perf_counter()
        assert not proof.diagnostics
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
        print(
            f"{name:38} {len(graph):8,} {compiled - begin:10.3f} {proved - compiled:8.3f} {peak:11.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
