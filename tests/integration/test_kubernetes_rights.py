"""The rights of a plan against what a release really asks: all that it asks is granted, and without one of
them the error names it.

What is denied is denied by a small API server in the words of the authorizer; tests/cluster takes the rules
of a real Role away.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.small_cluster import SmallCluster
from fakes.small_objects import Asked
from fixtures.audience import Audience
from fixtures.small_release import (
    AUTOSCALER,
    MANIFEST,
    lay_out,
    platform_of,
    ports_of,
    release,
    web,
)

from coordinator.adapters.platforms._kubernetes import service
from coordinator.adapters.platforms._kubernetes.needs import needs_of
from coordinator.adapters.platforms._kubernetes.rights import Right
from coordinator.engine import run as loop
from coordinator.errors import StepFailed
from coordinator.journal.events import Outcome
from coordinator.model import Colour, ServiceName, Version

SOON = timedelta(seconds=20)
ADVICE = "`coordinator doctor --rbac` prints the Role"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_TICK", 0.01)
    monkeypatch.setattr(service, "_PATIENCE", timedelta(milliseconds=100))


@pytest.fixture
def cluster() -> Iterator[SmallCluster]:
    with SmallCluster() as cluster:
        yield cluster


@pytest.fixture
def folder(tmp_path: Path, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a plan that can be released."""
    for name, value in lay_out(tmp_path, port=cluster.port).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def rights_of(folder: Path) -> tuple[Right, ...]:
    return needs_of(ports_of(folder, "1").plan.services[ServiceName("web")], folder=folder)


def is_granted(asked: Asked, rights: tuple[Right, ...]) -> bool:
    return any(
        asked.verb in each.verbs
        and (asked.group, asked.resource) == (each.group, each.resource)
        and each.namespace in (None, asked.namespace)
        and (not each.names or asked.name in each.names)
        for each in rights
    )


def not_granted(cluster: SmallCluster, folder: Path) -> set[Asked]:
    """Return what was asked and is not in the Role. To ask for one's rights everybody may."""
    rights = rights_of(folder)
    asked = (each for each in cluster.asked if each.resource != "selfsubjectaccessreviews")
    return {each for each in asked if not is_granted(each, rights)}


# -- all that is asked is granted --------------------------------------------------------------------------


def plain(_: SmallCluster) -> dict[str, Any]:
    return web()


def canary(cluster: SmallCluster) -> dict[str, Any]:
    """Watch a share of the traffic with the checks of `monitor` alone; clients' address needs no right."""
    service = web(url=cluster.clients)
    del service["verify"]
    return {**service, "canary": {"percent": [50], "for": "1ms"}}


def confirmed(_: SmallCluster) -> dict[str, Any]:
    service = web(confirm={"path": "/version", "contains": "{version}", "times": 2})
    del service["monitor"]
    return service


def counted(_: SmallCluster) -> dict[str, Any]:
    return web(connections={"port": 9090, "gauge": "open"})


def unchecked(_: SmallCluster) -> dict[str, Any]:
    service = web()
    del service["verify"], service["monitor"]
    return service


def worker(_: SmallCluster) -> dict[str, Any]:
    return web(worker=True)


def watched_worker(_: SmallCluster) -> dict[str, Any]:
    return {**worker(_), "monitor": web()["monitor"]}


@pytest.mark.parametrize("kind", [plain, canary, confirmed, counted, unchecked, worker, watched_worker])
@pytest.mark.parametrize("manifest", [MANIFEST, MANIFEST + AUTOSCALER], ids=["budget", "autoscaler"])
def test_a_release_asks_for_nothing_that_its_role_does_not_grant(cluster, folder, kind, manifest):
    lay_out(folder, port=cluster.port, manifest=manifest, web=kind(cluster))

    ends = [release(folder, version).state for version in ("1.4", "1.5")]

    assert [state and state.outcome for state in ends] == [Outcome.RELEASED] * 2
    assert not_granted(cluster, folder) == set()


def test_a_release_of_deployments_that_are_there_needs_no_right_to_make_any(cluster, folder):
    for version in ("1.4", "1.5"):
        release(folder, version)
    lay_out(folder, port=cluster.port, web=web(deployment=None))
    cluster.asked.clear()

    ended = release(folder, "1.6")

    assert ended.state is not None
    assert ended.state.outcome is Outcome.RELEASED
    assert not_granted(cluster, folder) == set()
    assert "create" not in {each.verb for each in cluster.asked if each.resource == "deployments"}


@pytest.mark.parametrize("kind", [plain, confirmed, watched_worker])
def test_a_run_with_nothing_to_do_changes_nothing_and_asks_no_pod(cluster, folder, kind):
    lay_out(folder, port=cluster.port, web=kind(cluster))
    release(folder, "1.4")
    cluster.asked.clear()

    ended = release(folder, "1.4")

    assert ended.state is None
    assert {each.verb for each in cluster.asked} == {"get", "list"}
    assert {"web-preview"} & {each.name for each in cluster.asked} == set()


