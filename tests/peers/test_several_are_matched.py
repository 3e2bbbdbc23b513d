"""Files that SQLite commits together leave what the real tool leaves, which commits each by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from peers.real_tools import LEDGERS, World, run_real, write_files
from typer.testing import CliRunner

from coordinator.cli import app
from coordinator.model import Engine
from coordinator.ports.databases import Batch

pytestmark = pytest.mark.peers

COUNT = 8
"""Groups of one, two and four, and one behind them."""
PLAN = """
version: 1
release: several
databases:
  shop: {{engine: sqlite, url: "env:URL", migrations: {{tool: {tool}, dir: migrations}}}}
"""
UNIQUE = "CREATE TABLE c (x integer UNIQUE);\n"
ENDS = {
    "all-done": "CREATE TABLE c (x integer);\n",
    "refused": UNIQUE + "INSERT INTO c VALUES (1), (1);\n",
    "left-as-it-is": UNIQUE + "INSERT OR FAIL INTO c VALUES (1), (1);\n",
    "rolls-back": UNIQUE + "INSERT OR ROLLBACK INTO c VALUES (1), (1);\n",
}
OTHERS = (
    "CREATE TABLE {0} (id integer PRIMARY KEY AUTOINCREMENT, x integer);\nINSERT INTO {0} (x) VALUES (7);\n",
    "ALTER TABLE {1} ADD COLUMN y integer DEFAULT 3;\nUPDATE {1} SET x = x + 1;\n",
    "CREATE INDEX {0} ON {2} (y);\nINSERT INTO {2} (x, y) VALUES (1, 2);\n",
)


def files_of(tool: str, at: int, text: str) -> dict[str, str]:
    """Return files that build on each other, of which the one at a place does something else."""
    head, end = ("-- +goose Up\n", "m.sql") if tool == "goose" else ("", "m.up.sql")
    texts = [OTHERS[n % 3].format(*(f"t{n - back}" for back in range(3))) for n in range(COUNT - 1)]
    texts.insert(at - 1, text)
    return {
        f"{version}_{end}": f"-- coordinator: phase=expand\n{head}{each}"
        for version, each in enumerate(texts, 1)
    }


@pytest.mark.parametrize("at", range(1, COUNT + 1))
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("tool", LEDGERS)
def test_a_release_of_several_ends_as_it_does_with_the_tool(
    tool: str, end: str, at: int, new_world: Callable[[Engine], World], tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "migrations", files_of(tool, at, ENDS[end]))
    (tmp_path / "plan.yaml").write_text(PLAN.format(tool=tool))
    real, ours = new_world(Engine.SQLITE), new_world(Engine.SQLITE)

    code = run_real(tool, real, folder, "up")
    ended = CliRunner(env={"URL": ours.url}).invoke(app, ["run", str(tmp_path / "plan.yaml")])

    assert (code == 0) == (ended.exit_code == 0) == (end == "all-done"), ended.output
    with ours.database.session(label="compare") as session:
        own = ("coordinator_applied", "coordinator_lease")
        session.execute(Batch(tuple(f"DROP TABLE IF EXISTS {each}" for each in own), transaction=True))
    if tool == "goose" or end == "all-done":
        assert ours.snapshot(tool) == real.snapshot(tool)
        return
    # golang-migrate writes its mark before the file and leaves it: here the version before stays the last.
    assert ours.snapshot(tool)[0] == real.snapshot(tool)[0]
    assert real.ledger(tool) == ((at, True),)
    assert ours.ledger(tool) == (((at - 1, False),) if at > 1 else ())
