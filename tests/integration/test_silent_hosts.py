"""A server whose machine is gone without a word is given up within a minute, and not after two hours."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest
from fixtures.late_wire import Cut, LateWire, over, to_server_of

from coordinator.adapters.mysql_url import connect as connect_to_mysql
from coordinator.adapters.postgresql_url import connect
from coordinator.secret import Secret

OPTIONS = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)


def options_of(number: int) -> list[int]:
    with closing(socket.socket(fileno=os.dup(number))) as same:
        assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return [same.getsockopt(socket.IPPROTO_TCP, each) for each in OPTIONS]


@pytest.mark.parametrize(("said", "idle"), [("", 30), ("&keepalives_idle=7", 7)])
def test_postgresql_is_asked_soon_unless_the_url_says_when(database_url: str, said: str, idle: int) -> None:
    with LateWire(to_server_of(database_url), Cut.LOST, b"nothing of that", each=1) as wire:
        url = Secret(over(wire, database_url) + said)
        with closing(connect(url, called="The database", label="test")) as connection:
            found = options_of(connection.fileno())

    assert found == [idle, 10, 3, 60_000]


@pytest.mark.mariadb
def test_mariadb_is_asked_soon(mariadb_url: str) -> None:
    with closing(connect_to_mysql(Secret(mariadb_url), label="test")) as connection:
        found = options_of(connection._sock.fileno())

    assert found == [30, 10, 3, 60_000]
