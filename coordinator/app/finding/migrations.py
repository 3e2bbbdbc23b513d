"""Folders of migrations: which tool's, and for which engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from coordinator.app.finding.files import File
from coordinator.app.finding.queries import SqlcEntry
from coordinator.model import Engine

_GOOSE = re.compile(rb"^[ \t]*--[ \t]*\+goose[ \t]+Up\b", re.IGNORECASE | re.MULTILINE)
_GOLANG_MIGRATE = re.compile(r"[0-9]+_.*\.(?:up|down)\.sql")

_IN_PATHS: Final[Mapping[str, str]] = {
    "postgres": Engine.POSTGRESQL,
    "pgsql": Engine.POSTGRESQL,
    "sqlite": Engine.SQLITE,
    "mysql": Engine.MYSQL,
    "mariadb": Engine.MARIADB,
    "clickhouse": "clickhouse",
    "cockroach": "cockroachdb",
    "sqlserver": "sqlserver",
    "mssql": "sqlserver",
    "spanner": "spanner",
}
"""What a folder's name says of the engine; those that are no Engine are not supported."""
_IN_SQL: Final = {
    Engine.POSTGRESQL: re.compile(
        rb"\b(?:big|small)?serial\b|\bjsonb\b|\btimestamptz\b|\bbytea\b|\bplpgsql\b|::[a-z]"
        rb"|\bcreate\s+extension\b|\bconcurrently\b|\bas\s+identity\b|\bgen_random_uuid\b|\busing\s+gin\b",
        re.IGNORECASE,
    ),
    Engine.SQLITE: re.compile(
        rb"\bautoincrement\b|^\s*pragma\b|\bwithout\s+rowid\b|\bdatetime\('now'\)",
        re.IGNORECASE | re.MULTILINE,
    ),
    Engine.MYSQL: re.compile(
        rb"\bauto_increment\b|\bengine\s*=\s*innodb\b|\bdefault\s+charset\b|`[a-z_]+`", re.IGNORECASE
    ),
}
_GO_DRIVERS: Final = {
    Engine.POSTGRESQL: rb"jackc/pgx|lib/pq",
    Engine.SQLITE: rb"mattn/go-sqlite3|modernc\.org/sqlite|glebarez/(?:go-)?sqlite|ncruces/go-sqlite3",
    Engine.MYSQL: rb"go-sql-driver/mysql",
}
"""What a go.mod names that the project itself imports."""


@dataclass(frozen=True, slots=True)
class MigrationFolder:
    """A folder of one tool's migrations."""

    path: str
    tool: str
    files: int
    engine: Engine
    reason: str
    """Why this engine: a clause."""
    unsupported: str | None = None
    """The engine that it is for, if that is none of ours; `engine` is then without meaning."""
    python: str | None = None
    """The interpreter of the project's own environment, where one that has the tool was found."""
    section: str | None = None
    """The section of its configuration that is about it, where that is not the tool's own."""

    def rank(self) -> tuple[bool, int, str]:
        """Return what sorts usable folders first, then the one with the most files."""
        return self.unsupported is not None, -self.files, self.path


def find_migrations(files: Iterable[File], sqlc: Sequence[SqlcEntry]) -> tuple[MigrationFolder, ...]:
    """Return the folders that hold migrations of a tool we know, the one with the most files first."""
    found: list[MigrationFolder] = []
    files = list(files)
    modules = {str(each.path.parent): each for each in files if each.path.name == "go.mod"}
    scripts = [each for each in files if each.path.suffix == ".sql"]
    for folder, group in groupby(scripts, key=lambda each: each.path.parent):
        texts = {each.path.name: each.head() for each in group}
        tool = _tool_of(texts)
        if tool is not None:
            module = next((modules[each] for each in map(str, folder.parents) if each in modules), None)
            engine, reason = _engine_of(str(folder), texts.values(), sqlc, module)
            supported = next((each for each in Engine if each == engine), None)
            found.append(
                MigrationFolder(
                    str(folder),
                    tool,
                    len(texts),
                    supported or Engine.POSTGRESQL,
                    reason,
                    unsupported=None if supported else engine,
                )
            )
    return tuple(sorted(found, key=MigrationFolder.rank))


def _tool_of(texts: Mapping[str, bytes]) -> str | None:
    if any(_GOOSE.search(text) for text in texts.values()):
        return "goose"
    if any(_GOLANG_MIGRATE.fullmatch(name) for name in texts):
        return "golang-migrate"
    return None


def _engine_of(
    folder: str, texts: Iterable[bytes], sqlc: Sequence[SqlcEntry], module: File | None
) -> tuple[str, str]:
    """Return the engine's name and why, from sqlc, the path, the drivers of go.mod, and the statements."""
    for entry in sqlc:
        if entry.covers(folder):
            return entry.engine, f"{entry.config} says so"
    for word, engine in _IN_PATHS.items():
        if word in folder.lower():
            return engine, f"the path holds `{word}`"
    drivers = _drivers_of(module.head()) if module else {}
    if module and len(drivers) == 1:
        [(engine, driver)] = drivers.items()
        return engine, f"{module.path} names {driver}"
    texts = list(texts)
    counts = {engine: sum(bool(sign.search(text)) for text in texts) for engine, sign in _IN_SQL.items()}
    engine, count = max(counts.items(), key=lambda each: each[1])
    if count:
        return str(engine), f"the SQL looks like it in {count} of {len(texts)} files"
    return Engine.POSTGRESQL, "nothing says which, so this is a guess"


def _drivers_of(module: bytes) -> dict[str, str]:
    """Return the drivers that a go.mod requires for the project itself, by engine."""
    direct = b"\n".join(each for each in module.splitlines() if b"// indirect" not in each)
    found = {each: re.search(rb"\b(?:%s)\b" % names, direct) for each, names in _GO_DRIVERS.items()}
    return {engine: match[0].decode() for engine, match in found.items() if match}
