"""Alembic itself, with a user's env.py, in a process and an environment of the user's own.

This file is run by its path with the interpreter of the user's project, which has Alembic 1.9 or newer and
nothing of coordinator. It reads one request from its environment and writes one answer to a file; whatever
env.py prints goes where this process's output goes. It may end in any way that env.py likes: without an
answer nothing is believed.

An online request names the database by what its server says about itself. Every connection that SQLAlchemy
opens here is asked the same before anything else is sent over it, and refused if it is another database: an
env.py that takes its address from somewhere else so changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from traceback import walk_stack
from typing import Any

REQUEST = "COORDINATOR_ALEMBIC_REQUEST"
_DRIVERS = {"postgresql": ("psycopg", "psycopg2", "asyncpg", "pg8000"), "mysql": ("pymysql", "MySQLdb")}
"""Which driver to take where the project names none, by what is installed."""
_OLDEST = (1, 9)
_READS_TOML = (1, 16)
_CALM = re.compile(
    r"\s*(?:CREATE|ALTER|DROP|INSERT|UPDATE|DELETE|COMMENT|TRUNCATE|GRANT|REVOKE)\b", re.IGNORECASE
)
"""What begins a statement after which a session is as it was."""
_LEAVES_SOMETHING = re.compile(
    r";\s*\S|\bTEMP(?:ORARY)?\b|^\s*ALTER\s+(?:SYSTEM|ROLE|USER|DATABASE)\b", re.IGNORECASE
)
"""What is several statements, makes what goes with the session, or changes what a new one begins with."""
_ASKED = r"(?:table_x?info|table_list|index_x?info|index_list|foreign_key_list|database_list)\b"
_READS = {
    "sqlite": re.compile(rf"\s*(?:SELECT|PRAGMA\s+(?:\w+\.|\"\w+\"\.)?{_ASKED})[^;]*", re.IGNORECASE),
    "mysql": re.compile(r"\s*(?:SHOW|DESCRIBE)\b[^;]*", re.IGNORECASE),
    "mariadb": re.compile(r"\s*(?:SHOW|DESCRIBE)\b[^;]*", re.IGNORECASE),
}
"""What else does, by dialect: what SQLAlchemy's inspector and a step of data ask there."""
_COMMITS = re.compile(r"\s*(?:COMMIT|END)\b", re.IGNORECASE)
_TAKES_BACK = re.compile(r"\s*(?:ROLLBACK|ABORT)\b(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b)", re.IGNORECASE)
"""A text that ends the transaction around it, as a revision sends it."""
_KEPT = 10_000
"""Letters of a statement that are written down."""


class Refused(Exception):
    """What was asked for cannot be done; nothing has happened."""


class Lost(Refused):
    """The connection was lost where nothing of a revision had been sent over it."""

    connection_invalidated = True  # as SQLAlchemy's own errors say it


def main() -> None:
    """Do what the request says and answer."""
    request = json.loads(os.environ.pop(REQUEST))
    forget_own_folder()
    answer: dict[str, Any] = {}
    try:
        _demand_alembic()
        _ACTIONS[request["kind"]](request, answer)
    except BaseException as error:  # a user's env.py raises what it likes, SystemExit too: that is the answer
        answer["error"] = _told(error)
        answer["sqlstate"] = _sqlstate(error)
        is_out_of_reach = bool(answer.get("connects")) and "began" not in answer
        answer["is_cut_off"] = is_out_of_reach or getattr(error, "connection_invalidated", False)
        if isinstance(error, Refused):
            sys.stderr.write(f"{answer['error']}\n")
        else:
            _print_traceback(error)
        _write(request["answer"], answer)
        sys.exit(1)
    _write(request["answer"], answer)


def _print_traceback(error: BaseException) -> None:
    """Print what came over the project's own lines; in those of libraries there is nothing to mend."""
    told = traceback.TracebackException.from_exception(error)
    if getattr(error, "orig", None) is not None:  # SQLAlchemy's: its text has the driver's error already
        told.__cause__, told.__suppress_context__ = None, True
    libraries = (str(Path(os.__file__).parent), __file__, "<")
    each: traceback.TracebackException | None = told
    while each is not None:
        own = [
            frame
            for frame in each.stack
            if not frame.filename.startswith(libraries) and "-packages" not in frame.filename
        ]
        each.stack[:] = own or each.stack
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    sys.stderr.writelines(told.format())


