"""The queries of a service: what sqlc is told of them, and folders that hold nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath

from coordinator.app.finding.files import File
from coordinator.load.foreign import NotReadable, read_yaml

_CONFIGS = frozenset({"sqlc.yaml", "sqlc.yml", "sqlc.json"})
_LISTS = {"1": "packages", "2": "sql"}
"""Where the entries stand, by the format's version; docs.sqlc.dev, "Configuration"."""
_NAMES = frozenset({"queries", "query"})
_NAMED = re.compile(rb"^\s*(?:--|/\*|#)\s*name:\s*\w+\s+:\w+", re.MULTILINE)
_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SqlcEntry:
    """One entry of a configuration of sqlc; `schema` has normal paths from the folder looked through."""

    config: str
    engine: str
    schema: tuple[str, ...]
    name: str | None
    """What tells it from the others of its configuration: its first schema, as it is written there."""

    def covers(self, folder: str) -> bool:
        """Tell whether the folder's files are, or hold, the entry's schema."""
        return any(
            PurePosixPath(each).is_relative_to(folder) or PurePosixPath(folder).is_relative_to(each)
            for each in self.schema
        )


@dataclass(frozen=True, slots=True)
class QueryFolder:
    """A folder of plain SQL files with queries."""

    path: str
    files: int


def find_sqlc(files: Iterable[File]) -> tuple[tuple[SqlcEntry, ...], tuple[str, ...]]:
    """Return the entries of every configuration of sqlc, and a sentence for each that cannot be read."""
    entries: list[SqlcEntry] = []
    notes: list[str] = []
    for file in files:
        if file.path.name in _CONFIGS:
            try:
                entries.extend(_entries(file.path, read_yaml(file.head(_CONFIG_BYTES))))
            except NotReadable as error:
                notes.append(f"{file.path} was not read: {error}.")
    return tuple(entries), tuple(notes)


def _entries(path: PurePosixPath, config: object) -> Iterator[SqlcEntry]:
    if not isinstance(config, dict):
        return
    entries = config.get(_LISTS.get(str(config.get("version")), "sql"))
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            schema = entry.get("schema")
            paths = [each for each in (schema if isinstance(schema, list) else [schema]) if each]
            yield SqlcEntry(
                str(path),
                str(entry.get("engine") or "postgresql"),
                tuple(normpath(f"{path.parent}/{each}") for each in paths),
                str(paths[0]) if paths else None,
            )


def find_query_folders(
    files: Iterable[File], sqlc: Iterable[SqlcEntry], *, taken: frozenset[str]
) -> tuple[QueryFolder, ...]:
    """Return the topmost folders of queries; none where sqlc says which queries there are.

    `taken` holds the folders of migrations.
    """
    if any(True for _ in sqlc):
        return ()
    counts: dict[str, int] = {}
    for file in files:
        if file.path.suffix == ".sql" and str(file.path.parent) not in taken:
            top = next((each for each in reversed(file.path.parents) if each.name in _NAMES), None)
            if top is None and _NAMED.search(file.head()):
                top = file.path.parent
            if top is not None:
                counts[str(top)] = counts.get(str(top), 0) + 1
    return tuple(QueryFolder(path, count) for path, count in sorted(counts.items()))
