from __future__ import annotations

from dataclasses import replace

import pytest
from builders import Release, Service, effects_of, one_service, without_edge

from coordinator.diagnostics import Diagnostic
from coordinator.evidence import Basis, Evidence, Finding, Span, Verdict
from coordinator.graph import Graph, GraphError, Step, StepId
from coordinator.model import DatabaseName, Role, ServiceName, Worker
from coordinator.prove import Proof, prove, risks

EXPAND, CONTRACT = "expand:db:00001_m1", "contract:db:00002_m2"
ORDINARY = one_service("expand contract")


def codes(proof: Proof) -> set[str]:
    return {each.code for each in proof.diagnostics}


def met(proof: Proof, role: Role, *, service: str = "app") -> list[tuple[int, int]]:
    use = (DatabaseName("db"), ServiceName(service), role)
    return [(span.first, span.last) for span in proof.met[use]]


def only(proof: Proof) -> Diagnostic:
    [problem] = proof.diagnostics
    return problem


def test_an_ordinary_release_breaks_nothing_and_is_not_proven():
    proof = ORDINARY.proof()

    assert proof.diagnostics == ()
    assert proof.verdict is Verdict.UNPROVEN


def test_live_meets_no_contract_state_and_next_no_state_before_expand():
    proof = ORDINARY.proof()

    assert met(proof, Role.LIVE) == [(0, 0), (1, 1)]
    assert met(proof, Role.NEXT) == [(1, 2)]


@pytest.mark.parametrize(
    ("step", "before", "code", "who"),
    [
        ("deploy:app", EXPAND, "version-meets-broken-state", "`app` 2 (next)"),
        (CONTRACT, "stop:app", "version-meets-broken-state", "`app` 1 (live)"),
        ("switch:app", "verify:app", "unsafe-order", "`app` (next) may get traffic before it runs"),
        ("verify:app", "deploy:app", "unsafe-order", "`app` (next) may get traffic before it runs"),
    ],
)
def test_notices_that_an_edge_is_missing(step: str, before: str, code: str, who: str):
    proof = ORDINARY.proof(without_edge(ORDINARY.graph(), step, before))

    assert proof.verdict is Verdict.BROKEN
    assert any(each.code == code and who in each.what for each in proof.diagnostics)


def test_notices_that_live_may_be_stopped_while_it_serves():
    graph = without_edge(ORDINARY.graph(), "stop:app", "monitor:app")
    graph = without_edge(graph, "stop:app", "drain:app")

    problems = ORDINARY.proof(graph).diagnostics
    assert any("`app` (live) may be stopped while it still serves" in each.what for each in problems)


def test_notices_that_both_versions_of_a_worker_may_work_at_once():
    release = one_service("expand", worker=Worker.HANDOVER)
    graph = without_edge(release.graph(), "deploy:app", "stop:app")

    problems = release.proof(graph).diagnostics
    assert release.proof().diagnostics == ()
    assert any("`app` (next) may work while the other version still does" in each.what for each in problems)


def test_notices_that_migrations_may_change_places():
    release = one_service("expand expand")
    graph = without_edge(release.graph(), "expand:db:00002_m2", EXPAND)

    assert any(
        "expand:db:00002_m2 may be applied before" in each.what for each in release.proof(graph).diagnostics
    )


def test_migrations_may_follow_each_other_at_a_distance():
    release = one_service("expand contract contract")
    graph = release.graph()
    pause = Step(StepId("pause"), "verify", (StepId(CONTRACT),))
    last = replace(graph.step(StepId("contract:db:00003_m3")), after=(pause.id,))
    others = [step for step in graph if step.id != last.id]

    assert release.proof(Graph((*others, pause, last))).diagnostics == ()


@pytest.mark.parametrize("states", [(1, 3), (1, 1)])
def test_a_graph_that_skips_or_repeats_a_state_is_a_bug(states: tuple[int, int]):
    steps = [
        Step(StepId(f"a{at}"), "apply", database=DatabaseName("db"), state=state)
        for at, state in enumerate(states)
    ]

    with pytest.raises(GraphError, match="a0, a1"):
        ORDINARY.proof(Graph(tuple(steps)))


