"""What `doctor` asks an engine: may the user of the plan's address do what the release will?"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from builders import migration
from fixtures.mariadb import ADAPTER, ENGINE, root_connection
from psycopg.conninfo import make_conninfo

from coordinator.adapters.databases import postgresql, sqlite
from coordinator.model import Engine
from coordinator.ports.databases import Database
from coordinator.rights import missing_rights, note_on_lock_holders
from coordinator.secret import Secret

_NOBODY = 65534
_PATIENCE = timedelta(seconds=1)
_AS_DEFAULT = {Engine.MARIADB: "FOR", Engine.MYSQL: "TO"}[ENGINE]


def told(database: Database, sql: str = "") -> tuple[str, ...]:
    with database.session(label="doctor") as session:
        return missing_rights(session, (migration(2, sql),))


@pytest.fixture
def migrator(database_url: str) -> Iterator[tuple[psycopg.Connection, Database]]:
    """Yield a connection that owns the tables, and the database as a role that owns none of them."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        role = f"migrator_of_{connection.info.dbname}"
        connection.execute(f"CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role}")
        try:
            url = Secret(make_conninfo(database_url, user=role))
            yield connection, postgresql.connect(url, lock_timeout=_PATIENCE)
        finally:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_names_a_table_that_another_role_owns_and_the_statement_that_changes_it(migrator):
    connection, database = migrator
    connection.execute('CREATE TABLE users (id int); CREATE TABLE "Order Lines" (id int)')

    altered = told(
        database, "CREATE TABLE notes (id int);\n\nALTER TABLE IF EXISTS ONLY public.users ADD x int"
    )
    indexed = told(database, 'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON "Order Lines" (id)')

    [sentence] = altered
    assert sentence == (
        "The user may not change the table `public.users`, which is `postgres`'s, and"
        " migrations/00002_m2.sql:3 does (`ALTER TABLE IF EXISTS ONLY public.users ADD x int`)."
    )
    assert ['"Order Lines"' in each for each in indexed] == [True]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE notes (id int); ALTER TABLE notes ADD x int",
        "INSERT INTO users VALUES (1)",
        "SET ROLE postgres; ALTER TABLE users ADD x int",
        "SET search_path = other; ALTER TABLE users ADD x int",
        "DO $$ ALTER TABLE users $$",
    ],
)
def test_what_the_role_may_do_or_nobody_can_tell_is_no_missing_right(migrator, sql: str):
    connection, database = migrator
    connection.execute("CREATE TABLE users (id int)")

    assert told(database, sql) == ()


