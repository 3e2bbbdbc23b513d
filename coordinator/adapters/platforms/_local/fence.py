"""One coordinator at a time on a service of this machine, also where the older one wakes up late.

The lease of the plan's folder keeps others out as long as its file is there. A process that was suspended
while somebody deleted that file, and released, would move the traffic once more when it goes on. So whoever
takes the service writes down who it is, and is asked for that under the service's lock before each change.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import asdict, dataclass
from typing import Any, cast

from coordinator.adapters.platforms._local import durable
from coordinator.adapters.platforms._local.records import StateFolder
from coordinator.errors import Waiting


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who took the service; the token tells two processes apart that have the same number."""

    run: str
    process: str
    token: str


class Fence:
    """What this process may still change; its caller holds the service's lock."""

    def __init__(self, service: str, state: StateFolder) -> None:
        self._service = service
        self._file = state.path / "fence.json"
        self._own: _Holder | None = None

    def is_taken_for(self, run: str) -> bool:
        """Tell whether this process took the service for a run."""
        return self._own is not None and self._own.run == run

    def take(self, run: str) -> None:
        """Take the service for `run` from whoever has it."""
        own = _Holder(run, f"pid {os.getpid()}", uuid.uuid4().hex)
        durable.write(self._file, asdict(own))
        self._own = own

    def check(self) -> None:
        """Raise Waiting `fenced-off` where another coordinator took the service since.

        Who never took it is a person's own command. With the folder the fence is gone, and all that ran.
        """
        found = cast("dict[str, Any] | None", durable.read(self._file))
        if self._own is None or found is None or found["token"] == self._own.token:
            return
        raise Waiting(
            "fenced-off",
            f"Another coordinator took over `{self._service}`: {found['process']}.",
            why=f"It works on {found['run']}; this one changed nothing since.",
            next_step="Let it finish, then run the command again.",
        )
