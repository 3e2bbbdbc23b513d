"""sqlc.yaml and sqlc.json, versions 1 and 2: which files of queries belong to which engine.

Source: docs.sqlc.dev, "Configuration". Only what leads to queries is read; sqlc itself checks the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.errors import Usage
from coordinator.load.foreign import NotReadable, read_yaml


@dataclass(frozen=True, slots=True)
class Entry:
    """One set of queries with its engine; paths are relative to the configuration's folder."""

    engine: str
    names: frozenset[str]
    """What a person may call it: its name, its schema's paths, its package and its output folder."""
    queries: tuple[str, ...]
    go_folder: str | None


def entries_of(content: bytes, path: str) -> tuple[Entry, ...]:
    """Return the sets of queries that a configuration names.

    Raises: Usage `sqlc-config` where it cannot be read or has another form.
    """
    try:
        document = read_yaml(content)
    except NotReadable as error:
        raise unfit(path, f"cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise unfit(path, "is no mapping")
    read = {"1": _version_1, "2": _version_2}.get(str(document.get("version")))
    if read is None:
        raise unfit(path, "says no `version` that is known here (1 or 2)")
    try:
        return tuple(read(document))
    except (TypeError, AttributeError, KeyError) as error:
        raise unfit(path, "does not have the form of a sqlc configuration") from error


def unfit(path: str, what: str) -> Usage:
    """Return the problem of a configuration."""
    return Usage(
        "sqlc-config",
        f"`{path}` {what}.",
        why="It says which queries the version has.",
        next_step="Run `sqlc compile` there, and compare with docs/how-to/sqlc.md.",
    )


def _version_1(document: Mapping[str, Any]) -> Iterator[Entry]:
    for each in document.get("packages") or ():
        schema = _listed(each.get("schema"))
        yield Entry(
            engine=str(each.get("engine") or "postgresql"),
            names=_names(each.get("name"), each.get("path"), *schema),
            queries=_listed(each["queries"]),
            go_folder=each.get("path"),
        )


def _version_2(document: Mapping[str, Any]) -> Iterator[Entry]:
    for each in document.get("sql") or ():
        go = (each.get("gen") or {}).get("go") or {}
        schema = _listed(each.get("schema"))
        yield Entry(
            engine=str(each["engine"]),
            names=_names(each.get("name"), go.get("package"), go.get("out"), *schema),
            queries=_listed(each["queries"]),
            go_folder=go.get("out"),
        )


def _names(*names: object) -> frozenset[str]:
    return frozenset(str(each) for each in names if each is not None)


def _listed(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
