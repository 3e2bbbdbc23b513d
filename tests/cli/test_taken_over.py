"""A coordinator that is suspended, and goes on when another one has taken its release over and ended it."""

from __future__ import annotations

import signal

import pytest
from fixtures.checkout import Checkout, Running
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


def suspended_at(checkout: Checkout, change: str, version: str) -> Running:
    customized = checkout.folder.parent / "customized"
    customized.mkdir()
    (customized / "sitecustomize.py").write_text(SUSPENDED.replace("METHOD", change))
    running = checkout.start("run", "--set", f"VERSION={version}", PYTHONPATH=str(customized))
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
    first = suspended_at(checkout, change, "1.5")
    for lease in (checkout.folder / ".coordinator").rglob("*.lease"):
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
