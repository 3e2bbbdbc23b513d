"""Which types of MariaDB and MySQL are a backfill's key: those of which each row is found by its value."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from fixtures.backfilling import Items, items
from fixtures.mariadb import ENGINE

from coordinator.errors import CoordinatorError, Interrupted, StepFailed
from coordinator.model import Engine

pytestmark = pytest.mark.mariadb
ROWS = {
    "binary(16)": ("X'00'", "X'01'", "X'5C275C0022'", "X'000000000000000000000000000000FF'", "X'FF'"),
    "varbinary(16)": ("X''", "X'00'", "X'0000'", "X'20'", "X'5C27'", "X'C3A4'", "X'FF'"),
    "decimal(65,30)": (
        "-0.000000000000000000000000000001",
        "0",
        "9999999999999999999999999999999999",
        "9999999999999999999999999999999999.1",
        "0.000000000000000000000000000001",
    ),
    "date": ("'0001-01-01'", "'2024-02-29'", "'9999-12-31'"),
    "datetime": ("'0001-01-01'", "'2024-10-27 02:30:00'", "'9999-12-31 23:59:59'"),
    "datetime(6)": ("'2024-10-27 02:30:00'", "'2024-10-27 02:30:00.000001'", "'9999-12-31 23:59:59.999999'"),
    "time(6)": ("'-838:59:59'", "'-00:00:00.000001'", "'0'", "'00:00:00.000001'", "'838:59:59'"),
    "year": ("0", "1901", "2155"),
    "bigint unsigned": ("0", "9223372036854775808", "18446744073709551615"),
    "int zerofill": ("0", "5", "4294967295"),
    "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin": (r"'b\0c'", "'bb'", "'bc'", r"'\0'", "'ä'", "''"),
}
ON_MARIADB_ALONE = {
    "uuid": ("'00000000-0000-0000-0000-000000000000'", "uuid()", "uuid()", "uuid()"),
    "inet6": ("'::'", "'::ffff:1.2.3.4'", "'fe80::1'"),
}


@pytest.fixture
def table(mariadb_url: str) -> Items:
    return items(ENGINE, mariadb_url, rows=0)


def by_key_of(table: Items, type_: str, *values: str) -> dict[str, object]:
    """Make a table with such a key; return the changes to a backfill that goes over it row by row."""
    table.execute(
        f"CREATE TABLE `odd names` (`a key` {type_} NOT NULL PRIMARY KEY, n int NOT NULL DEFAULT 0)",
        *(f"INSERT INTO `odd names` (`a key`) VALUES ({each})" for each in values),
    )
    return {
        "table": "odd names",
        "key": ("a key",),
        "sql": "UPDATE `odd names` SET n = n + 1 WHERE {range}",
        "remaining": "SELECT count(*) FROM `odd names` WHERE n = 0",
        "rows_per_second": 1,
    }


def stop(pause: timedelta) -> None:
    if pause:
        raise Interrupted("interrupted", "Stopped.")


@pytest.mark.parametrize(
    ("type_", "values"), (ROWS | (ON_MARIADB_ALONE if ENGINE is Engine.MARIADB else {})).items()
)
def test_each_row_is_done_once_also_when_it_goes_on_at_what_was_kept(
    table: Items, type_: str, values: tuple[str, ...]
) -> None:
    changes = by_key_of(table, type_, *values)
    for _ in values:
        with suppress(Interrupted):
            table.work(wait=stop, **changes).run()
    table.work(**changes).run()

    assert table.query("SELECT n, count(*) FROM `odd names` GROUP BY n") == [(1, len(values))]
    assert table.query("SELECT passed FROM coordinator_backfill") == [(len(values),)]


@pytest.mark.parametrize(
    "type_", ["float", "double", "timestamp", "enum('b', 'a')", "set('b', 'a')", "bit(8)"]
)
def test_a_type_that_is_sorted_in_another_way_than_it_is_compared_is_no_key(table: Items, type_: str) -> None:
    with pytest.raises(StepFailed, match="not compared as its rows are sorted") as caught:
        table.work(**by_key_of(table, type_)).run()

    assert caught.value.code == "backfill-key"


def test_a_date_that_the_server_has_and_does_not_take_ends_it(table: Items) -> None:
    changes = by_key_of(table, "date")
    table.execute(
        "SET SESSION sql_mode = ''",
        "INSERT INTO `odd names` (`a key`) VALUES ('0000-00-00'), ('2024-01-01')",
    )

    if ENGINE is Engine.MARIADB:  # which takes it
        assert table.work(**changes).run() == "2 rows passed, none left"
        return
    with pytest.raises(CoordinatorError, match="Incorrect DATE value: '0000-00-00'"):
        table.work(**changes).run()
    assert table.query("SELECT n FROM `odd names` ORDER BY `a key`") == [(0,), (0,)]
