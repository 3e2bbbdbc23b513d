"""A backfill by a program that may be rehearsed works on the scratch database, and is judged as SQL is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.local import processes_of, until
from fixtures.mariadb import ENGINE

from coordinator.adapters.evidence_cache import EvidenceFile
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.evidence import Finding, Verdict
from coordinator.load import load_plan
from coordinator.model import Engine
from coordinator.ports import programs

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
        after: 2_cents
        table: orders
        key: id
        command: [{python}, fill.py, "{{range}}"{arguments}]
        rehearse: true
        deadline: {deadline}
        remaining: SELECT count(*) FROM orders WHERE cents IS NULL
"""
PROGRAM = """
import os, pathlib, sys, time
url, condition = os.environ["URL"], sys.argv[1]
with pathlib.Path(__file__).with_name("told").open("a") as told:
    print(url, file=told)
times = len(pathlib.Path(__file__).with_name("told").read_text().splitlines())
def do(*statements):
    if url.startswith("postgres"):
        import psycopg
        connection = psycopg.connect(url)
    elif url.startswith("sqlite"):
        import sqlite3
        connection = sqlite3.connect(url.removeprefix("sqlite://"))
    else:
        from coordinator.adapters.mysql_url import connect
        from coordinator.secret import Secret
        connection = connect(Secret(url), label="fill.py")
    for each in statements:
        connection.cursor().execute(each)
    connection.commit()
    connection.close()
"""
FILL = 'do(f"UPDATE orders SET cents = total * 100 WHERE {condition}")\n'
BASE = """\
CREATE TABLE orders (id integer NOT NULL PRIMARY KEY, total integer NOT NULL, n integer NOT NULL);
CREATE TABLE done (id integer NOT NULL)"""


@dataclass
class Shop:
    """A plan with a program, in front of an empty live database."""

    folder: Path
    engine: Engine
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, program: str, *, contract: str = "", arguments: str = "", deadline: str = "60s") -> None:
        """Write the plan; the program ends with lines of its own."""
        text = PLAN.format(
            engine=self.engine.value, python=sys.executable, arguments=arguments, deadline=deadline
        )
        (self.folder / "plan.yaml").write_text(text)
        (self.folder / "fill.py").write_text(PROGRAM + program)
        (self.folder / "migrations").mkdir()
        self._add("1_base", "expand", BASE)
        self._add("2_cents", "expand", "ALTER TABLE orders ADD COLUMN cents integer")
        if contract:
            self._add("3_less", "contract", contract)

    def _add(self, name: str, phase: str, sql: str) -> None:
        text = f"-- +goose Up\n-- coordinator: phase={phase}\n{sql};\n"
        (self.folder / "migrations" / f"{name}.sql").write_text(text)

    def finding(self) -> Finding:
        """Return what the rehearsal says of the backfill."""
        environment = {**os.environ, **self.environment, "URL": self.url}
        plan = load_plan(self.folder / "plan.yaml", settings={}, environment=environment)
        cache = EvidenceFile(self.folder / "evidence", tell=lambda _: None)
        proof, _ = plan_release(ConnectedPorts(plan, environment=environment), step_kinds(), cache=cache)
        return proof.evidence.backfills["shop", "cents"]  # type: ignore[index]

    def told(self) -> list[str]:
        """Return the addresses that the program got."""
        file = self.folder / "told"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, Engine.SQLITE, f"sqlite://{tmp_path}/shop.db")


@pytest.fixture
def postgresql_shop(tmp_path: Path, database_url: str) -> Shop:
    return Shop(tmp_path, Engine.POSTGRESQL, database_url)


@pytest.fixture
def mariadb_shop(tmp_path: Path, mariadb_url: str) -> Shop:
    return Shop(tmp_path, ENGINE, mariadb_url)


@pytest.fixture(params=["shop", "postgresql_shop", pytest.param("mariadb_shop", marks=pytest.mark.mariadb)])
def any_shop(request: pytest.FixtureRequest) -> Shop:
    return request.getfixturevalue(request.param)


def test_a_program_is_proven_on_the_scratch_database_and_does_not_see_the_live_one(any_shop: Shop) -> None:
    any_shop.write(FILL)

    found = any_shop.finding()

    assert found.verdict is Verdict.PROVEN, found.reason
    assert len(any_shop.told()) == 2, "once, and the same rows a second time"
    assert any_shop.url not in any_shop.told()


