"""A survey from two trees: what counts as applied, as pending and as live, and what was changed too late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.repository import Repository

from coordinator.adapters.trees.git import GitRepository
from coordinator.app.against import MERGE_BASE, survey_against, tree_at
from coordinator.app.connected import ConnectedPorts
from coordinator.diagnostics import Severity
from coordinator.errors import Usage
from coordinator.load import load_text
from coordinator.model import Colour, DatabaseName, ServiceName
from coordinator.survey import Survey

PLAN = """
version: 1
release: shop-1
databases:
  db: {{engine: postgresql, url: env:URL, migrations: {{tool: {tool}, dir: {folder}}}}}
services:
  app:
    version: "1.5"
    uses: [db]
    ref: "{tags}"
    platform: {{local: {{command: [./app]}}}}
"""
ONE = "-- +goose Up\nCREATE TABLE one (id int);\n-- +goose Down\nDROP TABLE one;\n"
TWO = "-- +goose Up\nCREATE TABLE two (id int);\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository whose tag v1.4 has one migration."""
    made = Repository(tmp_path / "shop")
    made.write("db/00001_one.sql", ONE)
    made.commit("v1.4")
    return made


def surveyed(
    repository: Repository,
    ref: str = "v1.4",
    *,
    tags: str = "v{version}",
    tool: str = "goose",
    plan: str = "plan.yaml",
    folder: str = "db",
) -> Survey:
    file = repository.folder / plan
    loaded = load_text(PLAN.format(tool=tool, folder=folder, tags=tags), file, settings={}, environment={})
    assert loaded.plan is not None, loaded.diagnostics
    with GitRepository(file.parent) as opened:
        return survey_against(ConnectedPorts(loaded.plan, environment={}), tree_at(opened, ref))


def codes(survey: Survey) -> Iterator[tuple[str, str]]:
    return ((each.code, each.severity) for each in survey.diagnostics)


def test_counts_what_the_commit_has_as_applied_and_what_is_new_as_pending(repository: Repository):
    repository.write("db/00002_two.sql", TWO)

    survey = surveyed(repository)

    seen = survey.databases[DatabaseName("db")]
    assert (seen.applied, [each.name for each in seen.pending]) == (1, ["00002_two"])
    assert survey.diagnostics == ()


def test_minds_the_error_of_a_new_file_and_not_of_a_released_one(repository: Repository):
    repository.write("db/00002_two.sql", TWO.replace(";", ""))
    repository.commit("v1.5")
    repository.write("db/00003_three.sql", TWO.replace(";", ""))

    [problem] = surveyed(repository, "v1.5").diagnostics

    assert problem.code == "goose-syntax"
    assert problem.place.file.endswith("db/00003_three.sql")


def test_takes_the_commit_as_the_version_that_serves(repository: Repository):
    service = surveyed(repository).services[ServiceName("app")]

    assert (service.live_version, service.next_colour) == ("1.4", Colour.GREEN)
    assert not service.is_settled


@pytest.mark.parametrize(
    ("ref", "tags", "version"),
    [
        ("shop/1.4", "shop/{version}", "1.4"),
        ("v1.4", "shop/{version}", "v1.4"),
        ("main", "v{version}", "main"),
    ],
)
def test_reads_the_version_from_a_tag_as_the_plan_writes_it(
    repository: Repository, ref: str, tags: str, version: str
):
    repository.git("tag", "shop/1.4")

    assert surveyed(repository, ref, tags=tags).services[ServiceName("app")].live_version == version


def test_tells_two_versions_of_one_name_apart(repository: Repository):
    repository.commit("1.5")

    service = surveyed(repository, "1.5").services[ServiceName("app")]

    assert str(service.live_version).startswith("1.5@")
    assert not service.is_settled


def test_finds_where_the_branch_left_the_default_one(repository: Repository):
    repository.git("switch", "--quiet", "-c", "feature")
    repository.write("db/00002_two.sql", TWO)
    repository.commit("on-feature", day=2)

    survey = surveyed(repository, MERGE_BASE)

    assert [each.name for each in survey.databases[DatabaseName("db")].pending] == ["00002_two"]


