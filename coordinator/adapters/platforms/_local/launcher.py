"""The first life of a service process: it writes down who it is, then becomes the service.

Would the coordinator write the record, a kill between start and record left a process that nobody knows.
Here the process exists only with its record: until that is on the disk it holds the service's lock, which
it inherited, so nobody else can act in between, and if the state folder is gone it ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from coordinator.adapters.platforms._local import durable
from coordinator.adapters.platforms._local.processes import birth_of, close_inherited

_LOCK = 3


def main(arguments: list[str]) -> None:
    """Record this process at `path` together with `record` (JSON), and execute the rest in `folder`."""
    path, record, folder, *command = arguments
    close_inherited(first=_LOCK + 1)
    os.set_inheritable(_LOCK, False)
    pid = os.getpid()
    durable.write(Path(path), json.loads(record) | {"pid": pid, "birth": birth_of(pid)})
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a service must not inherit that
    try:
        os.chdir(folder)
        os.execvp(command[0], command)  # noqa: S606 - that is the point
    except OSError as error:
        print(f"{command[0]} cannot be started in {folder}: {error.strerror}", file=sys.stderr)  # noqa: T201
        os._exit(127)
