"""What `coordinator parse` prints, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from fixtures.alembic_project import ENV, INI, LINE, revision, write_project


@pytest.fixture
def parse(tmp_path):
    def run(name: str, text: str, *options: str):
        (tmp_path / name).write_text(text)
        argv = [sys.executable, "-m", "coordinator", "parse", name, *options]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_shows_the_exact_texts_of_both_directions(parse):
    text = "-- +goose Up\n-- about a\nSELECT 1; -- one\nSELECT\n  2;\n-- +goose Down\nSELECT 3;\n"

    done = parse("1_a.sql", text, "--tool", "goose", "--output", "json")

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "schema": "coordinator/parse/1",
        "up": ["SELECT 1; -- one", "SELECT\n  2;"],
        "down": ["SELECT 3;"],
        "transaction": True,
    }


def test_the_name_of_a_golang_migrate_file_is_its_direction(parse):
    done = parse("1_a.down.sql", "VACUUM;", "--tool", "golang-migrate", "--output", "json")

    shown = json.loads(done.stdout)
    assert (shown["up"], shown["down"], shown["transaction"]) == ([], ["VACUUM;"], False)


def test_reads_a_file_with_the_quotes_of_its_engine(parse):
    text = "-- +goose Up\nINSERT INTO a VALUES ('it\\'s');\n-- +goose Down\nDROP TABLE a; # it's\n;\n"

    done = parse("1_a.sql", text, "--tool", "goose", "--engine", "mariadb")

    assert (done.returncode, done.stderr) == (0, "")
    assert "up: 1 text, in one transaction\n" in done.stdout
    assert "down: 1 text, in a transaction that each change of the schema commits\n" in done.stdout
    assert "goose-cut-statement" in parse("1_a.sql", text, "--tool", "goose").stderr


def test_shows_lines_to_a_person(parse):
    done = parse("1_a.sql", "-- +goose Up\n\nSELECT 1;\n", "--tool", "goose")

    assert done.stdout == "up: 1 text, in one transaction\n\n1_a.sql:3\nSELECT 1;\n\n"


def test_a_file_that_goose_cannot_read_exits_with_2(parse):
    done = parse("1_a.sql", "-- +goose Up\nSELECT 1\n", "--tool", "goose", "--output", "json")

    assert done.returncode == 2
    assert json.loads(done.stdout)["schema"] == "coordinator/problems/1"
    assert done.stderr.startswith("1_a.sql:2 error[goose-syntax]: ")


def test_an_unknown_tool_gets_a_guess(parse):
    done = parse("1_a.sql", "", "--tool", "gose")

    assert done.returncode == 2
    assert "Did you mean `goose`?" in done.stderr


@pytest.fixture
def parse_revision(tmp_path):
    def run(name: str, *options: str, files=LINE, ini: str = INI, env: str = ENV):
        write_project(tmp_path, files, ini=ini, env=env)
        argv = [sys.executable, "-m", "coordinator", "parse", f"migrations/versions/{name}.py"]
        return subprocess.run(
            [*argv, "--tool", "alembic", *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def test_a_revision_shows_what_alembic_says_that_it_sends(parse_revision):
    done = parse_revision("b2", "--output", "json")

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "schema": "coordinator/parse/1",
        "up": ["INSERT INTO item VALUES (1, '100%; one')"],
        "down": [],
        "transaction": True,
    }


def test_a_revision_speaks_the_engine_that_is_asked_for_whatever_its_configuration_names(parse_revision):
    ini = INI.replace("[loggers]", "sqlalchemy.url = postgresql+psycopg://localhost/shop\n[loggers]", 1)

    done = parse_revision("a1", "--engine", "mariadb", ini=ini)

    assert "AUTO_INCREMENT" in done.stdout, done.stderr
    assert "without a transaction of the tool\n" in done.stdout


def test_a_revision_on_sqlite_needs_no_file_of_a_database(parse_revision, tmp_path):
    done = parse_revision("a1", "--engine", "sqlite")

    assert (done.returncode, done.stderr) == (0, "")
    assert "CREATE TABLE item (" in done.stdout
    assert not list(tmp_path.glob("*nowhere*"))


def test_a_revision_that_asks_the_database_shows_why_it_has_no_statements(parse_revision):
    asks = revision("d4", "c3", up="op.get_bind()")

    done = parse_revision("d4", "--output", "json", files={**LINE, **asks})

    assert (done.returncode, json.loads(done.stdout)["up"]) == (0, None)
    assert "warning[migration-sql-unknown]: What `d4` sends is not known" in done.stderr
    assert "it asks the database (`get_bind`)" in done.stderr


def test_a_revision_outside_of_a_project_exits_with_2(parse):
    done = parse("a1.py", LINE["a1.py"], "--tool", "alembic")

    assert done.returncode == 2
    assert "error[alembic-config]: No configuration above a1.py names its folder" in done.stderr


ASKS = ENV.replace(
    "config = context.config", "config = context.config\ntenant = context.get_x_argument(True)['tenant']"
)
BY_TENANT = ASKS.replace("=target_metadata", "=target_metadata, version_table='of_' + tenant")


def test_a_revision_is_asked_with_the_arguments_and_the_section_of_alembic(parse_revision):
    ini = INI.replace("[alembic]", "[stock]")

    done = parse_revision("a1", "-x", "tenant=acme=1", "--section", "stock", env=BY_TENANT, ini=ini)

    assert (done.returncode, done.stderr) == (0, "")
    assert "CREATE TABLE item (" in done.stdout


def test_without_the_argument_that_env_asks_for_there_are_no_statements(parse_revision):
    done = parse_revision("a1", env=BY_TENANT)

    assert "warning[migration-sql-unknown]" in done.stderr
    assert "tenant" in done.stderr


@pytest.mark.parametrize("given", ["tenant", "=acme", "a b=c"])
def test_an_argument_without_a_key_or_a_value_exits_with_2(parse_revision, given: str):
    done = parse_revision("a1", "-x", given)

    assert done.returncode == 2
    assert "error[bad-x-argument]: `-x " in done.stderr


@pytest.mark.parametrize(("option", "value"), [("--section", "stock"), ("-x", "tenant=acme")])
def test_what_is_for_alembic_alone_is_refused_for_another_tool(parse, option: str, value: str):
    done = parse("1_a.sql", "-- +goose Up\nSELECT 1;\n", "--tool", "goose", option, value)

    assert done.returncode == 2
    assert f"error[idle-setting]: `{option}` is about migrations of Alembic" in done.stderr
