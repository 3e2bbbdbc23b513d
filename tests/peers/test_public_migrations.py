"""The migrations that both tools publish themselves, by the real tool and by the hook: up, then down."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.mariadb import ENGINE
from peers.public_migrations import published
from peers.real_tools import ENGINES, LEDGERS, Outcome, World, run_ours, run_real

from coordinator.model import Engine

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]
UP, DOWN = ("up",), {"goose": ("reset",), "golang-migrate": ("down", "-all")}
SECONDS = 20
DONE_BY_THE_REAL_TOOL_ALONE = {
    "goose-envsub": "variables in a migration (ENVSUB) are not supported",
    "golang-migrate-extension": "a file that is no .sql file is not run",
}
"""What may stop us before anything is sent, where the real tool goes on."""
FLOORS = {("goose", ENGINE): 6, ("golang-migrate", ENGINE): 4}
"""So many at least are applied by both (elsewhere 8); most of what is published is of no MySQL, and fails in
the middle, which is compared as well."""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tool", list(LEDGERS))
def test_what_the_tools_publish_leaves_the_same_schema_and_version_table(
    tool: str, engine: Engine, *, new_world: NewWorld, tmp_path: Path
) -> None:
    problems: dict[str, list[str]] = {}
    applied = []

    for number, each in enumerate(published(tool)):
        folder = each.write(tmp_path / str(number))
        real, ours = allowing_several(new_world(engine)), new_world(engine)
        ended, outcome = run_real(tool, real, folder, *UP, seconds=SECONDS), run_ours(tool, ours, folder)
        problems[each.name] = [*differences(tool, ended, outcome, real, ours)]
        if ended == 0 and outcome.is_done:
            applied.append(each.name)
            problems[each.name] += differences_down(tool, folder, real, ours)

    assert {name: found for name, found in problems.items() if found} == {}
    assert len(applied) >= FLOORS.get((tool, engine), 8), applied


def allowing_several(world: World) -> World:
    """Return a database whose URL lets goose send several statements as one text."""
    return replace(world, url=f"{world.url}?multiStatements=true") if world.engine.speaks_mysql else world


def differences(tool: str, ended: int | None, outcome: Outcome, real: World, ours: World) -> Iterator[str]:
    """Yield what is not the same after up."""
    if ended == 0 and not outcome.is_done:
        if not outcome.refused or not outcome.refused <= DONE_BY_THE_REAL_TOOL_ALONE.keys():
            yield f"only the real tool has done it: {outcome}"
        return
    if ended != 0 and outcome.is_done:
        yield f"only the real tool has failed, with {ended}"
        return
    if outcome.refused:
        return  # the real tool fails as well, somewhere in the middle; we send nothing
    (real_schema, real_rows), (our_schema, our_rows) = left(tool, real), left(tool, ours)
    if real_schema != our_schema:
        yield f"schemas differ:\n{real_schema}\n--\n{our_schema}"
    if ended == 0 or tool == "goose":
        if real_rows != our_rows:
            yield f"version tables differ: {real_rows}, ours {our_rows}"
    elif not is_dirty(real_rows) or (is_dirty(our_rows) and not may_stay_dirty(real.engine)):
        yield f"after a failure: {real_rows}, ours {our_rows}"


def left(tool: str, world: World) -> tuple[str, tuple[tuple[object, ...], ...] | None]:
    """Return what is in a database, whenever it came there: published rows have the time as a default."""
    content, rows = world.snapshot(tool)
    instant = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?|datetime\.datetime\([^)]*\)"
    return re.sub(instant, "an instant", content), rows


def is_dirty(rows: tuple[tuple[object, ...], ...] | None) -> bool:
    """Tell whether golang-migrate's table says that a file stopped half-way: after ours nothing of it did."""
    return any(dirty for _, dirty in rows or ())


def may_stay_dirty(engine: Engine) -> bool:
    """Tell whether a file that changes the schema is marked dirty first by us too: it is not whole or not."""
    return engine.speaks_mysql


def differences_down(tool: str, folder: Path, real: World, ours: World) -> Iterator[str]:
    """Yield what is not the same when everything was undone."""
    ended = run_real(tool, real, folder, *DOWN[tool], seconds=SECONDS)
    outcome = run_ours(tool, ours, folder, steps=-1000)
    if outcome.error is not None and outcome.error.code == "no-down-migration":
        return  # golang-migrate moves its version on where nobody wrote how; we do not
    if (ended == 0) is not outcome.is_done:
        yield f"down: the real tool ended with {ended}, ours: {outcome}"
    if ended == 0 and left(tool, real) != left(tool, ours):
        yield f"down: {left(tool, real)}, ours {left(tool, ours)}"