# -- without one of them -----------------------------------------------------------------------------------

WITHOUT = {
    ("get", "namespaces", "kube-system"): ("", "`namespaces/kube-system`"),
    ("get", "deployments", "web-blue"): ("", "`deployments.apps/web-blue`"),
    ("get", "deployments", "web-green"): ("", "`deployments.apps/web-green`"),
    ("get", "services", "web"): ("", "`services/web`"),
    ("list", "pods", ""): ("", "`pods`"),
    ("patch", "services", "web"): ("deploy:web", "`services/web`"),
    ("patch", "deployments", "web-blue"): ("deploy:web", "`deployments.apps/web-blue`"),
    ("patch", "deployments", "web-green"): ("deploy:web", "`deployments.apps/web-green`"),
    ("create", "deployments", "web-green"): ("deploy:web", "`deployments.apps/web-green`"),
    ("patch", "poddisruptionbudgets", "web-green"): ("deploy:web", "`poddisruptionbudgets.policy/web-green`"),
    ("create", "poddisruptionbudgets", "web-green"): (
        "deploy:web",
        "`poddisruptionbudgets.policy/web-green`",
    ),
    ("get", "services", "web-preview"): ("deploy:web", "`services/web-preview`"),
    ("patch", "services", "web-preview"): ("deploy:web", "`services/web-preview`"),
    ("get", "services/proxy", "web-preview"): ("verify:web", "`services/web-preview/proxy`"),
    ("get", "endpoints", "web-preview"): ("verify:web", "`endpoints/web-preview`"),
    ("get", "endpoints", "web"): ("switch:web", "`endpoints/web`"),
    ("list", "endpointslices", ""): ("switch:web", "`endpointslices.discovery.k8s.io`"),
    ("get", "pods/proxy", ""): ("drain:web", "proxy`"),
}
"""Each right: the step that fails without it (none: nothing begins), and what the error calls it."""
ASKED_LATER = {
    ("get", "services/proxy", ""): ("monitor:web", "`services/web:80/proxy`"),
}
"""Rights that an earlier step needs in another form; denied when their own step begins."""
NOT_OF_THIS_RELEASE = {
    ("create", "deployments", "web-blue"),  # it is there already
    ("create", "poddisruptionbudgets", "web-blue"),
    ("patch", "poddisruptionbudgets", "web-blue"),
    ("create", "services", "web-preview"),
    ("get", "pods/log", ""),  # no version fails to start
}


@pytest.fixture
def serving(cluster: SmallCluster, folder: Path) -> Path:
    """Return the folder of a plan whose version 1.4 serves from blue."""
    lay_out(folder, port=cluster.port, web=counted(cluster))
    platform = platform_of(folder, "1.4")
    platform.deploy(Colour.BLUE, Version("1.4"), deadline=SOON)
    platform.switch(expected=None, to=Colour.BLUE)
    assert cluster.selected == ["none", "blue"]
    return folder


def test_every_right_of_the_role_is_tried_without(serving):
    rights = {
        (verb, each.resource, name)
        for each in rights_of(serving)
        for verb in each.verbs
        for name in each.names or ("",)
    }

    assert rights == WITHOUT.keys() | ASKED_LATER.keys() | NOT_OF_THIS_RELEASE


def names_the_right(said: str, verb: str, thing: str) -> None:
    assert f"does not let us `{verb}` " in said
    assert thing in said
    assert ADVICE in said
    if "namespaces/" not in thing:
        assert "in namespace `shop`" in said


def said_by_release(folder: Path) -> tuple[str, str, str]:
    """Return at which step a release fails first (none: it did not begin), with which code and words."""
    audience = Audience()
    try:
        release(folder, "1.5", audience)
    except StepFailed as error:
        return "", error.code, str(error)
    first = audience.failed[0]
    return first.step, first.code, first.reason


@pytest.mark.parametrize("right", WITHOUT, ids=" ".join)
def test_without_a_right_a_release_names_it_and_traffic_stays(cluster, serving, right):
    step, thing = WITHOUT[right]
    cluster.deny(*right)

    found, code, said = said_by_release(serving)

    assert (found, code) == (step, "cluster-forbidden")
    names_the_right(said, right[0], thing)
    moved = ["green", "blue"] if step == "drain:web" else []  # which comes after the switch
    assert cluster.selected == ["none", "blue", *moved]


