"""Queries that were seen rather than written down: a log, the server's statistics, a project's SQLAlchemy."""

# ruff: noqa: E501 - lines as PostgreSQL writes them

from __future__ import annotations

import re
import sys
from contextlib import contextmanager

import pytest
from fixtures.catalogues import catalogue_of, settings_of, write_files

from coordinator import discovery
from coordinator.adapters.trees.folder import FolderTree
from coordinator.errors import Usage
from coordinator.model import Engine, Role
from coordinator.query_ports import Wanted

LOG = """\
2026-01-01 10:00:00.000 UTC [77] app@shop LOG:  statement: SELECT id,
\t  total
\tFROM orders WHERE note = 'LOG:  statement: no'
2026-01-01 10:00:00.001 UTC [77] app@shop LOG:  duration: 0.052 ms  execute <unnamed>: UPDATE orders SET total = $1 WHERE id = $2
2026-01-01 10:00:00.001 UTC [77] app@shop DETAIL:  Parameters: $1 = '5', $2 = '7'
2026-01-01 10:00:00.002 UTC [77] app@shop LOG:  execute s1: SELECT  id, total FROM orders
\tWHERE note = 'LOG:  statement: no'
2026-01-01 10:00:00.003 UTC [77] app@shop LOG:  statement: BEGIN
2026-01-01 10:00:00.003 UTC [77] app@shop ERROR:  relation "gone" does not exist at character 15
2026-01-01 10:00:00.003 UTC [77] app@shop STATEMENT:  SELECT * FROM gone
2026-01-01 10:00:00.004 UTC [1] LOG:  checkpoint starting: time
2026-01-01 10:00:00.005 UTC [77] app@shop LOG:  statement: CREATE TABLE x (id int)
"""
CSV_ROW = (
    '2026-01-01 10:00:00.000 UTC,"app","shop",77,"::1:5",x,1,"SELECT",2026-01-01 10:00:00 UTC,3/4,0,'
    '{severity},00000,"{message}",,,,,,,,,"psql","client backend",,0\n'
)


def texts_of(catalogue):
    return [each.text for each in catalogue.queries]


def read_log(tmp_path, text, **more):
    write_files(tmp_path, {"statements.log": text})
    return catalogue_of("log", "statements.log", tree=tmp_path, role=Role.LIVE, **more)


def test_servers_log_gives_each_different_query_once(tmp_path):
    catalogue = read_log(tmp_path, LOG)

    assert texts_of(catalogue) == [
        "SELECT id,\n  total\nFROM orders WHERE note = 'LOG:  statement: no'",
        "UPDATE orders SET total = $1 WHERE id = $2",
    ]
    assert [each.place.line for each in catalogue.queries] == [1, 4]
    assert catalogue.queries[0].name == "SELECT id, total FROM orders WHERE note = '…'"


def test_no_name_tells_the_data_that_a_logged_statement_held(tmp_path):
    texts = ["'o''neil'", r"E'o\'neil'", "$x$o'neil$x$", "'o''neil"]

    catalogue = read_log(tmp_path, "".join(f"SELECT {text}\n" for text in texts))

    assert [each.name for each in catalogue.queries] == ["SELECT '…'"] * 4


def test_csv_log_is_read_with_quotes_and_line_breaks(tmp_path):
    rows = [
        ("LOG", 'statement: SELECT ""Id""\nFROM orders'),
        ("LOG", "execute <unnamed>: SELECT $1"),
        ("ERROR", "statement: SELECT 3"),
        ("LOG", "connection received"),
    ]
    text = "".join(CSV_ROW.format(severity=severity, message=message) for severity, message in rows)

    catalogue = read_log(tmp_path, text)

    assert texts_of(catalogue) == ['SELECT "Id"\nFROM orders', "SELECT $1"]
    assert [each.place.line for each in catalogue.queries] == [1, 3]


def test_a_statement_that_is_too_long_for_csv_makes_the_log_unproven(tmp_path):
    message = "statement: SELECT ''" + "x" * 140_000 + "''"
    text = CSV_ROW.format(severity="LOG", message="statement: SELECT 1") + CSV_ROW.format(
        severity="LOG", message=message
    )

    catalogue = read_log(tmp_path, text)

    assert [each.obstacle is None for each in catalogue.queries] == [True, False]


