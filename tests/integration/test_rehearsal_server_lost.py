"""A server that ends in the middle of a rehearsal: it is told as that, and not as a bug or a verdict."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import TOGETHER, rehearsed

from coordinator.discovery import rehearsal
from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.rehearsal_ports import RehearsalServer

PROCESS = {
    Engine.POSTGRESQL: "SELECT current_setting('data_directory') || '/postmaster.pid'",
    ENGINE: "SELECT @@pid_file",
}
BASE = "CREATE TABLE t (id integer PRIMARY KEY, n integer);"


def kill(server: RehearsalServer, engine: Engine) -> None:
    with server.database() as database, database.session() as session:
        [[file]] = session.query(PROCESS[engine])
        process = Path(str(file)).read_text().split()[0]
        os.kill(int(process), signal.SIGKILL)


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
def test_a_server_that_is_killed_is_told(engine: Engine):
    with (
        pytest.raises(DatabaseError, match="The server of the rehearsal was lost") as lost,
        rehearsal(engine).server(url=None, live_version=None) as server,
    ):
        kill(server, engine)

    assert lost.value.code == "connection-lost"
    assert "Nothing live was touched" in str(lost.value)


def test_no_verdict_is_made_where_a_migration_ends_the_server():
    ends = "COPY t FROM PROGRAM 'kill -9 $PPID; sleep 5';"
    with (
        pytest.raises(DatabaseError),
        rehearsal(Engine.POSTGRESQL).server(url=None, live_version=None) as server,
    ):
        rehearsed(server, Engine.POSTGRESQL, BASE, TOGETHER + ends, live="SELECT n FROM t", next_="SELECT 1")
