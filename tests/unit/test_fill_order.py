"""Tables are filled parents first; what stands in a circle comes in the order of its names."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.rehearsals._scratch.order import in_order


@dataclass(frozen=True)
class Key:
    parent: str


@dataclass(frozen=True)
class Table:
    name: str
    foreign_keys: tuple[Key, ...] = ()


NAMES = ("a", "b", "c", "d", "e")


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from((*NAMES, "gone")), max_size=3)))
def test_each_table_comes_once_and_behind_those_of_its_parents_that_are_in_no_circle(parents):
    tables = [Table(name, tuple(map(Key, found))) for name, found in sorted(parents.items())]

    order = in_order(tables)

    assert sorted(order, key=lambda table: table.name) == tables
    left = list(tables)
    while left:  # the definition, one round at a time
        names = {table.name for table in left}
        ready = [t for t in left if not ({key.parent for key in t.foreign_keys} - {t.name}) & names]
        taken = ready or left[:1]
        assert order[: len(taken)] == taken
        order = order[len(taken) :]
        left = [table for table in left if table not in taken]