def test_a_member_of_the_owners_role_may_change_its_tables(migrator):
    connection, database = migrator
    connection.execute("CREATE TABLE users (id int)")
    connection.execute(f"GRANT postgres TO migrator_of_{connection.info.dbname}")

    assert told(database, "ALTER TABLE users ADD x int") == ()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user who may not write what root made, where the tests are root's."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def shop() -> Iterator[Path]:
    """Yield a file of SQLite in a folder that everybody may read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(sqlite3.connect(folder / "shop.db")) as connection:
            connection.execute("CREATE TABLE users (id int)")
        yield folder / "shop.db"
        folder.chmod(0o755)


@pytest.mark.parametrize(("of_folder", "of_file"), [(0o777, 0o444), (0o555, 0o666)])
def test_says_that_a_file_or_its_folder_takes_no_writes(shop: Path, of_folder: int, of_file: int):
    shop.parent.chmod(of_folder)
    shop.chmod(of_file)
    database = sqlite.connect(Secret(str(shop)), lock_timeout=_PATIENCE)

    with as_nobody():
        missing = told(database)

    assert [each.startswith("SQLite refused a statement: ") for each in missing] == [True]


def test_a_file_that_takes_writes_stays_as_it_is_and_one_in_use_is_no_missing_right(shop: Path):
    before = shop.read_bytes()
    database = sqlite.connect(Secret(str(shop)), lock_timeout=timedelta(0))

    assert told(database) == ()
    assert shop.read_bytes() == before
    with closing(sqlite3.connect(shop, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert told(database) == ()


@pytest.fixture
def account(mariadb_url: str) -> Iterator[tuple[str, Database]]:
    """Yield the name of a database, and that as an account that was granted nothing but to read it."""
    place, _, name = mariadb_url.partition("@")[2].partition("/")
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER releasing IDENTIFIED BY 'geheim'")
        cursor.execute(f"GRANT SELECT ON {name}.* TO releasing")
        try:
            url = Secret(f"mysql://releasing:geheim@{place}/{name}")
            yield name, ADAPTER.connect(url, lock_timeout=_PATIENCE)
        finally:
            cursor.execute("DROP USER releasing")
            cursor.execute("DROP ROLE IF EXISTS migrators")


def grant(url: str, *statements: str) -> None:
    with root_connection(url) as connection, connection.cursor() as cursor:
        for each in statements:
            cursor.execute(each)


@pytest.mark.mariadb
def test_names_the_rights_that_a_release_or_its_migrations_need_on_mysql(account, mariadb_url: str):
    name, database = account
    reading = told(database)
    grant(mariadb_url, f"GRANT INSERT, UPDATE, DELETE, CREATE ON {name}.* TO releasing")

    changing = told(
        database,
        "CREATE TABLE notes (id int);\nALTER TABLE `users` ADD x int;\nCREATE INDEX i ON users (x);\n"
        "CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW SET NEW.x = 1;\nDROP TABLE users",
    )

    lease = f"The user lacks INSERT, UPDATE, DELETE, CREATE on `{name}`, which a release's own tables take."
    assert reading == (lease,)
    assert [each.partition(" on ")[0] for each in changing] == [
        "The user lacks ALTER",
        "The user lacks INDEX",
        "The user lacks TRIGGER",
        "The user lacks DROP",
    ]
    assert (
        f"`{name}`.`users`, which migrations/00002_m2.sql:2 takes (`ALTER TABLE `users` ADD x int`)"
        in changing[0]
    )


@pytest.mark.mariadb
@pytest.mark.parametrize("to", ["{name}.*", "`coordinator\\_test\\_%`.*", "*.*"])
def test_rights_of_a_pattern_of_every_database_or_by_a_role_are_rights(account, mariadb_url: str, to: str):
    name, database = account
    on = to.format(name=name)
    grant(
        mariadb_url,
        "CREATE ROLE migrators",
        f"GRANT ALL PRIVILEGES ON {on} TO migrators",
        "GRANT migrators TO releasing",
        f"SET DEFAULT ROLE migrators {_AS_DEFAULT} releasing",
    )

    assert told(database, "ALTER TABLE users ADD x int; DROP TABLE users") == ()


@pytest.mark.mariadb
def test_a_right_to_one_table_is_one_to_that_table_alone(account, mariadb_url: str):
    name, database = account
    grant(
        mariadb_url,
        f"CREATE TABLE {name}.users (id int)",
        f"GRANT INSERT, UPDATE, DELETE, CREATE ON {name}.* TO releasing",
        f"GRANT ALTER ON {name}.users TO releasing",
    )

    assert told(database, "ALTER TABLE users ADD x int") == ()
    assert told(database, "ALTER TABLE other ADD x int") != ()


@pytest.mark.mariadb
def test_says_who_would_not_be_told_who_holds_a_lock(account, mariadb_url: str):
    _, database = account

    def note() -> str:
        with database.session(label="doctor") as session:
            return note_on_lock_holders(session)

    without = note()
    grant(mariadb_url, "GRANT PROCESS ON *.* TO releasing")

    assert "PROCESS" in without
    assert note() == ""


def test_names_a_parent_to_which_no_foreign_key_may_lead(migrator):
    connection, database = migrator
    connection.execute("CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE open (id int PRIMARY KEY)")
    connection.execute("GRANT REFERENCES (id) ON open TO PUBLIC")
    child = "CREATE TABLE child (id int, of_user int REFERENCES {parent} (id))"

    [sentence] = told(database, child.format(parent="public.users"))

    assert sentence.startswith(
        "The user may not refer to the table `public.users` (REFERENCES), and migrations/"
    )
    assert told(database, child.format(parent="open")) == ()
    assert told(database, f"CREATE TABLE p (id int PRIMARY KEY);\n{child.format(parent='p')}") == ()


@pytest.mark.mariadb
def test_a_server_that_takes_no_writes_of_others_is_told_to_who_has_all_of_one_database(
    account, mariadb_url: str
):
    name, database = account
    grant(mariadb_url, f"GRANT ALL PRIVILEGES ON {name}.* TO releasing", "SET GLOBAL read_only = 1")
    try:
        assert told(database) == ("This server takes no writes (`read_only`).",)
    finally:
        grant(mariadb_url, "SET GLOBAL read_only = 0")
