"""Projects as `alembic init` makes them, and interpreters that are not the right ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import alembic
import pytest
from fixtures.alembic_project import ENV, INI, LINE, SHOP, apply_next, heads, plan_in, rows, write_project
from fixtures.audience import Audience
from fixtures.code_release import release

from coordinator.adapters.runners import _alembic_child
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.app.revision import script_of
from coordinator.errors import ExitCode, PlanInvalid, StepFailed
from coordinator.journal.events import Outcome
from coordinator.model import Engine

INSIDE = Path(_alembic_child.__file__).with_name("_alembic_inside")


def made(folder: Path, template: str) -> None:
    """Make a project as a user does."""
    command = [sys.executable, "-m", "alembic", "init", "-t", template, "migrations"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for name, text in LINE.items():
        (folder / "migrations" / "versions" / name).write_text(text)


def test_a_project_that_says_in_its_pyproject_where_the_files_are_is_released(tmp_path: Path):
    made(tmp_path, "pyproject")
    assert "script_location" not in (tmp_path / "alembic.ini").read_text()
    ports = plan_in(tmp_path, f"sqlite:///{tmp_path}/shop.db")

    apply_next(ports, "a1")

    assert heads(ports) == {"a1"}


@pytest.mark.parametrize(
    ("template", "driver"),
    [
        ("async", "postgresql+asyncpg"),
        ("async", "postgresql+psycopg"),
        ("pyproject_async", "postgresql+asyncpg"),
        ("async", "sqlite+aiosqlite"),
        ("generic", "postgresql+psycopg2"),
    ],
)
def test_a_project_with_another_driver_is_rehearsed_and_released_with_it(
    request: pytest.FixtureRequest, tmp_path: Path, template: str, driver: str
):
    made(tmp_path, template)
    env = tmp_path / "migrations" / "env.py"
    module = driver.partition("+")[2]
    env.write_text(f"{env.read_text()}\nimport sys\nprint('used', {module!r} in sys.modules)\n")
    plain = request.getfixturevalue("database_url") if driver.startswith("post") else f"x:///{tmp_path}/a.db"
    ports = plan_in(tmp_path, f"{driver}://{plain.partition('://')[2]}")
    audience = Audience()

    proof, diagnostics = plan_release(ports, step_kinds(), watches_statements=True)
    ended = release(ports, audience)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert rehearsal.is_whole
    assert not [each for each in diagnostics if each.code == "migration-sql-unknown"]
    assert not [each for each in rehearsal.notes if "something else than the SQL" in each], rehearsal.notes
    assert (ended.exit_code(wanted=Outcome.RELEASED), heads(ports)) == (ExitCode.DONE, {"c3"})
    assert {each.rpartition("used ")[2] for each in audience.notes if "used " in each} == {"True"}


def in_package(folder: Path, *, imported: str) -> ConnectedPorts:
    """Write a project whose files are in its package, and say from where Alembic is to import that."""
    for sources in ("src", "copy"):
        package = folder / sources / "shop"
        write_project(package, LINE)
        (package / "__init__.py").touch()
        (package / "alembic.ini").unlink()
    ini = INI.replace("%(here)s/migrations", f"shop:migrations\nprepend_sys_path = {imported}")
    (folder / "alembic.ini").write_text(ini)
    return plan_in(folder, f"sqlite:///{folder}/shop.db")


def test_a_project_that_has_its_revisions_in_its_package_is_released(tmp_path: Path):
    ports = in_package(tmp_path, imported="src")

    apply_next(ports, "a1")

    assert heads(ports) == {"a1"}


def in_sections(folder: Path, url: str) -> dict[str, ConnectedPorts]:
    """Write a project as Alembic's cookbook has it: one alembic.ini, and a section for each database."""
    shop = INI.replace("[alembic]", "[shop]").replace("migrations", "shop")
    stock = "[stock]\nscript_location = %(here)s/stock\nversion_table = of_stock\n[loggers]"
    ini = f"[DEFAULT]\nsqlalchemy.url = {url}\n{shop.replace('[loggers]', stock, 1)}"
    env = ENV.replace(
        "connection=connection,",
        'connection=connection, version_table=config.get_main_option("version_table"),',
    )
    write_project(folder, {}, ini=ini)
    for name, line in (
        ("shop", LINE),
        ("stock", {"s1.py": LINE["a1.py"].replace("a1", "s1").replace("item", "bin")}),
    ):
        versions = folder / name / "versions"
        versions.mkdir(parents=True)
        (folder / name / "env.py").write_text(env if name == "stock" else ENV)
        for file, text in line.items():
            (versions / file).write_text(text)
    return {
        "shop": plan_in(folder, url, more="section: shop"),
        "stock": plan_in(folder, url, more="section: stock, table: of_stock"),
    }


