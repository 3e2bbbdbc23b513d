"""Things that belong to tables, found by the table: a schema has thousands, and each query is about a few."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class ByTable(Generic[_T]):
    """Things by their tables, which come out in the order in which they came in."""

    def __init__(self, pairs: Iterable[tuple[str, _T]]) -> None:
        self._things: dict[str, list[tuple[int, _T]]] = {}
        for place, (table, thing) in enumerate(pairs):
            self._things.setdefault(table, []).append((place, thing))

    def of(self, tables: Collection[str]) -> list[_T]:
        """Return what belongs to some tables, each once however often it is named."""
        found = [each for table in {*tables} for each in self._things.get(table, ())]
        return [thing for _, thing in sorted(found, key=lambda each: each[0])]
