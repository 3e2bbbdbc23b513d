"""status, history and doctor: what they show, as text and as JSON; and that they change nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from fixtures import file_release
from fixtures.audience import Audience
from fixtures.checkout import DROP, Checkout, Running
from fixtures.local import processes_of, until
from psycopg.conninfo import make_conninfo

from coordinator.app.place import Place
from coordinator.journal.events import Event, RunFinished
from coordinator.journal.fold import RunState

FOREVER = {"for": "10m", "every": "100ms", "checks": [{"http": "/ready"}]}


@pytest.fixture
def waiting(checkout: Checkout) -> Checkout:
    """Return a checkout whose release of 1.5 waits for approval."""
    checkout.released("1.4")
    checkout.write_plan(approve=["dba", "lead"])
    checkout.migration(2, "drop", DROP)
    assert checkout.release("1.5").exit_code == 4
    return checkout


def routers(checkout: Checkout) -> list[int]:
    return [process for process, command in processes_of(checkout.folder).items() if "router" in command]


def is_open_in(running: Running, file: Path) -> bool:
    """Tell whether a command has a file open: one that watches says nothing before something happens."""
    with suppress(OSError):  # one of its files was closed just then
        return any(each.readlink() == file for each in Path(f"/proc/{running.process.pid}/fd").iterdir())
    return False


def test_status_says_what_the_run_waits_for_and_that_nobody_works_on_it(waiting: Checkout):
    text = waiting.run("status").out

    headline, next_step, *_ = text.splitlines()
    assert headline.startswith("shop-1.5@2: under way for ")
    assert headline.endswith(" steps done; waits for the approval of dba, lead")
    assert next_step == (
        "  nobody works on it now: `coordinator approve approve:contract --as NAME`, then"
        " `coordinator run` goes on"
    )
    assert "waits for dba, lead: coordinator approve approve:contract --as NAME" in text

    document = waiting.run("status", "--output", "json").json("coordinator/run/1")

    assert (document["run"], document["outcome"]) == ("shop-1.5@2", None)
    steps = {step["id"]: step for step in document["steps"]}
    assert steps["switch:shop"]["status"] == "done"
    assert steps["approve:contract"]["waits_for"] == ["dba", "lead"]
    assert not document["beyond_return"]


def test_git_leaves_alone_what_a_run_keeps(checkout: Checkout):
    subprocess.run(["git", "init", "-q"], cwd=checkout.folder, check=True)
    checkout.released("1.4")

    seen = ["git", "status", "--porcelain", "--untracked-files=all"]
    told = subprocess.run(seen, cwd=checkout.folder, capture_output=True, text=True, check=True).stdout

    assert "plan.yaml" in told
    assert ".coordinator" not in told


def test_status_says_what_to_look_at_of_a_step_in_doubt_as_run_does(checkout: Checkout):
    checkout.released("1.4")
    up = "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE one (id int);\nCREATE TABLE users (id int);\n"
    checkout.migration(2, "two", up)
    checkout.write_plan(on_failure="stop")
    failed = checkout.release("1.5", "--accept-unproven")
    assert failed.exit_code == 1
    assert checkout.run("status").out.splitlines()[-1] == failed.out.splitlines()[-1]
    doubtful = checkout.run("run")
    assert doubtful.exit_code == 5

    text = checkout.run("status").out

    assert "nobody works on it now: a person has to look first, see below" in text
    assert text.splitlines()[-1] == doubtful.out.splitlines()[-1]
    assert "coordinator settle expand:shop:00002_two" in text.splitlines()[-1]
    assert "table users already exists" in text.splitlines()[-1]


def test_status_of_what_was_never_run_has_the_same_form(checkout: Checkout):
    never = checkout.run("status", "--output", "json").json("coordinator/run/1")
    ended = checkout.release("1.4", "--output", "json").json("coordinator/run/1")
    released = checkout.run("status", "--output", "json").json("coordinator/run/1")

    assert ended == released
    assert never.keys() == released.keys()
    assert never["run"] is None
    assert released["outcome"] == "released"


def test_status_follows_a_run_to_its_end(checkout: Checkout):
    checkout.write_plan(monitor=FOREVER)
    running = checkout.start_release("1.4")
    checkout.until_status("monitor:shop", "started")

    watched = checkout.start("status", "--watch")
    until(lambda: is_open_in(watched, checkout.folder / ".coordinator/runs/plan/journal.sqlite3"))
    assert f"pid {running.process.pid}" in checkout.run("status").out
    checkout.run("abort")

    ended = watched.wait()
    assert ended.exit_code == 0
    assert "giving up, asked for by" in ended.err
    assert "shop-1.4@1: aborted" in ended.out


def test_history_lists_the_newest_run_first(waiting: Checkout):
    lines = waiting.run("history").out.splitlines()

    assert ["shop-1.5@2" in lines[0], "shop-1.4@1: released" in lines[1]] == [True, True]

    document = waiting.run("history", "--output", "json").json("coordinator/history/1")
    assert [(run["run"], run["outcome"]) for run in document["runs"]] == [
        ("shop-1.5@2", None),
        ("shop-1.4@1", "released"),
    ]


def test_history_tells_every_event_of_a_run(waiting: Checkout):
    text = waiting.run("history", "--run", "shop-1.4@1").out
    document = waiting.run("history", "--run", "shop-1.4@1", "--output", "json").json("coordinator/events/1")

    assert len(text.splitlines()) == len(document["events"])
    assert document["events"][0]["type"] == "run-started"
    assert document["events"][0]["settings"] == {"VERSION": "1.4"}
    assert document["events"][-1] | {"at": ""} == {
        "v": 1,
        "type": "run-finished",
        "outcome": "released",
        "at": "",
    }


def test_plan_is_a_versioned_document_and_changes_nothing(checkout: Checkout):
    document = checkout.run("plan", "--set", "VERSION=1.4", "--output", "json").json("coordinator/plan/1")

    assert document["release"] == "shop-1.4"
    assert not checkout.columns("coordinator_lease")
    assert not (checkout.folder / ".coordinator").exists()


def test_doctor_finds_nothing_wrong(waiting: Checkout):
    ended = waiting.run("doctor", "--set", "VERSION=1.5")

    assert ended.exit_code == 0
    assert "✘" not in ended.out
    assert "under way: shop-1.5@2" in ended.out
    assert "1 applied, 1 pending" in ended.out


def test_doctor_reads_the_queries_and_says_of_whom_they_cannot_be_read(checkout: Checkout):
    checkout.released("1.4")
    (checkout.folder / "queries").mkdir()
    (checkout.folder / "queries" / "users.sql").write_text("-- name: GetUser :one\nSELECT name FROM users;\n")
    plan = checkout.folder / "plan.yaml"
    text = plan.read_text()
    plan.write_text(text.replace("    uses:", "    queries: {sql: queries}\n    uses:"))
    read = checkout.run("doctor", "--set", "VERSION=1.4")
    plan.write_text(text.replace("    uses:", "    queries: {pg-stat-statements: {role: shop}}\n    uses:"))
    unread = checkout.run("doctor", "--set", "VERSION=1.5")

    assert "✔ queries: shop (live): 1 of queries in the working tree" in read.out
    assert read.exit_code == 0
    assert "✘ queries: error[no-statistics]: The queries of `shop` 1.4 are not known: " in unread.out
    assert unread.exit_code == 1


def test_doctor_says_which_database_is_out_of_reach(checkout: Checkout):
    checkout.environment["SHOP_URL"] = f"sqlite://{checkout.folder}/nowhere/shop.db"

    ended = checkout.run("doctor", "--set", "VERSION=1.4", "--output", "json")

    findings = {each["subject"]: each for each in ended.json("coordinator/doctor/1")["findings"]}
    assert ended.exit_code == 1
    assert not findings["database shop"]["ok"]
    assert "database-unreachable" in findings["database shop"]["found"]
    assert findings["service shop"]["ok"]


def test_a_problem_of_an_address_names_the_database_and_where_its_address_stands(checkout: Checkout):
    checkout.write_plan(engine="postgresql")
    checkout.environment["SHOP_URL"] = "postgresql://shop@127.0.0.1:1/shop"
    unreachable = checkout.run("plan", "--set", "VERSION=1.4")
    checkout.environment["SHOP_URL"] = "mysql://shop@127.0.0.1:1/shop"
    malformed = checkout.run("plan", "--set", "VERSION=1.4")

    assert (
        "error[database-unreachable]: `shop` (env:SHOP_URL): The database cannot be reached"
        in unreachable.err
    )
    assert "error[bad-database-url]: `shop` (env:SHOP_URL): The database's URL is no" in malformed.err


def test_a_right_that_is_missing_is_told_with_what_to_do(checkout: Checkout, database_url: str):
    checkout.write_plan(engine="postgresql")
    with psycopg.connect(database_url, autocommit=True) as connection:
        role = f"reader_of_{connection.info.dbname}"
        connection.execute(f"CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        try:
            checkout.environment["SHOP_URL"] = make_conninfo(database_url, user=role)
            ended = checkout.release("1.4")
            looked = checkout.run("doctor", "--set", "VERSION=1.4")
            connection.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
            granted = checkout.run("doctor", "--set", "VERSION=1.4")
            connection.execute(
                f"CREATE TABLE coordinator_lease (); GRANT SELECT ON coordinator_lease TO {role}"
            )
            foreign = checkout.run("doctor", "--set", "VERSION=1.4")
            connection.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
            reading = checkout.run("doctor", "--set", "VERSION=1.4")
        finally:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert (
        "error[database-rights-missing]: The user may not make a table in the schema `public`" in looked.out
    )
    assert [each.exit_code for each in (looked, granted, foreign, reading)] == [1, 0, 1, 1]
    assert "may not write into the table `coordinator_lease`" in foreign.out
    assert "take no writes" in reading.out
    assert ended.exit_code == 1
    assert "permission denied for schema public" in ended.err
    assert "The user of the database's URL lacks that right: grant it" in ended.err


def test_doctor_looks_at_a_service_whose_router_is_down(checkout: Checkout):
    checkout.released("1.4")
    [router] = routers(checkout)
    os.kill(router, signal.SIGKILL)
    until(lambda: not routers(checkout))

    ended = checkout.run("doctor", "--set", "VERSION=1.4")

    assert ended.exit_code == 0
    assert "blue serves" in ended.out
    assert not routers(checkout)


def test_looking_needs_no_plan_that_loads(waiting: Checkout):
    (waiting.folder / "plan.yaml").write_text("nonsense")

    assert waiting.run("status").exit_code == 0
    assert waiting.run("history").exit_code == 0
    shutil.rmtree(waiting.folder / ".coordinator" / "runs")
    assert waiting.run("status").out == "plan.yaml was never run.\n"


def test_a_run_that_is_about_to_begin_is_seen(checkout: Checkout):
    place = Place(checkout.folder / "plan.yaml")
    about = f"pid {os.getpid()} on {socket.gethostname()} is at work: a run looks at the world"
    with place.lease():
        before, watching = checkout.run("status"), checkout.start("status", "--watch")
        until(lambda: about in " ".join(watching.out.split()))
    given_up = watching.wait()
    checkout.released("1.4")
    with place.lease():
        after = checkout.run("status")

    assert before.out.splitlines()[0] == "plan.yaml was never run."
    assert about in " ".join(before.out.split())
    assert given_up.exit_code == 0
    assert "shop-1.4@1: released" in after.out.splitlines()[0]
    assert about in " ".join(after.out.split())


class Asks(Audience):
    """Asks for the status at the instant at which the run has ended, before its command has."""

    told = ""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def saw(self, event: Event, state: RunState) -> None:
        super().saw(event, state)
        if isinstance(event, RunFinished):
            command = [sys.executable, "-m", "coordinator", "status"]
            asked = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=True)
            self.told = asked.stdout


def test_who_has_just_ended_a_run_is_not_about_to_begin_one(tmp_path: Path):
    file_release.serving(tmp_path)
    audience = Asks(tmp_path)
    plan = "".join(each for each in file_release.PLAN.splitlines(keepends=True) if "canary" not in each)

    file_release.release(file_release.checkout(tmp_path, plan=plan), audience)

    assert "api-2@1: released" in audience.told
    assert "is at work" not in audience.told
