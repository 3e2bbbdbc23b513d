"""What a signal means to a command; the second one, which ends the process, is tried in tests/cli."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coordinator.cli.stopping import stopping


@contextmanager
def disposition(number: signal.Signals, handler) -> Iterator[None]:
    """Let this process treat a signal so, as its starter may have told it to."""
    before = signal.signal(number, handler)
    yield
    signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_to_stop_and_says_so(number):
    told: list[str] = []
    with disposition(number, signal.SIG_DFL), stopping(told.append) as is_stopping:
        assert not is_stopping()

        signal.raise_signal(number)

        assert is_stopping()
    assert told == ["Stopping after the effect at hand; once more stops at once."]


def test_a_command_under_nohup_outlives_its_terminal():
    told: list[str] = []
    with disposition(signal.SIGHUP, signal.SIG_IGN), stopping(told.append) as is_stopping:
        signal.raise_signal(signal.SIGHUP)

        assert not is_stopping()
    assert told == []


def test_signals_mean_afterwards_what_they_meant_before():
    before = signal.getsignal(signal.SIGTERM)

    with stopping(lambda _: None):
        pass

    assert signal.getsignal(signal.SIGTERM) is before