def test_a_stop_counts_only_behind_the_point_of_no_return():
    graph = ORDINARY.graph()
    tame = Graph(tuple(replace(step, no_return=False) for step in graph))

    assert codes(ORDINARY.proof(tame)) == {"version-meets-broken-state"}


def test_refuses_a_release_whose_window_is_empty_and_names_both_migrations():
    problem = only(one_service("contract expand").proof())

    assert problem.code == "version-meets-broken-state"
    assert "`app` 2 (next) may run while database `db` is at states 0 to 1 of 2" in problem.what
    assert "00002_m2" in problem.why
    assert "00001_m1" in problem.next_step


def test_a_first_release_meets_expanded_states_alone():
    proof = one_service("expand contract", live=None).proof()

    assert met(proof, Role.NEXT) == [(2, 2)]
    assert (DatabaseName("db"), ServiceName("app"), Role.LIVE) not in proof.met
    assert proof.diagnostics == ()


def test_a_service_that_stays_meets_every_state():
    release = Release(
        {"app": Service(("db",)), "jobs": Service(("db",), live="2")}, {"db": "expand contract"}
    )

    proof = release.proof()

    assert met(proof, Role.LIVE, service="jobs")[-1][1] == 2
    assert proof.diagnostics == ()


def test_contract_waits_for_each_of_several_services():
    release = Release({"app": Service(("db",)), "jobs": Service(("db",))}, {"db": "expand contract"})
    graph = without_edge(release.graph(), CONTRACT, "stop:jobs")

    assert release.proof().diagnostics == ()
    assert "`jobs` 1 (live)" in only(release.proof(graph)).what


def test_goes_on_where_another_run_had_switched_and_was_lost():
    proof = one_service("contract", live="2", left_over="1").proof()

    assert met(proof, Role.LIVE) == [(0, 0)]
    assert met(proof, Role.NEXT) == [(0, 1)]
    assert proof.diagnostics == ()


def test_refuses_an_expand_migration_that_a_version_which_serves_already_needs():
    proof = one_service("expand", live="2", left_over="1").proof()

    assert "`app` 2 (next) may run while database `db` is at state 0" in only(proof).what


def test_says_so_where_a_version_breaks_on_a_schema_that_does_not_change():
    release = one_service("")
    use = (DatabaseName("db"), ServiceName("app"), Role.NEXT)
    broken = Span(0, 0, Finding(Verdict.BROKEN, Basis.REHEARSED, "GetOrder reads `total`"))
    evidence = Evidence(release.evidence().phased, {use: (broken,)})

    proof = prove(release.graph(), evidence, release.survey(), plan=release.plan(), effects_of=effects_of)

    assert str(only(proof).place) == "plan.yaml:3:1"
    assert only(proof).why == "GetOrder reads `total`."


def rehearsed(release: Release, verdict: Verdict, *, reason: str = "asked") -> Proof:
    evidence = release.evidence()
    spans = {
        use: tuple(Span(each.first, each.last, Finding(verdict, Basis.REHEARSED, reason)) for each in found)
        for use, found in evidence.spans.items()
    }
    return prove(
        release.graph(),
        Evidence(evidence.phased, spans),
        release.survey(),
        plan=release.plan(),
        effects_of=effects_of,
    )


@pytest.mark.parametrize("reason", ["the engine says no", "the engine says no."])
def test_a_risk_is_told_in_a_sentence_that_ends_once(reason: str):
    told = {each.why for each in risks(rehearsed(ORDINARY, Verdict.UNPROVEN, reason=reason))}

    assert told == {"The engine says no."}


def test_is_proven_if_every_meeting_was():
    assert rehearsed(ORDINARY, Verdict.PROVEN).verdict is Verdict.PROVEN


@pytest.mark.parametrize(
    "release",
    [
        Release({}, {"db": "expand"}),
        Release({"app": Service()}, {}),
        Release({"app": Service(("db",))}, {"db": "expand", "unknown": "expand"}),
    ],
)
def test_is_never_proven_where_nobody_was_asked(release: Release):
    assert rehearsed(release, Verdict.PROVEN).verdict is Verdict.UNPROVEN
