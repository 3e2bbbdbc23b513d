"""What `run` wants --accept-unproven for: what nobody proved and nobody answers for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from builders import Release, Service, effects_of, migration

from coordinator.compile import compile_release
from coordinator.evidence import Basis, Evidence, Finding, Span, Use, Verdict
from coordinator.model import DatabaseName, Role, ServiceName
from coordinator.prove import prove, risks

FINDINGS = {
    "w": Finding(Verdict.PROVEN, Basis.REHEARSED, "every query works"),
    "r": Finding(Verdict.UNPROVEN, Basis.REHEARSED, "one query could not be asked"),
    "c": Finding(Verdict.UNPROVEN, Basis.CLASSIFIED, "guessed"),
    "d": Finding(Verdict.UNPROVEN, Basis.DECLARED, "declared"),
    "o": Finding(Verdict.UNPROVEN, Basis.OBSERVED, "it runs on this schema now"),
}


def use(name: str, role: Role) -> Use:
    return DatabaseName("db"), ServiceName(name), role


def told(release: Release, cells: Mapping[Use, str]) -> list[str]:
    """Return who is at risk where; `cells` have a letter a state."""
    spans = {
        each: tuple(Span(state, state, FINDINGS[letter]) for state, letter in enumerate(letters))
        for each, letters in cells.items()
    }
    evidence = Evidence(release.evidence().phased, spans)
    survey, plan = release.survey(), release.plan()
    graph = compile_release(plan, survey, evidence)
    proof = prove(graph, evidence, survey, plan=plan, effects_of=effects_of)
    assert not proof.diagnostics
    assert all(each.code == "unproven" and "--accept-unproven" in each.next_step for each in risks(proof))
    return [each.what for each in risks(proof)]


def shop(phases: str = "expand expand", **service: object) -> Release:
    return Release({"app": Service(("db",), **service)}, {"db": phases})  # type: ignore[arg-type]


def nobody_knows(role: Role, states: str, *, service: str = "app") -> str:
    return f"Nobody knows whether `{service}` ({role}) works while `db` is at {states}."


LIVE, NEXT = use("app", Role.LIVE), use("app", Role.NEXT)


def test_what_is_proven_is_no_risk():
    assert told(shop(), {LIVE: "www", NEXT: "www"}) == []


@pytest.mark.parametrize("basis", ["d", "o"])
def test_who_declares_answers_and_what_runs_is_seen(basis: str):
    assert told(shop(), {LIVE: basis * 3, NEXT: basis * 3}) == []


@pytest.mark.parametrize("basis", ["r", "c"])
def test_a_live_version_is_at_risk_at_every_state_but_the_one_that_it_runs_on(basis: str):
    assert told(shop(), {LIVE: basis * 3, NEXT: "www"}) == [
        nobody_knows(Role.LIVE, "state 1"),
        nobody_knows(Role.LIVE, "state 2"),
    ]


def test_a_guess_about_a_next_version_is_no_risk_at_the_state_that_it_was_written_for():
    assert told(shop(), {LIVE: "www", NEXT: "wwc"}) == []


def test_a_guess_about_a_next_version_is_one_before_that_state():
    assert told(shop("expand contract"), {LIVE: "www", NEXT: "ccc"}) == [nobody_knows(Role.NEXT, "state 1")]


def test_a_next_version_that_the_engine_could_not_be_asked_about_is_one_everywhere():
    assert told(shop(), {LIVE: "www", NEXT: "wwr"}) == [nobody_knows(Role.NEXT, "state 2")]


def test_a_state_that_a_version_never_meets_is_none():
    assert told(shop("expand contract"), {LIVE: "wwr", NEXT: "rww"}) == []


def test_a_guess_about_a_database_that_does_not_move_is_none_and_an_engine_without_an_answer_is_one():
    assert told(shop(""), {LIVE: "c", NEXT: "c"}) == []
    assert told(shop(""), {LIVE: "w", NEXT: "r"}) == [nobody_knows(Role.NEXT, "state 0")]


def test_a_service_that_stays_is_at_risk_where_a_migration_was_only_guessed_about():
    release = Release({"jobs": Service(("db",), live="2")}, {"db": "expand"})

    assert told(release, {use("jobs", Role.LIVE): "oc"}) == [
        nobody_knows(Role.LIVE, "state 1", service="jobs")
    ]


def guessed(number: int) -> tuple:
    return tuple(migration(at, f"ALTER TABLE t ADD COLUMN c{at} text;") for at in range(1, number + 1))


def test_a_database_that_no_service_uses_is_one_where_a_phase_is_guessed():
    assert told(Release({}, {"db": guessed(2), "also": guessed(1), "sure": "expand"}), {}) == [
        "No service of the plan uses `also`, and who does is not known.",
        "No service of the plan uses `db`, and who does is not known.",
    ]


def test_states_with_the_same_finding_are_one_risk():
    release = shop("expand expand expand")
    spans = (Span(0, 0, FINDINGS["w"]), Span(1, 3, FINDINGS["r"]))
    evidence = Evidence(release.evidence().phased, {LIVE: spans, NEXT: (Span(0, 3, FINDINGS["w"]),)})
    proof = prove(release.graph(), evidence, release.survey(), plan=release.plan(), effects_of=effects_of)

    [risk] = risks(proof)
    assert risk.what == nobody_knows(Role.LIVE, "states 1 to 3")
    assert risk.why == "One query could not be asked."