def test_each_section_of_one_ini_is_rehearsed_and_released_as_alembic_n_does(
    tmp_path: Path, database_url: str
):
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    ports = in_sections(tmp_path, url)

    proof, _ = plan_release(ports["shop"], step_kinds(), watches_statements=True)
    ended = release(ports["shop"], Audience())
    apply_next(ports["stock"], "s1")
    real = subprocess.run(
        [sys.executable, "-m", "alembic", "-n", "stock", "current"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )

    [rehearsal] = proof.evidence.rehearsals.values()
    assert rehearsal.is_whole
    assert (ended.exit_code(wanted=Outcome.RELEASED), heads(ports["shop"])) == (ExitCode.DONE, {"c3"})
    assert rows(ports["stock"], "SELECT version_num FROM of_stock") == [("s1",)]
    assert "s1 (head)" in real.stdout


def test_a_module_that_is_not_there_is_told_with_the_interpreter_and_how_to_name_another(tmp_path: Path):
    ports = in_package(tmp_path, imported="nowhere")

    with pytest.raises(StepFailed) as failed:
        apply_next(ports, "a1")

    assert f"No module named 'shop' for {sys.executable}. `migrations: {{…, python: " in str(failed.value)


def test_another_copy_of_the_package_than_was_read_is_refused_before_anything(tmp_path: Path):
    ports = in_package(tmp_path, imported="copy")

    with pytest.raises(StepFailed) as refused:
        apply_next(ports, "a1")

    assert "copy/shop/migrations/versions/a1.py, and the plan in " in str(refused.value)
    assert "alembic_version" not in {name for (name,) in rows(ports, "SELECT name FROM sqlite_master")}


def test_a_project_that_has_its_revisions_in_folders_by_date_is_released_and_parsed(tmp_path: Path):
    location = "%(here)s/migrations\nrecursive_version_locations = true"
    write_project(tmp_path, LINE, ini=INI.replace("%(here)s/migrations", location))
    versions = tmp_path / "migrations" / "versions"
    deep = versions / "2026" / "11"
    deep.mkdir(parents=True)
    (versions / "b2.py").rename(versions / "2026" / "b2.py")
    (versions / "c3.py").rename(deep / "c3.py")
    ports = plan_in(tmp_path, f"sqlite:///{tmp_path}/shop.db")

    apply_next(ports, "a1")
    apply_next(ports, "b2")
    spec = ports.plan.databases[SHOP].migrations
    migration, _ = script_of(deep / "c3.py", Engine.SQLITE, spec=spec, environment={})

    assert [str(each.version) for each in ports.migrations(SHOP)] == ["a1", "b2", "c3"]
    assert (heads(ports), str(migration.version)) == ({"b2"}, "c3")


def test_a_project_may_have_modules_of_any_name(tmp_path: Path):
    made(tmp_path, "generic")
    names = [each.stem for each in INSIDE.glob("[a-z]*.py")]
    for name in names:
        (tmp_path / f"{name}.py").write_text("IS_MINE = True\n")
    env = tmp_path / "migrations" / "env.py"
    asks = "".join(f"import {name}\nassert {name}.IS_MINE\n" for name in names)
    env.write_text(asks + env.read_text())
    ports = plan_in(tmp_path, f"sqlite:///{tmp_path}/shop.db")

    for version in ("a1", "b2"):  # in a process of its own, and in a fork of a warm one
        apply_next(ports, version)

    assert {"upgrade", "trail"} <= {*names}
    assert heads(ports) == {"b2"}


def test_a_project_of_several_databases_is_refused_where_its_env_says_so(tmp_path: Path):
    made(tmp_path, "multidb")

    with pytest.raises(PlanInvalid) as refused:
        plan_in(tmp_path, f"sqlite:///{tmp_path}/shop.db")

    assert "error[alembic-config]: This env.py migrates several databases" in str(
        refused.value.diagnostics[0]
    )


def test_an_interpreter_without_alembic_is_named_with_what_to_do(tmp_path: Path):
    said = asked(tmp_path, [sys.executable, "-S"])

    assert "has no alembic. Name the interpreter of the project" in said


@pytest.mark.parametrize("version", ["1.8.1", "0.9"])
def test_an_alembic_that_is_too_old_is_refused_before_anything(tmp_path: Path, version: str):
    (tmp_path / "alembic.py").write_text(f"__version__ = {version!r}")

    assert f"has Alembic {version}; it must be 1.9 or newer." in asked(tmp_path, [sys.executable])


def test_an_alembic_that_reads_no_pyproject_is_refused_where_one_is_there(tmp_path: Path):
    found = Path(alembic.__file__).parent
    old = f"__version__ = '1.15.2'\n__path__ = [{str(found)!r}]\n"
    (tmp_path / "alembic.py").write_text(old)
    (tmp_path / "pyproject.toml").write_text("[tool.alembic]\n")

    assert "Alembic 1.15.2 does not read the [tool.alembic]" in asked(tmp_path, [sys.executable])


def asked(folder: Path, python: list[str]) -> str:
    """Return what the process says to a request, with `folder` before all other modules."""
    answer = folder / "answer.json"
    request = {"kind": "scripts", "folder": str(folder), "section": None, "answer": str(answer)}
    environment = {**os.environ, "PYTHONPATH": str(folder), _alembic_child.REQUEST: json.dumps(request)}
    ended = subprocess.run(
        [*python, _alembic_child.__file__], env=environment, capture_output=True, check=False
    )
    assert ended.returncode == 1
    return json.loads(answer.read_text())["error"]
