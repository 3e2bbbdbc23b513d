"""A coordinator that is suspended at a change of its service: another one takes over, or a signal ends it."""

from __future__ import annotations

import signal

import pytest
from fixtures.checkout import DROP, Checkout, Running
from fixtures.local import until

from coordinator.app.place import Place

SUSPENDED = """
import pathlib, signal, threading
from coordinator.adapters.platforms._local.service import Local

def suspended(change):
    def suspend(*arguments, **settings):
        pathlib.Path('at-the-change').touch()
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        return change(*arguments, **settings)
    return suspend

Local.METHOD = suspended(Local.METHOD)
"""
"""A sitecustomize that suspends the command between the intent and the effect."""


def suspended_at(checkout: Checkout, change: str, *arguments: str) -> Running:
    customized = checkout.folder.parent / "customized"
    customized.mkdir()
    (customized / "sitecustomize.py").write_text(SUSPENDED.replace("METHOD", change))
    running = checkout.start(*arguments, PYTHONPATH=str(customized))
    until((checkout.folder / "at-the-change").exists)
    return running


def records(checkout: Checkout) -> dict[str, tuple[str, ...]]:
    journal = Place(checkout.folder / "plan.yaml").journal
    return {run: journal.records(run) for run in journal.runs()}


@pytest.mark.parametrize("change", ["deploy", "switch", "stop"])
def test_a_coordinator_that_wakes_up_after_its_lease_was_lost_changes_nothing_and_says_so(
    checkout: Checkout, change: str
) -> None:
    checkout.released("1.4")
    first = suspended_at(checkout, change, "run", "--set", "VERSION=1.5")
    leases = [*(checkout.folder / ".coordinator").rglob("*.lease"), checkout.folder / "shop.db-coordinator"]
    for lease in leases:
        lease.unlink()
    checkout.released("1.5")
    checkout.released("1.6")
    serving, running, written = checkout.serving(), checkout.running(), records(checkout)

    first.signal(signal.SIGCONT)
    ended = first.wait()

    assert ended.exit_code == 5
    assert "in doubt[journal-conflict]" in ended.err
    assert (serving, running) == ("1.6", {"1.6"})
    assert (checkout.serving(), checkout.running(), records(checkout)) == (serving, running, written)


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGHUP, signal.SIGINT), (signal.SIGKILL,)])
def test_a_way_back_that_a_signal_ends_names_the_command_that_goes_on_with_it(
    checkout: Checkout, signals: tuple[signal.Signals, ...]
) -> None:
    checkout.released("1.4")
    checkout.write_plan(approve=["dba"])
    checkout.migration(2, "drop", DROP)
    assert checkout.release("1.5").exit_code == 4

    back = suspended_at(checkout, "switch", "rollback")
    for number in signals:
        back.signal(number)
        back.signal(signal.SIGCONT)
    ended = back.wait()
    status = checkout.run("status")
    again = checkout.run("rollback")

    assert ended.exit_code in {130, -signal.SIGKILL}
    assert "coordinator run" not in ended.err
    assert "nobody works on it now: `coordinator rollback` goes on" in status.out
    assert "coordinator approve" not in status.out
    assert again.exit_code == 0
    assert (checkout.serving(), checkout.running()) == ("1.4", {"1.4"})
