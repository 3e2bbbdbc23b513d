"""goose without a database: its grammar, its names, its ledger; tests/peers compares with the real goose."""

from __future__ import annotations

import hashlib

import pytest

from coordinator.diagnostics import Severity
from coordinator.errors import StepFailed, Usage
from coordinator.model import Engine, Phase, SourceFile
from coordinator.ports.databases import Target
from coordinator.ports.migrations import Ledger
from migrations_hooks.goose import TOOL

PG = Target(Engine.POSTGRESQL, "shop", "public", None)
LITE = Target(Engine.SQLITE, "shop.db", None, None)
UP, DOWN = "-- +goose Up\n", "-- +goose Down\n"
BEGIN, END = "-- +goose StatementBegin\n", "-- +goose StatementEnd\n"


def source(text: str, name: str = "00001_case.sql") -> SourceFile:
    return SourceFile(f"migrations/{name}", text.encode(), hashlib.sha256(text.encode()).hexdigest())


def statements(text: str) -> list[str]:
    parsed = TOOL.parse(source(text))
    assert parsed.up is not None, parsed.diagnostics
    return [each.text for each in parsed.up.statements]


def codes(text: str) -> list[str]:
    return [each.code for each in TOOL.parse(source(text)).diagnostics]


def folder(*names: str):
    return TOOL.read([source(UP + "SELECT 1;\n", name) for name in names])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("SELECT 1;\nSELECT 2;\n", ["SELECT 1;", "SELECT 2;"]),
        ("SELECT 1; SELECT 2;\n", ["SELECT 1; SELECT 2;"]),
        ("-- a\n\nSELECT 1; -- b; c\nSELECT 2;\n", ["SELECT 1; -- b; c", "SELECT 2;"]),
        ("SELECT\n\n-- inside\n1;\n", ["SELECT\n\n-- inside\n1;"]),
        ("SELECT 1; /* c */\nSELECT 2;\n", ["SELECT 1; /* c */\nSELECT 2;"]),
        ("SELECT 1;--glued\n;\n", ["SELECT 1;--glued\n;"]),
        ("   \n-- kept\nSELECT 1;\n", ["-- kept\nSELECT 1;"]),
        (";\n", [";"]),
        (BEGIN + "SELECT 1;\nSELECT 2\n" + END + "SELECT 3;\n", ["SELECT 1;\nSELECT 2", "SELECT 3;"]),
        ("SELECT 'a;\nb';\n", ["SELECT 'a;", "b';"]),
        ("SELECT 1;\r\nSELECT\r\n2;\r\n", ["SELECT 1;", "SELECT\n2;"]),
        ("SELECT 1;\u00a0\n", ["SELECT 1;"]),
    ],
)
def test_cuts_a_file_as_goose_does(body: str, expected: list[str]):
    assert statements(UP + body) == expected


def test_knows_the_line_of_each_statement():
    parsed = TOOL.parse(
        source(UP + "\n-- a\nSELECT\n1;\n" + BEGIN + "\n\nSELECT 2;\n" + END + DOWN + "SELECT 3;\n")
    )

    assert parsed.up is not None
    assert parsed.down is not None
    assert [each.line for each in parsed.up.statements] == [4, 9]
    assert [each.line for each in parsed.down.statements] == [12]


def test_no_transaction_counts_for_both_directions():
    parsed = TOOL.parse(source(UP + "SELECT 1;\n" + DOWN + "-- +goose NO TRANSACTION\nSELECT 2;\n"))

    assert parsed.up is not None
    assert parsed.down is not None
    assert (parsed.up.transaction, parsed.down.transaction) == (False, False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [("-- about a\nSELECT 2;\n", ["SELECT 2;"]), ("-- nothing\n", []), (BEGIN + "--\n1\n" + END, ["1"])],
)
def test_blanks_at_the_end_of_up_are_no_part_of_down(body: str, expected: list[str]):
    parsed = TOOL.parse(source(UP + "SELECT 1;\n \t\n" + DOWN + body))

    assert parsed.down is not None, parsed.diagnostics
    assert [each.text for each in parsed.down.statements] == expected


def test_a_file_without_a_down_section_has_no_down():
    assert TOOL.parse(source(UP + "SELECT 1;\n")).down is None
    assert TOOL.parse(source(UP + DOWN)).down is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("SELECT 1;\n" + UP, 1),
        (UP + UP, 2),
        (DOWN, 1),
        (UP + DOWN + DOWN, 3),
        (UP + "-- +goose Sideways\n", 2),
        (UP + " -- +goose Down\n", 2),
        (UP + "-- mentions +goose here\n", 2),
        (UP + "\nSELECT 1\n" + DOWN, 3),
        (UP + "\nSELECT 1\n", 3),
        (UP + BEGIN + BEGIN, 3),
        (UP + END, 2),
        (UP + BEGIN + "SELECT 1;\n", 3),
        (UP + BEGIN + DOWN, 3),
        (UP + DOWN + BEGIN + "SELECT 1;\n", 4),
        (UP + "--" + "x" * (4 << 20), 2),
    ],
)
def test_says_in_which_line_goose_stops(text: str, line: int):
    [problem] = TOOL.parse(source(text)).diagnostics

    assert (problem.code, problem.place.line) == ("goose-syntax", line)


