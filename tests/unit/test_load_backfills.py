"""What a plan may say of a backfill, and what it is told where that cannot be."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.load import load_text

PLAN = """\
version: 1
release: shop-2
databases:
  shop:
    engine: {engine}
    url: env:URL
    migrations: {{tool: goose, dir: migrations}}
    backfills:
      - name: cents
        after: 00002_cents
        table: orders
        key: id
        sql: UPDATE orders SET cents = total * 100 WHERE {{range}};
        remaining: SELECT count(*) FROM orders WHERE cents IS NULL
"""


def load(more: str = "", *, engine: str = "postgresql", **replaced: str):
    text = PLAN.format(engine=engine)
    for key, value in replaced.items():
        old = next(line for line in text.splitlines() if f" {key}: " in line)
        text = text.replace(old, f"{old.partition(':')[0]}: {value}")
    return load_text(text + more, Path("plan.yaml"), settings={}, environment={})


def backfill_of(*arguments: str, **settings: str):
    loaded = load(*arguments, **settings)
    assert loaded.plan is not None, loaded.diagnostics
    return loaded.plan.databases["shop"].backfills[0]


def codes_of(*arguments: str, **settings: str) -> list[tuple[str, int]]:
    return [(each.code, each.place.line) for each in load(*arguments, **settings).diagnostics]


def test_a_backfill_waits_before_contract_and_works_all_the_time_unless_the_plan_says_otherwise() -> None:
    found = backfill_of()

    assert (found.before, found.percent, found.rows_per_second, found.repeatable) == (
        "contract",
        100,
        None,
        False,
    )
    assert found.sql == "UPDATE orders SET cents = total * 100 WHERE {range}"
    assert found.key == ("id",)


def test_on_postgresql_replicas_are_looked_at_without_a_word() -> None:
    assert backfill_of().replication_lag == timedelta(seconds=10)
    assert backfill_of("        replication_lag: 3s\n").replication_lag == timedelta(seconds=3)
    assert backfill_of(engine="sqlite").replication_lag is None


def test_a_rate_is_a_share_of_the_time_or_rows_a_second() -> None:
    assert backfill_of("        rate: 25%\n").percent == 25
    assert backfill_of("        rate: 2000/s\n").rows_per_second == 2000
    assert codes_of("        rate: 120%\n") == [("bad-rate", 15)]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE orders SET cents = 1",
        "UPDATE orders SET cents = 1 WHERE id > {from} AND id <= {to}",
        "UPDATE orders SET cents = 1 WHERE {range}; UPDATE orders SET cents = 2 WHERE {range}",
        "VACUUM orders {range}",
        "UPDATE orders SET note = 'open WHERE {range}",
    ],
)
def test_a_statement_that_is_no_batch_is_refused_at_its_line(sql: str) -> None:
    assert codes_of(sql=f'"{sql}"') == [("backfill-sql", 13)]


def test_a_statement_is_read_as_the_database_s_engine_reads_it() -> None:
    sql = r"UPDATE orders SET note = 'it\'s; done' WHERE {range}"

    assert backfill_of(engine="mariadb", sql=f"|-\n          {sql}").sql == sql
    assert codes_of(engine="sqlite", sql=f"|-\n          {sql}") == [("backfill-sql", 13)]


def command_of(command: str, more: str = "", *, url: str | None = None):
    text = PLAN.format(engine="sqlite")
    text = text if url is None else re.sub(r"url: \S+", f"url: {url}", text)
    [sql] = [line for line in text.splitlines() if " sql: " in line]
    text = text.replace(sql, f"        command: {command}")
    return load_text(text + more, Path("shop/plan.yaml"), settings={}, environment={})


def test_a_program_takes_the_place_of_the_statement() -> None:
    loaded = command_of("[./fill, '--where={range}', '{url}']", "        deadline: 2m\n")

    assert loaded.plan is not None, loaded.diagnostics
    [found] = loaded.plan.databases["shop"].backfills
    assert found.sql is None
    assert found.command is not None
    assert found.command.argv == ("./fill", "--where={range}", "{url}")
    assert (found.command.deadline, found.command.folder) == (timedelta(minutes=2), Path("shop"))
    assert found.command.place.line == 13


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("[./fill]", "backfill-command"),
        ("[./fill, '{from}', '{range}']", "unknown-placeholder"),
        ("[./fill, '{range}', '{version}']", "unknown-placeholder"),
    ],
)
def test_a_program_that_is_not_told_which_rows_is_refused(command: str, code: str) -> None:
    assert [(each.code, each.place.line) for each in command_of(command).diagnostics] == [(code, 13)]


def test_a_backfill_has_one_of_both_and_a_deadline_only_for_a_program() -> None:
    assert [code for code, _ in codes_of("        command: [./fill, '{range}']\n")] == ["backfill-command"]
    assert [code for code, _ in codes_of("        deadline: 2m\n")] == ["idle-setting"]
    assert [code for code, _ in codes_of("        rehearse: true\n")] == ["idle-setting"]


def test_a_program_is_rehearsed_where_the_plan_says_so_and_tells_it_where() -> None:
    by_variable = command_of("[./fill, '{range}']", "        rehearse: true\n").plan
    by_argument = command_of("[./fill, '{range}', '{url}']").plan

    assert by_variable is not None
    assert by_argument is not None
    [said], [not_said] = (each.databases["shop"].backfills for each in (by_variable, by_argument))
    assert (said.command.rehearses, not_said.command.rehearses) == (True, False)


def test_a_program_that_nothing_tells_where_to_work_is_not_rehearsed() -> None:
    codes = [
        [
            (each.code, each.place.line)
            for each in command_of(command, "        rehearse: true\n", url="file:address").diagnostics
        ]
        for command in ("[./fill, '{range}']", "[./fill, '{range}', '{url}']")
    ]

    assert codes == [[("rehearse-anywhere", 15)], []]


def test_what_is_left_must_be_asked_by_a_query() -> None:
    assert codes_of(remaining="DELETE FROM orders") == [("backfill-remaining", 14)]


def test_several_columns_are_a_key_where_the_engine_finds_rows_by_them() -> None:
    assert backfill_of(key="[shop, number]").key == ("shop", "number")
    assert codes_of(key="[shop, number]", engine="mariadb") == [("backfill-key", 12)]


def test_a_server_that_does_not_know_its_replicas_is_not_asked_about_them() -> None:
    assert codes_of("        replication_lag: 3s\n", engine="mariadb") == [("backfill-lag-unseen", 15)]


def test_batches_of_several_sessions_are_for_sql_on_postgresql() -> None:
    assert backfill_of().sessions == 1
    assert backfill_of("        sessions: 2\n").sessions == 2
    assert codes_of("        sessions: 2\n", engine="sqlite") == [("backfill-sessions", 15)]
    assert codes_of("        sessions: 2\n", engine="mariadb") == [("backfill-sessions", 15)]
    assert codes_of("        sessions: 9\n")[0][1] == 15
    refused = command_of("[./fill, '{range}']", "        sessions: 2\n").diagnostics
    assert [each.code for each in refused] == ["backfill-sessions"]


def test_two_backfills_of_one_name_are_refused() -> None:
    second = PLAN.format(engine="").partition("backfills:\n")[2]

    assert codes_of(second)[0][0] == "backfill-twice"
