"""The same kills around the effects of the real local platform: real processes, a real router."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fixtures.local import local_platform, processes_of
from shop import LEDGERS, Shop, boundaries, fill_database, finish, instant, write_plan

from coordinator.adapters.platforms._local.service import Local
from coordinator.journal.events import Outcome
from coordinator.model import Colour, Version

EFFECTS = ("deploy", "switch", "stop")


@dataclass
class LocalShop(Shop):
    """The shop on the local platform of its folder."""

    local: Local

    def platform(self) -> dict[str, Any]:
        serving = self.local.survey()
        sides = {
            colour: {"version": side.version, "running": side.running, "ready": side.ready}
            for colour, side in serving.sides.items()
        }
        return {"live": serving.live, **sides}


@pytest.fixture(params=[None, "fail-monitor"])
def new_shop(
    request: pytest.FixtureRequest, tmp_path: Path, forker: Callable[..., dict[str, Any]]
) -> Iterator[Callable[[], Shop]]:
    numbers, shops = count(), []
    outcome = Outcome.RELEASED if request.param is None else Outcome.ROLLED_BACK

    def make() -> Shop:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        url = f"sqlite://{folder}/shop.db"
        shop = LocalShop(folder, url, LEDGERS["goose", "sqlite"], outcome, forker, local_platform(folder))
        shops.append(shop)
        write_plan(folder, tool="goose", engine="sqlite", url=url)
        fill_database(shop)
        shop.local.deploy(Colour.BLUE, Version("1.4"), deadline=timedelta(seconds=60))
        shop.local.switch(expected=None, to=Colour.BLUE)
        if request.param is not None:
            (folder / request.param).touch()
        return shop

    yield make
    for shop in shops:
        shop.local.remove()
    assert processes_of(tmp_path) == {}


def test_a_kill_around_an_effect_of_the_platform_is_recovered(new_shop: Callable[[], Shop]) -> None:
    names = boundaries(new_shop)
    chosen = [number for number, name in enumerate(names, 1) if name.split()[1] in EFFECTS]
    problems: dict[str, list[str]] = {}

    for kill_at in chosen:
        shop = new_shop()
        assert shop.run(kill_at=instant(names, kill_at))["killed"]
        problems[f"{kill_at} {names[kill_at - 1]}"] = list(finish(shop))

    assert len(chosen) >= 2 * len(EFFECTS)
    assert {kill_at: found for kill_at, found in problems.items() if found} == {}
