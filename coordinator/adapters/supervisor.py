"""The process between the coordinator and a program of the user: no program outlives the coordinator unseen.

It is started as a file of its own, without site-packages, and imports nothing of coordinator. Standard input
is a pipe that only the coordinator holds open: the kernel closes it however the coordinator dies, and then
the program's whole process group is killed. Rejected: PR_SET_PDEATHSIG alone, which reaches one process and
not its children, is lost with every change of user, and is Linux's only.

    supervisor.py LOCK PROGRAM ARGUMENT…    LOCK: a descriptor that the program inherits, -1 for none
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

END_GENTLY = b"t"
"""A byte on standard input: the program's time is up."""


def main(lock: int, argv: list[str]) -> None:
    """Run the program, and say on standard output how it ended; what it prints goes to standard error."""
    try:
        program = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            pass_fds=[lock] if lock >= 0 else [],
            start_new_session=True,
        )
    except OSError as error:
        say_not_started(error, 1)
        return
    supervise(program.pid, program.wait)


def say_not_started(error: OSError, to: int) -> None:
    """Say why there is no program."""
    os.write(to, f"not started: {error.strerror}".encode())


def supervise(program: int, wait: Callable[[], int]) -> None:
    """End the program, which leads a process group, when it is to end; `wait` returns its exit code."""
    threading.Thread(target=_obey, args=(program,), daemon=True).start()
    exit_code = wait()
    _signal_group(program, signal.SIGKILL)  # what it left behind
    os.write(1, str(exit_code).encode())


def _obey(program: int) -> None:
    """End the program when the coordinator asks for it, and at once when the coordinator is gone."""
    while os.read(0, 1) == END_GENTLY:
        _signal_group(program, signal.SIGTERM)
    _signal_group(program, signal.SIGKILL)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)
