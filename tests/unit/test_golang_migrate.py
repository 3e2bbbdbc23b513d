"""golang-migrate without a database: names, ledger, transactions; tests/peers compares with the real tool."""

from __future__ import annotations

import hashlib

import pytest

from coordinator.diagnostics import Severity
from coordinator.errors import StepFailed, Usage
from coordinator.model import Engine, SourceFile
from coordinator.ports.databases import Target
from coordinator.ports.migrations import Ledger
from migrations_hooks.golang_migrate import TOOL

PG = Target(Engine.POSTGRESQL, "gt", "public", None)
LITE = Target(Engine.SQLITE, "shop.db", None, None)
MY = Target(Engine.MARIADB, "gt", None, None)
FRESH = Ledger(exists=True)


def source(name: str, text: str = "SELECT 1;") -> SourceFile:
    return SourceFile(f"migrations/{name}", text.encode(), hashlib.sha256(text.encode()).hexdigest())


def read(*names: str):
    return TOOL.read([source(name) for name in names])


def up(text: str, target: Target = PG):
    [migration] = TOOL.read([source("3_a.up.sql", text)]).migrations
    return TOOL.up(migration, target=target, ledger=FRESH)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("1_a.up.sql", True),
        ("3_.down.sql", True),
        ("0002_b.up.down.up.sql", True),
        ("1_a.up.sql.bak", True),
        ("1_a.UP.sql", False),
        ("1.up.sql", False),
        ("a_1.up.sql", False),
        ("+1_a.up.sql", False),
        ("1_a.sql", False),
    ],
)
def test_looks_at_the_files_that_golang_migrate_looks_at(name: str, *, is_one: bool):
    assert TOOL.is_migration(name) is is_one


def test_two_files_are_one_migration():
    [migration] = read("0002_add_email.down.sql", "0002_add_email.up.sql").migrations

    assert (migration.version, migration.name) == (2, "0002_add_email")
    assert [each.path for each in migration.files] == [
        "migrations/0002_add_email.up.sql",
        "migrations/0002_add_email.down.sql",
    ]


def test_the_last_direction_of_a_name_counts():
    [migration] = read("2_b.up.down.up.sql").migrations

    assert migration.up is not None
    assert migration.down is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("1_a.up.sql.bak", "golang-migrate-extension"),
        ("1_a.up.sql~", "golang-migrate-extension"),
        (f"{2**63}_a.up.sql", "migration-version-range"),
        (f"{2**64}_a.up.sql", "migration-version-range"),
        ("1_a.sql", "golang-migrate-filename"),
    ],
)
def test_refuses_a_name_with_which_golang_migrate_does_harm(name: str, code: str):
    reading = read(name)

    assert ([each.code for each in reading.diagnostics], reading.migrations) == ([code], ())


def test_refuses_a_version_twice_in_one_direction():
    assert [each.code for each in read("1_a.up.sql", "01_b.up.sql").diagnostics] == ["duplicate-version"]
    assert read("1_a.up.sql", "01_b.down.sql").diagnostics == ()


def test_warns_of_a_version_without_an_up_file():
    [warning] = read("1_a.down.sql").diagnostics

    assert (warning.code, warning.severity) == ("missing-up-file", Severity.WARNING)


def test_the_declaration_of_the_up_file_counts():
    text = "-- coordinator: phase=contract\nSELECT 1;"

    [migration] = TOOL.read([source("1_a.up.sql"), source("1_a.down.sql", text)]).migrations

    assert migration.declared is None


def test_a_file_and_its_version_share_a_transaction():
    [batch] = up("SELECT 1; SELECT 2;")

    assert batch.transaction
    assert batch.statements == (
        "SELECT 1; SELECT 2;",
        'DELETE FROM "public"."schema_migrations"',
        'INSERT INTO "public"."schema_migrations" (version, dirty) VALUES (3, false)',
    )


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN; SELECT 1; COMMIT;",
        "VACUUM;",
        "CREATE INDEX CONCURRENTLY i ON a (x);",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1;",
        "CALL p();",
        "DO $$ BEGIN COMMIT; END $$;",
    ],
)
def test_a_file_that_may_refuse_a_transaction_is_marked_dirty_first(text: str):
    before, work, after = up(text)

    assert before.statements[1].endswith("VALUES (3, true)")
    assert (work.statements, work.transaction) == ((text,), False)
    assert after.statements[1].endswith("VALUES (3, false)")


