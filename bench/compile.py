"""How long a release of 100,000 steps takes to classify, compile and prove: linear in its size, or a bug.

The shapes stress different things: many services that each have a database of their own, one service whose
database has very many pending migrations, and many of both. A calibration loop of plain Python makes figures
of different machines comparable: the last column is everything, in units of that loop.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from coordinator.app.connected import step_kinds
from coordinator.classify import classify
from coordinator.compile import compile_release
from coordinator.diagnostics import Place
from coordinator.journal.steps_on_wire import graph_from, wire_from
from coordinator.model import (
    Colour,
    DatabaseName,
    DatabaseSpec,
    Engine,
    Migration,
    MigrationsSpec,
    MonitorSpec,
    OnFailure,
    Plan,
    Script,
    SecretRef,
    ServiceName,
    ServiceSpec,
    Statement,
    Version,
)
from coordinator.ports.databases import Target
from coordinator.ports.platforms import Serving, Side
from coordinator.prove import prove
from coordinator.survey import DatabaseSurvey, ServiceSurvey, Survey

PLACE = Place("bench")
SHAPES = {
    # services, databases, migrations of each database, who approves contract
    "10 services, 4 migrations each": (10, 10, 4, ()),
    "1,000 services, 4 migrations each": (1_000, 1_000, 4, ()),
    "10,000 services, 4 migrations each": (10_000, 10_000, 4, ()),
    "the same, behind a gate": (10_000, 10_000, 4, ("dba",)),
    "1 service, 100,000 migrations": (1, 1, 100_000, ()),
    "8,000 services on 1 database, 50,000 migrations": (8_000, 1, 50_000, ()),
}
CONTRACT_SHARE = 4
"""One of so many migrations is contract."""


def migrations_of(count: int) -> tuple[Migration, ...]:
    """Return `count` migrations of which the last quarter takes something away."""
    expand, contract = "ALTER TABLE orders ADD COLUMN a int", "ALTER TABLE orders DROP COLUMN a"
    texts = [expand] * (count - count // CONTRACT_SHARE) + [contract] * (count // CONTRACT_SHARE)
    return tuple(
        Migration(number, f"{number:06}_bench", Script((Statement(text, 1),), transaction=True), None, ())
        for number, text in enumerate(texts, 1)
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


def service_of(name: str, database: str) -> ServiceSpec:
    monitor = MonitorSpec(timedelta(), timedelta(seconds=1), 1, ())
    return ServiceSpec(
        name=ServiceName(name),
        version=Version("2"),
        uses=(DatabaseName(database),),
        platform="local",
        platform_spec=None,
        verify=(),
        monitor=monitor,
        deploy_deadline=timedelta(seconds=60),
        drain_deadline=timedelta(seconds=30),
        keep_blue=timedelta(),
        place=PLACE,
    )


def release_of(
    services: int, databases: int, migrations: int, approvers: tuple[str, ...]
) -> tuple[Plan, Survey]:
    """Return a release in which each service replaces an old version."""
    users = {f"s{number}": f"d{number % databases}" for number in range(services)}
    names = [f"d{number}" for number in range(databases)]
    serving = Serving(
        Colour.BLUE, {Colour.BLUE: Side(Version("1"), running=True, ready=True), Colour.GREEN: Side()}
    )
    target = Target(Engine.POSTGRESQL, "bench", "public", None)
    database = DatabaseSurvey(target, 0, migrations_of(migrations))
    plan = Plan(
        Path("plan.yaml"),
        "bench",
        {DatabaseName(name): database_of(name) for name in names},
        {ServiceName(name): service_of(name, its) for name, its in users.items()},
        approvers,
        OnFailure.ROLLBACK,
        "",
    )
    survey = Survey(
        {DatabaseName(name): database for name in names},
        {ServiceName(name): ServiceSurvey(serving, Colour.GREEN, Colour.BLUE) for name in users},
        (),
    )
    return plan, survey


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def calibrate() -> None:
    """Do what takes a usual machine half a second: make, hash and look up ten million small integers."""
    table: dict[int, int] = {}
    for number in range(5_000_000):
        table[number & 0xFFFF] = number
    assert len(table) == 0x10000


def main() -> None:
    kinds = step_kinds()
    loop = min(timed(calibrate)[1] for _ in range(3))
    print(f"calibration loop: {loop:.3f} s, Python {sys.version.split()[0]}")
    stages = ("classify", "compile", "prove", "on wire")
    print(
        f"{'release':48} {'steps':>8} "
        + " ".join(f"{stage:>9}" for stage in stages)
        + "    ratio  MiB so far"
    )
    for name, shape in SHAPES.items():
        plan, survey = release_of(*shape)
        (evidence, problems), classified = timed(lambda: classify(plan, survey))  # noqa: B023 - called here
        graph, compiled = timed(lambda: compile_release(plan, survey, evidence))  # noqa: B023
        proof, proved = timed(
            lambda: prove(
                graph,  # noqa: B023
                evidence,  # noqa: B023
                survey,  # noqa: B023
                plan=plan,  # noqa: B023
                effects_of=lambda step: kinds[step.kind].effects(step),
            )
        )
        again, on_wire = timed(lambda: graph_from(wire_from(graph)))  # noqa: B023
        assert not problems
        assert not proof.diagnostics
        assert again == graph
        took = (classified, compiled, proved, on_wire)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
        seconds = " ".join(f"{each:8.2f}s" for each in took)
        print(f"{name:48} {len(graph):8,} {seconds} {sum(took) / loop:8.1f} {peak:11.0f}", flush=True)


if __name__ == "__main__":
    main()