def test_a_program_is_asked_anew_by_each_command(shop: Shop) -> None:
    shop.write(FILL)

    shop.finding()
    shop.finding()

    assert len(shop.told()) == 4


def test_a_program_that_adds_to_a_row_a_second_time_is_refused(any_shop: Shop) -> None:
    any_shop.write(FILL + 'do(f"UPDATE orders SET n = n + 1 WHERE {condition}")\n')

    found = any_shop.finding()

    assert found.verdict is Verdict.BROKEN
    assert "a second time" in found.reason
    assert ".n` is not what the first time left" in found.reason
    assert "cents" not in found.reason.partition("second time")[2]


def test_what_is_new_each_time_refuses_nothing_and_is_named(any_shop: Shop) -> None:
    any_shop.write(FILL + 'do(f"UPDATE orders SET n = {time.time_ns() % 10**9} WHERE {condition}")\n')

    found = any_shop.finding()

    assert found.verdict is Verdict.UNPROVEN
    assert "nobody can tell" in found.reason
    assert ".n` anew each time" in found.reason


def test_a_program_that_leaves_done_rows_alone_may_write_what_is_new_each_time(shop: Shop) -> None:
    shop.write(
        'do(f"UPDATE orders SET cents = total, n = {time.time_ns() % 10**9}'
        ' WHERE {condition} AND cents IS NULL")\n'
    )

    assert shop.finding().verdict is Verdict.PROVEN


def test_rows_that_come_twice_into_another_table_are_told_and_may_be_meant(any_shop: Shop) -> None:
    any_shop.write(FILL + 'do(f"INSERT INTO done SELECT id FROM orders WHERE {condition}")\n')

    found = any_shop.finding()

    assert found.verdict is Verdict.UNPROVEN
    assert "rows more than after the first time" in found.reason
    assert "done`" in found.reason


def test_a_program_that_fails_there_is_unproven_with_its_last_lines_and_without_the_address(
    any_shop: Shop,
) -> None:
    any_shop.write('print("no price service at", url)\nraise SystemExit(3)\n')

    found = any_shop.finding()

    assert found.verdict is Verdict.UNPROVEN
    assert "exit code 3; it said: no price service at ********" in found.reason


def test_a_program_that_fails_the_second_time_alone_is_unproven(shop: Shop) -> None:
    shop.write(FILL + 'if times == 2: raise SystemExit("these are done")\n')

    found = shop.finding()

    assert found.verdict is Verdict.UNPROVEN
    assert "a second time" in found.reason
    assert "these are done" in found.reason


def test_a_program_that_takes_too_long_is_ended(shop: Shop) -> None:
    shop.write("time.sleep(600)\n", deadline="1s")

    found = shop.finding()

    assert found.verdict is Verdict.UNPROVEN
    assert "its time was up (`deadline`)" in found.reason


def test_a_program_that_hangs_does_not_take_its_deadline_at_every_state(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "ON_SCRATCH", timedelta(seconds=1))
    shop.write("time.sleep(600)\n", deadline="1h")

    found = shop.finding()

    assert found.verdict is Verdict.UNPROVEN
    assert "its time was up: a rehearsal gives it" in found.reason


def test_a_program_that_does_no_row_is_unproven(shop: Shop) -> None:
    shop.write("")

    found = shop.finding()

    assert found.verdict is Verdict.UNPROVEN
    assert "does not complete" in found.reason


def test_a_program_of_which_no_sample_row_wants_anything_shows_nothing(shop: Shop) -> None:
    shop.write(FILL)
    plan = shop.folder / "plan.yaml"
    plan.write_text(plan.read_text().replace("cents IS NULL", "id < -1000000"))

    found = shop.finding()

    assert (found.verdict, shop.told()) == (Verdict.UNPROVEN, [])
    assert "none of the sample rows is left to be done" in found.reason


SERVICE = """\
services:
  api: {version: "2", uses: [shop], queries: {sql: queries}, platform: {local: {command: [none]}}}
"""