def test_statements_that_refuse_a_transaction_are_sent_one_by_one_as_x_multi_statement_does():
    text = "SET lock_timeout = '1s';\n\n-- of the list\nCREATE INDEX CONCURRENTLY i ON a (x);\nVACUUM a;\n"
    [migration] = TOOL.read([source("3_a.up.sql", text)]).migrations
    assert migration.up is not None

    _, work, _ = TOOL.up(migration, target=PG, ledger=Ledger(exists=True))

    assert [each.line for each in migration.up.statements] == [1, 3, 5]
    assert work.statements == (
        "SET lock_timeout = '1s';",
        "-- of the list\nCREATE INDEX CONCURRENTLY i ON a (x);",
        "VACUUM a;",
    )


def test_a_statement_that_refuses_the_files_own_transaction_is_an_error_at_its_line():
    reading = TOOL.read([source("3_a.up.sql", "BEGIN;\nVACUUM a;\nCOMMIT;\n")])

    assert [(each.code, each.place.line) for each in reading.diagnostics] == [
        ("statement-refuses-transaction", 2)
    ]


def test_a_role_that_may_not_delete_truncates_as_golang_migrate_does():
    [migration] = TOOL.read([source("3_a.up.sql", "SELECT 1;")]).migrations
    ledger = TOOL.ledger_from([(2, False, False)])

    [batch] = TOOL.up(migration, target=PG, ledger=ledger)

    assert batch.statements[-2] == 'TRUNCATE "public"."schema_migrations"'
    assert TOOL.after(ledger, migration).is_truncated


def test_mysql_is_told_to_delete_one_row_as_golang_migrate_does():
    [batch] = up("INSERT INTO a VALUES (1);", MY)

    assert batch.statements[1] == "DELETE FROM `schema_migrations` LIMIT 1"


def test_a_blank_file_is_recorded_and_not_sent():
    [batch] = up(" \n\t")

    assert len(batch.statements) == 2


def test_sqlite_keeps_a_file_and_its_version_together_always():
    [batch] = up("CREATE INDEX i ON a (x);", LITE)

    assert batch.statements[1:] == (
        "DELETE FROM schema_migrations",
        "INSERT INTO schema_migrations (version, dirty) VALUES (3, 0)",
    )


@pytest.mark.parametrize("name", ["30_a.up..sql", "30_a.up.mysql.sql"])
def test_a_file_that_ends_in_sql_is_a_migration_whatever_stands_before(name: str):
    reading = TOOL.read([source(name, "SELECT 1;")])

    assert (len(reading.migrations), reading.diagnostics) == (1, ())


def test_sqlite_sends_a_file_with_its_own_transaction_as_x_no_tx_wrap_does():
    text = "PRAGMA foreign_keys=OFF; BEGIN; SELECT 1; COMMIT; PRAGMA foreign_keys=ON;"

    before, work, after = up(text, LITE)

    assert before.statements[1].endswith("VALUES (3, 1)")
    assert (work.statements, work.transaction) == ((text,), False)
    assert after.statements[1].endswith("VALUES (3, 0)")


def test_sqlite_wraps_no_pragma_in_a_folder_that_needs_x_no_tx_wrap():
    reading = TOOL.read(
        [
            source("1_a.up.sql", "BEGIN; CREATE TABLE a (x); COMMIT;"),
            source("2_b.up.sql", "PRAGMA foreign_keys=OFF; DROP TABLE a;"),
            source("3_c.up.sql", "CREATE TABLE c (x);"),
        ],
        Engine.SQLITE,
    )

    assert [each.up.transaction for each in reading.migrations if each.up] == [False, False, True]


