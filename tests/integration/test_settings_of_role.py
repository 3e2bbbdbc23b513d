"""What an administrator has set for whoever migrates on PostgreSQL: it is named where it stops a release."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from fixtures.alembic_project import plan_in, revision, write_project
from fixtures.audience import Audience
from fixtures.code_release import release, world
from psycopg.conninfo import conninfo_to_dict

from coordinator.adapters.databases import postgresql
from coordinator.app.connected import ConnectedPorts
from coordinator.rights import missing_rights
from coordinator.secret import Secret

PLAN = """
version: 1
release: shop-2
databases:
  shop: {engine: postgresql, url: env:SHOP_URL, migrations: {tool: goose, dir: migrations}}
"""


def of_goose(folder: Path, url: str) -> ConnectedPorts:
    (folder / "migrations").mkdir()
    text = "-- +goose Up\n-- coordinator: phase=expand\nSELECT pg_sleep(60);\n"
    (folder / "migrations" / "00001_slow.sql").write_text(text)
    (folder / "plan.yaml").write_text(PLAN)
    return world(folder, {"SHOP_URL": url})


def of_alembic(folder: Path, url: str) -> ConnectedPorts:
    files = revision("a1", up='op.execute("SELECT pg_sleep(60)")', said="coordinator: phase=expand")
    return plan_in(write_project(folder, files), url)


def set_for_all(url: str, setting: str) -> None:
    """Let each session of a database begin with a setting, as each of a role may."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {conninfo_to_dict(url)['dbname']} SET {setting}")


@pytest.mark.parametrize("ports_in", [of_goose, of_alembic])
def test_a_transaction_that_is_over_its_time_is_not_begun_again(
    ports_in: Callable[[Path, str], ConnectedPorts], database_url: str, tmp_path: Path
) -> None:
    ports, audience, begun = ports_in(tmp_path, database_url), Audience(), []
    audience.acts = dict.fromkeys(["expand:shop:00001_slow", "expand:shop:a1"], lambda: begun.append(1))
    set_for_all(database_url, "transaction_timeout = '1s'")

    release(ports, audience)

    [failed] = audience.failed
    assert "terminating connection due to transaction timeout" in failed.reason
    assert begun == [1]


def test_a_statement_that_is_over_its_time_is_told_which_setting_ends_it(
    database_url: str, tmp_path: Path
) -> None:
    ports, audience = of_goose(tmp_path, database_url), Audience()
    set_for_all(database_url, "statement_timeout = '1s'")

    release(ports, audience)

    [failed] = audience.failed
    assert "00001_slow.sql:3: " in failed.reason
    assert "a longer `statement_timeout`" in failed.reason


def test_a_search_path_that_leads_nowhere_is_named_before_and_when_a_release_begins(
    database_url: str, tmp_path: Path
) -> None:
    ports, audience = of_goose(tmp_path, database_url), Audience()
    set_for_all(database_url, "search_path = nowhere")

    with postgresql.connect(Secret(database_url), lock_timeout=timedelta(seconds=1)).session(label="") as it:
        [sentence] = missing_rights(it, ())
    release(ports, audience)

    assert sentence.startswith("The user has no current schema")
    [failed] = audience.failed
    assert (failed.step, failed.code) == ("acquire-lease", "no-schema")
