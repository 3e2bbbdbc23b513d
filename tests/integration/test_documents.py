"""Texts that hold JSON: a release or a query that reads them so meets documents."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine
from coordinator.rehearse.documents import read_as_documents

__all__ = ["servers"]
LOG = "CREATE TABLE log (id integer PRIMARY KEY, body {} NOT NULL UNIQUE, at integer);"
COLUMN = "ALTER TABLE log ADD COLUMN n integer;"
EXTRACTS = "SELECT id, json_extract(body, '$.client') FROM log"
INDEXED = "CREATE INDEX i ON log (json_extract(body, '$.client'));"


@pytest.mark.parametrize(
    ("engine", "declared", "pending", "query"),
    [
        (Engine.POSTGRESQL, "text", COLUMN, "SELECT body::jsonb ->> 'client' FROM log"),
        (Engine.POSTGRESQL, "varchar(99)", COLUMN, "SELECT CAST(l.body AS json) FROM log AS l WHERE id = $1"),
        (Engine.SQLITE, "text", COLUMN, EXTRACTS),
        (Engine.SQLITE, "blob", INDEXED, "SELECT id, at FROM log"),
        pytest.param(MYSQL_ENGINE, "varchar(99)", COLUMN, EXTRACTS, marks=pytest.mark.mariadb),
    ],
)
def test_a_text_that_is_read_as_json_is_a_document(
    servers: Servers, engine: Engine, declared: str, pending: str, query: str
):
    assert verdict(servers, engine, LOG.format(declared), pending, query) == "pp"


@pytest.mark.parametrize(
    ("engine", "pending"),
    [
        (Engine.POSTGRESQL, "ALTER TABLE log ALTER COLUMN body TYPE jsonb USING body::jsonb;"),
        (Engine.POSTGRESQL, f"{COLUMN} UPDATE log SET n = (body::json ->> 'n')::integer;"),
        (Engine.SQLITE, f"{COLUMN} UPDATE log SET n = json_extract(body, '$.n');"),
        pytest.param(MYSQL_ENGINE, "ALTER TABLE log MODIFY body json NOT NULL;", marks=pytest.mark.mariadb),
    ],
)
def test_a_migration_that_reads_json_has_documents(servers: Servers, engine: Engine, pending: str):
    rehearsal, [live, _] = rehearsed(
        servers[engine],
        engine,
        LOG.format("varchar(99)"),
        TOGETHER + pending,
        live="SELECT id, at FROM log",
        next_="SELECT 1",
    )

    assert rehearsal.failed is None
    assert live == "pp"


@pytest.mark.parametrize(
    ("engine", "query"),
    [
        (Engine.POSTGRESQL, "SELECT body::jsonb FROM log"),
        (Engine.SQLITE, EXTRACTS),
        pytest.param(MYSQL_ENGINE, EXTRACTS, marks=pytest.mark.mariadb),
    ],
)
def test_a_column_of_that_name_that_takes_no_document_has_another_text(
    servers: Servers, engine: Engine, query: str
):
    base = (
        LOG.format("varchar(99)")
        + """
    CREATE TABLE short (id integer PRIMARY KEY, body varchar(9) NOT NULL UNIQUE);
    CREATE TABLE checked (id integer PRIMARY KEY, body varchar(99) NOT NULL CHECK (body NOT LIKE '{%'));
    """
    )

    rehearsal, [live, _] = rehearsed(
        servers[engine], engine, base, TOGETHER + COLUMN, live=query, next_="SELECT 1"
    )

    assert live == "pp"
    assert not [note for note in rehearsal.notes if "no sample rows" in note]


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_no_trigger_sees_how_a_document_comes(servers: Servers, engine: Engine):
    """It is there from the beginning: nothing is changed for it."""
    body = {
        Engine.POSTGRESQL: "EXECUTE FUNCTION refuses()",
        Engine.SQLITE: "BEGIN SELECT RAISE(ABORT, 'kept'); END",
    }[engine]
    function = (
        """CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RAISE EXCEPTION ''kept''; END';"""
        if engine is Engine.POSTGRESQL
        else ""
    )
    query = "SELECT body::jsonb FROM log" if engine is Engine.POSTGRESQL else EXTRACTS
    base = f"""{LOG.format("text")} {function}
-- +goose StatementBegin
CREATE TRIGGER kept BEFORE UPDATE ON log FOR EACH ROW {body};
-- +goose StatementEnd
"""

    assert verdict(servers, engine, base, COLUMN, query) == "pp"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT l.body->>'x' FROM log AS l", {"body"}),
        ('SELECT 1 FROM log, json_each(log."Body")', {"body"}),
        ("SELECT jsonb_array_length(a::jsonb) FROM log", {"a"}),
        ("ALTER TABLE log MODIFY COLUMN `body` JSON NOT NULL", {"body"}),
        ("SELECT to_jsonb(body), jsonb_build_object('a', body), jsonb_agg(body) FROM log", set()),
        ("SELECT json_array(body), json_object(body, 1), json_quote(body) FROM log", set()),
        ("INSERT INTO log (body) VALUES ($1::jsonb), ('{}'::jsonb), (json('{}'))", set()),
    ],
)
def test_which_columns_a_text_reads_as_json(text: str, expected: set[str]):
    assert read_as_documents([text]) == expected
