"""`coordinator init` in a project with Alembic: its sections, its engine, its interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from fixtures.drafted_plan import coordinator, planned, write

from coordinator.app.draft import as_yaml, draft_from
from coordinator.app.finding import find

VERSIONS = {"db/versions/a1_one.py": "revision = 'a1'\ndown_revision = None\n", "db/env.py": ""}


def alembic(more: Mapping[str, str] | None = None, *, url: str = "", script: str = "db") -> dict[str, str]:
    ini = f"[alembic]\nscript_location = %(here)s/{script}\n{url}\n"
    return {"alembic.ini": ini, **VERSIONS, **(more or {})}


def test_finds_a_project_of_alembic_and_its_engine_in_the_address(tmp_path: Path):
    url = "sqlalchemy.url = mysql+pymysql://me:secret@db/shop"

    text = planned(tmp_path / "shop", alembic(url=url))

    assert "# .: 1 file of alembic. Engine: alembic.ini has an address of it." in text
    assert "    engine: mysql\n" in text
    assert '    migrations: {tool: alembic, dir: "."}\n' in text
    assert "`python: .venv/bin/python`" in text
    assert "secret" not in text


@pytest.mark.parametrize("environment", [".venv", "venv"])
def test_takes_the_interpreter_of_an_environment_that_has_alembic(tmp_path: Path, environment: str):
    shop, packages = tmp_path / "shop", f"../{environment}/lib/python3.12/site-packages"
    write(shop, {f"../{environment}/bin/python": "", f"{packages}/pip/__init__.py": ""})
    without = planned(shop, alembic())
    write(shop, {f"{packages}/alembic/__init__.py": ""})

    text = "\n".join(as_yaml(draft_from(find(tmp_path), name="shop", folder=".")))

    found = yaml.safe_load(text)["databases"]["shop"]["migrations"]
    assert found == {"tool": "alembic", "dir": "shop", "python": f"{environment}/bin/python"}
    assert '# queries: {sqlalchemy: {callable: "shop.queries:statements", python: ' in text
    assert "FILL IN: the interpreter" not in text
    assert "FILL IN: the interpreter" in without


def test_finds_each_section_of_an_ini_of_alembic_that_says_where_revisions_are(tmp_path: Path):
    ini = (
        "[DEFAULT]\nsqlalchemy.url = sqlite:///shop.db\n[orders]\nscript_location = %(here)s/db\n"
        "[alembic:stock]\n# later\nscript_location = db\nversion_locations = more\n[loggers]\n"
    )
    more = {"alembic.ini": ini, "more/0002.py": VERSIONS["db/versions/a1_one.py"]}

    text = planned(tmp_path / "shop", {**VERSIONS, **more})

    assert [line.strip() for line in text.splitlines() if "tool: alembic" in line] == [
        'migrations: {tool: alembic, dir: ".", section: "alembic:stock"}',
        'migrations: {tool: alembic, dir: ".", section: orders}',
    ]
    assert "  alembic-stock:\n" in text
    assert "  orders:\n" in text


def test_finds_what_a_pyproject_says_of_alembic(tmp_path: Path):
    toml = "[project]\nname = 'x'\n[tool.alembic]\nscript_location = '%(here)s/db'\n"

    text = planned(tmp_path / "shop", {**VERSIONS, "pyproject.toml": toml})

    assert "# .: 1 file of alembic. Engine: nothing says which, so this is a guess." in text


@pytest.mark.parametrize(
    ("more", "engine"),
    [
        ({"db/versions/b2.py": "from sqlalchemy.dialects.mysql import TEXT\nrevision = 'b2'\n"}, "mysql"),
        ({"requirements.txt": "alembic\naiosqlite==0.20\n"}, "sqlite"),
        ({"requirements.txt": "psycopg\naiosqlite==0.20\n"}, "postgresql"),
        ({}, "postgresql"),
    ],
)
def test_tells_the_engine_of_alembic_by_dialects_and_drivers(
    tmp_path: Path, more: dict[str, str], engine: str
):
    write(tmp_path, alembic(more, url="sqlalchemy.url = driver://user:pass@localhost/dbname"))

    [found] = find(tmp_path).migrations

    assert found.engine == engine


def test_says_that_one_of_several_drivers_of_alembic_is_a_guess(tmp_path: Path):
    text = planned(tmp_path / "shop", alembic({"requirements.txt": "aiosqlite\npsycopg[binary]\n"}))

    assert "Engine: requirements.txt names psycopg and aiosqlite, so this is a guess." in text


def test_finds_an_env_that_no_configuration_beside_it_names(tmp_path: Path):
    files = {**VERSIONS, "db/env.py": "from alembic import op, context\n"}
    ini = "[alembic]\nscript_location = db\n"

    text = planned(tmp_path / "shop", {**files, "conf/alembic.ini": ini})

    assert "migrations: {tool: alembic, dir: db}" in text
    assert "# db: 1 file of alembic." in text


def test_of_two_configurations_of_one_env_the_nearest_is_taken(tmp_path: Path):
    toml = "[tool.alembic]\nscript_location = '%(here)s/shop/db'\n"
    files = {f"shop/{name}": text for name, text in alembic().items()}

    text = planned(tmp_path / "shop", {**files, "pyproject.toml": toml})

    assert [line for line in text.splitlines() if "tool: alembic" in line] == [
        "    migrations: {tool: alembic, dir: shop}"
    ]


def test_says_where_revisions_are_that_no_configuration_names(tmp_path: Path):
    lower = {f"db/versions/{each}/b2.py": "revision = 'b2'\ndown_revision = 'a1'\n" for each in ("x", "y")}

    text = planned(tmp_path / "shop", alembic(lower))

    assert "# .: 1 file of alembic." in text
    assert "# - db/versions/x and 1 folder more: 2 revisions of alembic that no configuration names" in text


def test_finds_the_revisions_in_folders_below_where_the_configuration_says_so(tmp_path: Path):
    lower = {"db/versions/2026/b2.py": "revision = 'b2'\ndown_revision = 'a1'\n"}

    text = planned(tmp_path / "shop", alembic(lower, script="db\nrecursive_version_locations = true"))

    assert "# .: 2 files of alembic." in text
    assert "that no configuration names" not in text


def test_leaves_out_a_project_of_alembic_with_several_databases(tmp_path: Path):
    text = planned(tmp_path / "shop", alembic({"db/env.py": "context.configure(upgrade_token='a')"}))

    assert "# - .: alembic for several databases at once, which coordinator does not support." in text
    assert "tool: alembic" not in text


def test_a_project_of_alembic_whose_place_is_not_known_is_found_and_said(tmp_path: Path):
    write(tmp_path, alembic(script="../elsewhere/db\nversion_locations = /nowhere"))

    done = coordinator(tmp_path, "init")

    assert "Not all is well in .: `validate` says what it is in 1 file." in done.stdout
    assert "tool: alembic" in (tmp_path / "plan.yaml").read_text()