def test_sqlite_wraps_a_pragma_in_any_other_folder_as_golang_migrate_does():
    files = [source("2_b.up.sql", "PRAGMA foreign_keys=OFF; DROP TABLE a;"), source("3_c.up.sql", "VACUUM;")]

    reading = TOOL.read(files, Engine.SQLITE)

    assert [each.up.transaction for each in reading.migrations if each.up] == [True, True]


def test_sqlite_takes_the_begin_of_a_trigger_for_no_transaction():
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END;"

    assert up(trigger, LITE)[0].statements[0] == trigger


def test_going_down_records_the_version_of_the_file_before():
    migrations = read("2_a.up.sql", "5_b.up.sql", "5_b.down.sql").migrations

    [batch] = TOOL.down(
        migrations[1], migrations=migrations, target=PG, ledger=Ledger(exists=True, applied=(5,))
    )

    assert batch.statements[-1].endswith("VALUES (2, false)")


def test_going_down_from_the_first_empties_the_table():
    migrations = read("2_a.up.sql", "2_a.down.sql").migrations

    [batch] = TOOL.down(
        migrations[0], migrations=migrations, target=PG, ledger=Ledger(exists=True, applied=(2,))
    )

    assert batch.statements == ("SELECT 1;", 'DELETE FROM "public"."schema_migrations"')


def test_reads_the_one_row_of_its_table():
    assert TOOL.ledger_from([]) == Ledger(exists=True)
    assert TOOL.ledger_from([(None, None, True)]) == Ledger(exists=True)
    assert TOOL.ledger_from([(3, False)]) == Ledger(exists=True, applied=(3,))
    assert TOOL.ledger_from([(-1, 1)]) == Ledger(exists=True, dirty=-1)
    with pytest.raises(StepFailed):
        TOOL.ledger_from([(1, False), (2, False)])


def test_everything_above_the_recorded_version_is_pending():
    migrations = read("1_a.up.sql", "2_b.up.sql", "3_c.up.sql").migrations

    assert [each.version for each in TOOL.pending(migrations, FRESH).migrations] == [1, 2, 3]
    assert [
        each.version for each in TOOL.pending(migrations, Ledger(exists=True, applied=(2,))).migrations
    ] == [3]


@pytest.mark.parametrize(
    ("ledger", "code"),
    [
        (Ledger(exists=True, dirty=2), "database-dirty"),
        (Ledger(exists=True, dirty=-1), "database-dirty"),
        (Ledger(exists=True, applied=(9,)), "database-newer"),
        (Ledger(exists=True, applied=(2,)), "migration-file-missing"),
    ],
)
def test_refuses_to_go_on_where_golang_migrate_does(ledger: Ledger, code: str):
    [problem] = TOOL.pending(read("1_a.up.sql", "3_c.up.sql").migrations, ledger).diagnostics

    assert (problem.code, problem.severity) == (code, Severity.ERROR)


def test_takes_the_lock_of_the_command_line_and_of_the_library():
    # Seen in pg_locks while migrate worked on a database `gt`.
    assert TOOL.lock_ids(PG) == (549813855, 3634589391)
    assert TOOL.lock_ids(LITE) == ()


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (None, '"public"."schema_migrations"'),
        ("app.mig", '"public"."app.mig"'),
        ('"mig"', '"public"."mig"'),
        ('"app"."mig"', '"app"."mig"'),
        ('a"b', '"public"."a""b"'),
    ],
)
def test_quotes_the_table_as_golang_migrate_does(table: str | None, expected: str):
    target = Target(Engine.POSTGRESQL, "gt", "public", table)

    assert TOOL.ledger_query(target).endswith(f" LEFT JOIN {expected} ON true")


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (Target(Engine.POSTGRESQL, "gt", None, None), "no-schema"),
        (Target(Engine.POSTGRESQL, "gt", "public", '"a"."b"."c"'), "bad-table-name"),
        (Target(Engine.SQLITE, "a.db", None, "a; DROP TABLE b"), "bad-table-name"),
    ],
)
def test_refuses_a_table_that_cannot_be(target: Target, code: str):
    with pytest.raises(Usage) as refusal:
        TOOL.ledger_query(target)

    assert refusal.value.code == code
