"""Parameters become the engine's own, and nothing else of a query changes."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.queries._reading.parameters import Dialect, with_engine_parameters
from coordinator.model import Engine

POSTGRESQL, SQLITE = Engine.POSTGRESQL, Engine.SQLITE
SQLC = Dialect(POSTGRESQL, macros=True)
PLAIN = Dialect(POSTGRESQL, names=True, marks=True)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("WHERE a = sqlc.arg(a) AND b = sqlc.narg('b')", "WHERE a = $1 AND b = $2"),
        ('WHERE a = sqlc.arg("a") OR sqlc.arg ( a ) IS NULL', "WHERE a = $1 OR $1 IS NULL"),
        ("WHERE a = @a::text AND b = @b AND c = @a", "WHERE a = $1::text AND b = $2 AND c = $1"),
        ("WHERE a = $1 AND b = @b AND c = $3", "WHERE a = $1 AND b = $2 AND c = $3"),
        ("SELECT sqlc.embed(orders), sqlc.embed(c) FROM orders", "SELECT orders.*, c.* FROM orders"),
        ("WHERE id = ANY(sqlc.arg(ids)::int[])", "WHERE id = ANY($1::int[])"),
        ("WHERE a @> @a AND b <@ c AND j @? '$'", "WHERE a @> $1 AND b <@ c AND j @? '$'"),
        ("WHERE data ? 'key' AND x[1:n] = :y", "WHERE data ? 'key' AND x[1:n] = :y"),
        ("SELECT mysqlc.arg(a), x.sqlc.arg(b)", "SELECT mysqlc.arg(a), x.sqlc.arg(b)"),
    ],
)  # fmt: skip
def test_sqlcs_macros_become_numbers(written, sent):
    assert with_engine_parameters(written, SQLC) == sent


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("WHERE a = sqlc.arg(a) AND b = sqlc.narg('b') OR c = sqlc.arg(a)", "WHERE a = ? AND b = ? OR c = ?"),
        ("WHERE a IN (sqlc.slice('ids')) LIMIT ?", "WHERE a IN (?) LIMIT ?"),
        ("SELECT sqlc.embed(orders), @total := 1 FROM orders", "SELECT orders.*, @total := 1 FROM orders"),
        (
            "WHERE a = 'it\\'s ?' AND `b?` = ? # sqlc.arg(c)",
            "WHERE a = 'it\\'s ?' AND `b?` = ? # sqlc.arg(c)",
        ),
    ],
)
def test_mysql_has_a_mark_of_its_own_for_each_occurrence(written, sent):
    assert (
        with_engine_parameters(written, Dialect(Engine.MARIADB, macros=True, names=True, marks=True)) == sent
    )


@pytest.mark.parametrize(
    "text",
    [
        "WHERE a = '@a' AND \"@b\" = 1 -- @c\n/* sqlc.arg(d) */",
        "SELECT E'it\\'s @a', $$ @b $$, $x$ sqlc.arg(c) $x$",
    ],
)
def test_what_is_no_code_stays(text):
    assert with_engine_parameters(text, SQLC) == text


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("WHERE a = :a AND b = @b AND c = :a", "WHERE a = $1 AND b = $2 AND c = $1"),
        ("WHERE a = ? AND b IN (?, ?) LIMIT ? OFFSET ?", "WHERE a = $1 AND b IN ($2, $3) LIMIT $4 OFFSET $5"),
        ("WHERE x BETWEEN ? AND ?", "WHERE x BETWEEN $1 AND $2"),
        ("VALUES (?, ?::jsonb, ? || ?)", "VALUES ($1, $2::jsonb, $3 || $4)"),
        ("WHERE data ? 'key' AND a = ?", "WHERE data ? 'key' AND a = $1"),
        ("WHERE data ?| $1 AND data ?& $2 AND data ? $3", "WHERE data ?| $1 AND data ?& $2 AND data ? $3"),
        ("WHERE data @? '$.a' AND b = ?", "WHERE data @? '$.a' AND b = $1"),
        ("SELECT a::text, b[1:2], '12:30', x::int", "SELECT a::text, b[1:2], '12:30', x::int"),
        ("SELECT f(a => :a, b := :b)", "SELECT f(a => $1, b := $2)"),
        ("SELECT ':a ?' AS \"?\" -- ? :b", "SELECT ':a ?' AS \"?\" -- ? :b"),
        ("WHERE a=@a AND b>=@b", "WHERE a=$1 AND b>=$2"),
    ],
)
def test_plain_files_may_write_parameters_in_many_ways(written, sent):
    assert with_engine_parameters(written, PLAIN) == sent


@pytest.mark.parametrize(
    ("written", "values", "row"),
    [
        ("SELECT :a, @b, $c, :a, '?'", (1, 2, 3), (1, 2, 3, 1, "?")),
        ("SELECT ?, ?", (1, 2), (1, 2)),
        ("SELECT ?2, ?1", (1, 2), (2, 1)),
        ("SELECT 3 IN (/*SLICE:ids*/?), ?2", (3, 4), (1, 4)),
    ],
)
def test_sqlite_runs_what_comes_out(written, values, row):
    sent = with_engine_parameters(written, Dialect(SQLITE, macros=True, names=True))

    with closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute(sent, values).fetchone() == row


def test_a_slice_is_one_parameter_on_sqlite():
    text = "SELECT 1 WHERE 1 IN (sqlc.slice('ids')) AND 2 = sqlc.arg(b)"

    assert with_engine_parameters(text, Dialect(SQLITE, macros=True)) == "SELECT 1 WHERE 1 IN (?1) AND 2 = ?2"


HIDDEN = st.text(alphabet="ab@:?$ sqlc.arg(x)[]<>|&-", max_size=12)
LITERALS = st.one_of(
    HIDDEN.map(lambda text: "'" + text.replace("'", "''") + "'"),
    HIDDEN.map(lambda text: '"' + text + 'z"'),
    HIDDEN.map(lambda text: "/* " + text.replace("*/", "") + " */"),
    HIDDEN.map(lambda text: "-- " + text + "\n"),
    HIDDEN.map(lambda text: "$q$" + text + "$q$"),
)
OPERATORS = st.sampled_from(
    ["a @> b", "a <@ b", "a @@ b", "a::text", "a || b", "a ?| b", "x[1:2]", "a #>> b"]
)
NAMES = st.sampled_from(["alpha", "beta", "gamma"])


@given(st.lists(st.one_of(LITERALS, OPERATORS, NAMES.map(lambda name: f"@{name}")), max_size=8))
def test_only_parameters_change(parts):
    names = list(dict.fromkeys(part for part in parts if part.startswith("@")))

    sent = with_engine_parameters(" , ".join(parts), PLAIN)

    assert sent == " , ".join(f"${names.index(part) + 1}" if part in names else part for part in parts)


@given(st.text(alphabet="ab1@:?$'\" \n-/*().,;[]|&=<>sqlc.argembed", max_size=60))
def test_any_text_is_read_and_loses_nothing_but_parameters(text):
    for dialect in (SQLC, PLAIN, Dialect(SQLITE, macros=True, names=True)):
        sent = with_engine_parameters(text, dialect)

        gone = re.compile(r"[@:?$][\w$]*|sqlc\s*\.\s*\w+\s*\([^)]*\)|\w+\.\*", re.IGNORECASE)
        assert gone.sub("", sent) == gone.sub("", text)
