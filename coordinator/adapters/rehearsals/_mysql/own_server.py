"""A MariaDB or MySQL of our own for one command: no network, no durability, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from coordinator.adapters.mysql_url import Address
from coordinator.adapters.rehearsals._mysql.programs import Program
from coordinator.adapters.rehearsals._mysql.settings import STARTED_WITH
from coordinator.adapters.rehearsals._scratch.folders import ServerKind, data_folder, scratch_folder
from coordinator.adapters.rehearsals._scratch.users import as_user, unprivileged
from coordinator.errors import Usage
from coordinator.model import Engine

KIND: Final = ServerKind("coordinator-my-", "server.pid", (signal.SIGKILL,))
_SOCKET: Final = "s"
_TEMPORARY: Final = "temporary"
"""Where it keeps temporary tables: a server that starts removes those that it finds, whosever they are."""
_UNPRIVILEGED: Final = ("mysql", "nobody")
_SMALL: Final = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-buffer-size=1M",
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
)
_OF_KIND: Final[Mapping[Engine, tuple[str, ...]]] = {
    Engine.MARIADB: ("--innodb-log-file-size=8M", "--sysdate-is-now", "--loose-innodb-flush-method=nosync"),
    Engine.MYSQL: (
        "--sysdate-is-now",
        "--mysqlx=OFF",
        "--innodb-flush-method=nosync",
        "--loose-innodb-redo-log-capacity=8M",  # since 8.0.30
    ),
}
_MADE_WITH: Final = ("lower_case_table_names",)
"""What MySQL keeps from the day on which its data folder was made, and does not start without."""
_MAKE_SECONDS: Final = 120.0
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.01


@contextmanager
def own_server(program: Program, settings: Mapping[str, str]) -> Iterator[Address]:
    """Start a server with settings of the live one; yield its address, for a user who may do everything.

    Raises: Usage `rehearsal-server-failed`.
    """
    user = unprivileged(_UNPRIVILEGED)
    with scratch_folder(KIND, (user.pw_uid, user.pw_gid) if user else None) as folder:
        _make_data(program, folder, user, settings)
        server = _launched(program, folder, user, settings)
        try:
            yield _wait_until_ready(server, folder)
        finally:
            server.kill()  # nobody wants its data
            server.wait()


def _address(folder: Path) -> Address:
    path = str(folder / _SOCKET)
    return Address(
        user="root", password="", host="localhost", port=3306, socket=path, database="", tls="disabled",
        ca=None, cert=None, key=None, connect_seconds=10,
    )  # fmt: skip


def _make_data(
    program: Program, folder: Path, user: pwd.struct_passwd | None, settings: Mapping[str, str]
) -> None:
    data = data_folder(folder)
    temporary = folder / _TEMPORARY
    temporary.mkdir(mode=0o700)
    if user is not None:
        os.chown(temporary, user.pw_uid, user.pw_gid)
    if program.traits.engine is Engine.MYSQL:
        # It makes the folder itself, as its user: a folder of ours would keep it out.
        command = [
            str(program.path), "--no-defaults", "--initialize-insecure", f"--datadir={data}",
            f"--tmpdir={temporary}", *_SMALL, *_OF_KIND[Engine.MYSQL], *_given(settings, _MADE_WITH),
        ]  # fmt: skip
    elif (installer := program.installer()) is not None:
        command = [
            installer, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
            f"--tmpdir={temporary}", "--skip-test-db", "--skip-name-resolve", *_SMALL,
        ]  # fmt: skip
    else:
        raise _failed("mariadb-install-db is not beside it.", "")
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            cwd=folder,
            timeout=_MAKE_SECONDS,
            **as_user(user),
        )
    except subprocess.CalledProcessError as error:
        said = (error.stdout + error.stderr).decode(errors="replace")
        raise _failed(f"{command[0]} failed.", said) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(f"{command[0]} cannot be run.", str(error)) from None


def _launched(
    program: Program, folder: Path, user: pwd.struct_passwd | None, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    data = data_folder(folder)
    command = [
        str(program.path),
        "--no-defaults",
        "-h",  # the data folder, as a word of its own: by that a server is told which a killed command left
        str(data),
        f"--socket={folder / _SOCKET}",
        f"--tmpdir={folder / _TEMPORARY}",
        f"--pid-file={data / KIND.pid_file}",
        "--skip-networking",
        "--skip-log-bin",
        f"--secure-file-priv={folder}",
        *_SMALL,
        *_OF_KIND[program.traits.engine],
        *_given(settings, STARTED_WITH),
    ]
    with (folder / "log").open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for us; we end it when we are done
            **as_user(user),
        )


def _given(settings: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    return [f"--{name.replace('_', '-')}={settings[name]}" for name in names if name in settings]


def _wait_until_ready(server: subprocess.Popen[bytes], folder: Path) -> Address:
    address = _address(folder)
    until = time.monotonic() + _START_SECONDS
    while not _listens(folder / _SOCKET):
        if server.poll() is not None or time.monotonic() >= until:
            said = (folder / "log").read_text(errors="replace")
            raise _failed("It did not start.", said)
        time.sleep(_POLL_SECONDS)
    return address


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _failed(what: str, said: str) -> Usage:
    return Usage(
        "rehearsal-server-failed",
        f"The scratch server for the rehearsal could not be started: {what}",
        why=" ".join(said.split()[-60:]),
        next_step="Mend that, or name a scratch server of your team: `rehearsal: {url: env:…}`.",
    )
