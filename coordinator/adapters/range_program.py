"""A backfill's `command` as a ports.RangeProgram: the user's own program, told which rows and where.

It gets the rows as a condition, the same that `{range}` is in a statement: a pair of bounds is easily done
twice at its ends, and has no word for the first row. It sits under the supervisor that a migration's program
has, and inherits a lock of its own: while anything of an earlier one is there, no other one is started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from coordinator.adapters import supervised
from coordinator.adapters.command_runner import run_command
from coordinator.model import RANGE, CommandSpec, DatabaseSpec
from coordinator.ports.programs import Ended
from coordinator.secret import Secret

_GONE = timedelta(seconds=2)
"""How long the program of a command that was killed may take to be gone."""


class RangeProgram:
    """ports.RangeProgram over a program."""

    def __init__(
        self,
        database: DatabaseSpec,
        name: str,
        command: CommandSpec,
        *,
        url: Callable[[], Secret],
        environment: Mapping[str, str],
        secrets: Callable[[], tuple[Secret, ...]],
    ) -> None:
        self._database = database
        self._command = command
        self._url = url
        self._environment = environment
        self._secrets = secrets
        self._lock = command.folder / ".coordinator" / "programs" / f"{database.name}.{name}.lock"

    def run(self, condition: str, *, note: Callable[[str], None]) -> Ended:
        """Run the program until it and its children have ended."""
        supervised.demand_gone(self._lock, _GONE)
        return run_command(
            self._command,
            {RANGE: condition},
            database=self._database,
            url=self._url(),
            environment=self._environment,
            secrets=self._secrets(),
            lock=self._lock,
            note=note,
        )
