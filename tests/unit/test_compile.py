from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import Release, Service, migration, one_service

from coordinator.compile import compile_release
from coordinator.derive import derive, fully_asked
from coordinator.evidence import Basis, Evidence, Finding, Rehearsal, Span, Verdict
from coordinator.graph import Graph, StepId
from coordinator.model import Colour, DatabaseName, Migration, Phase, Role, ServiceName, Worker

HOUR = timedelta(hours=1)


def edges_of(release: Release) -> dict[str, list[str]]:
    """Return each step with what it comes after, in the graph's order."""
    return {step.id: list(step.after) for step in release.graph()}


def test_compiles_one_service_with_one_database():
    assert edges_of(one_service("expand migrate contract contract", keep_blue=HOUR)) == {
        "acquire-lease": [],
        "expand:db:00001_m1": ["acquire-lease"],
        "migrate:db:00002_m2": ["expand:db:00001_m1"],
        "deploy:app": ["migrate:db:00002_m2"],
        "verify:app": ["deploy:app"],
        "switch:app": ["verify:app"],
        "monitor:app": ["switch:app"],
        "drain:app": ["switch:app"],
        "keep:app": ["monitor:app"],
        "stop:app": ["keep:app", "drain:app"],
        "contract:db:00003_m3": ["stop:app"],
        "contract:db:00004_m4": ["contract:db:00003_m3"],
        "release-lease": ["contract:db:00004_m4"],
    }


def test_a_canary_serves_one_share_after_the_other_before_the_switch():
    release = Release({"app": Service(("db",), canary=(10, 50))}, {"db": "expand contract"})

    edges = edges_of(release)

    assert edges["canary-10:app"] == ["verify:app"]
    assert edges["canary-50:app"] == ["canary-10:app"]
    assert edges["switch:app"] == ["canary-50:app"]
    assert [release.graph().step(StepId(f"canary-{each}:app")).percent for each in (10, 50)] == [10, 50]


def test_a_first_release_has_nobody_to_share_traffic_with():
    edges = edges_of(Release({"app": Service(live=None, canary=(10,))}))

    assert edges["switch:app"] == ["verify:app"]


def test_a_worker_whose_versions_may_overlap_is_replaced_like_a_service_and_not_drained():
    release = Release(
        {"app": Service(("db",), worker=Worker.OVERLAP, keep_blue=HOUR)}, {"db": "expand contract"}
    )

    assert edges_of(release) == {
        "acquire-lease": [],
        "expand:db:00001_m1": ["acquire-lease"],
        "deploy:app": ["expand:db:00001_m1"],
        "verify:app": ["deploy:app"],
        "switch:app": ["verify:app"],
        "monitor:app": ["switch:app"],
        "keep:app": ["monitor:app"],
        "stop:app": ["keep:app"],
        "contract:db:00002_m2": ["stop:app"],
        "release-lease": ["contract:db:00002_m2"],
    }


def test_a_worker_that_is_handed_over_stops_before_the_next_one_starts():
    release = Release(
        {"app": Service(("db",), worker=Worker.HANDOVER, keep_blue=HOUR)}, {"db": "expand contract"}
    )

    assert edges_of(release) == {
        "acquire-lease": [],
        "expand:db:00001_m1": ["acquire-lease"],
        "stop:app": ["expand:db:00001_m1"],
        "deploy:app": ["stop:app"],
        "verify:app": ["deploy:app"],
        "monitor:app": ["verify:app"],
        "contract:db:00002_m2": ["monitor:app"],
        "release-lease": ["contract:db:00002_m2"],
    }
    assert not release.proof().diagnostics


def test_what_was_handed_over_and_may_not_be_verified_is_verified_before_all_else():
    release = Release({"app": Service(("db",), live="2", worker=Worker.HANDOVER)}, {"db": "expand contract"})
    survey = release.survey()
    app = replace(survey.services[ServiceName("app")], is_verified=False)
    survey = replace(survey, services={ServiceName("app"): app})

    graph = compile_release(release.plan(), survey, release.evidence())

    assert {step.id: list(step.after) for step in graph} == {
        "acquire-lease": [],
        "verify:app": ["acquire-lease"],
        "expand:db:00001_m1": ["acquire-lease", "verify:app"],
        "contract:db:00002_m2": ["expand:db:00001_m1"],
        "release-lease": ["contract:db:00002_m2"],
    }
    assert graph.step(StepId("verify:app")).colour is Colour.BLUE


