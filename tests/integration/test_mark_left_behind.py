"""A file on MariaDB whose connection is lost half-way: its mark stays, and each way on comes to its end."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fixtures.audience import Audience
from fixtures.code_release import release, world
from fixtures.local import until
from fixtures.mariadb import ENGINE, root_connection

from coordinator.diagnostics import Diagnostic
from coordinator.errors import ExitCode
from coordinator.journal.events import Outcome
from coordinator.model import DatabaseName
from coordinator.survey import survey_database

pytestmark = pytest.mark.mariadb
PLAN = f"""
version: 1
release: shop-2
on_failure: stop
databases:
  shop: {{engine: {ENGINE.value}, url: env:SHOP_URL, migrations: {{tool: goose, dir: migrations}}}}
"""
SLOW = (
    "-- +goose Up\n-- coordinator: phase=expand\n"
    "ALTER TABLE a ADD y int;\n"
    "SELECT SLEEP(CASE WHEN EXISTS (SELECT 1 FROM quick) THEN 0 ELSE 600 END);\n"
    "ALTER TABLE a ADD z int;\n"
)
AT_WORK = "SELECT id FROM information_schema.processlist WHERE db = '{}' AND state LIKE 'User %'"


@pytest.mark.parametrize("goes_back", [False, True])
def test_who_follows_what_is_said_of_a_file_that_was_cut_off_comes_to_its_end(
    mariadb_url: str, tmp_path: Path, *, goes_back: bool
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_slow.sql").write_text(SLOW)
    (tmp_path / "plan.yaml").write_text(PLAN)
    name, ports = mariadb_url.rpartition("/")[2], world(tmp_path, {"SHOP_URL": mariadb_url})
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"USE {name}")
        cursor.execute("CREATE TABLE a (x int)")
        cursor.execute("CREATE TABLE quick (x int)")

        def cut_off() -> None:
            until(lambda: cursor.execute(AT_WORK.format(name)))
            cursor.execute(f"KILL {cursor.fetchone()[0]}")

        audience = Audience()
        with ThreadPoolExecutor() as pool:
            cut = pool.submit(cut_off)
            release(ports, audience)
            cut.result()
        [failed] = audience.failed
        cursor.execute("INSERT INTO quick VALUES (1)")
        if goes_back:
            cursor.execute("ALTER TABLE a DROP y")
            for each in re.findall(r"takes the mark away first: `(.+)`\.$", failed.reason):
                cursor.execute(each)

        ended = release(ports)

        cursor.execute("SELECT * FROM a")
        assert [column[0] for column in cursor.description] == ["x", "y", "z"]
        assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE


def test_a_file_that_is_at_work_is_not_said_to_have_stopped(mariadb_url: str, tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_slow.sql").write_text(SLOW)
    (tmp_path / "plan.yaml").write_text(PLAN)
    name, ports = mariadb_url.rpartition("/")[2], world(tmp_path, {"SHOP_URL": mariadb_url})
    with (
        root_connection(mariadb_url) as connection,
        connection.cursor() as cursor,
        ThreadPoolExecutor() as pool,
    ):
        cursor.execute(f"USE {name}")
        cursor.execute("CREATE TABLE a (x int)")
        cursor.execute("CREATE TABLE quick (x int)")
        released = pool.submit(release, ports)
        until(lambda: cursor.execute(AT_WORK.format(name)))
        [[session]] = cursor.fetchall()

        _, said = survey_database(ports, DatabaseName("shop"))
        cursor.execute(f"KILL {session}")
        released.result()
        _, later = survey_database(ports, DatabaseName("shop"))

    def told(diagnostics: tuple[Diagnostic, ...]) -> str:
        [found] = (f"{each.what} {each.why}" for each in diagnostics if each.code == "half-applied")
        return found

    assert "has begun" in told(said)
    assert "holds the migration lock" in told(said)
    assert "stopped half-way" in told(later)


GATED = (
    "-- +goose Up\n-- coordinator: phase=expand\n"
    "ALTER TABLE a ADD y int;\n"
    "DO GET_LOCK('gate', 600);\n"
    "ALTER TABLE a ADD z int;\n"
)


def test_a_file_that_a_failover_stopped_half_way_is_said_to_want_the_writer_first(
    mariadb_url: str, tmp_path: Path
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_gated.sql").write_text(GATED)
    (tmp_path / "plan.yaml").write_text(PLAN)
    name, audience = mariadb_url.rpartition("/")[2], Audience()
    with (
        root_connection(mariadb_url) as connection,
        connection.cursor() as cursor,
        ThreadPoolExecutor() as pool,
    ):
        cursor.execute("CREATE USER failed_over@'127.0.0.1'")  # root writes also where nobody may
        try:
            cursor.execute(f"GRANT ALL ON {name}.* TO failed_over@'127.0.0.1'")
            cursor.execute(f"USE {name}")
            cursor.execute("CREATE TABLE a (x int)")
            cursor.execute("SELECT GET_LOCK('gate', 0)")
            ports = world(tmp_path, {"SHOP_URL": mariadb_url.replace("root", "failed_over")})
            released = pool.submit(release, ports, audience)
            until(lambda: cursor.execute(AT_WORK.format(name)))
            cursor.execute("SET GLOBAL read_only = 1")
            cursor.execute("DO RELEASE_LOCK('gate')")
            released.result()
        finally:
            cursor.execute("SET GLOBAL read_only = 0")
            cursor.execute("DROP USER failed_over@'127.0.0.1'")

    [failed] = audience.failed
    assert failed.code == "half-applied"
    assert "Let the URL lead to the server that takes writes, or end that setting, before" in failed.reason
