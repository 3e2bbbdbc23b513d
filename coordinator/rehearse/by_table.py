"""Things that belong to tables, found by the table: a schema has thousands, and each query is about a few."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

_T = TypeVar("_T")


class Worded(Protocol):
    """What a table has, as a catalogue writes it without its name."""

    @property
    def table(self) -> str:
        """The table's name without a schema."""
        ...

    @property
    def text(self) -> str:
        """What it says."""
        ...


_W = TypeVar("_W", bound=Worded)


def lone(having: Collection[_W], lacking: Collection[Worded], tables: Collection[str]) -> Iterator[_W]:
    """Yield what one state has and another one lacks, by their texts, of which `tables` were looked at there.

    A table that has been renamed or was made since, as a partition is, has another one's there.
    """
    if not having:
        return  # as for most queries at most states
    texts = {each.text for each in lacking}
    own = {(each.table, each.text) for each in lacking}
    for each in sorted(having, key=lambda one: (one.text, one.table)):
        is_there = (each.table, each.text) in own if each.table in tables else each.text in texts
        if not is_there:
            yield each


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
