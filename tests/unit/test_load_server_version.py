"""How a plan says the live server's version, and which of them no server has."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.load import load

PLAN = """\
version: 1
release: shop-1.5
databases:
  shop:
    engine: {engine}
    url: env:SHOP_URL
    server_version: {version}
    migrations: {{tool: goose, dir: migrations}}
"""


def said(tmp_path: Path, engine: str, version: str) -> tuple[str | None, list[tuple[str, int]]]:
    """Return the version that is read, and the problems with their lines."""
    (tmp_path / "migrations").mkdir(exist_ok=True)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.format(engine=engine, version=version))
    result = load(path, settings={}, environment={})
    problems = [(each.code, each.place.line) for each in result.diagnostics]
    if result.plan is None:
        return None, problems
    [database] = result.plan.databases.values()
    assert database.server_version_at is not None
    assert database.server_version_at.line == 7
    return database.server_version, problems


@pytest.mark.parametrize(
    ("engine", "version"),
    [
        ("postgresql", "16"),
        ("postgresql", "16.4"),
        ("postgresql", "9.6.24"),
        ("mariadb", "10.10"),
        ("mariadb", "10.11.6"),
        ("mysql", "8.4"),
        ("mysql", "8.0.36"),
    ],
)
def test_a_version_is_read_as_it_stands_with_quotes_and_without(tmp_path: Path, engine: str, version: str):
    assert said(tmp_path, engine, version) == (version, [])
    assert said(tmp_path, engine, f'"{version}"') == (version, [])


@pytest.mark.parametrize(
    ("engine", "version"),
    [
        ("postgresql", "newest"),
        ("postgresql", "v16"),
        ("postgresql", "postgresql 16"),
        ("postgresql", "160004"),
        ("mariadb", "10"),
        ("mysql", "8"),
        ("mysql", "8.0.36-0ubuntu0.22.04.1"),
    ],
)
def test_refuses_what_does_not_say_which_sql_the_server_has(tmp_path: Path, engine: str, version: str):
    assert said(tmp_path, engine, version) == (None, [("bad-server-version", 4)])


def test_refuses_a_version_of_a_server_that_is_none(tmp_path: Path):
    assert said(tmp_path, "sqlite", "3.40") == (None, [("idle-setting", 4)])
