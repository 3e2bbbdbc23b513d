"""What the server keeps prepared while many migrations go in one trip: each file does what it does alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from fixtures.one_statement import migrations_of
from fixtures.several import Several

from coordinator.adapters.databases import postgresql
from coordinator.adapters.postgresql_kept import in_one
from coordinator.model import LocksSpec
from coordinator.secret import Secret
from coordinator.sql import literal

FORGETTING = """CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS
$$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$"""
IN_FRONT = 'CREATE TABLE "{user}".goose_db_version (LIKE public.goose_db_version INCLUDING ALL)'


class Release(Several):
    """A series on a PostgreSQL."""

    locks = LocksSpec(timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=9))

    def __init__(self, url: str, tool: str, *files: str) -> None:
        self.url = url
        session = postgresql.connect(Secret(url), lock_timeout=timedelta(seconds=5)).session(label="first")
        super().__init__(session, tool, migrations_of(tool, *files))

    def apply_the_rest(self) -> int:
        """Apply what is left, together where that may be; return how many went in a trip with others."""
        at = together = 1
        while at < len(self.migrations):
            count = self.apply_from(at + 1)
            together += count
            if not count:
                self.apply(self.migrations[at])
            at += count or 1
        return together - 1

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()

    def kept(self) -> list[str]:
        """Return what the session keeps prepared."""
        return [str(text) for (text,) in self.series.session.query(_KEPT)]


_KEPT = "SELECT statement FROM pg_prepared_statements WHERE generic_plans + custom_plans > 0"


def tables(first: int, last: int) -> list[str]:
    return [f"CREATE TABLE table_{each} (x int)" for each in range(first, last + 1)]


@pytest.fixture
def closing() -> Iterator[list[Several]]:
    made: list[Several] = []
    yield made
    for each in made:
        each.series.close()


@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
def test_records_are_prepared_and_are_what_they_are_one_by_one(
    closing: list[Several], tool: str, database_url: str
) -> None:
    release = Release(database_url, tool, *tables(1, 20))
    closing.append(release)

    assert release.apply_the_rest() == 19

    assert any("INTO" in each and "coordinator_applied" in each for each in release.kept())
    entries = "SELECT version, name, file_digest FROM coordinator_applied ORDER BY version::int"
    assert release.rows(entries) == [
        (str(each.version), each.name, each.files[0].digest) for each in release.migrations
    ]
    own = {
        "goose": ("SELECT version_id, is_applied FROM goose_db_version ORDER BY id", range(21)),
        "golang-migrate": ("SELECT version, NOT dirty FROM schema_migrations", [20]),
    }
    query, versions = own[tool]
    assert release.rows(query) == [(version, True) for version in versions]


def test_a_file_may_end_what_is_kept(closing: list[Several], database_url: str) -> None:
    forgets = "CREATE TABLE forgotten AS SELECT forget() AS x"
    release = Release(database_url, "goose", FORGETTING, *tables(2, 5), forgets, *tables(7, 12))
    closing.append(release)

    assert release.apply_the_rest() >= 4

    assert release.rows("SELECT count(*) FROM coordinator_applied") == [(12,)]
    assert release.rows("SELECT x FROM forgotten") == [(1,)], "it ran, and once"


@pytest.mark.parametrize(
    "changes",
    [
        "ALTER TABLE goose_db_version DROP COLUMN tstamp",
        "ALTER TABLE goose_db_version ALTER version_id TYPE int",
        "ALTER TABLE coordinator_applied ALTER name TYPE varchar(99)",
    ],
)
def test_a_file_may_change_the_tables_of_the_records(
    closing: list[Several], changes: str, database_url: str
) -> None:
    release = Release(database_url, "goose", *tables(1, 5), changes, *tables(7, 12))
    closing.append(release)

    release.apply_the_rest()

    assert release.rows("SELECT version_id FROM goose_db_version ORDER BY id") == [(x,) for x in range(13)]
    assert release.rows("SELECT count(*) FROM coordinator_applied") == [(12,)]


def test_a_record_goes_to_the_table_that_its_text_would_find(
    closing: list[Several], database_url: str
) -> None:
    """The table that a file makes in front of goose's own has that file's record, as without a trip."""
    with psycopg.connect(database_url) as connection:
        [user] = connection.execute("SELECT current_user").fetchone() or ("",)
    in_front = IN_FRONT.format(user=user)
    files = (*tables(1, 4), f'CREATE SCHEMA "{user}"', *tables(6, 8), in_front, *tables(10, 14))
    release = Release(database_url, "goose", *files)
    closing.append(release)

    release.apply_the_rest()

    found = release.rows(f'SELECT version_id FROM "{user}".goose_db_version ORDER BY id')
    assert found == [(version,) for version in range(9, 15)]
    assert release.rows("SELECT max(version_id) FROM public.goose_db_version") == [(8,)]


SETTINGS = {
    "SET application_name = 'expand:it''s'": "application_name",
    "SET idle_session_timeout = 0": "idle_session_timeout",
    "SET SESSION lock_timeout = 5000": "lock_timeout",
    "SET LOCAL synchronous_commit = local": "synchronous_commit",
    "SET coordinator.settled_for = '7.1 is there'": "coordinator.settled_for",
}


def test_settings_in_one_query_are_what_they_are_one_by_one(database_url: str) -> None:
    look = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS.values())

    def shown(*texts: str) -> list[list[tuple[object, ...]]]:
        """Return what the settings are in the transaction that sets them, and after it."""
        with psycopg.connect(database_url, autocommit=True) as connection:
            with connection.transaction():
                for text in texts:
                    connection.execute(text.encode())
                inside = connection.execute(look.encode()).fetchall()
            return [inside, connection.execute(look.encode()).fetchall()]

    together = shown(in_one(tuple(SETTINGS)))

    assert together == shown(*SETTINGS)
    inside, behind = (rows[0][3] for rows in together)
    assert inside == "local" != behind


@pytest.mark.parametrize("label", ["expand:1_a\\b", "\\', 1), pg_catalog.set_config('coordinator.x"])
def test_a_step_whose_name_has_a_backslash_is_named_to_the_server_as_it_is(
    label: str, database_url: str
) -> None:
    setting = f"SET application_name = {literal(label)}"

    with psycopg.connect(database_url) as connection:
        connection.execute(in_one((setting,)))

        assert connection.execute("SHOW application_name").fetchall() == [(label,)]
