"""What a compiled client minds in the answer of `describe`, and what it does not."""

from __future__ import annotations

import pytest

from coordinator.rehearsal_ports import Column, Description
from coordinator.rehearse.description import mismatch, other_strings

OWN = Description(("integer", "text"), (Column("id", "integer"), Column("name", "text")))


def described(*parameters: str, columns: dict[str, str] | None) -> Description:
    made = None if columns is None else tuple(Column(name, kind) for name, kind in columns.items())
    return Description(parameters, made)


def of_type(kind: str) -> Description:
    return described(columns={"x": kind})


def minds(own: Description, here: Description, *, reads_result: bool = True) -> str | None:
    """Return what a client fails with: certainly, or `perhaps: …`; None if it minds nothing."""
    found = mismatch(own, here, reads_result=reads_result)
    if found is None:
        return None
    told = f"{found.objection.code}: {found.objection.message}"
    return told if found.unless is None else f"perhaps: {told}"


def test_the_same_answer_is_no_mismatch():
    assert minds(OWN, OWN) is None


@pytest.mark.parametrize(
    ("own", "here"),
    [
        ("text", "character varying(20)"),
        ("varchar(10)", "varchar(20)"),
        ("numeric(10,2)", "numeric(12,4)"),
        ("numeric(10,2)", "decimal"),
        ("timestamp(3) with time zone", "timestamp with time zone"),
        ("INTEGER", "integer"),
    ],
)
def test_types_that_are_read_alike_are_the_same(own: str, here: str):
    assert minds(of_type(own), of_type(here)) is None


@pytest.mark.parametrize(
    ("own", "here"),
    [
        ("integer", "bigint"),
        ("bigint", "integer"),
        ("real", "double precision"),
        ("timestamp without time zone", "timestamp with time zone"),
        ("json", "jsonb"),
        ("REAL", "NUMERIC"),
        ("INTEGER", "REAL"),
        ("int", "bigint"),
        ("smallint", "int unsigned"),
        ("bool", "tinyint"),
        ("string", "date-time"),
        ("date", "date-time"),
    ],
)
def test_types_that_some_values_or_drivers_do_not_survive_are_perhaps_a_mismatch(own: str, here: str):
    found = minds(of_type(own), of_type(here))

    assert found == f"perhaps: result-type: column `x` is {here}, and the version was made for {own}"


@pytest.mark.parametrize(
    ("own", "here"),
    [
        ("integer", "text"),
        ("integer", "numeric"),
        ("integer", "integer[]"),
        ("integer[]", "bigint[]"),
        ("text", "json"),
        ("uuid", "text"),
        ("bytea", "text"),
        ("colour", "text"),
    ],
)
def test_other_types_are_a_mismatch(own: str, here: str):
    assert minds(of_type(own), of_type(here)) == (
        f"result-type: column `x` is {here}, and the version was made for {own}"
    )


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"id": "integer"}, "the result has no more `name`"),
        ({"id": "integer", "name": "text", "x": "text"}, "the result has also `x`"),
        ({"id": "integer", "full": "text"}, "the result has no more `name` and has also `full`"),
        ({"name": "text", "id": "integer"}, "the result has its columns in another order"),
        (None, "the query returns no rows, and did where the version was made"),
    ],
)
def test_other_columns_are_a_mismatch_for_who_reads_the_result(columns: dict[str, str] | None, told: str):
    here = described("integer", "text", columns=columns)

    assert minds(OWN, here) == f"result-columns: {told}"
    assert minds(OWN, here, reads_result=False) is None


def test_rows_where_there_were_none_are_a_mismatch():
    quiet = described("integer", "text", columns=None)

    assert (
        minds(quiet, OWN) == "result-columns: the query returns rows, and did not where the version was made"
    )


def test_parameters_matter_also_to_who_reads_no_result():
    here = described("text", "text", columns=None)

    assert minds(OWN, here, reads_result=False) == (
        "parameter-type: parameter $1 is text, and the version was made for integer"
    )


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (("integer",), "parameter $2 is not there any more, unlike where the version was made"),
        (("integer", "text", "text"), "parameter $3 is one more than where the version was made"),
    ],
)
def test_another_number_of_parameters_is_a_mismatch(parameters: tuple[str, ...], told: str):
    here = Description(parameters, OWN.columns)

    assert minds(OWN, here) == f"parameter-type: {told}"


def test_a_certain_mismatch_is_told_before_one_that_depends():
    here = Description(("bigint", "integer"), OWN.columns)

    assert (minds(OWN, here) or "").startswith("parameter-type: parameter $2 is integer")


@pytest.mark.parametrize(
    ("own", "here", "told"),
    [
        ((), (), None),
        (('"x"',), ('"x"',), None),
        ((), ('"gone"',), 'no such column: "gone" (SQLite takes the name for a text)'),
        (('"x"',), (), '"x" is a column here; where it was written it was a text'),
        (('"x"', '"x"'), ('"x"',), '"x" is a column and a text here, in other places'),
    ],
)
def test_a_quoted_word_that_is_a_name_in_one_state_and_a_text_in_the_other_breaks(
    own: tuple[str, ...], here: tuple[str, ...], told: str | None
):
    found = other_strings(Description((), None, own), Description((), None, here))

    assert (found and found.message) == told
