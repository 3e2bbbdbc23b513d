"""A PostgreSQL of our own for one command: no network, no durability, in a folder that goes with it.

The programs are run directly and not by pg_ctl, so that the server is a child that can be waited for. A
server refuses to run as root, so root lends it the name of an unprivileged user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._postgresql.binaries import Binaries
from coordinator.adapters.rehearsals._postgresql.templates import (
    copy_template,
    forget_template,
    keep_template,
    template_folder,
)
from coordinator.adapters.rehearsals._scratch.folders import ServerKind, data_folder, scratch_folder
from coordinator.adapters.rehearsals._scratch.users import as_user, unprivileged
from coordinator.errors import Usage

SUPERUSER: Final = "postgres"
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_size": "64MB",  # it may be kept in memory
    "max_wal_senders": "0",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_locks_per_transaction": "1024",
    "jit": "off",
    "track_functions": "all",
    "timezone": "UTC",
    "lc_messages": "C",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}
_INITDB: Final = (
    f"--username={SUPERUSER}",
    "--auth=trust",
    "--encoding=UTF8",
    "--no-locale",
    "--no-sync",
    "--wal-segsize=1",
)
_UNPRIVILEGED = ("postgres", "embedded_postgres", "nobody")
KIND: Final = ServerKind("coordinator-pg-", "postmaster.pid", (signal.SIGQUIT, signal.SIGKILL))
_START_SECONDS = 60.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.002


@contextmanager
def own_server(binaries: Binaries) -> Iterator[str]:
    """Start a server and yield its conninfo, for a superuser. Raises: Usage `rehearsal-server-failed`."""
    user = unprivileged(_UNPRIVILEGED)
    with scratch_folder(KIND, (user.pw_uid, user.pw_gid) if user else None) as folder:
        server = _started(binaries, folder, user)
        try:
            yield f"host={folder} user={SUPERUSER} dbname=postgres"
        finally:
            _end(server)


def _started(binaries: Binaries, folder: Path, user: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    """Start a server on a copy of what initdb made before, else on what it makes now."""
    data, template = data_folder(folder), template_folder(binaries, _INITDB)
    if copy_template(template, data):
        _give(data, user)
        try:
            return _launched(binaries, folder, user)
        except Usage:
            forget_template(template)
            shutil.rmtree(data)
    _run_initdb(binaries, data, user)
    keep_template(template, data)
    return _launched(binaries, folder, user)


def _launched(binaries: Binaries, folder: Path, user: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    data = data_folder(folder)
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [binaries.program("postgres"), "-D", str(data), "-k", str(folder), *settings],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for us; we end it when we are done
            **as_user(user),
        )
    until = time.monotonic() + _START_SECONDS
    while not _is_ready(data):
        if server.poll() is not None or time.monotonic() >= until:
            _end(server)
            raise _failed(f"{binaries.program('postgres')} did not start.", log.read_text(errors="replace"))
        time.sleep(_POLL_SECONDS)
    return server


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server at once, without a checkpoint (immediate shutdown)."""
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _give(data: Path, user: pwd.struct_passwd | None) -> None:
    if user is None:
        return
    for folder, _, files in os.walk(data):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - a thousand
            os.chown(path, user.pw_uid, user.pw_gid)


def _run_initdb(binaries: Binaries, data: Path, user: pwd.struct_passwd | None) -> None:
    try:
        subprocess.run(
            [binaries.program("initdb"), "-D", str(data), *_INITDB],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            cwd=data.parent,
            **as_user(user),
        )
    except subprocess.CalledProcessError as error:
        raise _failed(
            f"{binaries.program('initdb')} failed.", error.stderr.decode(errors="replace")
        ) from None
    except OSError as error:
        raise _failed(f"{binaries.program('initdb')} cannot be run.", str(error)) from None


def _is_ready(data: Path) -> bool:
    """The 8th line of postmaster.pid is the status, `ready` once the server takes connections (pidfile.h)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"  # noqa: PLR2004 - explained above


def _failed(what: str, said: str) -> Usage:
    last = " ".join(said.split()[-60:])
    return Usage(
        "rehearsal-server-failed",
        f"The scratch server for the rehearsal could not be started: {what}",
        why=last,
        next_step="Mend that, or name a scratch server of your team: `rehearsal: {url: env:…}`.",
    )
