"""A coordinator that is killed with SIGKILL before or after any durable change, and run again, gets the
release to its end; what stands in between works for every version that runs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from shop import (
    BACKFILL,
    CANARY,
    LEDGERS,
    LIVE_SIDE,
    NO_SIDE,
    Shop,
    boundaries,
    fill_database,
    finish,
    instant,
    worth_a_kill,
    write_plan,
)

from coordinator.journal.events import Outcome

SCENARIOS = {
    "released": ("goose", "sqlite", None, ""),
    "released on PostgreSQL": ("goose", "postgresql", None, ""),
    "released by golang-migrate": ("golang-migrate", "sqlite", None, ""),
    "verification fails": ("goose", "sqlite", "fail-verify", ""),
    "monitoring fails": ("goose", "sqlite", "fail-monitor", ""),
    "released with a canary": ("goose", "sqlite", None, CANARY),
    "a canary fails": ("goose", "sqlite", "fail-canary", CANARY),
    "a worker overlaps": ("goose", "sqlite", None, "worker: overlap"),
    "a worker is handed over": ("goose", "sqlite", None, "worker: handover"),
    "a worker is handed back": ("goose", "sqlite", "fail-verify", "worker: handover"),
    "released with a backfill": ("goose", "sqlite", None, ""),
}
"""Tool, engine, what fails, how 1.4 gives way."""
BACKFILLS = {"released with a backfill": BACKFILL}


@pytest.fixture(params=SCENARIOS)
def new_shop(
    request: pytest.FixtureRequest, tmp_path: Path, forker: Callable[..., dict[str, Any]]
) -> Callable[[], Shop]:
    tool, engine, flag, manner = SCENARIOS[request.param]
    backfill = BACKFILLS.get(request.param, "")
    server = request.getfixturevalue("database_url") if engine == "postgresql" else None
    outcome = Outcome.RELEASED if flag is None else Outcome.ROLLED_BACK
    numbers = count()

    def make() -> Shop:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        url, ledger = server or f"sqlite://{folder}/shop.db", LEDGERS[tool, engine]
        shop = Shop(folder, url, ledger, outcome, forker, manner=manner, backfill=backfill)
        write_plan(folder, tool=tool, engine=engine, url=url, manner=manner, backfill=backfill)
        fill_database(shop)
        sides = {"live": "blue", "blue": LIVE_SIDE, "green": NO_SIDE}
        (folder / "shop.json").write_text(json.dumps(sides))
        if flag is not None:
            (folder / flag).touch()
        return shop

    return make


def test_a_kill_at_any_boundary_is_recovered_by_the_next_run(new_shop: Callable[[], Shop]) -> None:
    names = boundaries(new_shop)
    problems: dict[str, list[str]] = {}

    for kill_at in worth_a_kill(names):
        shop = new_shop()
        assert shop.run(kill_at=instant(names, kill_at))["killed"]
        problems[f"{kill_at} {names[kill_at - 1]}"] = list(finish(shop))

    assert {kill_at: found for kill_at, found in problems.items() if found} == {}


def test_a_kill_during_recovery_is_recovered_too(new_shop: Callable[[], Shop]) -> None:
    last = len(boundaries(new_shop))
    chosen = random.Random(1404)
    problems: dict[tuple[int, int], list[str]] = {}

    for _ in range(12):
        first, second = chosen.randint(1, last), chosen.randint(1, last)
        shop = new_shop()
        shop.run(kill_at=first)
        between = list(shop.problems_in_between())
        if shop.run(kill_at=second)["killed"]:
            problems[first, second] = between + list(finish(shop))

    assert len(problems) > 2
    assert {kills: found for kills, found in problems.items() if found} == {}


@pytest.mark.parametrize("new_shop", ["released"], indirect=True)
def test_without_observation_the_same_kills_do_harm(new_shop: Callable[[], Shop]) -> None:
    """The control: if this passed unharmed, the tests above would prove nothing about observation."""
    names = boundaries(new_shop)
    harmed = []

    for kill_at in worth_a_kill(names):
        shop = new_shop()
        shop.run(kill_at=instant(names, kill_at), blind=True)
        ended = shop.run(blind=True)
        if ended["code"] != shop.exit_code or any(shop.problems_at_the_end()):
            harmed.append(names[kill_at - 1])

    # Each migration is applied and nobody wrote that down, which happens together with the next intents.
    assert harmed[::2] == ["after execute"] * 3
    assert [each.partition(" step-started ")[0] for each in harmed[1::2]] == ["before"] * 3
