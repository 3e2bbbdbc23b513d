"""Which texts of ours the server keeps prepared, and with which values they are run."""

from __future__ import annotations

import pytest

from coordinator.adapters.postgresql_kept import KeptTexts, names_own_table
from coordinator.adapters.postgresql_pipeline import Filled, Item, Prepared


def sent(*texts: str) -> list[tuple[Item, ...]]:
    kept = KeptTexts()
    return [kept.items(each) for each in texts]


def record(version: int, name: str) -> str:
    return f"INSERT INTO t (tool, version, name) VALUES ('goose', {version}, '{name}')"


def test_prepares_what_comes_again_with_what_differs_as_its_values():
    first, second, third = sent(record(1, "a"), record(2, "b"), record(3, "it''s"))

    assert first == (record(1, "a"),)
    match second:
        case (Prepared(name, text), Filled(same, values)):
            assert text == "INSERT INTO t (tool, version, name) VALUES ('goose', $1, $2)"
            assert (name, values) == (same, (b"2", b"b"))
        case _:
            pytest.fail(f"not prepared: {second}")
    assert third == (Filled(name, (b"3", b"it's")),)


def test_sends_what_differs_elsewhere_as_it_stands():
    other = record(4, "d").replace("goose", "migrate")

    *_, last = sent(record(1, "a"), record(2, "b"), other)

    assert last == (other,)


def test_tells_values_from_the_digits_of_names():
    texts = [f"SELECT v1.a2 FROM t3 AS v1 WHERE $x$5$x$ = '{each}'" for each in (7, 8)]

    *_, (prepared, filled) = sent(*texts)

    assert isinstance(prepared, Prepared)
    assert prepared.text == "SELECT v1.a2 FROM t3 AS v1 WHERE $x$5$x$ = $1"
    assert filled == Filled(prepared.name, (b"8",))


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (E'a\\\\{}')",
        "SET application_name = '{}'",
        "INSERT INTO \"it's\" (a) VALUES ('{}')",
        'DELETE FROM "t\'{}"',
    ],
    ids=["escaped", "no-plan", "quote-in-a-name", "name-that-differs"],
)
def test_sends_as_it_stands_what_it_cannot_tell_the_values_of(text: str):
    texts = [text.format(each) for each in "abc"]

    assert sent(*texts) == [(each,) for each in texts]


def test_names_are_those_of_one_session():
    """A pooler may hand a session on with what it keeps."""
    names = {sent(record(1, "a"), record(2, "b"))[1][0] for _ in range(2)}

    assert len(names) == 2


@pytest.mark.parametrize(
    ("text", "record", "is_named"),
    [
        ("CREATE TABLE app.Goose_db_version (x int)", "INSERT INTO goose_db_version (a) VALUES (1)", True),
        ("CREATE TABLE a.versions (x int)", 'INSERT INTO "public"."versions" (a) VALUES (1)', True),
        ("CREATE TABLE versions (x int)", "INSERT INTO goose_db_version (a) VALUES (1)", False),
        ("CREATE TABLE public (x int)", 'INSERT INTO "public".entries (a) VALUES (1)', False),
    ],
)
def test_a_file_may_name_the_table_of_a_record(text: str, record: str, *, is_named: bool):
    assert names_own_table([text], ["DELETE FROM x", record]) is is_named