def test_says_that_there_is_no_default_branch(repository: Repository):
    repository.git("branch", "--quiet", "-m", "trunk")

    with pytest.raises(Usage, match="--against REF") as raised:
        surveyed(repository, MERGE_BASE)

    assert raised.value.code == "no-default-branch"


def test_refuses_an_edited_migration(repository: Repository):
    repository.write("db/00001_one.sql", ONE.replace("id int", "id bigint"))

    [problem] = surveyed(repository).diagnostics

    assert (problem.code, problem.severity) == ("migration-edited", Severity.ERROR)
    assert problem.place.file.endswith("db/00001_one.sql")
    assert "up side of `00001_one` is not what it is in git v1.4" in problem.what


def test_warns_of_an_edited_down_side(repository: Repository):
    repository.write("db/00001_one.sql", ONE.replace("DROP TABLE one", "DROP TABLE IF EXISTS one"))

    assert list(codes(surveyed(repository))) == [("migration-edited", "warning")]


@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
def test_lets_comments_and_blanks_change(repository: Repository, tool: str):
    repository.write("db/1_one.up.sql", "CREATE TABLE t (id int); -- old\n")
    repository.commit("with-comments")
    repository.write("db/1_one.up.sql", "/* new */\n\nCREATE TABLE t\n  (id int);\n")
    repository.write("db/00001_one.sql", f"-- coordinator: phase=expand\n\n{ONE}")
    if tool == "goose":
        repository.git("rm", "--quiet", "-f", "db/1_one.up.sql")
        repository.git("commit", "--quiet", "-m", "only goose's files")

    assert surveyed(repository, "v1.4" if tool == "goose" else "with-comments", tool=tool).diagnostics == ()


def test_refuses_a_removed_migration(repository: Repository):
    repository.git("rm", "--quiet", "db/00001_one.sql")
    repository.write("db/00002_two.sql", TWO)

    [problem] = surveyed(repository).diagnostics

    assert (problem.code, problem.severity) == ("migration-removed", Severity.ERROR)
    assert problem.place.file.endswith("db/00001_one.sql")


def test_lets_a_file_be_renamed_that_keeps_its_version(repository: Repository):
    repository.git("mv", "db/00001_one.sql", "db/00001_first.sql")

    assert surveyed(repository).diagnostics == ()


@pytest.mark.parametrize(("tool", "late"), [("goose", "00002_two.sql"), ("golang-migrate", "2_two.up.sql")])
def test_refuses_a_new_migration_below_a_released_one(repository: Repository, tool: str, late: str):
    repository.write("db/00003_three.sql", TWO.replace("two", "three"))
    repository.write("db/3_three.up.sql", "SELECT 3;")
    repository.git("rm", "--quiet", "-f", f"db/{'3_three.up.sql' if tool == 'goose' else '00003_three.sql'}")
    repository.commit("v1.5")
    repository.write(f"db/{late}", TWO)

    [problem] = surveyed(repository, "v1.5", tool=tool).diagnostics

    assert (problem.code, problem.severity) == ("out-of-order", Severity.ERROR)
    assert problem.place.file.endswith(late)


def test_warns_where_the_commit_has_no_migrations(repository: Repository):
    repository.git("mv", "db", "migrations")

    survey = surveyed(repository, folder="migrations")

    assert list(codes(survey)) == [("nothing-released", "warning")]
    assert survey.databases[DatabaseName("db")].applied == 0


@pytest.mark.parametrize("place", ["beside the plan", "absolute"])
def test_finds_the_migrations_wherever_the_plan_says_they_are(repository: Repository, place: str):
    repository.write("db/00002_two.sql", TWO)
    folder = "." if place == "beside the plan" else str(repository.folder / "db")

    survey = surveyed(repository, plan="db/plan.yaml", folder=folder)

    seen = survey.databases[DatabaseName("db")]
    assert (seen.applied, [each.name for each in seen.pending]) == (1, ["00002_two"])


def test_reads_a_plan_below_the_repositorys_root(repository: Repository):
    repository.write("deploy/note.txt", "")
    repository.commit("with-deploy")
    repository.write("db/00002_two.sql", TWO)

    survey = surveyed(repository, "with-deploy", plan="deploy/plan.yaml", folder="../db")

    assert [each.name for each in survey.databases[DatabaseName("db")].pending] == ["00002_two"]
    assert survey.diagnostics == ()