def test_plain_lines_are_statements_with_parameters_of_any_form(tmp_path):
    text = "SELECT 1 WHERE a = ?;\n\n-- a comment\nSET x = 1;\nselect b FROM t WHERE c = :c\nSELECT 1 WHERE a  = ?\n"

    catalogue = read_log(tmp_path, text)

    assert texts_of(catalogue) == ["SELECT 1 WHERE a = $1", "select b FROM t WHERE c = $1"]


def test_a_statement_that_was_cut_off_is_an_obstacle(tmp_path):
    [query] = read_log(tmp_path, "SELECT 'it was cut\n").queries

    assert query.obstacle == "the log has only its beginning"


class Statistics:
    """A server with an extension and what it saw, as far as the source asks."""

    def __init__(self, texts, view="public.pg_stat_statements"):
        self.texts = texts
        self.view = view
        self.asked = []

    @contextmanager
    def __call__(self):
        yield self

    def query(self, sql):
        self.asked.append(sql)
        if "pg_extension" in sql:
            return [(self.view,)] if self.view else []
        return [(each,) for each in self.texts]


def read_statistics(server, tmp_path, settings=None, *, engine=Engine.POSTGRESQL, database_role="app"):
    wanted = Wanted(Role.LIVE, None, engine, FolderTree(tmp_path), server, database_role)
    source = discovery.query_source("pg-stat-statements")
    return source.read(settings_of("pg-stat-statements", settings or {}), wanted)


def test_statistics_hold_queries_and_what_is_none_is_left_out(tmp_path):
    server = Statistics([
        "SELECT $1", "select  $1 -- again", "BEGIN", "CREATE TABLE x (id int)", "SET a TO $1", "VACUUM",
        "COPY t TO STDOUT",
        "SELECT query FROM pg_stat_statements", "WITH x AS (SELECT $1) SELECT * FROM x", "SELECT 'cut",
    ])  # fmt: skip

    catalogue = read_statistics(server, tmp_path)

    assert texts_of(catalogue) == ["SELECT $1", "WITH x AS (SELECT $1) SELECT * FROM x", "SELECT 'cut"]
    assert [each.obstacle for each in catalogue.queries] == [None, None, "the server kept only its beginning"]
    assert catalogue.source == "pg_stat_statements of app"


@pytest.mark.parametrize(
    ("settings", "database_role", "role"),
    [({}, "app", "'app'"), ({"role": "o'neil"}, "app", "'o''neil'")],
)
def test_statistics_are_those_of_the_services_role(tmp_path, settings, database_role, role):
    server = Statistics(["SELECT 1"])

    read_statistics(server, tmp_path, {**settings, "min_calls": 7}, database_role=database_role)

    assert "calls >= 7" in server.asked[-1]
    assert f"rolname = {role})" in server.asked[-1]


@pytest.mark.parametrize(
    ("server", "wanted", "advice"),
    [
        (Statistics([], view=None), {}, "CREATE EXTENSION"),
        (Statistics(["SELECT 1", "<insufficient privilege>"]), {}, "pg_read_all_stats"),
        (Statistics([]), {"engine": Engine.SQLITE}, "another source"),
        (Statistics([]), {"database_role": None}, "database_role"),
        (None, {}, "another source"),
    ],
)
def test_statistics_that_cannot_be_read_are_no_empty_catalogue(tmp_path, server, wanted, advice):
    with pytest.raises(Usage) as caught:
        read_statistics(server, tmp_path, **wanted)

    assert caught.value.code == "no-statistics"
    assert advice in caught.value.next_step


SHOP = """\
import sys
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, select, text
orders = Table("orders", MetaData(), Column("id", Integer, primary_key=True), Column("note", String))
print("this is not for coordinator")

def statements():
    yield "GetOrder", select(orders).where(orders.c.id == bindparam("id"), orders.c.note == "x")
    yield orders.insert()
    yield "Some", select(orders.c.id).where(orders.c.id.in_([1, 2]))
    yield "Text", text("SELECT 1 WHERE 2 = :a")
    yield "Broken", 42

class Group:
    @staticmethod
    def one():
        return [("One", "SELECT 1")]
"""


