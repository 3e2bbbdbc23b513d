"""After kill -9 of the real Alembic coordinator goes on, and the other way round; what a revision cannot bear
to be sent twice fails for both alike.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.alembic_project import INI, heads, plan_in, revision, rows, write_project
from fixtures.local import until
from fixtures.mariadb import ENGINE
from peers.real_tools import ENGINES, World, dump_of
from peers.test_killed_half_way import OURS, instants, kill_when

from coordinator.model import Engine
from coordinator.ports.databases import Batch

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]
VERSIONS = 6
INSTANTS = (1, 3)
"""In so many revisions, by Alembic's own lines, somebody has been at work when the program is killed."""
EXPAND = "coordinator: phase=expand"
IN_DOUBT = re.compile(r"(expand:shop:r\d) was in doubt; .* the version table has more: ")
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite+pysqlite"}


def several() -> dict[str, str]:
    """Return revisions that bear to be sent again, as all must where nothing is one transaction."""
    files: dict[str, str] = {}
    for number in range(1, VERSIONS + 1):
        before = [f"r{number - 1}"] if number > 1 else []
        up = f'op.execute("CREATE TABLE IF NOT EXISTS t{number} (id integer PRIMARY KEY)")'
        files |= revision(f"r{number}", *before, up=up, said=EXPAND)
    return files


class Checkout:
    """A project of Alembic with a plan beside it, on one database; both read the same address."""

    def __init__(self, folder: Path, world: World, files: dict[str, str]) -> None:
        scheme, _, rest = world.url.partition("://")
        rest = f"/{rest}" if scheme == "sqlite" else rest
        url = f"{DRIVERS[scheme]}://{rest}"
        folder.mkdir()
        self.world, self.environment = world, {**os.environ, "SHOP_URL": url}
        ini = INI.replace("[loggers]", f"sqlalchemy.url = {url.replace('%', '%%')}\n[loggers]")
        self.folder = write_project(folder, files, ini=ini)
        self.ports = plan_in(folder, url)

    ours = (sys.executable, "-m", "coordinator", "run", "--accept-unproven")
    real = (sys.executable, "-m", "alembic", "upgrade", "heads")

    def run(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def kill(self, command: tuple[str, ...], done: int, pause: float) -> bool:
        return kill_when(
            done, self.world, list(command), cwd=self.folder, environment=self.environment, pause=pause
        )

    def left(self) -> str:
        with self.world.database.session(label="compare") as session:
            for table in OURS:
                session.execute(Batch((f"DROP TABLE IF EXISTS {table}",), transaction=False))
        return dump_of(self.world)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("killed_one", ["ours", "real"])
def test_the_other_one_goes_on_where_one_was_killed(
    killed_one: str, engine: Engine, *, new_world: NewWorld, tmp_path: Path
):
    chance, killed = random.Random(3), list[bool]()
    for number, done in instants(INSTANTS, killed):
        mixed = Checkout(tmp_path / f"mixed{number}", new_world(engine), several())
        pure = Checkout(tmp_path / f"pure{number}", new_world(engine), several())
        assert pure.run(Checkout.real).returncode == 0

        first, second = (
            (Checkout.ours, Checkout.real) if killed_one == "ours" else (Checkout.real, Checkout.ours)
        )
        killed.append(mixed.kill(first, done, chance.uniform(0, 0.01)))
        went_on = mixed.run(second)
        at_last = mixed.run(Checkout.ours)
        if killed_one == "ours" and (doubt := IN_DOUBT.search(at_last.stderr)):
            # It knows only that more is applied than it had begun, and that a live version may need a look.
            assert at_last.returncode == 5
            assert mixed.run((*Checkout.ours[:3], "settle", doubt[1], "--as", "done")).returncode == 0
            at_last = mixed.run(Checkout.ours)

        assert (went_on.returncode, at_last.returncode) == (0, 0), went_on.stderr + at_last.stderr
        assert heads(mixed.ports) == {f"r{VERSIONS}"}
        assert mixed.left() == pure.left()
    assert any(killed), "it was always done already"


@pytest.mark.mariadb
def test_what_the_real_one_left_of_a_revision_on_mariadb_stops_both_alike(
    new_world: NewWorld, tmp_path: Path
):
    up = 'op.execute("ALTER TABLE t1 ADD y int")\nop.execute("CREATE TABLE b AS SELECT sleep(3) AS x")'
    files = {**several(), **revision("z1", f"r{VERSIONS}", up=up, said=EXPAND)}
    checkout = Checkout(tmp_path / "shop", new_world(ENGINE), files)
    at_work = (
        "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'CREATE TABLE b %'"
    )

    with subprocess.Popen(
        checkout.real, cwd=checkout.folder, env=checkout.environment, stdout=-3, stderr=-3
    ) as process:
        until(lambda: rows(checkout.ports, at_work) != [], seconds=60)
        process.kill()
    until(lambda: rows(checkout.ports, at_work) == [], seconds=60)

    real, ours = checkout.run(Checkout.real), checkout.run(Checkout.ours)
    assert (real.returncode, ours.returncode) == (1, 1), ours.stderr
    assert "Duplicate column name 'y'" in real.stderr
    assert "Duplicate column name 'y'" in ours.stderr
    assert heads(checkout.ports) == {f"r{VERSIONS}"}
    with checkout.world.database.session(label="by hand") as session:
        session.execute(Batch(("ALTER TABLE t1 DROP y", "DROP TABLE IF EXISTS b"), transaction=False))
    assert checkout.run(Checkout.ours).returncode == 0
    assert heads(checkout.ports) == {"z1"}
