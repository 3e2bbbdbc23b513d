"""`coordinator rollback` leaves the world as before the release, wherever that one was killed, and wherever
the rollback itself was killed and given again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from shop import LAST_INSTANT, LIVE_SIDE, MANNERS, Shop, instant, kept, worth_a_kill

from coordinator.app.place import Place, open_run


def test_a_release_that_was_killed_at_any_boundary_is_rolled_back(shop: Shop) -> None:
    begin_anew = kept(shop)
    names = shop.run()["passed"]
    problems: dict[str, list[str]] = {}

    for kill_at in worth_a_kill(names[: names.index(LAST_INSTANT)]):
        begin_anew()
        assert shop.run(kill_at=instant(names, kill_at))["killed"]
        problems[f"{kill_at} {names[kill_at - 1]}"] = [
            *roll_back(shop),
            *shop.problems_on_the_way(),
            *shop.problems_but_of_the_schema(),
        ]

    assert len(problems) > 20
    assert {kill_at: found for kill_at, found in problems.items() if found} == {}


def test_a_rollback_that_is_killed_at_any_boundary_is_ended_by_the_next_one(shop: Shop) -> None:
    assert shop.run(kill_at=LAST_INSTANT)["killed"]
    begin_anew = kept(shop)
    names = shop.roll_back()["passed"]
    problems = {"never": [*shop.problems_on_the_way(), *shop.problems_at_the_end()]}

    for kill_at in worth_a_kill(names):
        begin_anew()
        assert shop.roll_back(kill_at=instant(names, kill_at))["killed"]
        problems[f"{kill_at} {names[kill_at - 1]}"] = [
            *roll_back(shop),
            *shop.problems_on_the_way(),
            *shop.problems_at_the_end(),
        ]

    assert len(problems) > 10
    assert {kill_at: found for kill_at, found in problems.items() if found} == {}


@pytest.mark.parametrize("shop", MANNERS[:1], indirect=True)
def test_a_canary_that_another_run_left_out_is_no_obstacle_on_the_way_back(shop: Shop) -> None:
    left = {"version": "1.3", "running": True, "ready": True, "connections": 0}
    world = {"live": "blue", "blue": LIVE_SIDE, "green": left, "canary": {"colour": "green", "percent": 10}}
    (shop.folder / "shop.json").write_text(json.dumps(world))

    killed = shop.run(kill_at="after step-started deploy:shop")["killed"]
    problems = [*roll_back(shop), *shop.problems_but_of_the_schema()]

    assert killed
    assert problems == []


def roll_back(shop: Shop) -> Iterator[str]:
    """Roll back, unless it ended already, and yield every problem."""
    yield from shop.problems_in_between()
    if open_run(Place(shop.folder / "plan.yaml").journal) is not None:
        ended = shop.roll_back()
        if ended["code"] != 0:
            yield f"the rollback ended with {ended['code']}: {(shop.folder / 'error').read_text()}"
