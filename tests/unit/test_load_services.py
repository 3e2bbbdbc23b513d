"""How a plan says that a service is moved: canary, worker, the name of its database sessions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.load import load
from coordinator.load.platforms import lint_services
from coordinator.model import CanarySpec, Worker

PLAN = """\
version: 1
release: shop-1.5
services:
  shop:
    version: "1.5"
    platform: {local: {command: [./serve]}}
    SERVICE
"""
WATCHED = "monitor: {for: 1m, checks: [{http: /ready}]}"


def loaded(tmp_path, *lines):
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.replace("SERVICE", "\n    ".join(lines)))
    return load(path, settings={}, environment={})


def service_of(tmp_path, *lines):
    result = loaded(tmp_path, *lines)
    assert result.diagnostics == ()
    assert result.plan is not None
    return result.plan.services["shop"]


@pytest.mark.parametrize(("percent", "percents"), [("10", (10,)), ("[10, 25, 50]", (10, 25, 50))])
def test_a_canary_is_one_share_or_several(tmp_path, percent, percents):
    service = service_of(tmp_path, f"canary: {{percent: {percent}, for: 5m}}", WATCHED)

    assert service.canary == CanarySpec(percents, timedelta(minutes=5))


@pytest.mark.parametrize(
    ("canary", "code"),
    [
        ("{percent: [50, 10], for: 5m}", "percents-not-ascending"),
        ("{percent: [10, 10], for: 5m}", "percents-not-ascending"),
        ("{percent: 10, for: 0s}", "bad-duration"),
    ],
)
def test_a_canary_grows_and_takes_time(tmp_path, canary, code):
    [problem] = loaded(tmp_path, f"canary: {canary}", WATCHED).diagnostics

    assert (problem.code, problem.place.line) == (code, 7)


@pytest.mark.parametrize("percent", ["0", "100", "[]", "ten"])
def test_a_share_is_less_than_all_and_more_than_nothing(tmp_path, percent):
    assert loaded(tmp_path, f"canary: {{percent: {percent}, for: 5m}}", WATCHED).plan is None


def test_a_canary_that_nobody_watches_is_an_error(tmp_path):
    [problem] = loaded(tmp_path, "canary: {percent: 10, for: 5m}").diagnostics

    assert problem.code == "idle-canary"


def test_a_worker_has_no_traffic_to_share(tmp_path):
    [problem] = loaded(tmp_path, "canary: {percent: 10, for: 5m}", WATCHED, "worker: overlap").diagnostics

    assert problem.code == "canary-without-traffic"


@pytest.mark.parametrize("worker", Worker)
def test_a_worker_says_whether_its_versions_may_overlap(tmp_path, worker):
    assert service_of(tmp_path, f"worker: {worker}").worker is worker


@pytest.mark.parametrize("name", ["shop-{version}", "{colour}"])
def test_sessions_have_a_name_that_tells_versions_apart(tmp_path, name):
    assert service_of(tmp_path, f'sessions: "{name}"').sessions == name


def test_sessions_of_one_name_for_all_versions_are_an_error(tmp_path):
    [problem] = loaded(tmp_path, "sessions: shop").diagnostics

    assert problem.code == "sessions-not-told-apart"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("canary: {percent: 10, for: 5m}", WATCHED), "canary-not-supported"),
        (("worker: handover",), "worker-not-supported"),
    ],
)
def test_the_local_platform_says_what_it_cannot_do(tmp_path, lines, code):
    plan = loaded(tmp_path, *lines).plan

    [problem] = lint_services(plan)

    assert (problem.code, problem.place.line) == (code, 4)


def test_the_local_platform_has_nothing_to_say_of_a_plain_service(tmp_path):
    assert lint_services(loaded(tmp_path).plan) == ()