def forget_own_folder() -> None:
    """Let no module beside this file be imported: one has the name of Alembic."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != here]


def _write(path: str, answer: dict[str, Any]) -> None:
    partly = Path(f"{path}.partly")
    partly.write_text(json.dumps(answer), encoding="utf-8")
    partly.replace(path)


def _told(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _sqlstate(error: BaseException) -> str | None:
    original = getattr(error, "orig", None)
    for name in ("sqlstate", "pgcode"):
        code = getattr(original, name, None)
        if isinstance(code, str):
            return code
    return None


# -- the project ----------------------------------------------------------------------------------------


def _config(request: dict[str, Any]) -> Any:
    """Return Alembic's configuration, with the address that was asked for."""
    folder = Path(request["folder"])
    config = next(filter(None, map(_config_in, (folder, folder.parent))), None) or _config_of()
    get = getattr(config, "get_alembic_option", config.get_main_option)
    location = get("script_location")
    if not location or _is_template(location, folder):
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.cmd_opts = argparse.Namespace(x=None, name=config.config_ini_section, sql=False, tag=None)
    url = _url(request["url"], config.get_main_option("sqlalchemy.url"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    if request["variable"]:
        os.environ[request["variable"]] = _url(request["url"], os.environ.get(request["variable"]))
    return config


def _is_template(location: str, folder: Path) -> bool:
    """Tell whether a place leads nowhere, as one that a program fills in does, and the folder has env.py."""
    return ":" not in location and not Path(location).is_dir() and (folder / "env.py").is_file()


def _config_in(folder: Path) -> Any:
    """Return the configuration of a folder, as `alembic` reads it there; None where there is none."""
    ini, toml = folder / "alembic.ini", folder / "pyproject.toml"
    files: dict[str, Any] = {"file_": str(ini)} if ini.is_file() else {}
    if toml.is_file() and "[tool.alembic]" in toml.read_text(encoding="utf-8"):
        files["toml_file"] = str(toml)
    return _config_of(**files) if files else None


def _config_of(**files: Any) -> Any:
    import alembic
    from alembic.config import Config

    if "toml_file" in files and _numbers(alembic.__version__) < _READS_TOML:
        raise Refused(
            f"Alembic {alembic.__version__} does not read the [tool.alembic] of {files['toml_file']};"
            " 1.16 does."
        )
    return Config(**files)


def _demand_alembic() -> None:
    """Refuse to work without an Alembic that is known to work."""
    try:
        import alembic
    except ModuleNotFoundError as error:
        raise Refused(
            f"{sys.executable} has no {error.name}. Name the interpreter of the project, which has Alembic:"
            " `migrations: {…, python: .venv/bin/python}`."
        ) from error
    if _numbers(alembic.__version__) < _OLDEST:
        raise Refused(f"{sys.executable} has Alembic {alembic.__version__}; it must be 1.9 or newer.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split(".")[:2] if each.isdecimal())


def _url(address: str, like: str | None) -> str:
    """Return the address for SQLAlchemy, with the driver of another one, its own, or the first installed."""
    from sqlalchemy.engine import make_url

    scheme, colon, rest = address.partition("://")
    name = _dialect(address)
    base, _, driver = scheme.partition("+")
    with suppress(Exception):
        other, _, named = make_url(like or "").drivername.partition("+")
        driver = named or driver if _dialect(f"{other}://") == name else driver
    if driver:
        name = base if "+" in scheme else name
    else:
        driver = next((each for each in _DRIVERS.get(name, ()) if find_spec(each)), "")
    if name == "postgresql":
        rest = _with_hosts_in_query(rest)
    if name == "sqlite":
        rest = f"/{rest.partition('?')[0]}"  # an absolute path
    return f"{name}+{driver}{colon}{rest}" if driver else f"{name}{colon}{rest}"


def _with_hosts_in_query(rest: str) -> str:
    """Return an address behind its scheme with several hosts where SQLAlchemy looks for them: behind `?`.

    libpq has them, each with its port, before the path.
    """
    place, _, path = rest.partition("/")
    who, at, listed = place.rpartition("@")
    if "," not in listed or "[" in listed:
        return rest
    pairs = [each.partition(":")[::2] for each in listed.split(",")]
    hosts, ports = [host for host, _ in pairs], [port for _, port in pairs]
    database, _, query = path.partition("?")
    lists = f"host={','.join(hosts)}" + (f"&port={','.join(ports)}" if any(ports) else "")
    return f"{who}{at}/{database}?{lists}" + (f"&{query}" if query else "")


def _dialect(address: str) -> str:
    scheme = address.partition("://")[0].partition("+")[0]
    return {"postgres": "postgresql", "mariadb": "mysql"}.get(scheme, scheme)


def _script(config: Any, request: dict[str, Any]) -> Any:
    """Return Alembic's view of the files, which must be those that were read for the plan."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(config)
    _demand_as_read(script, request)
    return script


def _demand_as_read(script: Any, request: dict[str, Any]) -> None:
    """Refuse revisions that Alembic finds elsewhere, or otherwise than they were read for the plan."""
    for name, (path, digest) in request["revisions"].items():
        revision = script.get_revision(name)
        if Path(revision.path).resolve() != Path(path).resolve():
            raise Refused(f"Alembic finds revision {name} in {revision.path}, and the plan in {path}.")
        if sha256(Path(path).read_bytes()).hexdigest() != digest:
            raise Refused(f"{path} was changed while the command ran.")
        said = getattr(revision.module, "branch_labels", None) or ()
        labels = sorted({said} if isinstance(said, str) else said)
        if labels != sorted(request["labels"][name]):
            raise Refused(
                f"The branch labels of {path} are {', '.join(labels) or 'none'}, and"
                f" {', '.join(request['labels'][name]) or 'none'} where it was read."
            )


# -- what can be asked for ------------------------------------------------------------------------------


def _upgrade(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Apply the revisions of the request from the first on, and nothing else, on its database.

    Each of several commits by itself. The last ones may be left for another process. A process that `stays`
    waits for the next request then, while its session is as good as a new one.
    """
    from alembic.runtime.environment import EnvironmentContext

    config = _config(request)
    script = _script(config, request)
    _guard(request, answer)
    upgrade = _Upgrade(request, script, answer)
    last = next(reversed(request["revisions"]))
    with EnvironmentContext(config, script, fn=upgrade.steps, as_sql=False, destination_rev=last) as made:
        if len(request["revisions"]) > 1 or request["stays"]:
            _replace(made, "configure", partial(made.configure, transaction_per_migration=True))
        script.run_env()
    answer["may_stay"] = upgrade.may_stay


class _Upgrade:
    """What Alembic is to do, for one request or for several."""

    def __init__(self, request: dict[str, Any], script: Any, answer: dict[str, Any]) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        self._request = request
        self._script = script
        self._answer = answer
        self._trail = _Trail()
        self._calls = 0
        self._sent: list[str] = []
        self.may_stay = False
        """env.py runs migrations once and sends nothing behind them: it would be sent too late."""
        event.listen(Engine, "before_cursor_execute", lambda _, __, text, *___: self._hear(text))

    def steps(self, heads: Any, context: Any) -> Iterator[Any]:
        """Yield steps, each of which is committed before the next one is asked for."""
        self._calls += 1
        self.may_stay = False
        if self._calls > 1 and self._request["stays"]:
            raise Refused(
                f"env.py runs the migrations {self._calls} times, and did it once in a process before."
            )
        _demand_table(self._request["table"], context)
        if self._request["trail"] is None:
            _listen(self._answer, next(iter(self._request["revisions"].values()))[0])
        yield from self._steps(_Heads(heads), context)
        self.may_stay = self._calls == 1 and not _is_in_transaction_of_env(context)

    def _steps(self, heads: _Heads, context: Any) -> Iterator[Any]:
        request: dict[str, Any] | None = self._request
        while request is not None:
            wanted = list(request["revisions"])
            found = _in_order(self._script, wanted if _commits_each(context) else wanted[:1], heads.now)
            if not set(request["whole"]).isdisjoint(each.revision.revision for each in found):
                _demand_transaction(context)
            self._answer["began"] = True
            self._trail.begin(request)
            for each in found:
                self._sent.clear()
                yield each
                if not all(_leaves_alone(text, context.dialect.name) for text in self._sent):
                    return  # the next one would find that, and not if it ran after a kill
            if len(found) < len(wanted) or not _commits_each(context) or context.connection.in_transaction():
                return
            request = self._next_request(context)

    def _hear(self, text: str) -> None:
        self.may_stay = False
        self._sent.append(text)

    def _next_request(self, context: Any) -> dict[str, Any] | None:
        """Say that all is done that was asked for, and wait for more; None where nothing more comes."""
        if not self._request["stays"]:
            return None
        more, asked, done = map(Path, self._request["stays"])
        done.write_bytes(b"d")
        with asked.open("rb", buffering=0) as pipe:
            pipe.read(1)
        request: dict[str, Any] | None = json.loads(more.read_text(encoding="utf-8"))
        if request is not None:
            _demand_connected(context)
            _demand_as_read(self._script, request)
            self._answer["commits"] = 0
        return request


class _Heads:
    """The heads of the version table, as Alembic knows them after each step."""

    def __init__(self, heads: Any) -> None:
        from alembic.runtime.migration import HeadMaintainer

        self.now = tuple(heads)
        update = HeadMaintainer.update_to_step

        def updated(maintainer: Any, step: Any) -> None:
            update(maintainer, step)
            self.now = tuple(maintainer.heads)

        _replace(HeadMaintainer, "update_to_step", updated)


def _commits_each(context: Any) -> bool:
    """Tell whether a revision is committed before the next one begins, as env.py uses its connection."""
    is_each = bool(getattr(context, "_transaction_per_migration", False))
    return is_each and not _is_in_transaction_of_env(context)


def _is_in_transaction_of_env(context: Any) -> bool:
    return bool(getattr(context, "_in_external_transaction", True))


def _demand_transaction(context: Any) -> None:
    """Refuse to begin what is taken to be there as a whole or not at all, where each statement stays.

    Its text does not show it: the engine may be made elsewhere, or by settings of alembic.ini.
    """
    connection = driver_connection(context.connection)
    if context.impl.transactional_ddl and not _commits_itself(connection):
        return
    raise Refused(
        f"env.py's connection, by {context.dialect.driver}, commits each statement by itself"
        " (`isolation_level`, in alembic.ini or where the engine is made, or `transactional_ddl`), and env.py"
        " does not say so: what a revision that fails leaves behind would be done again. Take that setting"
        " away (`autocommit_block()` is for the statements that need it), or let env.py set it:"
        ' execution_options(isolation_level="AUTOCOMMIT")'
    )


def _is_for_good(text: str, connection: Any) -> bool:
    """Tell whether a text that came back, and what went before it, is committed: by its own `COMMIT`, or for
    want of a transaction.
    """
    known = getattr(getattr(connection, "info", None), "transaction_status", None)  # PostgreSQL's
    if known is not None:
        return bool(known == 0)
    return _COMMITS.match(text) is not None or _commits_itself(connection)


def driver_connection(connection: Any) -> Any:
    """Return the driver's own connection below one of SQLAlchemy, whose name for it is new in 1.4.24."""
    lent = connection.connection
    return getattr(lent, "dbapi_connection", None) or lent.connection


def _commits_itself(connection: Any) -> bool:
    """Tell whether a connection keeps each statement for good, as its driver says it: PEP 249 does not."""
    if hasattr(connection, "get_autocommit"):  # of MySQL, where `autocommit` is what sets it
        return bool(connection.get_autocommit())
    if hasattr(connection, "in_transaction"):  # SQLite's
        return connection.isolation_level is None and not connection.in_transaction
    return getattr(connection, "autocommit", False) is True


def _demand_connected(context: Any) -> None:
    """Raise Lost where the server has ended the connection meanwhile: no revision is sent over it."""
    connection = driver_connection(context.connection)
    try:
        is_there = context.dialect.do_ping(connection)
    except context.dialect.dbapi.Error as error:
        raise Lost(f"The connection was lost between two revisions: {_told(error)}") from error
    if not is_there:  # as SQLAlchemy 1.4 says it
        raise Lost("The connection was lost between two revisions.")


def _in_order(script: Any, wanted: list[str], heads: Any) -> list[Any]:
    """Return Alembic's steps for as many of the revisions, from the first, as it applies in this order."""
    for count in range(len(wanted), 0, -1):
        found = list(script._upgrade_revs(wanted[count - 1], heads))
        names = [each.revision.revision for each in found]
        if names == wanted[:count]:
            return found
    raise Refused(f"`upgrade {wanted[0]}` would apply {', '.join(names) or 'nothing'}.")


def _leaves_alone(text: str, dialect: str) -> bool:
    """Tell whether a session is certainly as it was after a text."""
    if dialect in _READS and _READS[dialect].fullmatch(text):
        return True
    return _CALM.match(text) is not None and _LEAVES_SOMETHING.search(text) is None


def _listen(answer: dict[str, Any], path: str) -> None:
    """Put each statement into the answer, with the line of the revision's file that sends it."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    heard = answer["sent"] = []
    event.listen(
        Engine, "before_cursor_execute", lambda _, __, text, *___: heard.append((_line_of(path), text))
    )


def _demand_table(wanted: str | None, context: Any) -> None:
    """Refuse to work where env.py keeps its versions in another table than the one that is read."""
    written = ".".join(filter(None, (context.version_table_schema, context.version_table)))
    if written != (wanted or "alembic_version"):
        raise Refused(
            f"env.py keeps the versions in the table {written}, and what is read is"
            f" {wanted or 'alembic_version'}. Write `migrations: {{table: {written}}}` (for a backtest:"
            f" `--table {written}`). Nothing was applied."
        )


def _scripts(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Return the offline SQL of each revision, or why there is none."""
    from alembic.ddl.impl import DefaultImpl
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import HeadMaintainer, MigrationStep

    config = _config(request)
    script = _script(config, request)
    recording = _Recording()
    _replace(DefaultImpl, "static_output", lambda _, text: recording.take(text))
    _replace(HeadMaintainer, "update_to_step", lambda *_: recording.end())
    answer["scripts"] = {}
    dialect = request["dialect"]
    for name in request["asked"]:
        revision = script.get_revision(name)
        recording.begin(revision.path)

        def steps(_heads: Any, context: Any, revision: Any = revision) -> Any:
            spoken = {"mariadb": "mysql"}.get(context.dialect.name, context.dialect.name)
            if spoken != dialect:
                raise Refused(f"env.py makes SQL of {spoken}, and the database speaks {dialect}.")
            return [MigrationStep.upgrade_from_script(script.revision_map, revision)]

        down = revision.down_revision
        config.output_buffer = StringIO()
        try:
            with EnvironmentContext(
                config, script, fn=steps, as_sql=True, starting_rev=down, destination_rev=name
            ):
                script.run_env()
        except (Exception, SystemExit) as error:
            answer["scripts"][name] = {"error": _told(error)}
        else:
            answer["scripts"][name] = recording.found()


def _replace(of: object, method: str, by: Any) -> None:
    setattr(of, method, by)


class _Recording:
    """The statements of one revision, each with the line of the file that sent it."""

    def __init__(self) -> None:
        self.begin("")

    def begin(self, path: str) -> None:
        self._path = path
        self._statements: list[tuple[str, int]] = []
        self._is_on = self._is_wrapped = False
        self._transaction = True

    def take(self, text: str) -> None:
        word = text.strip().rstrip(";").upper()
        if text.startswith("-- Running "):
            self._is_on = True
        elif not self._is_on:
            self._is_wrapped = self._is_wrapped or word.startswith(("BEGIN", "START TRANSACTION"))
        elif word in ("BEGIN", "COMMIT", "START TRANSACTION"):
            self._transaction = False  # a block of its own, without a transaction
        else:
            self._statements.append((text, self._line()))

    def end(self) -> None:
        self._is_on = False

    def _line(self) -> int:
        return _line_of(self._path) or 1

    def found(self) -> dict[str, Any]:
        """Return the statements."""
        return {"statements": self._statements, "transaction": self._transaction and self._is_wrapped}


def _line_of(path: str) -> int | None:
    """Return the line of a file that is at work."""
    return next((line for frame, line in walk_stack(None) if frame.f_code.co_filename == path), None)


class _Trail:
    """Each statement that is sent while one revision runs, written down before it and after it.

    A kill leaves what was written; only a machine that stops may lose the last of it.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._is_listening = False

    def begin(self, request: dict[str, Any]) -> None:
        """Write down what the revision of a request sends from now on; of several revisions nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if request["trail"] is None:
            return
        if len(request["revisions"]) > 1:
            Path(request["trail"]).write_text("[]\n", encoding="utf-8")  # they have begun, and no more
            return
        [(revision, (self._path, digest))] = request["revisions"].items()
        self._connections: list[Any] = []  # kept, so that no other one gets its number
        self._file = os.open(request["trail"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._note("revision", revision, digest)
        if not self._is_listening:
            self._is_listening = True
            self._listen()

    def _listen(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "before_cursor_execute", self._before)
        event.listen(Engine, "after_cursor_execute", self._after)
        event.listen(Engine, "commit", self._commits)
        for name in ("rollback", "rollback_savepoint"):
            event.listen(Engine, name, lambda one, *_: self._note("taken back", self._number(one)))

    def _before(self, connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if self._file is None:
            return
        line, is_whole = _line_of(self._path), len(text) <= _KEPT
        self._note("sends", self._number(connection), line, text[:_KEPT], is_whole)

    def _after(self, connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        self._note("sent", self._number(connection))
        reads = _READS.get(connection.dialect.name)
        if reads is None or not reads.fullmatch(text):
            if _TAKES_BACK.match(text):
                self._note("taken back", self._number(connection))
            elif _is_for_good(text, driver_connection(connection)):
                self._note("committed", self._number(connection))

    def _commits(self, connection: Any) -> None:
        """Write a commit down when it has come back; SQLAlchemy says only that it comes."""
        dialect, commit = connection.dialect, connection.dialect.do_commit

        def committed(driver_connection: Any) -> None:
            _replace(dialect, "do_commit", commit)
            commit(driver_connection)
            self._note("committed", self._number(connection))

        _replace(dialect, "do_commit", committed)

    def _number(self, connection: Any) -> int:
        if connection not in self._connections:
            self._connections.append(connection)
        return self._connections.index(connection)

    def _note(self, *event: Any) -> None:
        if self._file is not None:
            os.write(self._file, f"{json.dumps(event)}\n".encode())


_ACTIONS = {"upgrade": _upgrade, "scripts": _scripts}


# -- the guard ------------------------------------------------------------------------------------------


def _guard(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Ask every new connection which database it is, count what is committed, and tell who cannot connect."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import Pool

    answer["commits"] = 0

    dialects: list[Any] = []

    def connects(dialect: Any, *_: Any) -> None:
        answer["connects"] = True
        dialects[:] = [dialect]

    def check(connection: Any, _record: Any) -> None:
        answer["connects"] = False
        cursor = connection.cursor()
        try:
            found, why = _identity(cursor, request["identity_query"])
            if why is not None and any(each.is_disconnect(why, connection, cursor) for each in dialects):
                raise Lost(f"The connection was lost before anything was sent over it: {_told(why)}") from why
            if found != request["identity"]:
                answer["is_elsewhere"] = True
                raise Refused(
                    "env.py connects to another database than the one that it was told: it is to use"
                    f" `sqlalchemy.url`{_or_variable(request)}. Nothing was sent there."
                )
            for each in request["settings"]:
                cursor.execute(each)
        finally:
            cursor.close()
        connection.commit()

    def count(_connection: Any) -> None:
        answer["commits"] += bool(answer.get("began"))

    event.listen(Engine, "do_connect", connects)
    event.listen(Pool, "connect", check)
    event.listen(Engine, "commit", count)


def _identity(cursor: Any, query: str) -> tuple[list[str] | None, Exception | None]:
    """Return what a server says about itself, or why it says nothing: it may not know the question."""
    try:
        cursor.execute(query)
        return [str(each) for each in cursor.fetchone()], None
    except Exception as error:  # of whichever driver
        return None, error


def _or_variable(request: dict[str, Any]) -> str:
    return f" or the variable {request['variable']}" if request["variable"] else ""


if __name__ == "__main__":
    main()
