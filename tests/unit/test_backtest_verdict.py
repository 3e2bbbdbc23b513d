from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.backtest.asking import Asked
from coordinator.backtest.replay import judged
from coordinator.backtest.verdict import Backtest, Release, Rollout
from coordinator.diagnostics import Place
from coordinator.evidence import Break, Objection
from coordinator.model import DatabaseName, Layer, Role, ServiceName
from coordinator.report.backtest import as_json, tell
from coordinator.report.backtest_page import as_html

OLD, NEW = Role.LIVE, Role.NEXT
RELEASE = Release("v1", "v2", ("1_a", "2_b"), (3, 4))


def broken(role: Role, *states: int, query: str = "Get<Order>") -> tuple[Break, ...]:
    objection = Objection("42703", 'column "total" does not exist')
    use = (DatabaseName("d"), ServiceName("s"), role)
    return tuple(
        Break(use, state, query, Place("q.sql", 1), Layer.PREPARE, objection, "2_b") for state in states
    )


def judge(*breaks: Break, old: int = 3, new: int = 4) -> Release:
    return judged(RELEASE, Asked(breaks, (), (), {OLD: old, NEW: new}, ()))


@pytest.mark.parametrize(
    ("breaks", "rollout", "window", "no_return"),
    [
        ((), Rollout.ANY_ORDER, (0, 1, 2), None),
        (broken(NEW, 0), Rollout.ORDERED, (1, 2), None),
        (broken(OLD, 2), Rollout.ORDERED, (0, 1), 2),
        (broken(NEW, 0) + broken(OLD, 2), Rollout.ORDERED, (1,), 2),
        (broken(NEW, 0, 1) + broken(OLD, 2), Rollout.IMPOSSIBLE, (), 2),
        (broken(NEW, 0, 1) + broken(OLD, 1, 2), Rollout.IMPOSSIBLE, (), 1),
        (broken(OLD, 1), Rollout.ORDERED, (0,), 1),
        (broken(NEW, 1), Rollout.ORDERED, (2,), None),
    ],
)
def test_traffic_may_switch_where_the_old_version_worked_so_far_and_the_new_one_will(
    breaks: tuple[Break, ...], rollout: Rollout, window: tuple[int, ...], no_return: int | None
):
    release = judge(*breaks)

    assert (release.rollout, release.switch_window, release.point_of_no_return) == (
        rollout,
        window,
        no_return,
    )


def test_is_unproven_where_a_new_migration_was_not_seen_and_its_breaks_are_told():
    release = judged(RELEASE, Asked(broken(NEW, 0), (), (), {OLD: 3, NEW: 4}, (), unseen=("1_a",)))

    assert (release.rollout, release.switch_window) == (Rollout.UNPROVEN, ())
    assert "v1 → v2  unproven: the effect of 1_a was not seen" in list(
        tell(Backtest("e", (release,)), seconds=1)
    )
    page = as_html(Backtest("e", (release,)), seconds=1)
    assert [page.count(each) for each in ("breaks: 1", "no break", ">unproven<")] == [1, 1, 4]


@pytest.mark.parametrize("answered", [{"old": 0}, {"new": 0}, {"old": 0, "new": 0}])
def test_is_unproven_where_one_of_the_versions_could_not_be_asked(answered: dict[str, int]):
    release = judge(**answered)

    assert (release.rollout, release.switch_window) == (Rollout.UNPROVEN, ())


def test_counts_what_each_habit_would_have_broken():
    releases = (
        judge(),
        judge(*broken(OLD, 1)),
        judge(*broken(OLD, 2)),
        judge(*broken(NEW, 0)),
        judge(*broken(NEW, 0, 1), *broken(OLD, 1, 2)),
    )

    document = as_json(Backtest("postgresql 18.6", releases, ("a note",)), seconds=1.234)

    assert document["summary"] == {
        "releases": 5,
        "migrate_first_breaks": 2,
        "deploy_first_breaks": 2,
        "impossible": 1,
    }
    assert (document["engine"], document["seconds"], document["notes"]) == (
        "postgresql 18.6",
        1.2,
        ["a note"],
    )


def test_json_has_each_break_with_version_state_and_the_engine_s_own_words():
    release = replace(judge(*broken(OLD, 2), *broken(NEW, 0)), already_failing=("Old",), notes=("n",))

    [shown] = as_json(Backtest("e", (release,)), seconds=0)["releases"]

    assert shown == {
        "from": "v1",
        "to": "v2",
        "migrations": ["1_a", "2_b"],
        "queries": {"from": 3, "to": 4},
        "verdict": "ordered",
        "switch_window": [1],
        "point_of_no_return": 2,
        "breaks": [
            {
                "version": version,
                "state": state,
                "migration": "2_b",
                "query": "Get<Order>",
                "layer": "prepare",
                "code": "42703",
                "message": 'column "total" does not exist',
            }
            for version, state in (("from", 2), ("to", 0))
        ],
        "already_failing": ["Old"],
        "notes": ["n"],
    }


def test_the_text_says_where_traffic_may_switch_and_tells_equal_breaks_once():
    lines = list(tell(Backtest("e", (judge(*broken(OLD, 1, 2), *broken(NEW, 0)),)), seconds=0))

    assert "v1 → v2  impossible: traffic may switch nowhere; no way back from s1 on" in lines
    assert sum("Get<Order>" in line for line in lines) == 2
    assert any(line.startswith("  ✘ v1 at s1-s2: Get<Order> prepare 42703") for line in lines)


def test_the_text_says_how_many_breaks_it_leaves_out():
    breaks = [each for number in range(20) for each in broken(OLD, 1, query=f"Q{number}")]

    lines = list(tell(Backtest("e", (judge(*breaks),)), seconds=0))

    assert "  ✘ v1: 12 more" in lines


def test_the_page_needs_no_network_and_escapes_what_is_foreign():
    page = as_html(Backtest("e", (judge(*broken(OLD, 2)), judge(old=0))), seconds=0)

    assert "Get&lt;Order&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert page.count('<td class="unproven">') == 3
    assert page.count('<td class="breaks">') == 1


def test_it_says_what_was_asked_because_no_more_is_known():
    some = Backtest("e", (judge(old=0),), layers=(Layer.PREPARE, Layer.PLAN))
    every = replace(some, layers=tuple(Layer))

    told = [next(iter(tell(each, seconds=1))) for each in (some, every)]

    assert told[0] == "Rehearsed on e in 1.0 s; asked: prepare, plan (more with --layers)"
    assert told[1].endswith("asked: prepare, describe, plan, execute, result, session")
    assert f"<p>{told[0]}.</p>" in as_html(some, seconds=1)
