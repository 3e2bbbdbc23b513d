"""Transactions that are always rolled back, sent in batches: what keeps layers 4 and 5 cheap.

libpq's pipeline mode lets the server work while the next transactions are on their way. A batch is kept
smaller than a socket's buffer, so that neither side can wait for the other for ever, and rows are read one
by one, so that a query without an end costs time (statement_timeout), not memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import psycopg
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from coordinator.errors import DatabaseError
from coordinator.evidence import Objection

_Thing = TypeVar("_Thing")

Row = tuple[str | None, ...]
Sample = tuple[str | None, ...]
"""One set of parameters, as texts; `Values` of this engine hold one or more."""
_BATCH_BYTES = 32_000
_ROWS_KEPT = 200
_AT_EASE: Final = {
    "statement_timeout": "'2s'",
    "lock_timeout": "'1s'",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
_NOT_ANSWERED = (ExecStatus.PIPELINE_ABORTED, ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


@dataclass(frozen=True, slots=True)
class Command:
    """One statement with the texts of its parameters; the engine gives them their types."""

    text: str
    values: tuple[str | None, ...] = ()

    def size(self) -> int:
        """Return about how many bytes it takes to send."""
        return 100 + 4 * len(self.text) + sum(4 * len(value or "") + 8 for value in self.values)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine answered to one command."""

    objection: Objection | None = None
    columns: tuple[tuple[str, int], ...] = ()
    """Name and type's oid of each."""
    rows: tuple[Row, ...] | None = ()
    """None where there are too many to compare."""
    count: int = 0


@contextmanager
def at_ease(connection: psycopg.Connection) -> Iterator[None]:
    """Keep queries short and simple to run while the context lasts: time limits, no JIT, no workers."""
    connection.execute("; ".join(f"SET {name} = {value}" for name, value in _AT_EASE.items()))
    try:
        yield
    finally:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            connection.execute("; ".join(f"RESET {name}" for name in _AT_EASE))


def rolled_back(
    connection: psycopg.Connection, transactions: Sequence[Sequence[Command]]
) -> list[list[Reply]]:
    """Run each list of commands in a transaction of its own and undo it; the replies are in their order.

    Raises: DatabaseError where the connection is lost.
    """
    pgconn = connection.pgconn
    replies: list[list[Reply]] = []
    pgconn.enter_pipeline_mode()
    for batch in in_batches(transactions, lambda commands: sum(each.size() for each in commands)):
        for commands in batch:
            _send(pgconn, commands)
        pgconn.flush()
        replies += [_take(pgconn, len(commands)) for commands in batch]
    pgconn.exit_pipeline_mode()
    return replies


def in_batches(things: Sequence[_Thing], size_of: Callable[[_Thing], int]) -> Iterator[list[_Thing]]:
    """Yield what fits into a socket's buffer, so that neither side waits for the other for ever."""
    batch: list[_Thing] = []
    size = 0
    for each in things:
        needed = size_of(each)
        if batch and size + needed > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += needed
    if batch:
        yield batch


def _send(pgconn: PGconn, commands: Sequence[Command]) -> None:
    pgconn.send_query_params(b"BEGIN", None)
    for command in commands:
        values = [None if value is None else value.encode() for value in command.values]
        pgconn.send_query_params(command.text.encode(), values)
    pgconn.pipeline_sync()
    pgconn.send_query_params(b"ROLLBACK", None)
    pgconn.pipeline_sync()


def _take(pgconn: PGconn, commands: int) -> list[Reply]:
    _reply(pgconn)
    replies: list[Reply] = []
    for _ in range(commands):
        replies.append(_reply(pgconn, is_skipped=any(reply.objection for reply in replies)))
    _sync(pgconn)
    _reply(pgconn)
    _sync(pgconn)
    return replies


def _sync(pgconn: PGconn) -> None:
    result = pgconn.get_result()
    if result is None or result.status != ExecStatus.PIPELINE_SYNC:
        raise lost(pgconn)


def _reply(pgconn: PGconn, *, is_skipped: bool = False) -> Reply:
    if not is_skipped:  # libpq refuses it where no rows can come
        pgconn.set_single_row_mode()
    rows: list[Row] = []
    count, last = 0, None
    while (result := pgconn.get_result()) is not None:
        last = result
        if result.status == ExecStatus.SINGLE_TUPLE:
            count += 1
            if count <= _ROWS_KEPT:
                rows.append(tuple(_text(result.get_value(0, place)) for place in range(result.nfields)))
    if last is None or pgconn.status != ConnStatus.OK:
        raise lost(pgconn)
    if last.status in _NOT_ANSWERED:
        return Reply(objection=objection_of(last))
    return Reply(
        columns=tuple(
            ((last.fname(place) or b"").decode(errors="replace"), last.ftype(place))
            for place in range(last.nfields)
        ),
        rows=tuple(rows) if count <= _ROWS_KEPT else None,
        count=max(count, last.command_tuples or 0),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def objection_of(result: PGresult) -> Objection:
    """Return the engine's refusal with its own code."""
    code, message = (
        (result.error_field(field) or b"").decode(errors="replace")
        for field in (DiagnosticField.SQLSTATE, DiagnosticField.MESSAGE_PRIMARY)
    )
    return Objection(code, message)


def lost(pgconn: PGconn) -> DatabaseError:
    """Return what to raise where no answer came: the connection is gone."""
    said = pgconn.error_message.decode(errors="replace").strip()
    return DatabaseError(
        "connection-lost",
        f"The connection to the scratch database was lost: {said}",
        why="A query may have ended its own session.",
        next_step="Run the command again; if it happens again, look for a query that stops the server.",
    )


def quoted(name: str) -> str:
    """Return a name for SQL."""
    return '"' + name.replace('"', '""') + '"'
