"""What was applied is written down beside the tool's own record, and a file that was edited since is told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from fixtures.applying import apply_migration
from fixtures.mariadb import ADAPTER, ENGINE

from coordinator import discovery
from coordinator.adapters.databases import postgresql, sqlite
from coordinator.adapters.postgresql_session import PostgresqlSession
from coordinator.applied import TABLE, Book, Records, begun, edited, enter, passed_over, read_records
from coordinator.apply import read_ledger
from coordinator.diagnostics import Diagnostic
from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration, SourceFile
from coordinator.ports.databases import Batch, Session
from coordinator.ports.migrations import MigrationTool
from coordinator.secret import Secret

ADAPTERS = {
    Engine.POSTGRESQL: postgresql,
    Engine.SQLITE: sqlite,
    ENGINE: ADAPTER,
}
CASES = [
    pytest.param(
        (tool, engine), id=f"{tool} {engine}", marks=[pytest.mark.mariadb] if engine.speaks_mysql else []
    )
    for tool in ("goose", "golang-migrate")
    for engine in ADAPTERS
]
LIMIT = timedelta(seconds=20)
CREATE = "CREATE TABLE a (x integer);"


@dataclass
class Shop:
    """A database and a tool, and what was said while migrations were applied."""

    tool: MigrationTool
    session: Session
    notes: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.session.target(None).engine

    def read(self, up: str, *, version: int = 1) -> Migration:
        return self.tool.read([source(self.tool.name, up, version)], self.engine).migrations[0]

    def apply(self, *migrations: Migration, release: str = "shop-1") -> None:
        for each in migrations:
            apply_migration(
                self.session,
                self.tool,
                each,
                migrations=migrations,
                table=None,
                lock_timeout=LIMIT,
                book=Book(release, self.notes.append),
            )

    def edits(self, migration: Migration) -> list[str]:
        found = edited([migration], self.records().entries, engine=self.engine)
        return [str(warning) for _, warning in found]

    def left_out(self, *migrations: Migration) -> list[Diagnostic]:
        target, records = self.session.target(None), self.records()
        known = records.entries.keys() | records.marks.keys()
        return [told for _, told in passed_over(migrations, known, tool=self.tool, target=target)]

    def records(self) -> Records:
        return read_records(self.session, self.tool, self.session.target(None)) or Records()

    def is_recorded(self) -> bool:
        return bool(read_ledger(self.session, self.tool, self.session.target(None)).applied)


def source(tool: str, up: str, version: int = 1) -> SourceFile:
    name = f"{version}_step.sql" if tool == "goose" else f"{version}_step.up.sql"
    content = (f"-- +goose Up\n{up}\n" if tool == "goose" else f"{up}\n").encode()
    return SourceFile(f"migrations/{name}", content, hashlib.sha256(content).hexdigest())


@pytest.fixture(params=CASES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    key, engine = request.param
    if engine is Engine.SQLITE:
        url = f"sqlite://{tmp_path}/shop.db"
    else:
        url = request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url")
    with ADAPTERS[engine].connect(Secret(url), lock_timeout=LIMIT).session(label="test") as session:
        yield Shop(discovery.migration_tool(key), session)


def test_a_file_that_is_what_was_applied_is_not_told(shop: Shop):
    migration = shop.read(CREATE)
    shop.apply(migration)

    assert shop.edits(migration) == []
    assert shop.notes == []


def test_a_file_with_other_statements_is_told_with_release_time_and_digests(shop: Shop):
    before, after = shop.read(CREATE), shop.read("CREATE TABLE a (x bigint);")
    shop.apply(before)

    [warning] = shop.edits(after)

    assert warning.startswith(f"{after.files[0].path} warning[migration-edited]: `{after.name}` was applied")
    assert f"{before.files[0].digest[:12]}… then, {after.files[0].digest[:12]}… now" in warning
    assert "Release shop-1 applied it at 2" in warning


def test_an_edited_comment_or_blank_is_no_edit(shop: Shop):
    shop.apply(shop.read(CREATE))

    assert shop.edits(shop.read("-- what a is for\nCREATE TABLE a\n  (x /* why */ integer);")) == []


def test_what_the_tool_applied_itself_is_not_claimed_to_be_edited(shop: Shop):
    first, second = shop.read(CREATE), shop.read("INSERT INTO a VALUES (1);", version=2)
    both = [first, second]
    apply_migration(shop.session, shop.tool, first, migrations=both, table=None, lock_timeout=LIMIT)
    apply_migration(
        shop.session,
        shop.tool,
        second,
        migrations=both,
        table=None,
        lock_timeout=LIMIT,
        book=Book("shop-2", shop.notes.append),
    )

    assert shop.edits(shop.read("CREATE TABLE a (x bigint);")) == []
    assert shop.edits(shop.read("INSERT INTO a VALUES (2);", version=2)) != []


def test_a_file_that_the_tool_passed_over_is_told_until_a_person_says_that_it_ran(shop: Shop):
    numbers = range(1, 6)  # the tool itself has applied the first and the last
    first, second, late, fourth, last = (shop.read(f"CREATE TABLE t{n} (x int);", version=n) for n in numbers)
    target, book = shop.session.target(None), Book("shop-1", shop.notes.append)
    enter(shop.session, [second, fourth], tool=shop.tool, target=target, book=book)

    told = shop.left_out(first, second, late, fourth, last)

    if shop.tool.keeps_history:
        assert told == []
        return
    [warning] = told
    assert str(warning).startswith(f"{late.files[0].path} warning[migration-passed-over]: `{late.name}` may")
    assert "give it a version above 5." in warning.next_step
    shop.session.execute(Batch((warning.next_step.partition("say so: ")[2],), transaction=True))
    assert shop.left_out(first, second, late, fourth, last) == []
    assert shop.edits(late) == []


def test_a_file_that_a_release_began_and_a_person_completed_was_not_passed_over(shop: Shop):
    """As `half-applied` says it: the rest by hand, and the tool's own record of it. The mark stays."""
    first, by_hand, last = (shop.read(f"CREATE TABLE t{n} (x int);", version=n) for n in (1, 2, 3))
    target = shop.session.target(None)
    shop.apply(first)
    mark = begun(by_hand, tool=shop.tool, target=target, release="shop-1")
    shop.session.execute(Batch((mark,), transaction=True))
    enter(shop.session, [last], tool=shop.tool, target=target, book=Book("shop-2", shop.notes.append))

    assert shop.left_out(first, by_hand, last) == []


