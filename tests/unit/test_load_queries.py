"""The parts of a plan file that a rehearsal needs: where queries are, and how the rehearsal is done."""

from __future__ import annotations

import pytest

from coordinator.load import load
from coordinator.model import Base, Layer, RehearsalSpec, SecretRef

PLAN = """\
version: 1
release: shop-${VERSION}
databases:
  shop:
    engine: sqlite
    url: env:SHOP_DATABASE_URL
    migrations: {tool: goose, dir: migrations}
    REHEARSAL
  other: {engine: sqlite, url: env:OTHER, migrations: {tool: goose, dir: other}}
services:
  shop:
    version: ${VERSION}
    uses: [shop]
    platform: {local: {command: [./serve]}}
    SERVICE
"""


def loaded(tmp_path, *, service="", rehearsal="", uses="[shop]"):
    path = tmp_path / "plan.yaml"
    text = PLAN.replace("SERVICE", service).replace("REHEARSAL", rehearsal).replace("[shop]", uses)
    path.write_text(text)
    return load(path, settings={}, environment={"VERSION": "1.5"})


def service_of(tmp_path, service, **more):
    result = loaded(tmp_path, service=service, **more)
    assert result.diagnostics == ()
    assert result.plan is not None
    return result.plan.services["shop"]


def problem_of(tmp_path, **more):
    [problem] = loaded(tmp_path, **more).diagnostics
    return problem


@pytest.mark.parametrize(
    "form", ["{sql: 'q/{version}'}", "[{sql: 'q/{version}'}]", "{sql: {files: 'q/{version}'}}"]
)
def test_one_source_is_written_in_three_ways_and_keeps_its_placeholder(tmp_path, form):
    [queries] = service_of(tmp_path, f"queries: {form}").queries

    assert (queries.kind, queries.database, queries.spec.files) == ("sql", "shop", "q/{version}")
    assert (queries.place.line, queries.place.column) == (15, 15 + (form[0] == "["))


def test_a_variable_and_the_placeholder_stand_side_by_side(tmp_path):
    [queries] = service_of(tmp_path, 'queries: {sql: "${VERSION}/{version}"}').queries

    assert queries.spec.files == "1.5/{version}"


def test_a_service_without_queries_has_none(tmp_path):
    service = service_of(tmp_path, "")

    assert (service.queries, service.ref, service.database_role) == ((), None, None)


def test_sources_of_several_databases_say_which(tmp_path):
    text = "queries: [{sql: {files: a, database: shop}}, {sql: {files: b, database: other}}]"
    service = service_of(tmp_path, text, uses="[shop, other]")

    assert [each.database for each in service.queries] == ["shop", "other"]


@pytest.mark.parametrize(
    ("queries", "uses", "quoted"),
    [
        ("{sql: a}", "[shop, other]", "uses 2 databases"),
        ("{sql: a}", "[]", "uses no databases"),
        ("{sql: {files: a, database: other}}", "[shop]", "`other`, which the service does not use"),
    ],
)
def test_refuses_queries_that_belong_to_no_database(tmp_path, queries, uses, quoted):
    problem = problem_of(tmp_path, service=f"queries: {queries}", uses=uses)

    assert problem.code == "queries-without-database"
    assert quoted in problem.what


@pytest.mark.parametrize(
    ("service", "code", "text"),
    [
        ("queries: 3", "wrong-type", "must be a mapping"),
        ("queries: {sqle: a}", "unknown-name", "`sql`"),
        ("queries: [{sql: {files: a, fil: b}}]", "unknown-key", "`files`"),
        ("ref: v1.4", "ref-without-version", "{version}"),
        ("database_role: ''", "empty-text", "empty"),
    ],
)
def test_says_what_is_wrong_with_a_services_queries(tmp_path, service, code, text):
    problem = problem_of(tmp_path, service=service)

    assert problem.code == code
    assert problem.place.line == 15
    assert text in str(problem)


def test_reads_how_to_rehearse(tmp_path):
    spec = "rehearsal: {url: env:SCRATCH, base: dump, layers: [prepare, plan]}"
    plan = loaded(tmp_path, rehearsal=spec).plan

    assert plan.databases["shop"].rehearsal == RehearsalSpec(
        SecretRef("env", "SCRATCH"), Base.DUMP, (Layer.PREPARE, Layer.PLAN)
    )
    assert plan.databases["other"].rehearsal == RehearsalSpec()


@pytest.mark.parametrize(
    ("layers", "code"),
    [("[]", "out-of-range"), ("[plan, plan]", "repeated-value"), ("[pan]", "unknown-value")],
)
def test_refuses_layers_that_are_none_or_twice(tmp_path, layers, code):
    result = loaded(tmp_path, rehearsal=f"rehearsal: {{layers: {layers}}}")

    assert code in [each.code for each in result.diagnostics]
