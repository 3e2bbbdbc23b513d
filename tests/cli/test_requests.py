"""What people ask of a run: approve, rollback, abort, settle; while a coordinator works on it, and after."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import timedelta

import pytest
from fixtures.checkout import DROP, EMAIL, Checkout, waiting_check
from fixtures.local import kill_side, local_platform, until

from coordinator.model import Colour

FOREVER = {"for": "10m", "every": "100ms", "checks": [{"http": "/ready"}]}


@pytest.fixture
def monitoring(checkout: Checkout):
    """Return a release of 1.5 that another process watches, and will for minutes."""
    return monitored(checkout)


def monitored(checkout: Checkout, first: str = "1.4"):
    checkout.released(first)
    checkout.write_plan(monitor=FOREVER, approve=["dba"])
    checkout.migration(2, "drop", DROP)
    running = checkout.start_release("1.5")
    checkout.until_status("monitor:shop", "started")
    return running


def test_rollback_takes_effect_in_the_process_that_works_on_the_run(checkout: Checkout, monitoring):
    ended = checkout.run("rollback")

    assert ended.exit_code == 0
    assert "going back, asked for by" in ended.err
    assert "shop-1.5@2: rolled back" in ended.out
    assert monitoring.wait().exit_code == 1
    assert checkout.running() == {"1.4"}


def test_abort_takes_effect_in_the_process_that_works_on_the_run(checkout: Checkout, monitoring):
    ended = checkout.run("abort")

    assert ended.exit_code == 0
    assert "shop-1.5@2: aborted" in ended.out
    assert monitoring.wait().exit_code == 1
    assert checkout.running() == {"1.4", "1.5"}
    assert checkout.serving() == "1.5"


def test_approval_reaches_the_process_that_works_on_the_run(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(verify=[waiting_check()], approve=["dba"])
    checkout.migration(2, "drop", DROP)
    running = checkout.start_release("1.5")
    checkout.until_waiting()

    approved = checkout.run("approve", "approve:contract", "--as", "dba")
    until(lambda: "approved by dba" in running.err)
    checkout.go()

    assert approved.exit_code == 0
    assert running.wait().exit_code == 0
    assert checkout.columns() == {"id"}


def test_a_step_is_settled_when_the_process_that_is_busy_with_it_is_gone(checkout: Checkout, monitoring):
    too_early = checkout.run("settle", "monitor:shop", "--as", "done")
    monitoring.signal(signal.SIGKILL)
    monitoring.wait()
    settled = checkout.run("settle", "monitor:shop", "--as", "done")

    assert (too_early.exit_code, settled.exit_code) == (2, 0)
    assert "error[not-in-doubt]: monitor:shop is at work: pid" in too_early.err


def test_a_rollback_says_that_a_suspended_process_does_not_hear(checkout: Checkout, monitoring):
    checkout.until_status("drain:shop", "done")  # else it may be stopped while it writes to the journal
    monitoring.signal(signal.SIGSTOP)

    back = checkout.start("rollback")
    until(lambda: "has not heard of this" in back.err)
    monitoring.signal(signal.SIGKILL)

    assert back.wait().exit_code == 0
    assert "acts on shop-1.5@2 and has not heard of this for 5 s" in back.err
    assert checkout.running() == {"1.4"}


def test_rollback_finishes_what_a_killed_coordinator_left(checkout: Checkout, monitoring):
    monitoring.signal(signal.SIGKILL)
    monitoring.wait()

    ended = checkout.run("rollback")

    assert ended.exit_code == 0
    assert checkout.serving() == "1.4"
    assert checkout.running() == {"1.4"}


def test_a_rollback_starts_an_old_version_again_that_has_ended(checkout: Checkout, monitoring):
    monitoring.signal(signal.SIGTERM)
    monitoring.wait()
    local_platform(checkout.folder).stop(Colour.BLUE, grace=timedelta(seconds=5))  # nobody asked us

    back = checkout.run("rollback")

    assert back.exit_code == 0, back.err
    assert "blue does not run any more" in back.err
    assert (checkout.serving(), checkout.running()) == ("1.4", {"1.4"})


def test_a_rollback_that_is_stuck_can_be_aborted(checkout: Checkout):
    monitoring = monitored(checkout, "1.4-once")
    monitoring.signal(signal.SIGTERM)
    monitoring.wait()
    local_platform(checkout.folder).stop(Colour.BLUE, grace=timedelta(seconds=5))

    stuck = checkout.run("rollback")
    aborted = checkout.run("abort")

    assert stuck.exit_code == 1
    assert "error[rollback-blocked]" in stuck.err
    assert checkout.serving() == "1.5"
    assert aborted.exit_code == 0
    assert "aborted" in aborted.out


def test_a_rollback_waits_for_an_old_version_that_is_about_to_be_ready(checkout: Checkout, monitoring):
    monitoring.signal(signal.SIGTERM)
    monitoring.wait()
    pid = local_platform(checkout.folder).state.side(Colour.BLUE).pid
    os.kill(pid, signal.SIGSTOP)

    back = checkout.start("rollback")
    until(lambda: "blue is not ready to take the traffic back" in back.err)
    os.kill(pid, signal.SIGCONT)

    assert back.wait().exit_code == 0, back.err
    assert checkout.serving() == "1.4"


def test_a_user_without_a_name_is_called_by_number(checkout: Checkout):
    checkout.write_plan(monitor=FOREVER)
    running = checkout.start_release("1.4")
    checkout.until_status("monitor:shop", "started")
    (checkout.folder / "sitecustomize.py").write_text(
        "import pwd\ndef getpwuid(_): raise KeyError('uid not found')\npwd.getpwuid = getpwuid\n"
    )
    nameless = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "")

    ended = checkout.run("abort", PYTHONPATH=str(checkout.folder), **nameless)

    assert ended.exit_code == 0
    assert f"asked for by uid {os.getuid()}" in ended.out
    running.wait()


def test_approving_twice_counts_once(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "drop", DROP)
    checkout.release("1.5")

    approve = ("approve", "approve:contract", "--as", "dba", "--output", "json")
    approvals = [checkout.run(*approve).json("coordinator/approval/1") for _ in range(2)]
    released = checkout.run("run")

    assert (
        approvals
        == [
            {
                "schema": "coordinator/approval/1",
                "run": "shop-1.5@2",
                "step": "approve:contract",
                "who": "dba",
            }
        ]
        * 2
    )
    assert released.exit_code == 0
    assert released.err.count("approve:contract approved by dba") == 1


def test_rollback_needs_no_unchanged_plan(checkout: Checkout, monitoring):
    monitoring.signal(signal.SIGINT)
    monitoring.wait()
    checkout.migration(3, "email", EMAIL)

    assert checkout.release("1.5").exit_code == 2
    assert checkout.run("rollback").exit_code == 0
    assert checkout.running() == {"1.4"}


def test_rollback_starts_the_old_version_that_was_stopped_already(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "drop", DROP.replace("users", "nothing"))
    checkout.write_plan(on_failure="stop", approve=["dba"])
    assert checkout.release("1.5").exit_code == 4
    checkout.run("approve", "approve:contract", "--as", "dba")
    (checkout.folder / "sitecustomize.py").write_text(
        "from coordinator.steps.apply import Apply\n"
        "def kill(*_): import os; os.kill(os.getpid(), 9)\n"
        "Apply.observe = kill\n"
    )
    checkout.run("run", "--set", "VERSION=1.5", PYTHONPATH=str(checkout.folder))
    assert checkout.running() == {"1.5"}
    # The contract migration was about to begin and did not: the world says so, and then there is a way back.
    (checkout.folder / "sitecustomize.py").write_text(
        "from coordinator.steps.apply import Apply\n"
        "from coordinator.errors import Waiting\n"
        "def wait(*_): raise Waiting('later', 'Later.')\n"
        "Apply.perform = wait\n"
    )
    assert checkout.run("run", "--set", "VERSION=1.5", PYTHONPATH=str(checkout.folder)).exit_code == 4

    ended = checkout.run("rollback")

    assert ended.exit_code == 0
    assert checkout.serving() == "1.4"
    assert checkout.running() == {"1.4"}


def test_an_old_version_that_died_by_itself_does_not_come_back_after_contract(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "drop", DROP)
    checkout.write_plan(approve=["dba"])
    assert checkout.release("1.5").exit_code == 4
    kill_side(local_platform(checkout.folder), Colour.BLUE)
    checkout.run("approve", "approve:contract", "--as", "dba")
    checkout.released("1.5")

    assert checkout.run("local", "up", "--set", "VERSION=1.5").exit_code == 0

    assert checkout.running() == {"1.5"}


def test_a_new_run_follows_an_abort(checkout: Checkout, monitoring):
    checkout.run("abort")
    monitoring.wait()
    checkout.write_plan()

    ended = checkout.release("1.5")

    assert ended.exit_code == 0
    assert "shop-1.5@3: released" in ended.out
    assert checkout.running() == {"1.5"}
    assert checkout.columns() == {"id"}


def test_supersede_gives_the_open_run_up_and_releases_from_where_the_world_is(checkout: Checkout, monitoring):
    monitoring.signal(signal.SIGINT)
    monitoring.wait()
    checkout.write_plan()

    refused = checkout.release("1.6")
    ended = checkout.release("1.6", "--supersede")

    assert refused.exit_code == 2
    assert "--supersede" in refused.err
    assert ended.exit_code == 0
    assert checkout.running() == {"1.6"}
    history = checkout.run("history").out
    assert "shop-1.5@2: superseded" in history


def test_a_lost_journal_costs_nothing_but_its_memory(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "email", EMAIL)
    checkout.migration(3, "drop", DROP)
    assert checkout.release("1.5").exit_code == 4
    shutil.rmtree(checkout.folder / ".coordinator" / "runs")

    waits_again = checkout.release("1.5")
    checkout.run("approve", "approve:contract", "--as", "dba")
    released = checkout.release("1.5")

    assert waits_again.exit_code == 4
    assert released.exit_code == 0
    assert checkout.running() == {"1.5"}
    assert checkout.columns() == {"id", "email"}


def test_a_way_back_says_what_it_does_not_take_back_without_the_journal(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "drop", DROP)
    assert checkout.release("1.5").exit_code == 4
    shutil.rmtree(checkout.folder / ".coordinator" / "runs")
    assert checkout.release("1.5").exit_code == 4

    ended = checkout.run("rollback")

    assert ended.exit_code == 0
    assert "1.5 on green serves, as before: it had the traffic when this run began" in ended.out
    assert "To go back to 1.4, release that" in ended.out
    assert checkout.running() == {"1.4", "1.5"}


def test_two_plans_in_one_folder_keep_their_own_journals(checkout: Checkout):
    checkout.released("1.4")
    checkout.write_plan("other.yaml")

    before = checkout.run("status", "other.yaml").out
    ended = checkout.run("run", "other.yaml", "--set", "VERSION=1.5")

    assert before == "other.yaml was never run.\n"
    assert ended.exit_code == 0
    assert ended.out.startswith("shop-1.5@1: released")
    assert checkout.run("status").out.startswith("shop-1.4@1: released")


def test_a_release_under_way_keeps_other_plans_from_its_database(checkout: Checkout, monitoring):
    checkout.write_plan("other.yaml")

    ended = checkout.run("run", "other.yaml", "--set", "VERSION=1.6")

    assert ended.exit_code == 4
    assert "lease-held" in ended.err
    assert checkout.running() == {"1.4", "1.5"}


def test_abort_changes_nothing_but_the_run(checkout: Checkout, monitoring):
    survey = local_platform(checkout.folder).survey()

    checkout.run("abort")

    monitoring.wait()
    assert local_platform(checkout.folder).survey() == survey
    assert checkout.run("status").out.startswith("shop-1.5@2: aborted")
