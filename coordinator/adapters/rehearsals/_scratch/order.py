"""In which order tables are filled, so that a child finds its parents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class _Key(Protocol):
    @property
    def parent(self) -> str: ...


class _Table(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def foreign_keys(self) -> Sequence[_Key]: ...


_T = TypeVar("_T", bound=_Table)


def in_order(all_tables: Sequence[_T]) -> list[_T]:
    """Return parents before children as far as that goes; what is left stands in a circle."""
    left, done = list(all_tables), list[_T]()
    while left:
        names = {table.name.lower() for table in left}
        ready = [table for table in left if not (_parents(table) - {table.name.lower()}) & names]
        taken = ready or left[:1]
        done += taken
        gone = {table.name for table in taken}  # a name is a table's own, and sooner compared than a table
        left = [table for table in left if table.name not in gone]
    return done


def _parents(table: _Table) -> set[str]:
    return {key.parent.lower() for key in table.foreign_keys}