def test_people_are_asked_after_a_handover_was_watched():
    release = Release(
        {"app": Service(("db",), worker=Worker.HANDOVER)}, {"db": "expand contract"}, approve=("dba",)
    )

    edges = edges_of(release)

    assert edges["approve:contract"] == ["monitor:app"]
    assert edges["contract:db:00002_m2"] == ["approve:contract"]


def test_has_no_keep_step_without_a_rollback_window():
    assert StepId("keep:app") not in one_service("expand").graph()


def test_a_first_release_replaces_nobody():
    release = one_service("expand contract", live=None)

    assert edges_of(release) == {
        "acquire-lease": [],
        "expand:db:00001_m1": ["acquire-lease"],
        "expand:db:00002_m2": ["expand:db:00001_m1"],
        "deploy:app": ["expand:db:00002_m2"],
        "verify:app": ["deploy:app"],
        "switch:app": ["verify:app"],
        "monitor:app": ["switch:app"],
        "release-lease": ["monitor:app"],
    }


def test_where_the_wanted_version_serves_already_nothing_is_switched_that_a_rollback_could_undo():
    edges = edges_of(one_service("contract", live="2", left_over="1"))

    assert edges == {
        "acquire-lease": [],
        "monitor:app": ["acquire-lease"],
        "drain:app": ["acquire-lease"],
        "stop:app": ["monitor:app", "drain:app"],
        "contract:db:00001_m1": ["stop:app"],
        "release-lease": ["contract:db:00001_m1"],
    }


def test_does_nothing_where_the_wanted_version_serves_and_nothing_is_pending():
    assert len(one_service("", live="2").graph()) == 0


def test_migrates_beside_a_service_that_stays():
    assert edges_of(one_service("expand contract", live="2")) == {
        "acquire-lease": [],
        "expand:db:00001_m1": ["acquire-lease"],
        "contract:db:00002_m2": ["expand:db:00001_m1"],
        "release-lease": ["contract:db:00002_m2"],
    }


def test_releases_a_service_without_databases():
    edges = edges_of(Release({"app": Service()}))

    assert edges["deploy:app"] == ["acquire-lease"]
    assert edges["release-lease"] == ["stop:app"]


def test_contract_waits_for_every_old_version_that_uses_the_database():
    release = Release(
        {
            "app": Service(("db",)),
            "jobs": Service(("db",)),
            "mail": Service(),
            "new": Service(("db",), live=None),
        },
        {"db": "expand contract"},
    )

    assert edges_of(release)["contract:db:00002_m2"] == ["stop:app", "stop:jobs"]
    assert edges_of(release)["release-lease"] == ["contract:db:00002_m2", "stop:mail"]


def test_contract_begins_for_no_service_while_another_is_still_watched():
    release = Release(
        {"app": Service(("a",)), "mail": Service(), "new": Service(live=None)}, {"a": "contract"}
    )

    edges = edges_of(release)

    assert edges["approve:contract"] == [
        "monitor:app",
        "drain:app",
        "monitor:mail",
        "drain:mail",
        "monitor:new",
    ]
    assert edges["stop:app"] == ["approve:contract"]
    assert release.graph().step(StepId("approve:contract")).approvers == ()


def test_a_service_starts_when_all_its_databases_are_expanded():
    release = Release(
        {"app": Service(("a", "b", "c"))}, {"a": "expand expand", "b": "expand", "c": "contract"}
    )

    assert edges_of(release)["deploy:app"] == ["expand:a:00002_m2", "expand:b:00001_m1"]


