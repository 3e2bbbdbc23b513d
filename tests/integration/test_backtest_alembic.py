"""A backtest of repositories with Alembic: each tag's own code runs, in the environment of today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.mariadb import ENGINE
from fixtures.replayed_past import Past, Replay, replay, server

from coordinator.discovery import rehearsal
from coordinator.errors import StepFailed
from coordinator.model import Engine
from coordinator.secret import Secret

__all__ = ["replay", "server"]
INI = "[alembic]\nscript_location = db\n"
ENV = """
import os
from alembic import context
from shop import engine, metadata

url = os.environ["SHOP_URL"]
if context.is_offline_mode():
    context.configure(url=url, target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine(url).connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
"""
SHOP = """
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine as engine, select

metadata = MetaData()
orders = Table("orders", metadata, Column("id", Integer, primary_key=True), {columns})


def queries():
    return [("all orders", select(orders))]
"""
TOTAL, EMAIL = 'Column("total", Integer)', 'Column("email", String(20))'
REVISION = """
from alembic import op
import sqlalchemy as sa

revision = "{name}"
down_revision = {parent!r}


def upgrade():
    {body}
"""
CREATE = """op.create_table(
        "orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("total", sa.Integer)
    )"""
ADD = 'op.add_column("orders", sa.Column("email", sa.String(20)))'
DROP = 'op.get_bind().execute(sa.text("ALTER TABLE orders DROP COLUMN total"))'


class Shop(Past):
    """A repository with an Alembic project, whose env.py imports the application."""

    tool = "alembic"

    def revision(self, name: str, parent: str | None, body: str) -> None:
        """Write a revision."""
        self.write(f"db/versions/{name}.py", REVISION.format(name=name, parent=parent, body=body))

    def columns(self, *columns: str) -> None:
        """Write the application."""
        self.write("shop.py", SHOP.format(columns=", ".join(columns)))


@pytest.fixture
def past(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "made")
    shop.write("alembic.ini", INI)
    shop.write("db/env.py", ENV)
    shop.revision("a1", None, CREATE)
    shop.columns(TOTAL)
    shop.commit("v1.0", day=1)
    shop.revision("b2", "a1", ADD)
    shop.columns(TOTAL, EMAIL)
    shop.commit("v1.1", day=2)
    return shop


SETTINGS = {
    "migrations": (".",),
    "queries": (),
    "sqlalchemy": "shop:queries",
    "url_variable": "SHOP_URL",
}


def test_asks_each_tags_own_code_and_leaves_the_repository_as_it_is(past: Shop, replay: Replay):
    past.revision("c3", "b2", DROP)
    past.columns(EMAIL)
    past.commit("v1.2", day=3)
    past.write("shop.py", "raise RuntimeError('the working tree is not asked')")

    first, second = replay.releases(**SETTINGS)

    assert [(each["migrations"], each["verdict"], each["switch_window"]) for each in (first, second)] == [
        (["b2"], "ordered", [1]),
        (["c3"], "ordered", [0]),
    ]
    assert [(each["version"], each["state"], each["message"]) for each in first["breaks"]] == [
        ("to", 0, "column orders.email does not exist")
    ]
    assert [(each["version"], each["state"], each["message"]) for each in second["breaks"]] == [
        ("from", 1, "column orders.total does not exist")
    ]
    assert [first["notes"], second["notes"]] == [[], []]
    assert past.git("status", "--short") == "M  shop.py"
    assert len(past.git("worktree", "list").splitlines()) == 1


def test_a_project_on_sqlite_is_replayed_without_a_file_of_its_own(past: Shop):
    with rehearsal(Engine.SQLITE).server(url=None, live_version=None) as on_sqlite:
        [only] = Replay(on_sqlite, past).releases(**SETTINGS, engine=Engine.SQLITE)

    assert (only["migrations"], only["verdict"], only["switch_window"]) == (["b2"], "ordered", [1])


@pytest.mark.mariadb
def test_a_revision_that_asks_the_database_runs_on_mariadb(past: Shop, mariadb_url: str):
    past.revision("c3", "b2", DROP)
    past.columns(EMAIL)
    past.commit("v1.2", day=3)

    with rehearsal(ENGINE).server(url=Secret(mariadb_url), live_version=None) as on_mariadb:
        _, second = Replay(on_mariadb, past).releases(**SETTINGS, engine=ENGINE)

    assert (second["migrations"], second["verdict"], second["switch_window"]) == (["c3"], "ordered", [0])


def test_a_release_whose_environment_fails_today_is_unproven_and_says_why(past: Shop, replay: Replay):
    past.write("db/env.py", "import gone_since_then\n")
    past.revision("c3", "b2", "pass")
    past.revision("d4", "c3", "pass")
    past.commit("v1.2", day=3)

    _, second = replay.releases(**SETTINGS)

    assert (second["verdict"], second["migrations"]) == ("unproven", ["c3", "d4"])
    assert any("c3 fails to apply" in each and "gone_since_then" in each for each in second["notes"])


def test_the_queries_may_stand_outside_of_the_past_and_import_its_models(
    tmp_path: Path, past: Shop, replay: Replay, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "past_queries.py").write_text(
        "from shop import metadata\n"
        "from sqlalchemy import insert\n"
        "def statements():\n"
        "    for table in metadata.sorted_tables:\n"
        "        yield f'insert {table.name}', insert(table)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    [release] = replay.releases(**SETTINGS | {"sqlalchemy": "past_queries:statements"})

    assert [(each["version"], each["state"], each["query"]) for each in release["breaks"]] == [
        ("to", 0, "insert orders")
    ]


def test_models_of_the_working_tree_say_nothing_about_the_past(
    past: Shop, replay: Replay, monkeypatch: pytest.MonkeyPatch
):
    """As where the project is installed (`pip install -e .`) from a folder like `lib`."""
    past.write("lib/models.py", SHOP.format(columns=TOTAL))
    past.write("queries.py", "from models import queries\n")
    past.commit("v1.2", day=3)
    past.revision("c3", "b2", DROP)
    past.commit("v1.3", day=4)
    monkeypatch.setenv("PYTHONPATH", str(past.folder / "lib"))

    *_, last = replay.releases(**SETTINGS | {"sqlalchemy": "queries:queries"})

    assert last["verdict"] == "unproven"
    assert any("models was imported from" in each and "another version's" in each for each in last["notes"])


def test_an_installed_copy_of_the_models_says_nothing_about_the_past(
    tmp_path: Path, past: Shop, replay: Replay, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "models.py").write_text(SHOP.format(columns=TOTAL))
    (tmp_path / "past_queries.py").write_text("from models import queries\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    [release] = replay.releases(**SETTINGS | {"sqlalchemy": "past_queries:queries"})

    assert release["verdict"] == "unproven"
    assert any("imports nothing of this version's files" in each for each in release["notes"])


def test_heads_that_are_merged_later_are_no_late_migrations(past: Shop, replay: Replay):
    past.revision("0a", "a1", 'op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))')
    past.commit("v1.2", day=3)
    past.write(
        "db/versions/e5.py",
        REVISION.format(name="e5", parent=("b2", "0a"), body="pass"),
    )
    past.commit("v1.3", day=4)

    _, second, third = replay.releases(**SETTINGS)

    assert [(each["migrations"], each["verdict"], each["notes"]) for each in (second, third)] == [
        (["0a"], "any_order", []),
        (["e5"], "any_order", []),
    ]


def test_an_interpreter_that_is_not_there_is_told_before_anything_is_asked(past: Shop, replay: Replay):
    with pytest.raises(StepFailed, match="nowhere/python") as told:
        replay.releases(**SETTINGS, python="nowhere/python")

    assert told.value.code == "program-not-started"


def test_the_command_replays_a_project_in_a_subfolder_of_its_repository(tmp_path: Path, past: Shop):
    whole = Past(tmp_path / "whole")
    for each in ("alembic.ini", "db/env.py", "db/versions/a1.py", "shop.py"):
        whole.write(f"services/shop/{each}", past.git("show", f"v1.0:{each}"))
    whole.commit("v1.0", day=1)
    for each in ("db/versions/b2.py", "shop.py"):
        whole.write(f"services/shop/{each}", past.git("show", f"v1.1:{each}"))
    whole.commit("v1.1", day=2)
    words = ["--tool", "alembic", "--migrations", ".", "--sqlalchemy", "shop:queries"]

    ended = subprocess.run(
        [sys.executable, "-m", "coordinator", "backtest", *words, "--url-variable", "SHOP_URL"],
        cwd=whole.folder / "services" / "shop",
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "v1.0 → v1.1  ordered: traffic may switch at s1 of s0-s1" in ended.stdout


OF_ITS_OWN = ENV.replace("context.configure(", "context.configure(version_table='shop_revisions', ")


def test_a_version_table_of_another_name_is_the_one_that_the_command_names(past: Shop, replay: Replay):
    past.write("db/env.py", OF_ITS_OWN)
    past.revision("c3", "b2", DROP)
    past.columns(EMAIL)
    past.commit("v1.2", day=3)

    _, second = replay.releases(**SETTINGS, table="shop_revisions")

    assert second["notes"] == []
    assert (second["verdict"], second["switch_window"], second["notes"]) == ("ordered", [0], [])


def test_a_version_table_that_nobody_named_is_told_with_the_option_that_names_it(past: Shop, replay: Replay):
    past.write("db/env.py", OF_ITS_OWN)
    past.revision("c3", "b2", DROP)
    past.columns(EMAIL)
    past.commit("v1.2", day=3)

    _, second = replay.releases(**SETTINGS)

    assert second["verdict"] == "unproven"
    assert any("`--table shop_revisions`" in each for each in second["notes"])


def test_a_configuration_that_a_program_fills_in_is_read_as_that_of_the_folder_with_env_py(
    tmp_path: Path, past: Shop, replay: Replay
):
    past.write("alembic.ini", "[alembic]\nscript_location = {alembic_dir}\n")
    past.commit("v1.2", day=3)
    past.revision("c3", "b2", DROP)
    past.columns(EMAIL)
    past.commit("v1.3", day=4)

    found = replay.document(**{**SETTINGS, "migrations": ("db",)})

    last = found["releases"][-1]
    assert (last["verdict"], last["notes"]) == ("ordered", [])


def test_a_folder_that_is_no_project_of_alembic_is_told_with_what_is_looked_for(past: Shop, replay: Replay):
    [note, _] = replay.document(**{**SETTINGS, "migrations": ("elsewhere",)})["notes"]

    assert note.endswith("name the folder that has alembic.ini, or the one that has env.py.")


def test_past_code_gets_the_arguments_and_the_section_of_alembic(past: Shop, replay: Replay):
    past.write("alembic.ini", INI.replace("[alembic]", "[stock]"))
    past.write("db/env.py", ENV.replace('os.environ["SHOP_URL"]', 'context.get_x_argument(True)["db"]'))
    past.revision("c3", "b2", DROP)
    past.columns(EMAIL)
    past.commit("v1.2", day=3)
    past.revision("d4", "c3", DROP.replace("total", "email"))
    past.columns()
    past.commit("v1.3", day=4)

    given = {"section": "stock", "x_arguments": {"db": "{url}"}, "url_variable": None}
    *_, last = replay.releases(**SETTINGS | given)

    assert (last["migrations"], last["verdict"], last["notes"]) == (["d4"], "ordered", [])
