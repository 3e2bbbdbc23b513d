"""Every source of queries keeps its promises, whatever is read."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
from fixtures.catalogues import settings_of, write_files

from coordinator import discovery
from coordinator.adapters.trees.folder import FolderTree
from coordinator.errors import Usage
from coordinator.fields import QuerySettings
from coordinator.model import Engine, Role, Version
from coordinator.query_ports import Wanted

FILES = {
    "sqlc.yaml": "version: 2\nsql: [{engine: postgresql, queries: q, gen: {go: {out: db}}}]",
    "q/orders.sql": "-- name: GetOrder :one\nSELECT * FROM orders WHERE id = @id;\n",
    "db/orders.go": "package db\n\nconst a = `-- name: GetOrder :one\nSELECT id FROM orders`\n",
    "statements.log": "SELECT 1\n",
    "shop.py": "def statements():\n    return ['SELECT 1']\n",
}
SETTINGS = {
    "log": "statements.log",
    "pg-stat-statements": {},
    "sql": "q",
    "sqlalchemy": "shop:statements",
    "sqlc": "sqlc.yaml",
    "sqlc-go": "db",
}
"""Settings with which each source finds a query in FILES."""
KINDS = discovery.names(discovery.QUERIES)


@contextmanager
def live():
    class Session:
        def query(self, sql):
            return [("public.pg_stat_statements",)] if "pg_extension" in sql else [("SELECT 1",)]

    yield Session()


@pytest.fixture
def wanted(tmp_path):
    write_files(tmp_path, FILES)
    return Wanted(Role.LIVE, Version("1.4"), Engine.POSTGRESQL, FolderTree(tmp_path), live, "app")


def test_every_source_has_an_example_here():
    assert set(KINDS) == set(SETTINGS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_has_a_name_a_place_and_a_text_without_its_end(kind, wanted):
    source = discovery.query_source(kind)

    catalogue = source.read(settings_of(kind, SETTINGS[kind]), wanted)

    assert catalogue.queries
    assert catalogue.source
    for query in catalogue.queries:
        assert query.name
        assert query.place.file
        assert "\n" not in query.name
        assert query.obstacle is not None or query.text == query.text.strip().removesuffix(";") != ""


@pytest.mark.parametrize("kind", KINDS)
def test_reading_twice_gives_the_same(kind, wanted):
    source, spec = discovery.query_source(kind), settings_of(kind, SETTINGS[kind])

    assert source.read(spec, wanted) == source.read(spec, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_its_settings_are_those_of_every_source_and_more(kind):
    source = discovery.query_source(kind)

    assert issubclass(source.spec, QuerySettings)
    assert source.roles
    assert settings_of(kind, SETTINGS[kind]).database is None


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if isinstance(SETTINGS[kind], str) and kind != "sqlalchemy"]
)
def test_a_placeholder_for_the_version_makes_one_tree_hold_every_version(kind, wanted, tmp_path):
    source, path = discovery.query_source(kind), SETTINGS[kind]
    write_files(tmp_path / "1.4", FILES)
    spec = settings_of(kind, f"{{version}}/{path}")

    assert source.is_versioned(spec)
    assert not source.is_versioned(settings_of(kind, path))
    assert source.read(spec, wanted).queries
    with pytest.raises(Usage) as caught:
        source.read(spec, replace(wanted, version=None))
    assert caught.value.code == "version-unknown"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if isinstance(SETTINGS[kind], str)])
def test_what_is_not_there_is_an_error_and_no_empty_catalogue(kind, wanted):
    source = discovery.query_source(kind)

    with pytest.raises(Usage) as caught:
        source.read(settings_of(kind, "gone:gone" if kind == "sqlalchemy" else "gone"), wanted)

    assert caught.value.next_step


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_have_one_form_in_the_schema(kind):
    schema = discovery.query_source(kind).spec.model_json_schema()
    mapping = schema["anyOf"][1] if "anyOf" in schema else schema

    assert "database" in mapping["properties"]
    assert json.dumps(schema)
