"""Each exit code of docs/reference/exit-codes.md, as a pipeline meets it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.checkout import DROP, EMAIL, HALF, Checkout, Ended, waiting_check
from fixtures.local import ask, kill_router, kill_side, local_platform, until

from coordinator import leases
from coordinator.adapters.databases import sqlite
from coordinator.app.place import Place, newest_first
from coordinator.app.running import claim_of
from coordinator.model import Colour
from coordinator.secret import Secret

SAME_AGAIN = {"http": {"path": "/", "contains": "1.4"}}
"""A check that 1.5 does not pass."""
FOREVER = {"for": "10m", "every": "100ms", "checks": [{"http": "/ready"}]}


def test_0_released(checkout: Checkout):
    ended = checkout.release("1.4")

    assert ended.exit_code == 0
    assert ended.out.splitlines()[0] == "shop-1.4@1: released"
    assert checkout.serving() == "1.4"


def test_0_nothing_to_do(checkout: Checkout):
    checkout.released("1.4")

    ended = checkout.release("1.4")

    assert ended.exit_code == 0
    assert ended.out == "Nothing to do: the wanted versions serve and no migration is pending.\n"


def test_0_nothing_to_do_but_to_give_back_what_a_run_without_its_journal_held(checkout: Checkout):
    checkout.released("1.4")
    place = Place(checkout.folder / "plan.yaml")
    claim = claim_of(next(newest_first(place.journal)))
    database = sqlite.connect(Secret(f"sqlite://{checkout.database}"), lock_timeout=timedelta(seconds=5))
    with database.session(label="test") as session:
        leases.acquire(session, claim, supersede=False)  # as if the run had been killed before its last step
    shutil.rmtree(place.folder)

    assert checkout.release("1.4").exit_code == 0

    with database.session(label="test") as session:
        assert not leases.is_held(session, claim)


def test_0_nothing_to_do_but_to_start_the_router_again(checkout: Checkout):
    checkout.released("1.4")
    platform = local_platform(checkout.folder)
    address = platform.public_address()
    kill_router(platform)

    assert checkout.release("1.4").exit_code == 0

    assert ask(address) == "1.4 blue"


def test_1_nothing_to_do_and_what_has_the_traffic_is_dead(checkout: Checkout):
    checkout.released("1.4")
    kill_side(local_platform(checkout.folder), Colour.BLUE)

    ended = checkout.release("1.4")

    assert ended.exit_code == 1
    assert "error[live-not-ready]: `shop` 1.4 on blue has the traffic and is not ready." in ended.err
    assert "Nothing to do" not in ended.err + ended.out


def test_0_rollback_that_was_asked_for(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "drop", DROP)
    assert checkout.release("1.5").exit_code == 4

    ended = checkout.run("rollback")

    assert ended.exit_code == 0
    assert ended.out.startswith("shop-1.5@2: rolled back")
    assert checkout.serving() == "1.4"
    assert checkout.running() == {"1.4"}
    assert checkout.columns() == {"id", "name"}


def test_1_verification_fails_and_the_release_goes_back(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(verify=[SAME_AGAIN])
    checkout.migration(2, "email", EMAIL)

    ended = checkout.release("1.5")

    assert ended.exit_code == 1
    assert "error[verification-failed]" in ended.err
    assert_names_the_log(ended)
    assert checkout.running() == {"1.4"}
    assert checkout.columns() == {"id", "name", "email"}


def assert_names_the_log(ended: Ended) -> None:
    found = re.search(r"Look at its log:\s+(\S+)\.\s", ended.err)
    assert found, ended.err
    assert Path(found[1]).is_file()


def test_1_monitoring_fails_and_the_release_goes_back(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(monitor={"for": "10m", "checks": [SAME_AGAIN]})

    ended = checkout.release("1.5")

    assert ended.exit_code == 1
    assert "error[monitoring-failed]" in ended.err
    assert_names_the_log(ended)
    assert checkout.serving() == "1.4"
    assert checkout.running() == {"1.4"}


def test_1_service_that_dies_at_its_start(checkout: Checkout):
    checkout.released("1.4")

    ended = checkout.release("1.5-dies")

    assert ended.exit_code == 1
    assert "error[start-failed]" in ended.err
    assert "no luck with nothing" in ended.err
    assert checkout.running() == {"1.4"}


def test_1_public_port_that_another_program_has(checkout: Checkout):
    with socket.create_server(("127.0.0.1", 0)) as other:
        checkout.write_plan(port=other.getsockname()[1])

        ended = checkout.release("1.4")

    assert ended.exit_code == 1
    assert "error[port-taken]" in ended.err
    assert "shop-1.4@1: rolled back" in ended.out
    assert checkout.release("1.4").exit_code == 0


def test_1_migration_that_fails_names_its_file_and_line(checkout: Checkout):
    checkout.migration(
        2, "bad", "ALTER TABLE users ADD COLUMN a text;\nALTER TABLE nobody ADD COLUMN b text;"
    )

    ended = checkout.release("1.4")

    assert ended.exit_code == 1
    assert "migrations/00002_bad.sql:3: " in ended.err
    assert "no such table: nobody" in ended.err
    assert checkout.columns() == {"id", "name"}


def test_1_stops_where_it_stands_if_the_plan_says_so(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(verify=[SAME_AGAIN], on_failure="stop")

    ended = checkout.release("1.5")

    assert ended.exit_code == 1
    assert checkout.statuses()["verify:shop"] == "failed"
    assert checkout.serving() == "1.4"
    assert checkout.running() == {"1.4", "1.5"}
    checkout.run("rollback")
    assert checkout.running() == {"1.4"}


def test_2_plan_with_errors(checkout: Checkout):
    (checkout.folder / "plan.yaml").write_text("version: 1\nrelease: shop\nservice: {}\n")

    ended = checkout.run("run")

    assert ended.exit_code == 2
    assert "plan.yaml:3:1 error[unknown-key]" in ended.err


def test_2_plan_that_changed_under_its_run(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "drop", DROP)
    assert checkout.release("1.5").exit_code == 4
    checkout.migration(2, "drop", "DROP TABLE users;")

    ended = checkout.release("1.5")

    assert ended.exit_code == 2
    assert "error[plan-changed]" in ended.err
    assert "shop/00002_drop" in ended.err


def test_2_what_cannot_be_asked_of_the_run(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "drop", DROP)
    assert checkout.release("1.5").exit_code == 4

    for command, code in {
        "approve approve:everything --as dba": "no-such-gate",
        "approve approve:contract --as cleaner": "not-an-approver",
        "settle verify:shop --as done": "not-in-doubt",
        "history --run shop-9@9": "no-such-run",
    }.items():
        ended = checkout.run(*command.split())

        assert ended.exit_code == 2
        assert f"error[{code}]" in ended.err


def test_2_rollback_beyond_return(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "drop", DROP)
    checkout.migration(3, "again", DROP)
    assert checkout.release("1.5").exit_code == 1

    ended = checkout.run("rollback")

    assert ended.exit_code == 2
    assert "error[beyond-return]" in ended.err
    assert checkout.serving() == "1.5"


def test_3_no_state_in_which_both_versions_work(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "drop", DROP)
    checkout.migration(3, "email", EMAIL)

    ended = checkout.release("1.5")

    assert ended.exit_code == 3
    assert "00002_drop" in ended.err
    assert checkout.running() == {"1.4"}
    assert checkout.columns() == {"id", "name"}


def test_3_unproven_and_nobody_answers_for_it_until_somebody_does(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "email", EMAIL.partition("\n")[2])  # without its phase: a guess

    refused = checkout.release("1.5")
    still_there = checkout.running()
    released = checkout.release("1.5", "--accept-unproven")

    assert refused.exit_code == 3
    assert "error[unproven]: Nobody knows whether `shop` (live) works" in refused.err
    assert "--accept-unproven" in refused.err
    assert still_there == {"1.4"}
    assert released.exit_code == 0
    for shown in (released, checkout.run("status"), checkout.run("history")):
        assert "accepted unproven: Nobody knows whether `shop` (live) works" in shown.out


def test_0_a_run_that_took_a_risk_upon_itself_goes_on_without_being_told_again(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "email", EMAIL.partition("\n")[2])  # without its phase: a guess
    checkout.migration(3, "drop", DROP)

    waiting = checkout.release("1.5", "--accept-unproven")
    checkout.run("approve", "approve:contract", "--as", "dba")
    goes_on = checkout.release("1.5")

    assert waiting.exit_code == 4
    assert goes_on.exit_code == 0
    assert "accepted unproven: Nobody knows whether `shop` (live) works" in checkout.run("history").out
    assert checkout.columns() == {"id", "email"}


def test_3_a_break_cannot_be_accepted(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "drop", DROP)
    checkout.migration(3, "email", EMAIL)

    ended = checkout.release("1.5", "--accept-unproven")

    assert ended.exit_code == 3
    assert checkout.columns() == {"id", "name"}


def test_4_waits_for_approval_and_goes_on_when_it_is_given(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "drop", DROP)

    waiting = checkout.release("1.5")
    approved = checkout.run("approve", "approve:contract", "--as", "dba")
    released = checkout.run("run")  # as `approve` says: the run remembers what --set said

    assert waiting.exit_code == 4
    assert "coordinator approve approve:contract --as NAME" in waiting.out
    assert approved.exit_code == 0
    assert released.exit_code == 0
    assert checkout.columns() == {"id"}


def test_4_another_coordinator_holds_the_lease(checkout: Checkout):
    checkout.write_plan(monitor=FOREVER)
    first = checkout.start_release("1.4")
    checkout.until_status("monitor:shop", "started")

    second = checkout.release("1.4")

    assert second.exit_code == 4
    assert f"pid {first.process.pid}" in second.err


def test_5_a_migration_that_was_cut_off_half_way_waits_for_a_person(checkout: Checkout):
    checkout.migration(2, "half", HALF)
    killed = checkout.start_release("1.4")
    until(lambda: checkout.columns("half") == {"id"} and checkout.marked() == 1)
    killed.signal(signal.SIGKILL)
    killed.wait()

    in_doubt = checkout.release("1.4")
    contradicts = checkout.run("settle", "expand:shop:00002_half", "--as", "done", "--from-line", "4")
    settled = checkout.run("settle", "expand:shop:00002_half", "--as", "done")
    goes_on = checkout.release("1.4")

    assert in_doubt.exit_code == 5
    assert "coordinator settle expand:shop:00002_half --as done" in in_doubt.out
    assert "was cut off at line 4 (INSERT INTO half)" in " ".join(in_doubt.out.split())
    assert contradicts.exit_code == 2
    assert settled.exit_code == 0
    assert goes_on.exit_code == 0
    assert checkout.serving() == "1.4"


def test_70_a_bug_is_no_failed_release(checkout: Checkout):
    (checkout.folder / "sitecustomize.py").write_text(
        "from coordinator.steps.verify import Verify\nVerify.perform = lambda *_: 1 / 0\n"
    )

    ended = checkout.run("run", "--set", "VERSION=1.4", PYTHONPATH=str(checkout.folder))

    assert ended.exit_code == 70
    assert "ZeroDivisionError" in ended.err
    assert "error[bug]" in ended.err
    assert checkout.release("1.4").exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_130_once_finishes_the_effect_at_hand(checkout: Checkout, number):
    checkout.write_plan(verify=[waiting_check()])
    running = checkout.start_release("1.4")
    checkout.until_waiting()

    running.signal(number)
    until(lambda: "once more stops at once" in running.err)
    checkout.go()
    ended = running.wait()

    assert ended.exit_code == 130
    statuses = checkout.statuses()
    assert statuses["verify:shop"] == "done"
    assert statuses["switch:shop"] == "pending"
    assert checkout.release("1.4").exit_code == 0


def test_130_a_step_that_only_waits_ends_at_once_and_is_repeated(checkout: Checkout):
    checkout.write_plan(monitor=FOREVER)
    running = checkout.start_release("1.4")
    checkout.until_status("monitor:shop", "started")

    running.signal(signal.SIGINT)

    assert running.wait().exit_code == 130
    again = checkout.start_release("1.4")
    until(lambda: "monitor:shop was in doubt" in again.err)


def test_130_twice_stops_at_once_and_the_next_run_recovers(checkout: Checkout):
    checkout.write_plan(verify=[waiting_check()])
    running = checkout.start_release("1.4")
    checkout.until_waiting()

    running.signal(signal.SIGTERM)
    until(lambda: "once more stops at once" in running.err)
    running.signal(signal.SIGTERM)

    assert running.wait().exit_code == 130
    assert checkout.statuses()["verify:shop"] == "started"
    checkout.go()
    assert checkout.release("1.4").exit_code == 0
