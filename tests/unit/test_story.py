from __future__ import annotations

import pytest
from builders import Release, Service, migration, one_service

from coordinator.report.story import as_json, tell


def told(release: Release) -> str:
    return "\n".join(tell(release.proof()))


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        (Service(), "app: 1 on blue → 2 on green"),
        (Service(live=None), "app: first release: 2 on blue"),
        (Service(live="2"), "app: 2 serves on blue, and stays"),
        (Service(live="2", left_over="1"), "app: 1 on green → 2 on blue"),
    ],
)
def test_says_how_a_service_moves(service: Service, sentence: str):
    assert sentence in told(Release({"app": service}, {"db": "expand"}))


def test_says_when_there_is_nothing_to_do():
    assert told(one_service("", live="2")).endswith(
        "Nothing to do: the wanted versions serve and no migration is pending."
    )


NOWHERE = (
    "Way back: one command, at every step, but not for app once it has traffic: nothing served there before."
)
SWITCHED = (
    "Way back: one command, at every step."
    " It does not move the traffic of app, which is at the wanted version already."
)


@pytest.mark.parametrize(
    ("release", "sentence"),
    [
        (one_service("expand"), "Way back: one command, at every step."),
        (one_service("contract"), "Way back: one command, until contract:db:00001_m1 begins."),
        (
            one_service("expand", live=None),
            NOWHERE,
        ),
        (
            Release({"app": Service(live="2", left_over="1")}, {"db": "expand"}),
            SWITCHED,
        ),
    ],
)
def test_says_how_long_there_is_a_way_back(release: Release, sentence: str):
    assert sentence in told(release).splitlines()


def test_never_calls_unproven_safe():
    text = told(one_service("expand contract"))

    assert "Verdict: unproven: no query was checked." in text
    assert "safe" not in text
    assert " proven" not in text


def test_marks_where_a_version_breaks_and_what_that_rests_on():
    lines = told(one_service("expand contract")).splitlines()

    assert [line.split()[-2:] for line in lines if line.startswith("  s")][-3:] == [
        ["breaks", "(declared)"],
        ["declared", "declared"],
        ["(declared)", "declared"],
    ]


def test_says_what_was_guessed():
    text = told(Release({"app": Service(("db",))}, {"db": (migration(1, "DROP TABLE t"),)}))

    assert "00001_m1  contract (guessed)" in text
    assert "breaks (guessed)" in text


def test_says_that_nobody_is_known_to_use_a_database():
    assert "No service of this plan uses it" in told(Release({}, {"db": "expand"}))


def test_says_that_a_release_is_refused():
    assert "Verdict: refused" in told(one_service("contract expand"))


def test_json_has_the_spans_the_steps_and_the_point_of_no_return():
    fields = as_json(one_service("expand contract").proof())

    assert fields["verdict"] == "unproven"
    assert fields["point_of_no_return"] == "contract:db:00002_m2"
    [broken] = [
        each for each in fields["findings"] if (each["version"], each["verdict"]) == ("live", "broken")
    ]  # type: ignore[attr-defined]
    assert (broken["first_state"], broken["last_state"]) == (2, 2)
