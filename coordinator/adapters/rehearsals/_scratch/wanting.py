"""Insert the rows that queries look for (coordinator/wanted.py) into a table that has its sample rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from coordinator.wanted import (
    MOST_WANTED,
    Link,
    Told,
    WantedRow,
    choices_for,
    is_met,
    link,
    nulls_beside,
)


class _Key(Protocol):
    @property
    def parent(self) -> str: ...

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def parent_columns(self) -> Sequence[str]: ...


class _Table(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def foreign_keys(self) -> Sequence[_Key]: ...


_T = TypeVar("_T", bound=_Table)
_RowsOf = Callable[[_T], Sequence[Mapping[str, object]]]


def insert_wanted(
    table: _T,
    wanted: Sequence[WantedRow],
    *,
    tables: Mapping[str, _T],
    rows_of: _RowsOf[_T],
    insert: Callable[[int, Told], str | None],
    after: int,
    nullable: Collection[str],
) -> None:
    """Insert what queries look for, as far as the table takes it and no row is like it.

    Each in full, and with NULL in the columns that are `nullable` and not looked for. `tables` are known by
    their names in small letters; `insert` makes the row of a number, of those after `after`, and returns why
    none was taken.
    """
    inserted = 0
    for each in wanted:
        if inserted == MOST_WANTED:
            break
        links = list(_links(table, each, tables, rows_of))
        if any(is_met(row, each, links) for row in rows_of(table)):
            continue
        number, told = after + 1 + 2 * inserted, choices_for(each, links)
        if insert(number, told) is None:
            inserted += 1
            if nulls := nulls_beside(each, told, nullable):
                insert(number + 1, {**told, **nulls})


def _links(table: _T, wanted: WantedRow, tables: Mapping[str, _T], rows_of: _RowsOf[_T]) -> Iterator[Link]:
    for key in table.foreign_keys:
        parent = tables.get(key.parent.lower())
        beside = None if parent is None else wanted.beside.get(parent.name.lower())
        if parent is None or beside is None:
            continue
        found = link(key.columns, key.parent_columns, rows_of(parent), beside)
        if found is not None:
            yield found