@pytest.mark.parametrize(
    ("step", "right", "thing"),
    [
        ("deploy:web", ("get", "deployments", "web-green"), "`deployments.apps/web-green`"),
        ("verify:web", ("get", "services/proxy", ""), "`services/web-preview/proxy`"),
        ("switch:web", ("get", "services", "web"), "`services/web`"),
        ("switch:web", ("list", "pods", ""), "`pods`"),
        ("switch:web", ("list", "endpointslices", ""), "`endpointslices.discovery.k8s.io`"),
        ("monitor:web", ("get", "services/proxy", ""), "`services/web:80/proxy`"),
        ("stop:web", ("patch", "deployments", "web-blue"), "`deployments.apps/web-blue`"),
        ("stop:web", ("list", "pods", ""), "`pods`"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
def test_a_right_that_is_taken_away_meanwhile_is_named_by_the_step_that_needs_it(
    cluster, serving, step, right, thing
):
    audience = Audience({step: lambda: cluster.deny(*right)})

    release(serving, "1.5", audience)

    assert [(each.step, each.code) for each in audience.failed[:1]] == [(step, "cluster-forbidden")]
    names_the_right(audience.failed[0].reason, right[0], thing)


def test_a_switch_that_would_be_refused_is_not_begun(cluster, serving):
    audience = Audience({"switch:web": lambda: cluster.deny("patch", "services", "web")})

    ended = release(serving, "1.5", audience)

    assert [each.code for each in audience.failed] == ["switch-refused"]
    assert "we may not patch Service `web`" in audience.failed[0].reason
    assert ended.state is not None
    assert cluster.selected == ["none", "blue"]


def test_a_release_goes_on_when_the_right_is_granted(cluster, serving):
    cluster.deny("patch", "services", "web")
    stopped = release(serving, "1.5")
    cluster.denied.clear()

    ended = release(serving, "1.5")

    assert stopped.state is not None
    assert ended.state is not None
    assert (stopped.state.outcome, ended.state.outcome) == (None, Outcome.ROLLED_BACK)
    again = release(serving, "1.5").state
    assert again is not None
    assert again.outcome is Outcome.RELEASED
    assert cluster.selected == ["none", "blue", "green"]


def test_without_the_log_a_version_that_does_not_start_is_told_without_its_last_lines(cluster, serving):
    told = Audience()
    release(serving, "1.5-dies", told)
    cluster.deny("get", "pods/log")
    blind = Audience()

    ended = release(serving, "1.6-dies", blind)

    assert ended.state is not None
    assert ended.state.outcome is Outcome.ROLLED_BACK
    [first], [second] = told.failed, blind.failed
    assert (first.code, second.code) == ("start-failed", "start-failed")
    assert "ended with exit code 3" in first.reason
    assert "ended with exit code 3" in second.reason
    assert "Its last lines:\n  no luck" in first.reason
    assert "no luck" not in second.reason
    assert cluster.selected == ["none", "blue"]


# -- asking for rights -------------------------------------------------------------------------------------


def test_nothing_is_missing_where_all_is_granted(serving):
    assert platform_of(serving, "1.5").missing_rights() == ()


def test_each_right_that_is_missing_is_told_with_what_it_is_for(cluster, serving):
    cluster.deny("patch", "services", "web")
    cluster.deny("get", "pods/log")

    assert set(platform_of(serving, "1.5").missing_rights()) == {
        "may not patch services/web: switches the traffic",
        "may not get pods/log: shows why a version does not start",
    }


def test_every_right_is_asked_for_alone_by_its_name(cluster, serving):
    cluster.asked.clear()
    cluster.reviews.clear()

    platform_of(serving, "1.5").missing_rights()

    assert {each.resource for each in cluster.asked} == {"selfsubjectaccessreviews"}
    asked = [tuple(sorted(each.items())) for each in cluster.reviews]
    assert len(set(asked)) == len(asked)
    assert {
        ("/".join(filter(None, (each["resource"], each.get("subresource")))), each["verb"], each.get("name"))
        for each in cluster.reviews
    } == {
        (right.resource, verb, name)
        for right in rights_of(serving)
        for verb in right.verbs
        for name in right.names or (None,)
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {"verb": "get", "resource": "namespaces", "name": "kube-system"},
        {"verb": "list", "resource": "pods", "namespace": "shop"},
        {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "shop"},
        {
            "verb": "patch",
            "group": "apps",
            "resource": "deployments",
            "name": "web-blue",
            "namespace": "shop",
        },
    ],
    ids=lambda each: each["resource"],
)
def test_a_right_is_asked_for_in_the_words_of_the_access_rules(cluster, serving, attributes):
    platform_of(serving, "1.5").missing_rights()

    assert attributes in cluster.reviews


def test_a_cluster_that_lets_nobody_ask_is_told_as_such(cluster, serving):
    cluster.deny("create", "selfsubjectaccessreviews")

    with pytest.raises(StepFailed) as caught:
        platform_of(serving, "1.5").missing_rights()

    assert caught.value.code == "cluster-forbidden"
    assert "`create` `selfsubjectaccessreviews.authorization.k8s.io`" in caught.value.what


def test_a_server_without_reviews_is_told_as_such(cluster, serving):
    cluster.has_reviews = False

    with pytest.raises(StepFailed) as caught:
        platform_of(serving, "1.5").missing_rights()

    assert caught.value.code == "cluster-missing"
    assert "`selfsubjectaccessreviews.authorization.k8s.io`" in caught.value.what