def test_people_are_asked_when_all_is_settled_and_before_anything_is_stopped_for_contract():
    release = Release(
        {"app": Service(("db",), keep_blue=HOUR), "mail": Service()},
        {"db": "expand contract", "side": "expand"},
        approve=("ann", "bob"),
    )
    edges = edges_of(release)

    assert edges["approve:contract"] == [
        "keep:app",
        "drain:app",
        "monitor:mail",
        "drain:mail",
        "expand:side:00001_m1",
    ]
    assert edges["stop:app"] == ["approve:contract"]
    assert edges["stop:mail"] == ["monitor:mail", "drain:mail"]
    assert edges["contract:db:00002_m2"] == ["stop:app"]
    assert release.graph().step(StepId("approve:contract")).approvers == ("ann", "bob")


def test_nobody_is_asked_without_contract():
    release = Release({"app": Service(("db",))}, {"db": "expand"}, approve=("ann",))

    assert StepId("approve:contract") not in release.graph()


def test_contract_of_a_database_that_no_service_uses_waits_for_approval():
    release = Release({}, {"db": "expand contract"}, approve=("ann",))

    assert edges_of(release) == {
        "acquire-lease": [],
        "expand:db:00001_m1": ["acquire-lease"],
        "approve:contract": ["expand:db:00001_m1"],
        "contract:db:00002_m2": ["approve:contract"],
        "release-lease": ["contract:db:00002_m2"],
    }


def test_only_contract_is_beyond_return():
    graph = one_service("expand migrate contract contract").graph()

    assert [step.id for step in graph if step.no_return] == ["contract:db:00003_m3", "contract:db:00004_m4"]


def test_everything_from_the_first_contract_migration_on_waits_for_the_old_version():
    edges = edges_of(one_service("expand contract contract"))

    assert edges["contract:db:00003_m3"] == ["contract:db:00002_m2"]


def test_steps_name_what_they_are_about():
    graph = one_service("expand").graph()

    assert graph.step(StepId("deploy:app")).colour is Colour.GREEN
    assert graph.step(StepId("deploy:app")).role is Role.NEXT
    assert graph.step(StepId("deploy:app")).version == "2"
    assert graph.step(StepId("stop:app")).colour is Colour.BLUE
    assert graph.step(StepId("stop:app")).version == "1"
    assert graph.step(StepId("expand:db:00001_m1")).migration == 1
    assert graph.step(StepId("expand:db:00001_m1")).state == 1


SHAPES = {
    f"{uses} {phases} live={live} gate={gate} worker={worker}": Release(
        {
            "app": Service(uses, live=live, worker=worker),
            "other": Service(("a",)),
            "new": Service(("b",), live=None),
        },
        {"a": phases, "b": "expand", "lonely": "expand"},
        approve=gate,
    )
    for uses in ((), ("a",), ("a", "b"))
    for phases in ("", "expand", "contract", "expand contract contract")
    for live in ("1", "2", None)
    for gate in ((), ("ann",))
    for worker in (None, *Worker)
}


@pytest.mark.parametrize("shape", SHAPES)
def test_emits_no_edge_that_others_imply(shape: str):
    graph = SHAPES[shape].graph()

    implied = [
        (step.id, before)
        for step in graph
        for before in step.after
        for other in step.after
        if other != before and before in ancestors_of(graph, other)
    ]
    assert implied == []


@pytest.mark.parametrize("shape", SHAPES)
def test_claims_the_databases_first_and_frees_them_last(shape: str):
    graph = SHAPES[shape].graph()

    first, last = graph.steps[0].id, graph.steps[-1].id
    assert (first, last) == ("acquire-lease", "release-lease")
    assert all(first in ancestors_of(graph, step.id) for step in graph if step.id != first)
    assert ancestors_of(graph, last) == {step.id for step in graph if step.id != last}


def ancestors_of(graph: Graph, step: StepId) -> set[StepId]:
    after = graph.step(step).after
    return set(after).union(*(ancestors_of(graph, before) for before in after))


# -- services that take turns -----------------------------------------------------------------------------

FINDINGS = {
    letter: Finding(verdict, Basis.REHEARSED, "asked")
    for letter, verdict in (("w", Verdict.PROVEN), ("b", Verdict.BROKEN))
}