def test_sqlalchemys_statements_are_compiled_for_the_engine(tmp_path):
    write_files(tmp_path, {"shop/__init__.py": "", "shop/queries.py": SHOP})

    catalogue = catalogue_of("sqlalchemy", "shop.queries:statements", tree=tmp_path)
    sqlite = catalogue_of("sqlalchemy", "shop.queries:statements", tree=tmp_path, engine=Engine.SQLITE)

    assert [re.sub(r"::\w+", "", " ".join(each.text.split())) for each in catalogue.queries] == [
        "SELECT orders.id, orders.note FROM orders WHERE orders.id = $1 AND orders.note = $2",
        "INSERT INTO orders (id, note) VALUES ($1, $2)",
        "SELECT orders.id FROM orders WHERE orders.id IN ($1, $2)",
        "SELECT 1 WHERE 2 = $1",
        "",
    ]
    assert [each.name for each in catalogue.queries] == ["GetOrder", "statements 2", "Some", "Text", "Broken"]
    assert [each.obstacle is None for each in catalogue.queries] == [True, True, True, True, False]
    assert "VALUES (?, ?)" in sqlite.queries[1].text


@pytest.mark.parametrize(
    ("callable_name", "text"),
    [
        ("shop.gone:statements", "ModuleNotFoundError"),
        ("settings:PathSettings", "ModuleNotFoundError"),  # lies beside the program that imports
        ("shop.queries:gone", "AttributeError"),
        ("shop.bad:exits", "exit code 3"),
        ("shop.bad:leaks", "(RuntimeError, shop/bad.py:3)"),
        ("shop.bad:hangs", "did not end within 0.2 s"),
    ],
)
def test_a_projects_code_that_fails_breaks_nothing_here(tmp_path, callable_name, text):
    bad = (
        "import sys, time\ndef exits(): sys.exit(3)\ndef leaks(): raise RuntimeError('pass:word')\n"
        "def hangs(): time.sleep(60)\n"
    )
    write_files(tmp_path, {"shop/__init__.py": "", "shop/queries.py": SHOP, "shop/bad.py": bad})
    timeout = "200ms" if "hangs" in callable_name else "60s"

    with pytest.raises(Usage) as caught:
        catalogue_of("sqlalchemy", {"callable": callable_name, "timeout": timeout}, tree=tmp_path)

    assert caught.value.code == "sqlalchemy-failed"
    assert text in str(caught.value)
    assert "pass:word" not in str(caught.value)


def test_the_function_runs_in_the_environment_that_the_plan_names(tmp_path):
    own = f'#!/bin/sh\nPYTHONPATH=packages exec {sys.executable} "$@"\n'
    queries = "import of_the_project\ndef statements(): return [of_the_project.ONE]\n"
    package = "ONE = ('One', 'SELECT 1')\n"
    write_files(tmp_path, {"queries.py": queries, "env/python": own, "packages/of_the_project.py": package})
    (tmp_path / "env" / "python").chmod(0o755)
    settings = {"callable": "queries:statements"}

    assert texts_of(catalogue_of("sqlalchemy", settings | {"python": "env/python"}, tree=tmp_path)) == [
        "SELECT 1"
    ]
    with pytest.raises(Usage, match=r"No module named 'of_the_project'.*`python: .venv/bin/python`"):
        catalogue_of("sqlalchemy", settings, tree=tmp_path)


def test_a_command_speaks_for_the_version_that_cannot_be_imported(tmp_path):
    program = "import json, os\nprint(json.dumps([{'name': 'Old', 'text': 'SELECT ' + repr(os.environ['VERSION'])}]))"
    write_files(tmp_path, {"shop/__init__.py": "", "shop/queries.py": SHOP, "old.py": program})
    settings = {"callable": "shop.queries:Group.one", "command": ["python3", "old.py"]}

    live = catalogue_of("sqlalchemy", settings, tree=tmp_path, role=Role.LIVE, version="1.4")
    following = catalogue_of("sqlalchemy", settings, tree=tmp_path)

    assert texts_of(live) == ["SELECT '1.4'"]
    assert live.source == "what `python3 old.py` printed for 1.4"
    assert texts_of(following) == ["SELECT 1"]
    assert discovery.query_source("sqlalchemy").is_versioned(settings_of("sqlalchemy", settings))
