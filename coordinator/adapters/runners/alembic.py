"""Alembic as a ports.MigrationRunner: a process with the user's env.py for a revision that is applied.

Several that follow each other, each of which is whole or not there at all, may share a process.

The process (_alembic_child.py) is told the database by address and by what its server says about itself, so
that it changes no other. It is a fork of a warm interpreter (_alembic_warm.py) where that can be had: a
revision takes less time, and finds as little of the one before it. It gets the plan's `try` as lock_timeout;
where a revision was refused a lock and certainly nothing of it stayed, it runs again, as often as the plan's
budget allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from coordinator.adapters import supervised
from coordinator.adapters.runners import _alembic_child, _alembic_warm
from coordinator.adapters.runners._alembic_process import Process
from coordinator.adapters.runners._alembic_said import Sent, sent_otherwise
from coordinator.adapters.runners._alembic_trail import begin_trail, has_left, may_have_begun, read_trail
from coordinator.adapters.sqlalchemy_url import names_driver
from coordinator.adapters.sqlite_url import of_sqlalchemy, path_from
from coordinator.adapters.warm_interpreter import WarmInterpreter
from coordinator.argv import interpreter_from
from coordinator.errors import ENDED, MEANT, DatabaseError, StepFailed, Waiting
from coordinator.model import DatabaseSpec, Engine, Migration, MigrationId, Script, Statement
from coordinator.ports import programs
from coordinator.ports.databases import Batch, Session
from coordinator.ports.programs import Ended
from coordinator.secret import Secret, without

Connect = Callable[[Secret], AbstractContextManager[Session]]

_PAUSES: Final = (0.1, 0.3, 1.0, 3.0)
_LOCK_TIMEOUT: Final = "55P03"
_DIALECTS: Final = {Engine.MARIADB: "mysql"}
_ALIASES: Final = {"postgresql": ("postgres",), "mysql": ("mariadb",)}
_NOTICED: Final = (
    "SELECT set_config(name, '2000', false) FROM pg_settings WHERE name = 'client_connection_check_interval'"
)
"""Let the server notice within seconds that the process was killed (PostgreSQL 14): no orphan holds locks."""
_HOME: Final = (
    "SELECT coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.oid = to_regclass('\"{}\"')), current_schema())"
)
"""The schema in which a session finds a table, or would make it: env.py may set another `search_path`."""
_IDENTITY: Final = {
    Engine.POSTGRESQL: "SELECT current_database(), extract(epoch FROM pg_postmaster_start_time())::text",
    Engine.SQLITE: "SELECT file FROM pragma_database_list WHERE name = 'main'",
    Engine.MYSQL: "SELECT DATABASE(), @@hostname, @@port, @@datadir",
    Engine.MARIADB: "SELECT DATABASE(), @@hostname, @@port, @@datadir",
}


class AlembicRunner:
    """ports.MigrationRunner over the user's own Alembic."""

    called = "Alembic"
    is_repeatable = False
    rehearses = True

    def __init__(
        self,
        spec: DatabaseSpec,
        *,
        folder: Path,
        environment: Mapping[str, str],
        secrets: Callable[[], tuple[Secret, ...]],
        connect: Connect,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._environment = environment
        self._secrets = secrets
        self._connect = connect
        self._warm = WarmInterpreter(
            [self._python, "-u", _alembic_warm.__file__],
            folder=_root(spec.migrations.folder),
            environment=environment,
        )
        self._waiting: Process | None = None
        self._may_stay = False
        """What env.py did in a process before lets one wait for more."""
        self._last_identity: list[str] = []

    def up(
        self, migration: Migration, *, url: Secret, live: Secret | None, note: Callable[[str], None]
    ) -> Ended:
        """Run one revision; again where a lock was not to be had and nothing happened."""
        is_scratch = live is not None
        until = time.monotonic() + self._spec.locks.deadline.total_seconds()
        tries = _tries(self._spec)
        for at in range(tries):
            if is_scratch:
                ended, answer = self._run(self._upgrade(url, []), [migration], url=url, note=note)
            else:
                ended, answer = self._run_live([migration], url=url, note=note)
            if ended.exit_code == 0 and is_scratch and migration.by_program:
                self._demand_said(migration, answer.get("sent", ()))
            if ended.exit_code == 0 or answer.get("sqlstate") != _LOCK_TIMEOUT or answer.get("commits"):
                return ended
            if at + 1 == tries or time.monotonic() > until:
                break
            pause = _PAUSES[min(at, len(_PAUSES) - 1)]
            note(f"{migration.name} did not get a lock, and nothing of it happened. Again in {pause:g} s.")
            time.sleep(pause)
        raise Waiting(
            "lock-blocked",
            f"{migration.name} did not get a lock: {answer.get('error', '')}",
            why="Somebody else works on the table. While the migration waits everybody waits behind it, so it"
            " lets them pass. Nothing of it happened.",
            next_step="Run again when the table is less busy, or allow more: `locks: {budget: …}`.",
        )

    def up_together(
        self, migrations: Sequence[Migration], *, url: Secret, note: Callable[[str], None]
    ) -> Ended | None:
        """Run revisions in one process, as `alembic upgrade` does, but each in a transaction of its own.

        It ends before one that was refused a lock, and behind one that may leave something in the session.
        """
        return self._run_live(migrations, url=url, note=note)[0]

    def let_go(self) -> None:
        """Let the process come to its end that waits for more revisions."""
        process, self._waiting = self._waiting, None
        if process is not None:
            process.let_go()

    def why_not_rehearsed(self, live: Secret) -> str | None:
        """Return nothing: each of its connections is asked which database it is, before anything is sent."""
        del live
        return None

    def scripts(self, migrations: Sequence[Migration], *, url: Secret) -> Mapping[MigrationId, Script | str]:
        """Return what each revision sends, from Alembic's offline mode; a text says why that is not known."""
        asked = [each for each in migrations if each.needs_database is None]
        found: dict[MigrationId, Script | str] = {
            each.version: each.needs_database for each in migrations if each.needs_database is not None
        }
        if not asked:
            return found
        dialect = _DIALECTS.get(self._spec.engine, str(self._spec.engine))
        request = {
            "kind": "scripts",
            "asked": [str(each.version) for each in asked],
            "dialect": dialect,
        }
        speaks = url.reveal().partition("://")[0].partition("+")[0] in (dialect, *_ALIASES.get(dialect, ()))
        at = url if speaks else Secret(f"{dialect}://localhost/nowhere")
        ended, answer = self._run(request, migrations, url=at, note=_ignore)
        why = str(answer.get("error") or f"Alembic's offline mode ended with {ended.exit_code}")
        scripts = answer.get("scripts", {})
        for each in asked:
            found[each.version] = _script(scripts.get(str(each.version), {"error": why}))
        return found

    def what_ran(self, migration: Migration) -> str:
        """Return what the last process wrote down while it sent the revision's statements."""
        return without(read_trail(self._trail, migration, self._spec.engine), self._secrets())

    def may_have_begun(self, migration: Migration) -> bool:
        """Tell whether a process that was asked for the revision wrote down that it begins."""
        return may_have_begun(self._trail, migration)

    def has_left(self, migration: Migration) -> bool:
        """Tell whether the last process was seen to leave a statement of the revision, as its file is now."""
        return has_left(self._trail, migration, self._spec.engine)

    def demand_gone(self, timeout: timedelta) -> None:
        """Return when no process of an earlier command is left."""
        supervised.demand_gone(self._lock, timeout)

    def _demand_said(self, migration: Migration, sent: Iterable[Sent]) -> None:
        """Raise StepFailed where a revision sent on a scratch database what its SQL does not say."""
        table = (self._spec.migrations.table or "alembic_version").rpartition(".")[2]
        other = sent_otherwise(sent, migration, engine=self._spec.engine, table=table)
        if other is not None:
            raise StepFailed("program-failed", other)

    def _upgrade(self, url: Secret, settings: list[str]) -> dict[str, object]:
        self._last_identity = self._identity(url)
        return {
            "kind": "upgrade",
            "identity_query": _IDENTITY[self._spec.engine],
            "identity": self._last_identity,
            "settings": settings,
            **self._home(url),
        }

    def _home(self, url: Secret) -> dict[str, object]:
        """Return the schema that has the version table which is read here, and what asks env.py's session."""
        if self._spec.engine is not Engine.POSTGRESQL:
            return {"home_query": None, "home": ""}
        schema, _, name = (self._spec.migrations.table or "alembic_version").rpartition(".")
        query = _HOME.format(name.replace('"', '""').replace("'", "''"))
        with self._connect(url) as session:
            [(found,)] = session.query(query)
        return {"home_query": query, "home": schema or found or ""}

    def _identity(self, url: Secret) -> list[str]:
        with self._connect(url) as session:
            if self._spec.engine is Engine.SQLITE:
                session.execute(Batch((), transaction=True))  # makes a new file, which has a name then
            [row] = session.query(_IDENTITY[self._spec.engine])
        return [str(each) for each in row]

    def _run(
        self,
        request: Mapping[str, object],
        migrations: Sequence[Migration],
        *,
        url: Secret,
        note: Callable[[str], None],
    ) -> tuple[Ended, dict[str, Any]]:
        """Run a process that works on a scratch database, or on none."""
        output = supervised.Output(note, (url, *self._secrets()))
        of_plan = programs.ON_SCRATCH if request["kind"] == "scripts" else self._spec.migrations.deadline
        deadline = min(of_plan, programs.ON_SCRATCH)
        whole = {**request, **self._about(url), **_revisions(migrations), "trail": None}
        start = partial(self._started, lock=None)
        with closing(Process(start, whole, stays=False)) as process:
            ended, answer = process.watch(deadline=deadline, output=output)
        return self._answered(replace(ended, is_hurried=deadline < of_plan), answer, url), answer

    def _run_live(
        self, migrations: Sequence[Migration], *, url: Secret, note: Callable[[str], None]
    ) -> tuple[Ended, dict[str, Any]]:
        """Let the process that waits for it go on, or another one begin; also where that one had ended."""
        if self._waiting is not None and not self._waiting.may_be_asked:
            self.let_go()
        has_waited = self._waiting is not None
        ended, answer = self._watched(self._asked(migrations, url), migrations[0], url, note)
        has_gone = has_waited and (ended.is_cut_off or not answer)
        if has_gone and not ended.has_begun and not ended.is_late:
            note(f"The process that waited has gone: {ended.told}. Another one begins.")
            ended, answer = self._watched(self._asked(migrations, url), migrations[0], url, note)
        return ended, answer

    def _asked(self, migrations: Sequence[Migration], url: Secret) -> Process:
        """Return the process that does it, which has waited for it or begins."""
        process, self._waiting = self._waiting, None
        asked = {**_revisions(migrations), "trail": str(self._trail)}
        with _startable(self._python):
            if process is not None:
                begin_trail(self._trail, migrations[0])
                with suppress(OSError):  # its folder is gone, or there is no room in it
                    process.ask(asked)
                    return process
                process.close()
            with supervised.held_by_program(self._lock) as lock:
                begin_trail(self._trail, migrations[0])
                whole = {**self._upgrade(url, _settings(self._spec)), **self._about(url), **asked}
                return Process(partial(self._started, lock=lock), whole, stays=self._may_stay)

    def _watched(
        self, process: Process, first: Migration, url: Secret, note: Callable[[str], None]
    ) -> tuple[Ended, dict[str, Any]]:
        """Return how it ended, and its answer; it is kept where it waits for more."""
        output = supervised.Output(note, (url, *self._secrets()))
        with ExitStack() as unless_it_waits:
            unless_it_waits.callback(process.close)
            ended, answer = process.watch(deadline=self._spec.migrations.deadline, output=output)
            if process.waits:
                unless_it_waits.pop_all()
                self._waiting = process
            else:
                self._may_stay = bool(answer.get("may_stay"))
        is_gone = ended.exit_code is not None  # else it may still be there, and begin
        has_begun = process.waits or not is_gone or self.may_have_begun(first)
        ended = replace(self._answered(ended, answer, url), has_begun=has_begun)
        was_ended = first.is_atomic and answer.get("sqlstate") == ENDED
        if (was_ended or answer.get("is_elsewhere")) and self._has_restarted(url):
            ended = replace(ended, is_cut_off=True)  # nobody meant the session, or it reached the right one
        return ended, answer

    def _has_restarted(self, url: Secret) -> bool:
        """Tell whether the server lets nobody in, or was started since the process that works began."""
        try:
            return self._identity(url) != self._last_identity
        except DatabaseError:
            return True

    def _answered(self, ended: Ended, answer: Mapping[str, Any], url: Secret) -> Ended:
        """Return how a process ended, with the reason that it gives."""
        if "error" in answer:  # in a sentence, rather than the end of a traceback
            ended = replace(ended, lines=(without(answer["error"], (url, *self._secrets())),))
        is_cut_off = bool(answer.get("is_cut_off")) and answer.get("sqlstate") not in MEANT
        return replace(ended, is_cut_off=is_cut_off)

    def _about(self, url: Secret) -> dict[str, object]:
        return {
            "folder": str(self._spec.migrations.folder.absolute()),
            "url": self._told(url).reveal(),
            "table": self._spec.migrations.table,
            "section": self._spec.migrations.section,
            "x_arguments": dict(self._spec.migrations.x_arguments),
            "variable": self._spec.url.name if self._spec.url.scheme == "env" else None,
        }

    def _told(self, url: Secret) -> Secret:
        """Return the address as the process gets it, which runs in another folder than this command."""
        if self._spec.engine is not Engine.SQLITE:
            return url
        scheme = url.reveal().partition("://")[0] if names_driver(url) else "sqlite"
        return Secret(f"{scheme}://{path_from(url).absolute()}")

    def _started(self, variables: Mapping[str, str], *, lock: int | None) -> supervised.Supervised:
        begun = self._warm.begin(variables, lock=lock)
        return begun or supervised.begin_supervised(
            [self._python, "-u", _alembic_child.__file__],
            folder=_root(self._spec.migrations.folder),
            environment={**self._environment, **variables},
            lock=lock,
        )

    @property
    def _python(self) -> str:
        return interpreter_from(self._spec.migrations.python, folder=self._folder)

    @property
    def _lock(self) -> Path:
        return self._folder / ".coordinator" / "programs" / f"{self._spec.name}.lock"

    @property
    def _trail(self) -> Path:
        return self._lock.with_suffix(".trail").absolute()


def connect(
    spec: DatabaseSpec,
    *,
    folder: Path,
    environment: Mapping[str, str],
    secrets: Callable[[], tuple[Secret, ...]],
    connect: Connect,
) -> AlembicRunner:
    """Return the runner of a database; starts nothing."""
    return AlembicRunner(spec, folder=folder, environment=environment, secrets=secrets, connect=connect)


def address_from(url: Secret, engine: Engine) -> Secret:
    """Return the plan's URL, which people with Alembic write as SQLAlchemy reads it.

    Raises: Usage `bad-database-url`.
    """
    return of_sqlalchemy(url) if engine is Engine.SQLITE else url


def _revisions(migrations: Sequence[Migration]) -> dict[str, object]:
    return {
        "revisions": {
            str(each.version): [str(Path(each.files[0].path).absolute()), each.files[0].digest]
            for each in migrations
        },
        "labels": {str(each.version): each.branch_labels for each in migrations},
        "whole": [str(each.version) for each in migrations if each.is_atomic],
    }


@contextmanager
def _startable(program: str) -> Iterator[None]:
    """Raise StepFailed where this machine does not let a process be asked: a disk is full."""
    try:
        yield
    except OSError as error:
        raise StepFailed(
            "program-not-started",
            f"`{program}` could not be started for a revision: {error}.",
            why="Nothing of it was sent.",
            next_step="Mend that (a full disk, a folder that may not be written), and run again.",
        ) from error


def _ignore(line: str) -> None:
    del line


def _root(folder: Path) -> Path:
    """Return where `alembic` is run: the folder of its configuration, from which its paths start."""
    for place in (folder, folder.parent):
        if (place / "alembic.ini").is_file() or _has_section(place / "pyproject.toml"):
            return place
    return folder


def _has_section(file: Path) -> bool:
    return file.is_file() and b"[tool.alembic]" in file.read_bytes()


def _tries(spec: DatabaseSpec) -> int:
    """Return how often one revision may wait for a lock: each time as long as the plan's `try` says."""
    if spec.engine is not Engine.POSTGRESQL:
        return 1
    return max(1, int(spec.locks.budget / spec.locks.attempt))


def _settings(spec: DatabaseSpec) -> list[str]:
    match spec.engine:
        case Engine.POSTGRESQL:
            return [f"SET lock_timeout = {round(spec.locks.attempt / timedelta(milliseconds=1))}", _NOTICED]
        case Engine.SQLITE:
            return [f"PRAGMA busy_timeout = {round(spec.lock_timeout / timedelta(milliseconds=1))}"]
    seconds = max(1, round(spec.lock_timeout.total_seconds()))
    return [f"SET SESSION lock_wait_timeout = {seconds}", f"SET SESSION innodb_lock_wait_timeout = {seconds}"]


def _script(found: Mapping[str, Any]) -> Script | str:
    if "error" in found:
        return f"its SQL cannot be had without a database: {found['error']}"
    statements = tuple(Statement(_text(text), line) for text, line in found["statements"])
    return Script(statements, transaction=bool(found["transaction"]))


def _text(text: str) -> str:
    return text.strip().removesuffix(";")