def in_turns(release: Release, **cells: str) -> dict[str, list[str]]:
    """Return the edges of a rehearsed release: a letter a state, of `app_live`, `app_next` and so on."""
    survey = release.survey()
    spans = {}
    for each, letters in cells.items():
        name, _, role = each.partition("_")
        spans[DatabaseName("db"), ServiceName(name), Role(role)] = tuple(
            Span(state, state, FINDINGS[letter]) for state, letter in enumerate(letters)
        )
    asked = fully_asked(survey, spans, tuple(spans))
    rehearsals = {DatabaseName("db"): Rehearsal("", "", (), {})}
    evidence, _ = derive(survey, Evidence({}, {}), rehearsed=spans, rehearsals=rehearsals, asked=asked)
    graph = compile_release(release.plan(), survey, evidence)
    return {step.id: list(step.after) for step in graph}


def files(number: int, *, contract: int | None = None) -> tuple[Migration, ...]:
    return tuple(
        migration(at, declared=Phase.CONTRACT if at == contract else None) for at in range(1, number + 1)
    )


def test_a_service_waits_for_what_the_live_version_of_another_one_does_not_bear():
    release = Release({"app": Service(("db",)), "jobs": Service(("db",))}, {"db": files(3)}, approve=("ann",))

    edges = in_turns(release, app_live="wwbb", app_next="bwww", jobs_live="wwwb", jobs_next="bbww")

    assert {step: edges[step] for step in edges if step.partition(":")[0] not in ("verify", "drain")} == {
        "acquire-lease": [],
        "expand:db:00001_m1": ["acquire-lease"],
        "deploy:app": ["expand:db:00001_m1"],
        "switch:app": ["verify:app"],
        "monitor:app": ["switch:app"],
        "approve:contract": ["monitor:app", "drain:app"],
        "stop:app": ["approve:contract"],
        "contract:db:00002_m2": ["expand:db:00001_m1", "stop:app"],
        "deploy:jobs": ["contract:db:00002_m2"],
        "switch:jobs": ["verify:jobs"],
        "monitor:jobs": ["switch:jobs"],
        "stop:jobs": ["monitor:jobs", "drain:jobs"],
        "contract:db:00003_m3": ["contract:db:00002_m2", "stop:app", "stop:jobs"],
        "release-lease": ["contract:db:00003_m3"],
    }


def test_who_waits_for_what_has_its_own_live_version_in_the_way_moves_at_the_cut_and_is_refused():
    release = Release({"app": Service(("db",))}, {"db": files(2)})

    edges = in_turns(release, app_live="wbb", app_next="bbw")

    assert edges["deploy:app"] == ["acquire-lease"]
    assert edges["contract:db:00001_m1"] == ["stop:app"]


def test_a_first_release_may_wait_for_the_last_migration_and_be_watched_before_the_end():
    release = Release({"app": Service(("db",)), "new": Service(("db",), live=None)}, {"db": files(1)})

    edges = in_turns(release, app_live="wb", app_next="ww", new_next="bw")

    assert edges["deploy:new"] == ["contract:db:00001_m1"]
    assert edges["release-lease"] == ["monitor:new"]


def test_people_are_asked_before_a_declared_contract_that_only_a_first_release_waits_for():
    release = Release(
        {"stays": Service(("db",), live="2"), "new": Service(("db",), live=None)},
        {"db": files(3, contract=2)},
        approve=("ann",),
    )

    edges = in_turns(release, stays_live="wwww", new_next="bbbw")

    assert edges["approve:contract"] == ["expand:db:00001_m1"]
    assert edges["contract:db:00002_m2"] == ["expand:db:00001_m1", "approve:contract"]
    assert edges["deploy:new"] == ["contract:db:00003_m3"]


def test_a_declared_contract_waits_for_live_versions_that_would_bear_it():
    release = Release(
        {"app": Service(("db",)), "new": Service(("db",), live=None)}, {"db": files(2, contract=1)}
    )

    edges = in_turns(release, app_live="www", app_next="www", new_next="bbw")

    assert edges["contract:db:00001_m1"] == ["stop:app"]
    assert edges["deploy:new"] == ["contract:db:00002_m2"]
