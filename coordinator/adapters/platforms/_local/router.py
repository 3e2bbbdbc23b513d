"""The router: a TCP proxy of this machine that sends each new connection to the colour that serves.

It is a program of its own so that traffic does not depend on the command that moves it. It knows bytes and
no HTTP: a connection stays with the colour that it was given, which is what draining waits for. Its target
is on the disk before anybody hears that it moved, so a router that starts again goes on where the last one
was killed.

One thread, one event loop: between the moment when a target is durable and the moment when it holds there
is no instant in which a connection could be accepted. The fsync inside a switch therefore stops the traffic
for the millisecond that it takes; nothing is refused meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from coordinator.adapters.own_folder import own_folder
from coordinator.adapters.platforms._local.addresses import EXIT_PORT_TAKEN, HOST, free_port
from coordinator.adapters.platforms._local.processes import Unkillable, birth_of, close_inherited, kill_marked
from coordinator.adapters.platforms._local.records import RouterRecord, StateFolder

_EXIT_ANOTHER_RUNS: Final = 4
_FOLDER: Final = "coordinator-router-"
"""How the folder of a control socket begins."""
_COLOURS = ("blue", "green")
_CHUNK = 64 * 1024
_BACKLOG = 1024
_RETRY_SECONDS = 3.0
"""How long an accepted connection waits for a service that is being started again."""
_RETRY_EVERY = 0.05
_LINGER_SECONDS = 5.0
"""How long a client may go on sending after its service has said its last byte."""
_WATCH_SECONDS = 0.5
_DESCRIPTORS = 65536

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Router:
    """The connections and the target of one service."""

    def __init__(self, folder: StateFolder, record: RouterRecord) -> None:
        self._folder = folder
        self._record = record
        self._open = dict.fromkeys(_COLOURS, 0)
        self._accepted = 0
        self._failed = 0

    # -- traffic ------------------------------------------------------------------------------------

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's connection from its first byte to its last."""
        self._accepted += 1
        _keep_alive(writer)
        reached = await self._reach()
        if reached is None:
            self._failed += 1
            writer.transport.abort()
            return
        colour, service = reached
        try:
            await _splice((reader, writer), service)
        finally:
            self._open[colour] -= 1
            writer.transport.abort()  # what was to be sent is sent: each direction ends with its last byte

    async def _reach(self) -> tuple[str, Streams] | None:
        """Connect to the colour that serves, and count the connection as its own before it is open.

        Were it counted afterwards, a drained colour could still get a connection that was under way.
        """
        until = time.monotonic() + _RETRY_SECONDS
        while time.monotonic() < until:
            colour = self._record.target
            port = self._port_of(colour)
            if colour is not None and port is not None:
                self._open[colour] += 1
                with suppress(OSError):
                    return colour, await asyncio.open_connection(HOST, port, limit=_CHUNK)
                self._open[colour] -= 1
            await asyncio.sleep(_RETRY_EVERY)
        return None

    def _port_of(self, colour: str | None) -> int | None:
        side = None if colour is None else self._folder.side(colour)
        return None if side is None else side.port

    # -- control ------------------------------------------------------------------------------------

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the commands of one connection to the control socket, a JSON object a line each."""
        commands: dict[str, Callable[[dict[str, Any]], dict[str, object]]] = {
            "status": self._status,
            "switch": self._switch,
        }
        with suppress(ConnectionError):
            while line := await reader.readline():
                asked = json.loads(line)
                writer.write(json.dumps(commands[asked["command"]](asked)).encode() + b"\n")
                await writer.drain()
        writer.close()

    def _status(self, _asked: dict[str, Any]) -> dict[str, object]:
        return {
            "target": self._record.target,
            "port": self._record.port,
            "open": self._open,
            "accepted": self._accepted,
            "failed": self._failed,
        }

    def _switch(self, asked: dict[str, Any]) -> dict[str, object]:
        if self._record.target != asked["expected"]:
            return {"switched": False, "target": self._record.target}
        record = self._record.with_target(asked["to"])
        self._folder.write_router(record)
        self._record = record
        _say(f"new connections go to {asked['to']}")
        return {"switched": True, "target": record.target}


async def _splice(client: Streams, service: Streams) -> None:
    """Copy both directions until both have ended, each with its own end."""
    try:
        async with asyncio.TaskGroup() as tasks:
            upwards = tasks.create_task(_copy(client[0], service[1]))
            await _copy(service[0], client[1])
            await asyncio.wait({upwards}, timeout=_LINGER_SECONDS)
            upwards.cancel()
    except* OSError:
        client[1].transport.abort()  # one end was reset: so is the other
    finally:
        service[1].transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until `source` ends, no faster than `sink` takes it, and end `sink` when all of it has left."""
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    sink.transport.set_write_buffer_limits(high=0)
    await sink.drain()
    sink.write_eof()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Let the kernel find out that a client has gone without a word."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)


# -- the program ------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Route for the state folder; the port is 0 for the one that it had, or a free one."""
    close_inherited(first=3)
    folder, port = StateFolder(Path(arguments[0])), int(arguments[1])
    os.chdir("/")
    _allow_many_connections()
    try:
        with folder.lock("router.lock", seconds=0):
            sys.exit(asyncio.run(_run(folder, port)))
    except TimeoutError:
        sys.exit(_EXIT_ANOTHER_RUNS)


def _allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS refuses what its kernel's own limit forbids
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(most, _DESCRIPTORS) if most > 0 else _DESCRIPTORS, most)
        )


async def _run(folder: StateFolder, port: int) -> int:
    ours = folder.path.stat()
    before = folder.router()
    public = await _bound(port or (before.port if before else free_port()))
    if public is None:
        return EXIT_PORT_TAKEN
    if before is not None:
        before.remove_control()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    with own_folder(_FOLDER) as place:  # which removes that of a router that was killed, with its checkout
        record = RouterRecord(
            port=public.getsockname()[1],
            target=before.target if before else None,
            control=str(place / "control"),
            pid=os.getpid(),
            birth=birth_of(os.getpid()) or "",
        )
        router = Router(folder, record)
        try:
            await asyncio.start_unix_server(router.answer, record.control)
            folder.write_router(record)
            await asyncio.start_server(router.carry, sock=public, limit=_CHUNK, backlog=_BACKLOG)
            _say(f"routes port {record.port} to {record.target}")
            await _watch(folder.path, ours, ended)
        finally:
            public.close()
            record.remove_control()
    return 0


async def _bound(port: int) -> socket.socket | None:
    """Take the port; the one that had it before us may need a moment to leave."""
    until = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            return socket.create_server((HOST, port), backlog=_BACKLOG)
        except OSError as error:
            if time.monotonic() >= until:
                _say(f"port {port} cannot be taken: {error.strerror}")
                return None
        await asyncio.sleep(_RETRY_EVERY)


async def _watch(folder: Path, ours: os.stat_result, ended: asyncio.Event) -> None:
    """Return when somebody ends the router; if the folder is gone, take what was started from it along."""
    while not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _WATCH_SECONDS)
        try:
            is_ours = os.path.samestat(ours, folder.stat())
        except FileNotFoundError:
            is_ours = False
        if not is_ours:
            with suppress(Unkillable):
                kill_marked(str(folder))
            return


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}", flush=True)  # noqa: T201 - its log
