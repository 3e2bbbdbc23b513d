"""Which version's queries are read where, and that half a catalogue is none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from builders import Service
from fixtures.repository import Repository

from coordinator.adapters.trees.git import GitRepository
from coordinator.app.catalogues import read_catalogues
from coordinator.diagnostics import Severity
from coordinator.load import load_plan
from coordinator.model import Role
from coordinator.survey import Survey, service_survey

PLAN = """\
version: 1
release: shop
databases:
  shop: {engine: sqlite, url: env:SHOP, migrations: {tool: goose, dir: migrations}}
services:
  shop:
    version: "1.5"
    uses: [shop]
    platform: {local: {command: [./serve]}}
    MORE
"""
OLD = "-- name: GetName :one\nSELECT name FROM users;\n"
NEW = "-- name: GetFullName :one\nSELECT full_name FROM users;\n"
LIVE, NEXT = ("shop", "shop", Role.LIVE), ("shop", "shop", Role.NEXT)


@pytest.fixture
def made(tmp_path):
    """A repository whose version 1.4 has other queries than its working tree, which is 1.5."""
    repository = Repository(tmp_path / "made")
    repository.write("q/users.sql", OLD)
    repository.commit("v1.4")
    repository.write("q/users.sql", NEW)
    return repository


def nobody_is_asked(*_, **__):
    raise AssertionError("a live database was asked")


def read(folder, more="queries: {sql: q}", *, against=None, **service):
    (folder / "plan.yaml").write_text(PLAN.replace("MORE", more))
    plan = load_plan(folder / "plan.yaml", settings={}, environment={})
    world = Service(uses=("shop",), **{"live": "1.4", "next": "1.5", **service})
    services = {"shop": service_survey(plan.services["shop"], world.serving())}
    ports = SimpleNamespace(plan=plan, session=nobody_is_asked)
    if against is None:
        return read_catalogues(ports, Survey({}, services, ()))
    with GitRepository(folder) as repository:
        return read_catalogues(ports, Survey({}, services, ()), live=repository.tree(against))


def names_in(catalogues):
    return {use[2]: [each.name for each in catalogue.queries] for use, catalogue in catalogues.items()}


def test_next_is_read_from_the_folder_and_live_from_its_tag(made):
    catalogues, problems = read(made.folder)

    assert names_in(catalogues) == {Role.LIVE: ["GetName"], Role.NEXT: ["GetFullName"]}
    assert catalogues[LIVE].source.startswith("q in git v1.4 (")
    assert catalogues[LIVE].queries[0].place.file == "v1.4:q/users.sql"
    assert catalogues[NEXT].source == "q in the working tree"
    assert problems == ()


def test_a_live_version_that_is_called_by_its_commit_s_id_is_surely_what_serves(made):
    commit = made.git("rev-parse", "v1.4")

    by_tag, _ = read(made.folder)
    by_commit, _ = read(made.folder, live=commit[:10])
    in_one_tree, _ = read(made.folder, "queries: [{sql: q}, {sql: 'q*/{version}'}]", live=commit[:10])

    assert [each[LIVE].is_what_serves for each in (by_tag, by_commit)] == [False, True]
    assert not by_commit[NEXT].is_what_serves
    assert not any(each.is_what_serves for each in in_one_tree.values())


def test_a_tag_that_looks_like_a_commit_s_id_is_not_one(made):
    made.git("tag", "deadbeef1", "v1.4")

    catalogues, _ = read(made.folder, live="deadbeef1")

    assert names_in(catalogues)[Role.LIVE] == ["GetName"]
    assert not catalogues[LIVE].is_what_serves


@pytest.mark.parametrize("tag", ["1.4", "v1.4", "release-1.4"])
def test_the_tag_of_a_version_is_found_by_custom_or_by_pattern(tmp_path, tag):
    repository = Repository(tmp_path / "made")
    repository.write("q/users.sql", OLD)
    repository.commit(tag)
    ref = 'ref: "release-{version}"\n    ' if tag.startswith("release") else ""

    catalogues, _ = read(repository.folder, ref + "queries: {sql: q}")

    assert names_in(catalogues)[Role.LIVE] == ["GetName"]


def test_a_version_may_be_a_commit_but_a_short_number_is_none(made):
    commit = made.git("rev-parse", "v1.4")

    assert LIVE in read(made.folder, live=commit[:12])[0]
    assert LIVE not in read(made.folder, live=commit[:5])[0]


@pytest.mark.parametrize("live", ["main", "1.4~0", "1.3", "1.4^{commit}", "HEAD"])
def test_what_is_no_tag_of_a_version_is_said_with_what_was_tried(made, live):
    catalogues, [problem] = read(made.folder, live=live)

    assert names_in(catalogues) == {Role.NEXT: ["GetFullName"]}
    assert (problem.code, problem.severity) == ("live-ref-unknown", Severity.WARNING)
    assert f"`shop` {live}" in problem.what
    assert "tried" in problem.what
    assert "ref:" in problem.next_step


def test_without_git_there_is_a_reason(tmp_path):
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "users.sql").write_text(NEW)

    catalogues, [problem] = read(tmp_path)

    assert names_in(catalogues) == {Role.NEXT: ["GetFullName"]}
    assert (problem.code, problem.severity) == ("not-a-repository", Severity.WARNING)


def test_a_path_with_the_version_in_it_needs_no_git(tmp_path):
    for version, text in (("1.4", OLD), ("1.5", NEW)):
        (tmp_path / "q" / version).mkdir(parents=True)
        (tmp_path / "q" / version / "users.sql").write_text(text)

    catalogues, problems = read(tmp_path, 'queries: {sql: "q/{version}"}')

    assert names_in(catalogues) == {Role.LIVE: ["GetName"], Role.NEXT: ["GetFullName"]}
    assert problems == ()


def test_one_source_that_cannot_be_read_leaves_no_half_catalogue(made):
    made.write("more/new.sql", "SELECT 1")

    catalogues, [problem] = read(made.folder, "queries: [{sql: q}, {sql: more}]")

    assert set(names_in(catalogues)) == {Role.NEXT}
    assert (problem.code, problem.severity) == ("no-query-files", Severity.WARNING)


def test_a_path_that_next_does_not_have_is_an_error(made):
    catalogues, problems = read(made.folder, "queries: {sql: gone}")

    assert catalogues == {}
    assert {(each.code, each.severity) for each in problems} == {
        ("no-query-files", Severity.WARNING),
        ("no-query-files", Severity.ERROR),
    }


def test_several_sources_are_joined_and_the_same_text_is_there_once(made):
    made.write("q/again.sql", NEW.replace("GetFullName", "Again"))
    made.write("q/more.sql", "SELECT 2")

    catalogues, _ = read(made.folder, "queries: [{sql: q}, {sql: q/users.sql}]")

    assert names_in(catalogues)[Role.NEXT] == ["Again", "more.sql 1"]
    assert catalogues[NEXT].source == "q in the working tree and q/users.sql in the working tree"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("q/migrations/000001_users.up.sql", "CREATE TABLE users (id int)"),
        ("q/migrations/000001_users.down.sql", "DROP TABLE users"),
        (
            "q/00001_users.sql",
            "-- +goose Up\nCREATE TABLE users (id int);\n-- +goose Down\nDROP TABLE users;",
        ),
    ],
)
def test_migrations_among_the_files_are_no_queries(made, file, text):
    made.write(file, text)
    made.write("q/signed.up.sql", "SELECT 2")  # neither tool would take it for a migration
    catalogues, problems = read(made.folder)
    assert names_in(catalogues)[Role.NEXT] == ["signed.up.sql 1", "GetFullName"]
    assert problems == ()


def test_of_what_cannot_be_asked_every_query_stays_by_its_name(made):
    made.write("q/open.sql", "-- name: First :one\nSELECT 'open")
    made.write("q/too.sql", "-- name: Second :one\nSELECT 'open")

    catalogues, _ = read(made.folder)

    assert names_in(catalogues)[Role.NEXT] == ["First", "Second", "GetFullName"]


def test_an_empty_catalogue_is_none_and_never_silent(made):
    made.write("q/users.sql", "-- all gone\n")

    catalogues, [problem] = read(made.folder)

    assert names_in(catalogues) == {Role.LIVE: ["GetName"]}
    assert (problem.code, problem.severity) == ("catalogue-empty", Severity.WARNING)


def test_warns_where_one_version_has_less_than_half_of_the_others_queries(made):
    made.write("q/users.sql", "SELECT 1; SELECT 2;")
    assert read(made.folder)[1] == ()

    made.write("q/users.sql", "SELECT 1; SELECT 2; SELECT 3;")

    [problem] = read(made.folder)[1]
    assert problem.code == "catalogue-shrunk"
    assert "1 queries as it serves now and 3 as next" in problem.what


def test_a_settled_service_is_read_from_the_folder(made):
    catalogues, problems = read(made.folder, live="1.5")

    assert names_in(catalogues) == {Role.LIVE: ["GetFullName"]}
    assert problems == ()


def test_a_service_without_sources_has_no_catalogue_and_no_warning(made):
    assert read(made.folder, "") == ({}, ())


def test_what_was_seen_on_the_live_version_says_nothing_of_the_next(made):
    made.write("statements.log", "SELECT 1\n")

    catalogues, [problem] = read(made.folder, "queries: {log: statements.log}")

    assert names_in(catalogues) == {Role.LIVE: ["SELECT 1"]}
    assert (problem.code, problem.severity) == ("catalogue-one-sided", Severity.WARNING)


def test_against_a_ref_the_live_version_is_what_stands_there(made):
    catalogues, problems = read(made.folder, against="v1.4", live="whatever")

    assert names_in(catalogues) == {Role.LIVE: ["GetName"], Role.NEXT: ["GetFullName"]}
    assert problems == ()
