"""Several statements to PostgreSQL in one trip over the network, each answered by itself.

libpq's pipeline mode (PostgreSQL's manual, "Pipeline Mode"): the server takes them one after the other, stops
at the first that fails and skips what stands behind it up to the end of its group. So a whole transaction
costs one round trip, and still it is known exactly which of its statements was refused. Whoever waits for the
answers has the time to look at what the statement waits for; a small migration is over before the first look,
and so are many small ones in one trip, as the time until it begins anew with each group. While the server is
at work on a group the next one is made, and sent; few are ahead of the answers, as what is sent is done.

Rejected: one text of everything by the simple protocol. The server reads all of it before it begins, so that
what closes a quote in a file would decide what the tool's own record is.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from coordinator.adapters.postgresql_blockers import SOON, Connection, LockWatch
from coordinator.sql import is_client_copy, split_statements

_ALONE: Final = frozenset(
    {"ALTER", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "REVOKE", "TRUNCATE", "UPDATE"}
)
"""Statements that neither end a transaction nor change how what stands behind them is read."""
_FAILED: Final = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE, ExecStatus.NONFATAL_ERROR})
_AHEAD: Final = 32
"""Groups that wait for their answers while another is made: whoever asks to stop waits for them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text with parameters ($1, $2) for the server to keep under a name until the session ends."""

    name: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Filled:
    """What the server keeps under a name, run with values for its parameters."""

    name: bytes
    values: tuple[bytes, ...]


Item = str | Prepared | Filled
"""What the server answers by itself; a text is one statement."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The statement that stopped a pipeline."""

    at: int | None
    """Its number, counted over all groups' items; None where the connection was lost and nobody can tell."""
    error: psycopg.Error


def can_go_together(texts: Sequence[str]) -> bool:
    """Tell whether each text is one statement that a pipeline takes and runs as it would be run alone."""
    return all(map(_is_alone, texts))


def _is_alone(text: str) -> bool:
    pieces = split_statements(text)
    return (
        len(pieces) == 1
        and pieces[0].is_closed
        and pieces[0].words[:1] != ()
        and pieces[0].words[0] in _ALONE
        and not is_client_copy(pieces[0])
    )


def send_together(
    connection: Connection,
    groups: Iterable[Sequence[Item]],
    *,
    watch: LockWatch | None,
    soon: float = SOON,
) -> Refused | None:
    """Send the statements, wait for all answers and return the first that was refused.

    What stands behind it in its group was not run. Every group that was taken from `groups` is tried, and no
    more are taken when one is known to have failed. `watch` looks while the server works on a group, if that
    takes longer than `soon` seconds.
    """
    wire = connection.pgconn
    answers = _Answers(wire, _Wait(wire, watch, soon))
    try:
        wire.enter_pipeline_mode()
        for group in groups:
            for item in group:
                _send(wire, item)
            wire.pipeline_sync()
            answers.due += 1
            answers.take_until(_AHEAD)
            if answers.refused:
                break
        answers.take_until(0)
        wire.exit_pipeline_mode()
    except psycopg.Error as error:
        connection.close()  # whatever it was, nobody knows any more what the next answer would be to
        return answers.refused or Refused(None, error)
    except BaseException:  # of whoever makes the groups: nobody else could use the connection
        connection.close()
        raise
    return answers.refused


def _send(wire: PGconn, item: Item) -> None:
    match item:
        case str():
            wire.send_query_params(item.encode(), None)
        case Filled(name, values):
            wire.send_query_prepared(name, values)
        case Prepared(name, text):
            wire.send_prepare(name, text.encode())


class _Answers:
    """Takes the answers to what was sent, in their order."""

    def __init__(self, wire: PGconn, wait: _Wait) -> None:
        self._wire = wire
        self._wait = wait
        self._at = 0
        self.due = 0
        """Groups that were sent and are not answered whole."""
        self.refused: Refused | None = None
        """The first that was."""

    def take_until(self, ahead: int) -> None:
        """Take what is there, and wait until no more than so many groups are due."""
        while self.due and (not self._wire.is_busy() or self._wait.for_more(is_patient=self.due > ahead)):
            if not self._wire.is_busy():
                self._take_one()

    def _take_one(self) -> None:
        result = self._wire.get_result()
        if result is None:  # the end of one statement's answers
            return
        status = result.status
        if status == ExecStatus.PIPELINE_SYNC:
            self.due -= 1
            self._wait.begin_anew()
            return
        if status in _FAILED:
            self.refused = self.refused or _refused(result, self._at)
            if self._wire.status == ConnStatus.BAD:
                self.due = 0
        self._at += 1


def _refused(result: PGresult, at: int) -> Refused:
    error = error_from_result(result)
    return Refused(at if error.sqlstate else None, error)  # without one, it is libpq that says so


class _Wait:
    """Sends what is left and takes what has come, and looks meanwhile."""

    def __init__(self, wire: PGconn, watch: LockWatch | None, soon: float) -> None:
        self._wire = wire
        self._watch = watch
        self._soon = soon
        self._next = math.inf if watch is None else time.monotonic() + soon
        """When it is time for a look; infinity: never."""
        self._poll = select.poll()

    def begin_anew(self) -> None:
        """Count the time until a look from now on: what was sent first is over."""
        if self._watch is not None and self._next != math.inf:
            self._watch.begin()
            self._next = time.monotonic() + self._soon

    def for_more(self, *, is_patient: bool) -> bool:
        """Send what is left and take what has come, waiting for it if patient; tell if there may be more.

        Raises: psycopg.OperationalError where the connection is lost.
        """
        is_sent = self._wire.flush() == 0
        self._poll.register(self._wire.socket, select.POLLIN if is_sent else select.POLLIN | select.POLLOUT)
        while not self._poll.poll(self._milliseconds_left() if is_patient else 0):
            if not is_patient:
                return False
            pause = None if self._watch is None else self._watch.look()
            self._next = math.inf if pause is None else time.monotonic() + pause
        self._wire.consume_input()
        return True

    def _milliseconds_left(self) -> float | None:
        return None if self._next == math.inf else max(0.0, (self._next - time.monotonic()) * 1000)
