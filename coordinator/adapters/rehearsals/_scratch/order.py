"""Which tables are filled, and in which order, so that a child finds its parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def parents_with_few(all_tables: Sequence[_T], counts: Mapping[str, int], *, enough: int) -> list[_T]:
    """Return the parents among the tables that have rows and not enough: those that a migration put there.

    A system's own user, say: no child could be given to another one. Of what no table refers to, one row may
    be meant to be alone (`WHERE version = (SELECT version FROM schema_info)`).
    """
    named = {parent for table in all_tables for parent in _parents(table) if parent != table.name.lower()}
    return [
        each for each in all_tables if 0 < counts.get(each.name, 0) < enough and each.name.lower() in named
    ]


def _parents(table: _Table) -> set[str]:
    return {key.parent.lower() for key in table.foreign_keys}
