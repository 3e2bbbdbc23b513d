"""The real Alembic and coordinator by turns on one database, at every point of a graph; and failures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.alembic_project import INI, LINE, apply_next, plan_in, revision, write_project
from peers.real_tools import ENGINES, World, dump_of

from coordinator.errors import CoordinatorError
from coordinator.model import Engine

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]

GRAPH = {
    **revision(
        "r1",
        up='op.create_table("item", sa.Column("id", sa.INT, primary_key=True), sa.Column("old", sa.Text))',
        down='op.drop_table("item")',
    ),
    **revision(
        "e1",
        "r1",
        labels=("expand",),
        up='op.add_column("item", sa.Column("new", sa.Text))',
        down='op.drop_column("item", "new")',
    ),
    **revision(
        "e2",
        "e1",
        up="op.execute(\"INSERT INTO item (id, old, new) VALUES (1, '50%', 'one')\")",
        down='op.execute("DELETE FROM item")',
    ),
    **revision(
        "c1",
        "r1",
        labels=("contract",),
        depends=("e2",),
        up='op.get_bind().execute(sa.text("UPDATE item SET old = NULL WHERE id IN (SELECT 1)"))',
    ),
    **revision("m1", "e2", "c1"),
    **revision(
        "z1",
        "m1",
        up='op.create_table("more", sa.Column("x", sa.Numeric(10, 2)))',
        down='op.drop_table("more")',
    ),
}
LINE_ORDER = ("a1", "b2", "c3")
ORDER = ("r1", "e1", "e2", "c1", "m1", "z1")


class Side:
    """A database that both can migrate."""

    def __init__(self, folder: Path, world: World, files=GRAPH) -> None:
        self.world = world
        scheme, _, rest = world.url.partition("://")
        url = f"sqlite:///{rest}" if scheme == "sqlite" else f"{scheme}+{DRIVERS[scheme]}://{rest}"
        ini = INI.replace("[loggers]", f"sqlalchemy.url = {url.replace('%', '%%')}\n[loggers]")
        self.folder = write_project(folder, files, ini=ini)
        self.ports = plan_in(folder, url if scheme == "sqlite" else world.url)

    def real(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "alembic", *arguments]
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, timeout=120, check=False)
        return ran.returncode

    def ours(self, version: str) -> None:
        apply_next(self.ports, version)

    def dump(self) -> str:
        return dump_of(self.world)


DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}


@pytest.mark.parametrize("engine", ENGINES)
def test_both_go_on_by_turns_at_every_point_and_the_real_one_undoes_all(
    engine: Engine, new_world: NewWorld, tmp_path: Path
):
    real, mixed = (Side(tmp_path / name, new_world(engine)) for name in ("real", "mixed"))
    after: list[str] = []
    for version in ORDER:
        assert real.real("upgrade", version) == 0
        after.append(real.dump())
    assert real.real("downgrade", "base") == 0
    end = real.dump()

    for ours_first in (True, False):
        for at, version in enumerate(ORDER):
            if (at % 2 == 0) is ours_first:
                mixed.ours(version)
            else:
                assert mixed.real("upgrade", version) == 0
            assert mixed.dump() == after[at], version
        assert mixed.real("upgrade", "heads") == 0
        assert mixed.real("downgrade", "base") == 0
        assert mixed.dump() == end


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_real_one_takes_back_is_applied_again_at_every_point(
    engine: Engine, new_world: NewWorld, tmp_path: Path
):
    real, mixed = (Side(tmp_path / name, new_world(engine), LINE) for name in ("real", "mixed"))
    befores = ["base", *LINE_ORDER]

    for before, version in zip(befores, LINE_ORDER, strict=False):
        assert real.real("upgrade", version) == 0
        mixed.ours(version)
        assert mixed.real("downgrade", before) == 0
        mixed.ours(version)  # our own notes still say that it was applied once
        assert mixed.real("downgrade", before) == 0
        assert mixed.real("upgrade", version) == 0
        assert mixed.real("downgrade", before) == 0
        mixed.ours(version)
        assert mixed.dump() == real.dump(), version
    assert mixed.real("downgrade", "base") == real.real("downgrade", "base") == 0
    for version in LINE_ORDER:
        mixed.ours(version)
    assert real.real("upgrade", "heads") == 0
    assert mixed.dump() == real.dump()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_revision_that_fails_half_way_leaves_what_the_real_one_leaves(
    engine: Engine, new_world: NewWorld, tmp_path: Path
):
    up = 'op.execute("CREATE TABLE half (x integer)")\nop.execute("SELECT nothing FROM nowhere")'
    files = revision("f1", up=up)
    real, ours = (Side(tmp_path / name, new_world(engine), files) for name in ("real", "ours"))

    assert real.real("upgrade", "f1") == 1
    with pytest.raises(CoordinatorError) as failure:
        ours.ours("f1")

    assert failure.value.code == "program-failed"
    assert ours.dump() == real.dump()
