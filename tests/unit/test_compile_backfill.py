"""Where a backfill stands in a release: what it waits for, what waits for it, and where it is asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import Release, Service, effects_of
from fixtures.backfilling import COUNT_UP

from coordinator.backfills.order import order_problems
from coordinator.evidence import Basis, Finding, Verdict
from coordinator.graph import Graph, StepId
from coordinator.model import BackfillSpec, Phase, Worker
from coordinator.prove import prove, risks

BACKFILL, COMPLETE = StepId("backfill:db:count-up"), StepId("complete:db:count-up")
CONTRACT = StepId("contract:db:00003_m3")


def release(
    phases: str = "expand expand contract", *, before: str = "contract", **service: object
) -> Release:
    spec = replace(COUNT_UP, after="1", before=before)
    return Release({"app": Service(uses=("db",), **service)}, {"db": phases}, backfills=(spec,))  # type: ignore[arg-type]


def before(graph: Graph, step: str) -> set[str]:
    """Return every step that is done when one begins."""
    found: set[str] = set()
    left = list(graph.step(StepId(step)).after)
    while left:
        each = left.pop()
        found.add(each)
        left.extend(graph.step(each).after)
    return found


def test_it_begins_right_after_its_migration_and_beside_the_next_one() -> None:
    graph = release().graph()

    assert graph.step(BACKFILL).after == ("expand:db:00001_m1",)
    assert BACKFILL not in before(graph, "expand:db:00002_m2")
    assert BACKFILL not in before(graph, "switch:app")


def test_contract_waits_for_it_and_asks_once_more_when_the_live_version_is_gone() -> None:
    graph = release().graph()

    assert graph.step(CONTRACT).after[-1] == COMPLETE
    assert {BACKFILL, "stop:app"} <= before(graph, COMPLETE)


def test_the_live_version_stays_until_it_is_done() -> None:
    assert BACKFILL in before(release().graph(), "stop:app")


def test_people_are_asked_when_it_is_done() -> None:
    graph = replace(release(), approve=("dba",)).graph()

    assert BACKFILL in before(graph, "approve:contract")


def test_the_next_version_does_not_run_before_it_where_the_plan_says_switch() -> None:
    graph = release(before="switch").graph()

    assert BACKFILL in before(graph, "deploy:app")
    assert graph.step(CONTRACT).after[-1] == COMPLETE


@pytest.mark.parametrize("worker", Worker)
def test_a_worker_that_waits_for_it_is_not_started_before(worker: Worker) -> None:
    graph = release(before="switch", worker=worker).graph()

    assert BACKFILL in before(graph, "deploy:app")
    if worker is Worker.HANDOVER:
        assert BACKFILL in before(graph, "stop:app"), "the work would stand still meanwhile"


@pytest.mark.parametrize("name", ["00002_m2", "2"])
def test_a_migration_may_wait_for_it(name: str) -> None:
    graph = release(before=name).graph()

    assert {BACKFILL, COMPLETE} <= before(graph, "expand:db:00002_m2")
    assert COMPLETE not in graph.step(CONTRACT).after


def test_one_that_another_release_completed_is_asked_before_contract_and_not_done_again() -> None:
    graph = replace(release(), are_complete=True).graph()

    assert BACKFILL not in graph
    assert graph.step(CONTRACT).after[-1] == COMPLETE


def test_a_release_of_nothing_else_has_something_to_do() -> None:
    spec = replace(COUNT_UP, after="1")
    graph = Release({"app": Service(uses=("db",), live="2")}, {"db": ""}, backfills=(spec,)).graph()

    assert [step.id for step in graph] == ["acquire-lease", BACKFILL, "release-lease"]
    assert not Release({}, {"db": ""}, backfills=(spec,), are_complete=True).graph()


def test_a_database_alone_is_contracted_when_it_is_done() -> None:
    graph = Release({}, {"db": "expand contract"}, backfills=(replace(COUNT_UP, after="1"),)).graph()

    assert {BACKFILL, COMPLETE} <= before(graph, "contract:db:00002_m2")


def test_it_is_proven_as_it_would_be_without() -> None:
    assert release().proof().diagnostics == ()
    assert release().graph().step(BACKFILL).phase is Phase.MIGRATE


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"after": "00009_m9"}, "backfill-migration-unknown"),
        ({"after": "contract"}, "backfill-migration-unknown"),
        ({"before": "9"}, "backfill-migration-unknown"),
        ({"after": "2", "before": "00001_m1"}, "backfill-order"),
        ({"after": "2", "before": "2"}, "backfill-order"),
        ({"after": "1", "before": "2"}, None),
        ({"after": "2", "before": "switch"}, None),
    ],
)
def test_the_migrations_that_it_names_must_be_there_and_in_order(
    changed: dict[str, str], code: str | None
) -> None:
    spec: BackfillSpec = replace(COUNT_UP, **changed)  # type: ignore[arg-type]
    migrations = release().survey().databases["db"].pending  # type: ignore[index]

    assert [each.code for each in order_problems([spec], migrations)] == ([code] if code else [])


def test_one_that_nobody_rehearsed_is_a_risk_and_never_proven() -> None:
    proof = release().proof()

    assert proof.verdict is Verdict.UNPROVEN
    assert [each.what for each in risks(proof)] == ["Nobody knows whether backfill `count-up` works on `db`."]


@pytest.mark.parametrize("verdict", Verdict)
def test_what_the_engine_says_of_it_decides_about_the_release(verdict: Verdict) -> None:
    made = release()
    finding = Finding(verdict, Basis.REHEARSED, "no such column")
    evidence = replace(made.evidence(), backfills={("db", "count-up"): finding})  # type: ignore[dict-item]
    proof = prove(made.graph(), evidence, made.survey(), plan=made.plan(), effects_of=effects_of)

    refused = ["backfill-breaks"] if verdict is Verdict.BROKEN else []
    assert [each.code for each in proof.diagnostics] == refused
    assert bool(risks(proof)) is (verdict is Verdict.UNPROVEN)
