"""Which tables of a SQLite file lost columns is the same whether or not all of them are counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.rehearsals._sqlite.watching import narrowed

TABLES = ("a", "b", "a.b")
things = st.one_of(
    st.builds("column main.{}.{}".format, st.sampled_from(TABLES), st.sampled_from("xyz")),
    st.builds("table main.{}".format, st.sampled_from(TABLES)),
)
catalogues = st.dictionaries(things, st.sampled_from(("text", "integer")))


def columns(catalogue: dict[str, str], table: str) -> int:
    return sum(name.startswith(f"column main.{table}.") for name in catalogue)


@given(catalogues, catalogues)
def test_finds_each_table_that_has_fewer_columns_and_no_other(before, after):
    assert narrowed(set(TABLES), before, after) == {
        table for table in TABLES if columns(before, table) > columns(after, table)
    }


def test_a_renamed_column_is_no_fewer():
    before = {"column main.a.x": "text", "column main.b.x": "text", "column main.b.y": "text"}
    after = {"column main.a.z": "text", "column main.b.x": "text"}

    assert narrowed({"a", "b"}, before, after) == {"b"}
