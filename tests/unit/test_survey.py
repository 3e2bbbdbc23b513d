from __future__ import annotations

import pytest
from builders import Release, Service

from coordinator.diagnostics import Severity
from coordinator.model import Colour, Role
from coordinator.survey import alive_at_start, service_survey, stray_version

WORLDS = {
    # what runs → next colour, live colour, live version, settled?, who runs
    "nobody serves": (Service(live=None), Colour.BLUE, None, None, False, set()),
    "the old version serves": (Service(live="1"), Colour.GREEN, Colour.BLUE, "1", False, {Role.LIVE}),
    "the wanted version serves alone": (Service(live="2"), Colour.BLUE, None, None, True, {Role.LIVE}),
    "it serves beside what it replaces": (
        Service(live="2", left_over="1"),
        Colour.BLUE,
        Colour.GREEN,
        "1",
        False,
        {Role.LIVE, Role.NEXT},
    ),
    "the old version serves beside an attempt": (
        Service(live="1", left_over="2"),
        Colour.GREEN,
        Colour.BLUE,
        "1",
        False,
        {Role.LIVE},
    ),
}


@pytest.mark.parametrize("world", WORLDS)
def test_tells_the_roles_from_who_serves(world: str):
    service, next_colour, live_colour, live_version, is_settled, _ = WORLDS[world]

    seen = service_survey(service.spec("app"), service.serving())

    assert seen.next_colour is next_colour
    assert seen.live_colour is live_colour
    assert seen.live_version == live_version
    assert seen.is_settled is is_settled


@pytest.mark.parametrize("world", WORLDS)
def test_tells_who_runs_before_the_release_begins(world: str):
    service, *_, alive = WORLDS[world]

    assert alive_at_start(Release({"app": service}).survey()) == {("app", role) for role in alive}


@pytest.mark.parametrize(
    ("left_over", "is_stray"), [("1.9", True), ("2", False), (None, False)], ids=["other", "wanted", "none"]
)
def test_warns_of_a_third_version_that_runs_without_traffic(left_over: str | None, is_stray: bool):
    service = Service(live="1", left_over=left_over)

    found = stray_version(service.spec("app"), service_survey(service.spec("app"), service.serving()))

    assert (found is not None) is is_stray
    if found is not None:
        assert (found.code, found.severity) == ("stray-version", Severity.WARNING)
        assert "`app` 1.9 runs on green" in found.what
