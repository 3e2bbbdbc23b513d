"""A backfill's `command` as a ports.RangeProgram: the user's own program, told which rows and where.

It gets the rows as a condition, the same that `{range}` is in a statement: a pair of bounds is easily done
twice at its ends, and has no word for the first row. It sits under the supervisor that a migration's program
has, and inherits a lock of its own: while anything of an earlier one is there, no other one is started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from coordinator.adapters import supervised
from coordinator.adapters.command_runner import run_command
from coordinator.adapters.live_address import LiveAddress
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
        live: Secret | None = None,
    ) -> None:
        """Make one for the database at `url`: a scratch database, where `live` has the live address."""
        self._database = database
        self._command = command
        self._url = url
        self._environment = environment
        self._secrets = secrets
        self._name = name
        self._live = live

    def run(self, condition: str, *, note: Callable[[str], None]) -> Ended:
        """Run the program until it and its children have ended."""
        if self._live is None:
            supervised.demand_gone(self._lock, _GONE)
        return run_command(
            self._command,
            {RANGE: condition},
            database=self._database,
            url=self._url(),
            environment=self._environment,
            secrets=self._secrets(),
            live=self._live,
            lock=self._lock,
            note=note,
        )

    def on_scratch(self, url: Secret, *, live: Secret) -> RangeProgram | str:
        """Return what runs it on the scratch database at `url`; a text says why it may not be run there."""
        address = LiveAddress(live, self._database.engine, self._command.folder)
        return address.why_not_rehearsed(self._command.argv) or RangeProgram(
            self._database,
            self._name,
            self._command,
            url=lambda: url,
            environment=self._environment,
            secrets=self._secrets,
            live=live,
        )

    @property
    def _lock(self) -> Path:
        return self._command.folder / ".coordinator" / "programs" / f"{self._database.name}.{self._name}.lock"