def test_a_way_back_that_goose_cannot_read_is_none_and_a_warning():
    parsed = TOOL.parse(source(UP + "SELECT 1;\n" + DOWN + "SELECT 2;\nDROP TABLE a\nDROP TABLE b\n"))
    [problem] = parsed.diagnostics

    assert (problem.code, problem.severity, problem.place.line) == ("goose-syntax", Severity.WARNING, 5)
    assert parsed.up is not None
    assert parsed.down is None


@pytest.mark.parametrize("content", ["", "-- nothing\n", "  \n"])
def test_refuses_a_block_after_which_goose_drops_a_line(content: str):
    assert codes(UP + BEGIN + content + END + "CREATE TABLE a (x int);\n") == ["goose-empty-block"]


@pytest.mark.parametrize("content", ["", "-- nothing\n", "  \n"])
def test_takes_an_empty_block_at_the_end_of_a_section_for_what_it_is(content: str):
    empty = BEGIN + content + END
    parsed = TOOL.parse(source(UP + "SELECT 1;\n" + empty + "\n" + DOWN + empty + "\n-- the end\n"))

    assert parsed.diagnostics == ()
    assert [len(each.statements) for each in (parsed.up, parsed.down) if each] == [1, 0]


@pytest.mark.parametrize("rest", ["DROP TABLE a;\n", "-- +goose NO TRANSACTION\nDROP TABLE a;\n"])
def test_refuses_an_empty_block_that_something_follows(rest: str):
    assert codes(UP + "SELECT 1;\n" + DOWN + BEGIN + END + rest) == ["goose-empty-block"]


def test_refuses_text_from_the_environment_but_not_the_switch_alone():
    assert codes(UP + "-- +goose ENVSUB ON\nSELECT '$HOME';\n") == ["goose-envsub"]
    assert codes(UP + "-- +goose ENVSUB ON\nSELECT 1;\n-- +goose ENVSUB OFF\nSELECT '$HOME';\n") == []


def test_warns_of_a_statement_that_goose_cuts():
    parsed = TOOL.parse(source(UP + "CREATE FUNCTION f() RETURNS int AS $$\nSELECT 1;\n$$ LANGUAGE sql;\n"))

    [warning] = parsed.diagnostics
    assert (warning.code, warning.severity, warning.place.line) == (
        "goose-cut-statement",
        Severity.WARNING,
        2,
    )


def test_what_fails_for_certain_is_an_error_upwards_and_a_warning_downwards():
    index = "CREATE INDEX CONCURRENTLY i ON a (x);\n"

    [up] = TOOL.parse(source(UP + index)).diagnostics
    [down] = TOOL.parse(source(UP + DOWN + index)).diagnostics

    assert (up.code, up.severity) == ("statement-refuses-transaction", Severity.ERROR)
    assert (down.code, down.severity) == ("statement-refuses-transaction", Severity.WARNING)
    assert codes("-- +goose NO TRANSACTION\n" + UP + index + DOWN + index) == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("1_a.sql", True),
        ("README.md", False),
        ("1_a.SQL", False),
        ("schema.sql", True),
        (".sql", True),
        ("1_a.sql.bak", False),
        ("1_a.go", True),
        ("1_a_test.go", False),
        ("main.go", False),
    ],
)
def test_looks_at_the_files_that_goose_looks_at(name: str, *, is_one: bool):
    assert TOOL.is_migration(name) is is_one


@pytest.mark.parametrize(
    "name", ["a.sql", "0_a.sql", "-1_a.sql", "1a_b.sql", "1.sql", "\uff19_a.sql", f"{2**63}_a.sql"]
)
def test_refuses_a_name_without_a_version(name: str):
    assert [each.code for each in folder(name).diagnostics] == ["goose-filename"]


@pytest.mark.parametrize(
    ("name", "version"), [("+7_a.sql", 7), ("0007_.sql", 7), (f"{2**63 - 1}_a.sql", 2**63 - 1)]
)
def test_reads_a_version_as_go_does(name: str, version: int):
    assert [each.version for each in folder(name).migrations] == [version]


def test_refuses_a_version_twice_also_where_one_is_code():
    assert [each.code for each in folder("1_a.sql", "01_b.sql", "2_c.go", "2_d.sql").diagnostics] == [
        "duplicate-version",
        "duplicate-version",
    ]


def go_file(text: str) -> SourceFile:
    return SourceFile("migrations/00002_move.go", text.encode(), "0")


def test_a_go_file_is_code_with_the_phase_that_its_comment_declares():
    text = "package migrations\n\n\t// coordinator: phase=migrate\nfunc init() {}\n"

    [migration] = TOOL.read([go_file(text)]).migrations

    assert (migration.version, migration.name, migration.is_code) == (2, "00002_move", True)
    assert (migration.up, migration.down) == (None, None)
    assert migration.declared is Phase.MIGRATE
    assert str(migration.declared_at) == "migrations/00002_move.go:3:2"