@pytest.mark.parametrize(("before", "verdict"), [("contract", Verdict.UNPROVEN), ("switch", Verdict.PROVEN)])
def test_a_version_that_would_see_rows_that_are_not_done_is_unproven_unless_it_starts_later(
    shop: Shop, before: str, verdict: Verdict
) -> None:
    shop.write(FILL)
    plan = shop.folder / "plan.yaml"
    text = plan.read_text().replace("        rehearse", f"        before: {before}\n        rehearse")
    plan.write_text(text + SERVICE)
    (shop.folder / "queries").mkdir()
    (shop.folder / "queries" / "next.sql").write_text("-- name: Sum :one\nSELECT sum(cents) FROM orders;\n")

    found = shop.finding()

    assert found.verdict is verdict, found.reason
    assert ("query Sum of `api` (next)" in found.reason) is (verdict is Verdict.UNPROVEN)


def test_a_query_that_fails_on_the_rows_of_a_program_refuses_it(shop: Shop) -> None:
    shop.write('do(f"UPDATE orders SET cents = 1, n = -1 WHERE {condition}")\n')
    plan = shop.folder / "plan.yaml"
    plan.write_text(plan.read_text() + SERVICE)
    (shop.folder / "queries").mkdir()
    (shop.folder / "queries" / "next.sql").write_text(
        "-- name: Root :many\nSELECT CASE WHEN n < 0 THEN json('no') ELSE n END FROM orders;\n"
    )

    found = shop.finding()

    assert found.verdict is Verdict.BROKEN
    assert "query Root of `api` (next) fails when the rows are done" in found.reason


def test_a_migration_that_takes_away_what_the_program_needs_is_seen_at_its_state(shop: Shop) -> None:
    shop.write(FILL, contract="ALTER TABLE orders DROP COLUMN total")
    plan = shop.folder / "plan.yaml"
    text = plan.read_text().replace("        rehearse", "        before: 4_end\n        rehearse")
    plan.write_text(text)
    shop._add("4_end", "contract", "DROP TABLE done")

    found = shop.finding()

    assert found.verdict is Verdict.UNPROVEN, "a program may fail for another reason"
    assert "at state 3" in found.reason
    assert "no such column: total" in found.reason


SHOWS = """
import json
pathlib.Path(__file__).with_name("seen").write_text(json.dumps([dict(os.environ), sys.argv]))
"""


def test_the_live_address_is_kept_from_a_program_in_whatever_variable_it_stands(shop: Shop) -> None:
    shop.write(FILL + SHOWS)
    file = shop.folder / "shop.db"
    shop.environment = {"DATABASE_URL": shop.url, "FILE": str(file), "PGHOST": "db.example", "KEPT": "yes"}

    found = shop.finding()

    seen = (shop.folder / "seen").read_text()
    assert found.verdict is Verdict.PROVEN, found.reason
    assert "KEPT" in seen
    assert str(file) not in seen
    assert "db.example" not in seen


@pytest.mark.parametrize("write", [str, lambda url: f"--db={url}", lambda _: "shop.db"])
def test_a_command_that_names_the_live_database_itself_is_not_rehearsed(
    shop: Shop, write: Callable[[str], str]
) -> None:
    shop.write(FILL, arguments=f', "{write(shop.url)}"')

    found = shop.finding()

    assert (found.verdict, shop.told()) == (Verdict.UNPROVEN, [])
    assert "has the live database's address" in found.reason


def programs_of(folder: Path) -> list[int]:
    return [pid for pid, said in processes_of(folder).items() if "fill.py" in said]


def test_a_key_that_cannot_be_gone_over_is_refused_also_where_the_program_is_not_run(shop: Shop) -> None:
    shop.write(FILL)
    plan = shop.folder / "plan.yaml"
    plan.write_text(
        plan.read_text().replace("key: id", "key: total").replace("rehearse: true", "rehearse: false")
    )

    found = shop.finding()

    assert (found.verdict, shop.told()) == (Verdict.BROKEN, [])
    assert "total" in found.reason


def test_a_program_that_is_rehearsed_does_not_outlive_a_command_that_is_killed(shop: Shop) -> None:
    shop.write("time.sleep(600)\n")
    shop.environment = {"MARK": str(shop.folder)}
    pid = os.fork()
    if pid == 0:
        try:
            shop.finding()
        finally:
            os._exit(0)
    until((shop.folder / "told").exists)
    before = programs_of(shop.folder)

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert len(before) == 2, "the program, and who watches it"
    until(lambda: not programs_of(shop.folder))
