"""The router's loop in this process, where a test owns the moment at which a service comes back."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from coordinator.adapters.platforms._local import router as module
from coordinator.adapters.platforms._local.records import Deployment, RouterRecord, SideRecord, StateFolder
from coordinator.adapters.platforms._local.router import Router


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client wait for longer than a busy machine needs to start a service."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", 60.0)


def router_in(folder: StateFolder, *, target: str) -> Router:
    return Router(folder, RouterRecord(port=0, target=target, control="", pid=0, birth=""))


def deploy(folder: StateFolder, colour: str, port: int) -> None:
    folder.write_side(colour, SideRecord(Deployment("1.4", ("x",), (), "/ready"), port=port, log_from=0))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()
    await writer.wait_closed()


async def exchange(port: int, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    writer.write_eof()
    heard = await reader.read()
    writer.close()
    await writer.wait_closed()
    return heard


def test_a_client_waits_while_its_service_is_started_again(tmp_path: Path):
    async def scenario() -> bytes:
        folder = StateFolder(tmp_path)
        router = router_in(folder, target="blue")
        server = await asyncio.start_server(router.carry, "127.0.0.1", 0)
        async with server:
            client = asyncio.create_task(exchange(server.sockets[0].getsockname()[1], b"hello"))
            while not router._accepted:
                await asyncio.sleep(0)
            reserved = socket.socket()  # nobody listens there, and nobody else can
            reserved.bind(("127.0.0.1", 0))
            deploy(folder, "blue", reserved.getsockname()[1])
            async with await asyncio.start_server(echo, sock=reserved):
                return await client

    assert asyncio.run(scenario()) == b"hello"


def test_a_waiting_client_goes_where_traffic_was_switched_meanwhile(tmp_path: Path):
    async def scenario() -> bytes:
        folder = StateFolder(tmp_path)
        router = router_in(folder, target="blue")
        server = await asyncio.start_server(router.carry, "127.0.0.1", 0)
        async with server, await asyncio.start_server(echo, "127.0.0.1", 0) as green:
            client = asyncio.create_task(exchange(server.sockets[0].getsockname()[1], b"hello"))
            while not router._accepted:
                await asyncio.sleep(0)
            deploy(folder, "green", green.sockets[0].getsockname()[1])
            assert router._switch({"expected": "blue", "to": "green"})["switched"]
            return await client

    assert asyncio.run(scenario()) == b"hello"


def test_a_client_that_reads_slowly_fills_no_memory_of_the_router(tmp_path: Path):
    sent = 0

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async def scenario() -> tuple[int, int]:
        folder = StateFolder(tmp_path)
        router = router_in(folder, target="blue")
        service = await asyncio.start_server(pour, "127.0.0.1", 0)
        deploy(folder, "blue", service.sockets[0].getsockname()[1])
        server = await asyncio.start_server(router.carry, "127.0.0.1", 0)
        async with service, server:
            _reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1024)
            seen = 0
            while not sent or seen != sent:  # until nothing moves any more
                seen = sent
                await asyncio.sleep(0.2)
            writer.transport.abort()
            while router._open["blue"]:
                await asyncio.sleep(0.01)
        return seen, router._failed

    seen, failed = asyncio.run(scenario())
    assert 0 < seen < 64 * 1024 * 1024
    assert failed == 0
