from __future__ import annotations

import pytest

from coordinator.model import DatabaseName, Role, ServiceName
from coordinator.world import Effect, SchemaMoves, Starts, Stops, TrafficMoves, World

APP, DB = ServiceName("app"), DatabaseName("db")
WORLD = World({DB: 1}, frozenset({(APP, Role.LIVE)}), {APP: Role.LIVE})


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (SchemaMoves(DB, 2), World({DB: 2}, WORLD.alive, WORLD.traffic)),
        (Starts(APP, Role.NEXT), World(WORLD.schema, WORLD.alive | {(APP, Role.NEXT)}, WORLD.traffic)),
        (Stops(APP, Role.LIVE), World(WORLD.schema, frozenset(), WORLD.traffic)),
        (TrafficMoves(APP, Role.NEXT), World(WORLD.schema, WORLD.alive, {APP: Role.NEXT})),
    ],
)
def test_an_effect_changes_its_part_of_the_world_and_no_other(effect: Effect, expected: World):
    assert WORLD.with_effect(effect) == expected
