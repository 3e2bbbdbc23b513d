"""Whether a pooler gives each transaction another session of the server, which makes session locks worthless.

A server tells each client the number of its process; a pooler tells a number of its own. So where the two
differ somebody stands between, and is asked by experiment, because each has its own words and none has to
tell: while a second connection is inside a transaction, does this one still have its process, and does the
second one not have it? PgBouncer in its mode `session` passes, in `transaction` and `statement` it fails.

Rejected: looking whether an advisory lock is still held. An idle pooler gives the same process back.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from os import dup
from threading import Timer
from typing import Final

import psycopg

from coordinator.adapters.postgresql_blockers import Connection
from coordinator.errors import CoordinatorError, Usage

PROCESS: Final = "SELECT pg_catalog.pg_backend_pid()"
_ROUNDS: Final = 3
_SECONDS: Final = 5.0
"""How long a pooler may keep the second connection waiting for a session of the server."""
_ADDRESS: Final = """
SELECT host(inet_server_addr()), inet_server_port(), current_setting('port'),
  current_setting('unix_socket_directories'), current_database()
"""

Send = Callable[[str], list[tuple[object, ...]]]


def demand_own_session(send: Send, connect: Callable[[], Connection]) -> None:
    """Raise Usage `pooled-sessions` if the session of `send` is another one in each transaction."""
    if _is_shared(send, connect):
        raise Usage(
            "pooled-sessions",
            "The database's URL leads to a pooler that gives each transaction another session of the server.",
            why="The migration tools' locks and settings belong to a session: nobody would hold them.",
            next_step=f"Let the plan's URL name the server itself, which says that it is {_address(send)};"
            " or a pool in session mode (PgBouncer: `pool_mode = session`).",
        )


def _is_shared(send: Send, connect: Callable[[], Connection]) -> bool:
    own = send(PROCESS)
    try:
        with closing(connect()) as second:
            for _ in range(_ROUNDS):
                with _no_longer_than(_SECONDS, second), second.transaction():
                    if second.execute(PROCESS).fetchall() == own or send(PROCESS) != own:
                        return True
    except (CoordinatorError, psycopg.Error):  # every session is taken: one that is ours alone is still ours
        return send(PROCESS) != own
    return False


@contextmanager
def _no_longer_than(seconds: float, connection: Connection) -> Iterator[None]:
    """Cut a connection off after a time; whoever waits for its answer gets an error."""

    def cut_off() -> None:
        with suppress(OSError), socket.socket(fileno=dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, cut_off)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _address(send: Send) -> str:
    [[host, port, local_port, folders, database]] = send(_ADDRESS)
    if host is None:
        return f"port {local_port} of the machine of the pooler (socket in {folders}), database {database}"
    return f"{host}:{port}, database {database}"
