"""What a query calls or searches by is set up otherwise at a state, and no sample row tells the two apart."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
SEARCHED = """CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION cfg (COPY = english);
CREATE TEXT SEARCH CONFIGURATION other (COPY = english);
ALTER TEXT SEARCH CONFIGURATION cfg ALTER MAPPING FOR asciiword WITH d, english_stem;
CREATE TABLE t (id integer PRIMARY KEY, b text,
s tsvector GENERATED ALWAYS AS (to_tsvector('cfg', b)) STORED);
CREATE TABLE u (id integer PRIMARY KEY, b text, s tsvector);
CREATE TRIGGER of_u BEFORE INSERT OR UPDATE ON u
FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(s, 'public.cfg', b);"""
FINDS = "SELECT id FROM t WHERE to_tsvector('cfg', b) @@ to_tsquery('cfg', $1)"
T = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text);"


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        ("ALTER TEXT SEARCH CONFIGURATION cfg ALTER MAPPING FOR word WITH simple;", FINDS, "pu"),
        ("ALTER TEXT SEARCH CONFIGURATION other ALTER MAPPING FOR word WITH simple;", FINDS, "pp"),
        ("ALTER TEXT SEARCH DICTIONARY d (StopWords = english);", FINDS, "pu"),
        ("ALTER TEXT SEARCH DICTIONARY d (StopWords = english);", "SELECT id FROM t WHERE s @@ $1", "pu"),
        ("ALTER TEXT SEARCH DICTIONARY d (StopWords = english);", "SELECT id FROM t WHERE id = $1", "pp"),
        ("ALTER TEXT SEARCH DICTIONARY d (StopWords = english);", "UPDATE u SET b = $1 WHERE id = $2", "pu"),
        ("ALTER TEXT SEARCH DICTIONARY d (StopWords = english);", "DELETE FROM u WHERE id = $1", "pp"),
    ],
)
def test_a_configuration_that_texts_are_searched_by(
    servers: Servers, pending: str, query: str, expected: str
):
    assert verdict(servers, Engine.POSTGRESQL, SEARCHED, pending, query) == expected


@pytest.mark.parametrize(("made_of", "expected"), [("body", "pu"), ("body, tokenize = 'porter'", "pp")])
def test_a_virtual_table_of_sqlite_that_cuts_words_otherwise(servers: Servers, made_of: str, expected: str):
    base = "CREATE VIRTUAL TABLE f USING fts5(body, tokenize = 'porter');"
    pending = f"""CREATE VIRTUAL TABLE g USING fts5({made_of}); INSERT INTO g SELECT * FROM f;
DROP TABLE f; ALTER TABLE g RENAME TO f;"""

    assert verdict(servers, Engine.SQLITE, base, pending, "SELECT rowid FROM f WHERE f MATCH ?") == expected


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ("ALTER FUNCTION f(integer, integer) STRICT;", "pu"),
        ("ALTER FUNCTION f(integer, integer) SET timezone = 'Asia/Tokyo';", "pu"),
        ("ALTER FUNCTION f(integer, integer) IMMUTABLE PARALLEL SAFE COST 7;", "pp"),
        (
            """CREATE OR REPLACE FUNCTION f(a integer, n integer DEFAULT 8000000) RETURNS boolean LANGUAGE sql
            AS 'SELECT a > n';""",
            "pu",
        ),
    ],
)
def test_a_function_of_the_same_body_and_another_head(servers: Servers, pending: str, expected: str):
    base = f"""{T} CREATE FUNCTION f(a integer, n integer DEFAULT 7000000) RETURNS boolean LANGUAGE sql
AS 'SELECT a > n';"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id FROM t WHERE f(a)") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM t WHERE f(a) = 7000003", "pu"),
        ("SELECT b FROM t WHERE f(id) = 7000003", "pp"),
        ("SELECT id FROM t WHERE g(a::integer) = 7000003", "pp"),
        ("SELECT id, n FROM v", "pu"),
    ],
)
def test_a_column_of_another_type_for_which_another_function_is_called(
    servers: Servers, query: str, expected: str
):
    view = "CREATE VIEW v AS SELECT id, f(a) AS n FROM t;"
    base = f"""{T} CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION f(bigint) RETURNS integer LANGUAGE sql AS 'SELECT nullif($1, 7000005)::integer';
CREATE FUNCTION g(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION g(boolean) RETURNS integer LANGUAGE sql AS 'SELECT 7'; {view}"""
    pending = f"DROP VIEW v; ALTER TABLE t ALTER a TYPE bigint; {view}"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        ("ALTER TYPE l ADD VALUE 'b' BEFORE 'c';", "SELECT id FROM t WHERE a < 'c'", "pu"),
        ("ALTER TYPE l ADD VALUE 'b' BEFORE 'c';", "SELECT id FROM t WHERE a = 'c' ORDER BY a", "pp"),
        ("ALTER TYPE l ADD VALUE 'd';", "SELECT id FROM t WHERE a < 'c'", "pp"),
    ],
)
def test_a_label_that_comes_before_others(servers: Servers, pending: str, query: str, expected: str):
    base = "CREATE TYPE l AS ENUM ('a', 'c'); CREATE TABLE t (id integer PRIMARY KEY, a l);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("labels", "query", "expected"),
    [
        ("'a', 'b', 'c'", "SELECT id FROM t WHERE CAST(a AS UNSIGNED) > 1", "pu"),
        ("'a', 'b', 'c'", "INSERT INTO t (id, a) SELECT id, 2 FROM s WHERE id > 7000000", "pb"),
        ("'a', 'b', 'c'", "INSERT INTO t (id, a) SELECT id, 2 FROM s WHERE id > abs(7000000)", "pu"),
        ("'a', 'b', 'c'", "SELECT id FROM t WHERE a < 'c'", "pp"),
        ("'a', 'c', 'b'", "SELECT id FROM t WHERE CAST(a AS UNSIGNED) > 1", "pp"),
    ],
)
def test_a_label_of_mysql_that_gets_another_number(servers: Servers, labels: str, query: str, expected: str):
    base = (
        "CREATE TABLE s (id integer PRIMARY KEY); CREATE TABLE t (id integer PRIMARY KEY, a enum('a', 'c'));"
    )

    assert verdict(servers, ENGINE, base, f"ALTER TABLE t MODIFY a enum({labels});", query) == expected