def test_a_migration_that_fails_leaves_no_entry(shop: Shop):
    with pytest.raises(DatabaseError):
        shop.apply(shop.read("DROP TABLE nowhere;"))

    assert shop.session.query(f"SELECT * FROM {TABLE}") == []


def test_an_entry_says_what_was_applied_last(shop: Shop):
    first, again = shop.read(CREATE), shop.read("CREATE TABLE a (x bigint);")
    shop.apply(first)
    tables = {"goose": "goose_db_version", "golang-migrate": "schema_migrations"}
    back = ("DROP TABLE a", f"DELETE FROM {tables[shop.tool.name]}")
    zero = ("INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1 = 1)",)
    shop.session.execute(Batch(back + (zero if shop.tool.name == "goose" else ()), transaction=True))

    shop.apply(again, release="shop-2")

    assert shop.edits(again) == []
    assert "Release shop-2 applied it" in shop.edits(first)[0]


def test_a_quote_and_a_backslash_in_a_release_name_are_kept(shop: Shop):
    shop.apply(shop.read(CREATE), release="o'shop\\1")

    assert shop.session.query(f"SELECT release_name FROM {TABLE}") == [("o'shop\\1",)]


@pytest.fixture(params=["goose", "golang-migrate"])
def postgresql_shop(request: pytest.FixtureRequest, database_url: str) -> Iterator[Shop]:
    with postgresql.connect(Secret(database_url), lock_timeout=LIMIT).session(label="test") as session:
        yield Shop(discovery.migration_tool(request.param), session)


@pytest.fixture
def narrow_shop(postgresql_shop: Shop, database_url: str) -> Iterator[Shop]:
    """Yield the shop as a role sees it that may keep the tool's own table and make none."""
    shop = postgresql_shop
    shop.session.execute(shop.tool.create_ledger(shop.session.target(None)))
    shop.session.execute(Batch((CREATE,), transaction=True))
    with psycopg.connect(database_url, autocommit=True) as owner:
        role = f"narrow_{owner.info.dbname}"
        owner.execute(f"CREATE ROLE {role}")
        owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        owner.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        with psycopg.connect(database_url, autocommit=True) as connection:
            become = f"SET SESSION AUTHORIZATION {role}"
            yield Shop(shop.tool, PostgresqlSession(connection, secrets=(), settings=become))
        owner.execute(f"DROP OWNED BY {role}")
        owner.execute(f"DROP ROLE {role}")


def test_a_role_that_may_make_no_table_migrates_and_is_told_so(narrow_shop: Shop):
    narrow_shop.apply(narrow_shop.read("INSERT INTO a VALUES (1);"))

    assert narrow_shop.is_recorded()
    [note] = narrow_shop.notes
    assert note.startswith(f"There is no table {TABLE}, so edited files will not be noticed.")
    assert "permission denied" in note


def test_a_role_that_may_not_write_to_the_table_migrates(postgresql_shop: Shop, narrow_shop: Shop):
    postgresql_shop.session.execute(Batch((f"CREATE TABLE {TABLE} (x int)",), transaction=True))

    narrow_shop.apply(narrow_shop.read("INSERT INTO a VALUES (1);"))

    assert narrow_shop.is_recorded()
    assert narrow_shop.edits(narrow_shop.read("INSERT INTO a VALUES (2);")) == []


def test_a_migration_that_leaves_a_schema_behind_is_written_down_in_the_right_one(postgresql_shop: Shop):
    shop = postgresql_shop
    migration = shop.read("CREATE SCHEMA other;\nSET search_path = other;\nCREATE TABLE b (x int);")

    shop.apply(migration)

    assert shop.session.query(f"SELECT count(*) FROM public.{TABLE}") == [(1,)]
    assert shop.edits(migration) == []
