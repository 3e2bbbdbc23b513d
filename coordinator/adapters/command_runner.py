"""The plan's `command` as a ports.MigrationRunner: the user's own program, told which version and where.

The address goes to it in two ways: as `{url}` among its arguments, and in the very environment variable that
the plan's `url: env:NAME` names. A program that reads NAME so works on a scratch database unchanged. There
is no shell, and a relative program is looked for from the plan's folder. In a rehearsal the live address is
kept from it (live_address.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from coordinator.adapters import supervised
from coordinator.adapters.live_address import LiveAddress
from coordinator.adapters.sqlite_url import path_from, written_like
from coordinator.argv import argv_from
from coordinator.model import CommandSpec, DatabaseSpec, Engine, Migration, MigrationId, Script
from coordinator.ports import programs
from coordinator.ports.programs import Ended
from coordinator.secret import Secret


class CommandRunner:
    """ports.MigrationRunner over a program."""

    called = "its program"

    def __init__(
        self,
        database: DatabaseSpec,
        command: CommandSpec,
        *,
        environment: Mapping[str, str],
        secrets: Callable[[], tuple[Secret, ...]],
    ) -> None:
        self.is_repeatable = command.is_repeatable
        self.rehearses = command.rehearses
        self._database = database
        self._command = command
        self._environment = environment
        self._secrets = secrets

    def up(
        self, migration: Migration, *, url: Secret, live: Secret | None, note: Callable[[str], None]
    ) -> Ended:
        """Run the program until it and its children have ended."""
        return run_command(
            self._command,
            {"{version}": str(migration.version)},
            database=self._database,
            url=url,
            environment=self._environment,
            secrets=self._secrets(),
            live=live,
            lock=self._lock,
            note=note,
        )

    def up_together(
        self, migrations: Sequence[Migration], *, url: Secret, note: Callable[[str], None]
    ) -> Ended | None:
        """Return None: what a program commits, and when, only its user knows."""
        del migrations, url, note
        return None

    def let_go(self) -> None:
        """Do nothing: each migration has a program of its own."""

    def why_not_rehearsed(self, live: Secret) -> str | None:
        """Look for the live address in the command."""
        address = LiveAddress(live, self._database.engine, self._command.folder)
        return address.why_not_rehearsed(self._command.argv)

    def scripts(self, migrations: Sequence[Migration], *, url: Secret) -> Mapping[MigrationId, Script | str]:
        """Return nothing: a program of the user is asked for nothing but its work."""
        del migrations, url
        return {}

    def what_ran(self, migration: Migration) -> str:
        """Return nothing: a command says it to nobody."""
        del migration
        return ""

    def may_have_begun(self, migration: Migration) -> bool:
        """Return that it may: a command says it to nobody."""
        del migration
        return True

    def has_left(self, migration: Migration) -> bool:
        """Return that nobody is sure of it: a command says it to nobody."""
        del migration
        return False

    def demand_gone(self, timeout: timedelta) -> None:
        """Return when no program of an earlier command is left."""
        supervised.demand_gone(self._lock, timeout)

    @property
    def _lock(self) -> Path:
        return self._command.folder / ".coordinator" / "programs" / f"{self._database.name}.lock"


def run_command(
    command: CommandSpec,
    told: Mapping[str, str],
    *,
    database: DatabaseSpec,
    url: Secret,
    environment: Mapping[str, str],
    secrets: tuple[Secret, ...],
    live: Secret | None,
    lock: Path,
    note: Callable[[str], None],
) -> Ended:
    """Run a `command` of the plan until it and its children have ended.

    `told` has its placeholders beside `{url}`. It inherits the file `lock`, so that one which is left can be
    seen. With `live`, the live address, `url` leads to a scratch database, where nobody else is: the program
    gets no lock, no more time than a rehearsal has, and nothing of the environment that leads to the live
    one. Raises: StepFailed `program-not-started` with nothing done.
    """
    url = _address_for(database.engine, url)
    told = {**told, "{url}": url.reveal()}
    deadline = command.deadline
    if live is not None:
        environment = LiveAddress(live, database.engine, command.folder).kept_from(environment)
        secrets = (live, *secrets)
        deadline = min(deadline, programs.ON_SCRATCH)

    def run(held: int | None) -> Ended:
        return supervised.run_supervised(
            [_filled(each, told) for each in argv_from(command.argv, folder=command.folder)],
            folder=command.folder,
            environment={**environment, **_variable_of(database, url)},
            deadline=deadline,
            lock=held,
            output=supervised.Output(note, (url, *secrets)),
        )

    if live is not None:
        return replace(run(None), is_hurried=deadline < command.deadline)
    with supervised.held_by_program(lock) as held:
        ended = run(held)
        if ended.exit_code is not None:
            # Who detached itself on purpose holds the old file; the next program gets another one.
            lock.unlink(missing_ok=True)
        return ended


def _variable_of(database: DatabaseSpec, url: Secret) -> dict[str, str]:
    """Return the environment variable that the plan names for a database's address, if it names one."""
    reference = database.url
    return {reference.name: url.reveal()} if reference.scheme == "env" else {}


def _address_for(engine: Engine, url: Secret) -> Secret:
    """Return a database's address for a program that may run in another folder than this command."""
    if engine is not Engine.SQLITE:
        return url
    _, mark, settings = url.reveal().partition("?")
    return Secret(f"{written_like(path_from(url).absolute(), url).reveal()}{mark}{settings}")


def _filled(argument: str, told: Mapping[str, str]) -> str:
    """Return an argument with its placeholders replaced, each once: what comes in may hold braces too."""
    return re.sub("|".join(map(re.escape, told)), lambda found: told[found[0]], argument)
