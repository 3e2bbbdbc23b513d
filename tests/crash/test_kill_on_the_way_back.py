"""`coordinator rollback` leaves the world as before the release, wherever that one was killed, and wherever
the rollback itself was killed and given again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shop import LEDGERS, LIVE_SIDE, NO_SIDE, Shop, fill_database, worth_a_kill, write_plan

from coordinator.app.place import Place, open_run
from coordinator.journal.events import Outcome

MANNERS = ("canary: {percent: [10, 50], for: 1ms}", "worker: overlap", "worker: handover")
LAST_INSTANT = "before step-started contract:shop:4_contract"
"""Live is stopped, and contract is about to take the way back."""


@pytest.fixture(params=MANNERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path, forker: Callable[..., dict[str, Any]]) -> Shop:
    folder = tmp_path / "shop"
    folder.mkdir()
    url, ledger = f"sqlite://{folder}/shop.db", LEDGERS["goose", "sqlite"]
    shop = Shop(folder, url, ledger, Outcome.ROLLED_BACK, forker, manner=request.param)
    write_plan(folder, tool="goose", engine="sqlite", url=url, manner=request.param)
    fill_database(shop)
    (folder / "shop.json").write_text(json.dumps({"live": "blue", "blue": LIVE_SIDE, "green": NO_SIDE}))
    return shop


def kept(shop: Shop) -> Callable[[], None]:
    """Return what puts the whole shop back to how it is now."""
    copy = shop.folder.with_name("kept")
    shutil.copytree(shop.folder, copy)

    def begin_anew() -> None:
        shutil.rmtree(shop.folder)
        shutil.copytree(copy, shop.folder)

    return begin_anew


def test_a_release_that_was_killed_at_any_boundary_is_rolled_back(shop: Shop) -> None:
    begin_anew = kept(shop)
    names = shop.run()["passed"]
    problems: dict[str, list[str]] = {}

    for kill_at in worth_a_kill(names[: names.index(LAST_INSTANT)]):
        begin_anew()
        assert shop.run(kill_at=kill_at)["killed"]
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
        assert shop.roll_back(kill_at=kill_at)["killed"]
        problems[f"{kill_at} {names[kill_at - 1]}"] = [
            *roll_back(shop),
            *shop.problems_on_the_way(),
            *shop.problems_at_the_end(),
        ]

    assert len(problems) > 10
    assert {kill_at: found for kill_at, found in problems.items() if found} == {}


def roll_back(shop: Shop) -> Iterator[str]:
    """Roll back, unless it ended already, and yield every problem."""
    yield from shop.problems_in_between()
    if open_run(Place(shop.folder / "plan.yaml").journal) is not None:
        ended = shop.roll_back()
        if ended["code"] != 0:
            yield f"the rollback ended with {ended['code']}: {(shop.folder / 'error').read_text()}"