def test_a_comment_of_sql_declares_nothing_in_a_go_file():
    [migration] = TOOL.read(
        [go_file("-- coordinator: phase=expand\n# coordinator: phase=expand\n")]
    ).migrations

    assert migration.declared is None


def test_a_phase_that_does_not_exist_is_told_in_the_words_of_go():
    [problem] = TOOL.read([go_file("// coordinator: phase=later\n")]).diagnostics

    assert problem.code == "bad-phase"
    assert "`// coordinator: phase=expand`" in problem.next_step


def test_a_test_in_go_is_no_migration():
    assert not TOOL.is_migration("00002_move_test.go")
    assert not TOOL.is_migration("registry.go")


def test_a_late_file_is_out_of_order():
    migrations = folder("1_a.sql", "2_b.sql", "3_c.sql", "4_d.sql").migrations

    pending = TOOL.pending(migrations, Ledger(exists=True, applied=(3, 1)))

    assert [each.version for each in pending.migrations] == [2, 4]
    assert [(each.code, each.place.file) for each in pending.diagnostics] == [
        ("out-of-order", "migrations/2_b.sql")
    ]


def test_a_deleted_file_is_a_warning():
    [warning] = TOOL.pending(folder("3_c.sql").migrations, Ledger(exists=True, applied=(2, 1))).diagnostics

    assert (warning.code, warning.severity) == ("migration-file-missing", Severity.WARNING)
    assert "1, 2" in warning.what


@pytest.mark.parametrize(
    ("rows", "applied"),
    [
        ([(0, True)], ()),
        ([(2, True), (1, True), (0, True)], (2, 1)),
        ([(3, 1), (4, 1), (2, 1), (1, 1), (0, 1)], (3, 4, 2, 1)),
        ([(2, False), (2, True), (1, True), (0, True)], (1,)),
        ([(2, True), (2, False), (2, True), (1, True), (0, True)], (2, 1)),
        ([(1, True)], (1,)),
    ],
)
def test_the_newest_row_of_a_version_counts(rows: list[tuple[object, ...]], applied: tuple[int, ...]):
    assert TOOL.ledger_from(rows).applied == applied


@pytest.mark.parametrize("rows", [[], [(0, False)], [(1, False), (1, True)]])
def test_refuses_a_table_in_which_goose_finds_no_version(rows: list[tuple[object, ...]]):
    with pytest.raises(StepFailed) as refusal:
        TOOL.ledger_from(rows)

    assert refusal.value.code == "ledger-unreadable"


def test_records_a_migration_in_the_transaction_that_applies_it():
    [migration] = TOOL.read([source(UP + "SELECT 1;\n")]).migrations

    [batch] = TOOL.up(migration, target=PG, ledger=Ledger(exists=True))

    assert batch.transaction
    assert batch.statements == (
        "SELECT 1;",
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)",
    )


def test_records_without_a_transaction_after_everything_else():
    [migration] = TOOL.read([source("-- +goose NO TRANSACTION\n" + UP + "SELECT 1;\nSELECT 2;\n")]).migrations

    work, record = TOOL.up(migration, target=LITE, ledger=Ledger(exists=True))

    assert (work.statements, work.transaction) == (("SELECT 1;", "SELECT 2;"), False)
    assert record.statements == ("INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, 1)",)


def test_a_moved_search_path_does_not_move_the_record():
    [migration] = TOOL.read([source(UP + "SET search_path = app;\nSELECT 1;\n")]).migrations

    [batch] = TOOL.up(migration, target=PG, ledger=Ledger(exists=True))

    assert batch.statements[2:] == (
        "RESET search_path",
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)",
    )


def test_nothing_comes_before_a_transactions_own_settings():
    [migration] = TOOL.read([source(UP + "SET TRANSACTION READ WRITE;\nSELECT 1;\n")]).migrations

    [batch] = TOOL.up(migration, target=PG, ledger=Ledger(exists=True))

    assert batch.guard is None


@pytest.mark.parametrize("table", ["app.versions", '"Versions"', '"a b"."c"', "größe"])
def test_takes_a_table_name_as_goose_writes_it(table: str):
    target = Target(Engine.POSTGRESQL, "shop", "public", table)

    assert TOOL.ledger_query(target) == f"SELECT version_id, is_applied FROM {table} ORDER BY id DESC"


@pytest.mark.parametrize("table", ["a; DROP TABLE b", "a b", "a.b.c", '"a', "1a", "a'"])
def test_refuses_a_table_name_that_is_more_than_a_name(table: str):
    with pytest.raises(Usage) as refusal:
        TOOL.ledger_query(Target(Engine.POSTGRESQL, "shop", "public", table))

    assert refusal.value.code == "bad-table-name"


def test_takes_the_lock_of_goose_itself():
    assert TOOL.lock_ids(PG) == (4097083626,)
    assert TOOL.lock_ids(LITE) == ()
