"""A release on MariaDB without queries: nothing is called proven; what a kill left is not guessed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.local import until
from fixtures.mariadb import ENGINE, root_connection

pytestmark = pytest.mark.mariadb
PLAN = """
version: 1
release: shop-{release}
databases:
  shop: {{engine: {engine}, url: "env:URL", migrations: {{tool: {tool}, dir: migrations}}}}
"""
FIRST = "CREATE TABLE `orders` (id int PRIMARY KEY, note varchar(20) DEFAULT 'it\\'s');\n"
SLOW = "CREATE TABLE b AS SELECT SLEEP(seconds) AS slept FROM pace;\n"


class Checkout:
    """A folder with a plan and its migrations, for one tool."""

    def __init__(self, folder: Path, tool: str, url: str) -> None:
        self.folder, self.tool = folder, tool
        self.environment = {**os.environ, "URL": url}
        (folder / "migrations").mkdir()
        self.releases("1")

    def releases(self, release: str) -> None:
        (self.folder / "plan.yaml").write_text(PLAN.format(engine=ENGINE, release=release, tool=self.tool))

    def write(self, version: int, sql: str, *, declared: str = "expand") -> None:
        text = f"-- coordinator: phase={declared}\n{sql}"
        if self.tool == "goose":
            (self.folder / "migrations" / f"{version}_step.sql").write_text(f"-- +goose Up\n{text}")
        else:
            (self.folder / "migrations" / f"{version}_step.up.sql").write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "coordinator", *arguments],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        with self.start(*arguments) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said


@pytest.fixture(params=["goose", "golang-migrate"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path, mariadb_url: str) -> Checkout:
    return Checkout(tmp_path, request.param, mariadb_url)


def test_is_released_with_declared_phases_and_never_called_proven(checkout: Checkout):
    checkout.write(1, FIRST)
    checkout.write(2, "ALTER TABLE `orders` ADD COLUMN y int, ALGORITHM=INPLACE, LOCK=NONE;\n")

    code, said = checkout.run("plan")
    assert (code, "unproven: no query was checked. The phases are what the migrations declare" in said) == (
        0,
        True,
    )

    code, said = checkout.run("run")
    assert code == 0, said
    code, said = checkout.run("plan")
    assert "2 applied, 0 pending" in said


def test_a_phase_is_guessed_with_the_quotes_of_the_engine(checkout: Checkout, mariadb_url: str):
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {mariadb_url.rpartition('/')[2]}.used (x integer)")
    checkout.write(1, "ALTER TABLE t ADD a varchar(9) DEFAULT 'it\\'s', DROP COLUMN b;\n", declared="expand")
    path = next((checkout.folder / "migrations").iterdir())
    path.write_text(path.read_text().replace("-- coordinator: phase=expand\n", ""))

    code, said = checkout.run("plan")

    assert (code, "contract:shop:1_step" in said) == (0, True), said


def test_a_failure_half_way_is_in_the_journal_to_the_statement(checkout: Checkout):
    checkout.write(1, FIRST)
    checkout.write(2, "ALTER TABLE orders ADD y int;\nALTER TABLE orders ADD y int;\n")

    code, said = checkout.run("run")
    assert (code, "error[half-applied]" in said) == (1, True)

    _, said = checkout.run("status")
    assert "(ALTER TABLE orders ADD y int;). From line" in said
    assert "Two ways on." in said


def test_a_kill_inside_a_file_is_gone_on_with_where_a_person_says(checkout: Checkout, mariadb_url: str):
    checkout.write(1, f"{FIRST}CREATE TABLE pace AS SELECT 600 AS seconds;\n")
    checkout.write(2, f"ALTER TABLE orders ADD y int;\n{SLOW}ALTER TABLE orders ADD z int;\n")
    database = mariadb_url.rpartition("/")[2]
    at_work = (
        "SELECT id FROM information_schema.processlist"
        f" WHERE info LIKE '%CREATE TABLE b%' AND db = '{database}'"
    )
    line = 4 if checkout.tool == "goose" else 3

    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        with checkout.start("run") as process:
            until(lambda: cursor.execute(at_work), seconds=60)
            process.kill()
        cursor.execute(at_work)
        [[orphan]] = cursor.fetchall()
        cursor.execute(f"KILL {orphan}")

        code, said = checkout.run("run")
        assert code == 5, said
        told = " ".join(said.split())
        assert f"There for good: line {line - 1} (ALTER TABLE orders ADD y int;). Behind line {line}" in told
        way = f"coordinator settle expand:shop:2_step --as not-done --from-line {line}"
        assert f"It is not: `{way}`." in told

        cursor.execute(f"UPDATE {database}.pace SET seconds = 0")
        code, said = checkout.run(*way.split()[1:])
        assert (code, f"is not-done, to go on at line {line}" in said) == (0, True), said
        code, said = checkout.run("run")
        assert code == 0, said
        cursor.execute(f"SHOW COLUMNS FROM {database}.orders")
        assert [name for name, *_ in cursor.fetchall()] == ["id", "note", "y", "z"]
    code, said = checkout.run("plan")
    assert "2 applied, 0 pending" in said


def test_a_file_that_was_refused_half_way_is_gone_on_with_by_the_next_release(
    checkout: Checkout, mariadb_url: str
):
    checkout.write(1, FIRST)
    checkout.write(2, "ALTER TABLE orders ADD y int;\nINSERT INTO late VALUES (1);\n")
    line = 4 if checkout.tool == "goose" else 3
    code, said = checkout.run("run")
    assert (code, "error[half-applied]" in said) == (1, True), said

    code, said = checkout.run("run")
    told = " ".join(said.split())
    assert (code, "warning[half-applied]" in told) == (5, True), said
    assert f"stopped at line {line} (INSERT INTO late VALUES (1);), which the server refused." in told

    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {mariadb_url.rpartition('/')[2]}.late (x int)")
        checkout.run("settle", "expand:shop:2_step", "--as", "not-done", "--from-line", str(line))
        code, said = checkout.run("run")
        assert code == 0, said
        cursor.execute(f"SELECT * FROM {mariadb_url.rpartition('/')[2]}.late")
        assert cursor.fetchall() == ((1,),)
