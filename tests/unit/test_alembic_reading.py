"""Alembic's files are read and never run: order, branches, phases, and what is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from fixtures.alembic_project import ENV, revision

from coordinator import discovery
from coordinator.diagnostics import Diagnostic
from coordinator.model import Engine, Migration, Phase, SourceFile
from coordinator.ports.databases import Target
from coordinator.ports.migrations import Ledger, Reading

TOOL = discovery.migration_tool("alembic")


def source(name: str, text: str) -> SourceFile:
    content = text.encode()
    return SourceFile(f"versions/{name}", content, hashlib.sha256(content).hexdigest())


def read(*files: Mapping[str, str], env: str = ENV, engine: Engine = Engine.POSTGRESQL) -> Reading:
    sources = [source(name, text) for each in files for name, text in each.items()]
    return TOOL.read([*sources, source("env.py", env)], engine)


def order(*files: Mapping[str, str]) -> list[str]:
    reading = read(*files)
    assert reading.diagnostics == ()
    return [str(each.version) for each in reading.migrations]


def one(*files: Mapping[str, str], **settings) -> Migration:
    reading = read(*files, **settings)
    assert reading.diagnostics == ()
    return reading.migrations[-1]


def problem(*files: Mapping[str, str]) -> Diagnostic:
    [found] = read(*files).diagnostics
    return found


EXPAND = revision("z1", labels=("expand",))
CONTRACT = revision("a1", labels=("contract",))


@pytest.mark.parametrize(
    ("label", "phase"),
    [
        ("(cli.EXPAND_BRANCH,)", Phase.EXPAND),
        ("[CONTRACT_BRANCH]", Phase.CONTRACT),
        ("cli.EXPAND_BRANCH", Phase.EXPAND),
    ],
)
def test_the_constants_of_openstack_are_its_labels(label: str, phase: Phase):
    found = one({"a.py": f"from neutron.db.migration import cli\nrevision = 'a'\nbranch_labels = {label}\n"})

    assert (found.declared, found.branch_labels) == (phase, (phase.value,))


def test_parents_come_first_whatever_the_files_are_called():
    assert order(revision("c"), revision("b", "c"), revision("a", "b")) == ["c", "b", "a"]


@pytest.mark.parametrize(
    "names",
    [
        'revision, down_revision = "b", "a"',
        '[revision, (down_revision, label)] = ["b", ("a", None)]',
        'down_revision = "a"\nrevision = identifier = "b"',
    ],
)
def test_names_may_be_assigned_together(names: str):
    assert order({"b.py": f"{names}\ndef upgrade():\n    pass\n"}, revision("a")) == ["a", "b"]


@pytest.mark.parametrize("names", ["revision, down_revision = NAMES", 'revision, *rest = "b", None'])
def test_names_that_are_unpacked_from_elsewhere_cannot_be_read(names: str):
    found = read({"b.py": f"{names}\n"}).diagnostics

    assert {each.code for each in found} == {"alembic-revision"}
    assert "`revision` is nothing that can be read" in found[0].what


def test_a_merge_comes_behind_all_that_it_merges():
    files = [revision("m", "a", "b"), revision("b", "base"), revision("a", "base"), revision("base")]

    assert order(*files) == ["base", "a", "b", "m"]


def test_the_expand_branch_goes_before_the_contract_branch():
    files = [CONTRACT, revision("a2", "a1"), EXPAND, revision("z2", "z1")]

    assert order(*files) == ["z1", "z2", "a1", "a2"]


def test_a_contract_revision_that_is_depended_on_goes_first_nevertheless():
    assert order(CONTRACT, revision("z1", labels=("expand",), depends=("a1",))) == ["a1", "z1"]


def test_what_is_depended_on_may_be_named_by_its_label():
    assert order(CONTRACT, revision("b", depends=("contract",))) == ["a1", "b"]


@pytest.mark.parametrize(
    ("files", "phases"),
    [
        ([EXPAND, revision("z2", "z1")], "expand expand"),
        (
            [revision("root"), revision("z1", "root"), revision("z2", "z1", labels=("contract",))],
            "contract " * 3,
        ),
        (
            [revision("root"), revision("a", "root", labels=("expand",)), revision("b", "root")],
            "None expand None",
        ),
        ([EXPAND, CONTRACT, revision("zz", "z1", "a1")], "expand contract None"),
        ([revision("x", said="coordinator: phase=migrate")], "migrate"),
    ],
)
def test_the_phase_is_that_of_the_branch_or_of_a_line(files: list[Mapping[str, str]], phases: str):
    reading = read(*files)

    assert " ".join(str(each.declared) for each in reading.migrations) == phases.strip()


def test_a_comment_of_another_phase_than_the_branch_is_refused():
    found = problem(revision("z1", labels=("expand",), said="coordinator: phase=contract"))

    assert (found.code, found.place.line) == ("bad-phase", 3)
    assert "Take the line out" in found.next_step


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("revision = 'a'\ndown_revision = make()\n", "alembic-revision", 2),
        ("x = 1\n", "alembic-revision", 1),
        ("revision = 'a'\nbranch_labels = (cli.OTHER_BRANCH,)\n", "alembic-revision", 2),
        ("revision = 'a'\ndown_revision = EXPAND_BRANCH\n", "alembic-revision", 2),
        ("revision = 'a@b'\n", "alembic-revision", 1),
        ("revision = 'a'\ndef upgrade(:\n", "alembic-syntax", 2),
        ("revision = 'a'\ndown_revision = 'gone'\n", "alembic-parent-missing", 2),
        ("revision = 'a'\ndepends_on = ('gone',)\n", "alembic-parent-missing", 2),
        ("revision = 'a'\ndown_revision = 'a'\n", "alembic-cycle", 2),
    ],
)
def test_says_where_a_file_cannot_be_read(text: str, code: str, line: int):
    found = problem({"a.py": text})

    assert (found.code, found.place.file, found.place.line) == (code, "versions/a.py", line)


def test_two_files_of_one_revision_are_refused():
    assert problem({"1.py": "revision = 'a'"}, {"2.py": "revision: str = 'a'"}).code == "duplicate-version"


def test_a_cycle_names_who_is_in_it():
    assert "`" not in problem(revision("a", "b"), revision("b", "a")).what.partition(":")[2]
    assert "a, b" in problem(revision("a", "b"), revision("b", "a")).what


@pytest.mark.parametrize(
    ("up", "why"),
    [
        ("op.execute('SELECT 1')", None),
        ("op.get_bind().execute(sa.text('SELECT 1'))", "get_bind"),
        ("with op.get_context().autocommit_block(): op.execute('VACUUM')", None),
        ("with op.get_context().autocommit_block(): op.get_context()", "get_context"),
        ("sa.inspect(op)", "inspects"),
        ("if context.is_offline_mode(): pass", "is_offline_mode"),
        ("from shop.helpers import rename", "imports `shop.helpers`"),
        ("import os.path", "imports `os.path`"),
        ("import sqlmodel.sql.sqltypes", None),
        ("from pgvector.sqlalchemy import Vector", None),
        ("from sqlmodel import Session", "session"),
        ("from . import more", "imports `.`"),
    ],
)
def test_says_why_the_sql_is_not_known_without_a_database(up: str, why: str | None):
    found = one(revision("a", up=up)).needs_database

    assert found is None if why is None else found is not None and why in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("context.run_migrations()", "connection.execute(1)"),
        ("literal_binds=True,", "literal_binds=True, transaction_per_migration=True,"),
        ("literal_binds=True,", "literal_binds=True, **more,"),
        ("if context.is_offline_mode():", "if context.is_offline_mode() and context.is_offline_mode():"),
    ],
)
def test_an_env_that_does_more_with_a_database_is_run_with_one(old: str, new: str):
    assert one(revision("a"), env=ENV.replace(old, new)).needs_database is not None


def test_the_env_of_alembic_itself_does_the_same_either_way():
    assert one(revision("a")).needs_database is None


@pytest.mark.parametrize(
    ("up", "engine", "is_atomic"),
    [
        ("op.execute('SELECT 1')", Engine.POSTGRESQL, True),
        ("op.execute('SELECT 1')", Engine.SQLITE, False),
        ("with op.get_context().autocommit_block(): pass", Engine.POSTGRESQL, False),
        ("op.get_bind().commit()", Engine.POSTGRESQL, False),
        ("op.execute('COMMIT')", Engine.POSTGRESQL, False),
        ("op.execute(sa.text('INSERT INTO a VALUES (1); commit work'))", Engine.POSTGRESQL, False),
        ("op.execute('DO $$ BEGIN PERFORM 1; END $$')", Engine.POSTGRESQL, True),
        ("op.execute('END')", Engine.POSTGRESQL, False),
        ("SQL = 'INSERT INTO a VALUES (1); COMMIT'", Engine.POSTGRESQL, False),
        ("op.add_column('a', sa.Column('end', sa.Date, comment='Commit date'))", Engine.POSTGRESQL, True),
        ("'Rollback the price; end'", Engine.POSTGRESQL, True),
        ("op.get_bind().connection.set_isolation_level(0)", Engine.POSTGRESQL, False),
        ("import shop", Engine.POSTGRESQL, False),
    ],
)
def test_a_revision_is_all_or_nothing_only_where_nothing_of_it_commits(
    up: str, engine: Engine, is_atomic: bool
):
    assert one(revision("a", up=up), engine=engine).is_atomic is is_atomic


def test_what_the_heads_stand_on_is_applied():
    files = [revision("a"), revision("b", "a"), revision("c", "a", depends=("b",)), revision("d", "c")]
    migrations = read(*files).migrations

    pending = TOOL.pending(migrations, Ledger(exists=True, applied=("c",)))

    assert [each.version for each in pending.migrations] == ["d"]


def test_a_head_that_no_file_has_is_a_newer_database():
    pending = TOOL.pending(read(revision("a")).migrations, Ledger(exists=True, applied=("a", "zz")))

    assert [each.code for each in pending.diagnostics] == ["database-newer"]
    assert pending.migrations == ()


@pytest.mark.parametrize(
    ("table", "shown"),
    [(None, '"alembic_version"'), ("app.versions", '"app"."versions"'), ('a"b', '"a""b"')],
)
def test_the_table_of_the_plan_is_quoted(table: str | None, shown: str):
    target = Target(Engine.POSTGRESQL, "shop", "public", table)

    assert TOOL.ledger_query(target) == f"SELECT version_num FROM {shown}"


IN_PACKAGE = b"[alembic]\nscript_location = shop:db\n"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"env.py": b""}, ("env.py", "versions")),
        ({"alembic.ini": b"[alembic]\nscript_location = .\n"}, ("env.py", "versions")),
        ({"alembic.ini": b"[alembic]\nscript_location = %(here)s/db\n"}, ("db/env.py", "db/versions")),
        ({"alembic.ini": b"[alembic]\nscript_location = db\n"}, ("db/env.py", "db/versions")),
        (
            {"alembic.ini": b"[alembic]\nscript_location=db\nversion_locations=%(here)s/x %(here)s/y\n"},
            ("db/env.py", "x", "y"),
        ),
        (
            {"alembic.ini": b"[alembic]\nscript_location=db\nversion_locations=x:y\npath_separator=os\n"},
            ("db/env.py", "x", "y"),
        ),
        (
            {"alembic.ini": b"[alembic]\nscript_location=db\nversion_path_separator=os  # default\n"},
            ("db/env.py", "db/versions"),
        ),
        (
            {"alembic.ini": b"[alembic]\nscript_location=db\nrecursive_version_locations=true\n"},
            ("db/env.py", "db/versions/**"),
        ),
        (
            {"pyproject.toml": b'[tool.alembic]\nscript_location = "%(here)s/db"\n'},
            ("db/env.py", "db/versions"),
        ),
        (
            {"env.py": b"e", "../db/env.py": b"e", "../alembic.ini": b"[alembic]\nscript_location = db\n"},
            ("../db/env.py", "../db/versions"),
        ),
        (
            {"env.py": b"e", "../db/env.py": b"f", "../alembic.ini": b"[alembic]\nscript_location = db\n"},
            ("env.py", "versions"),
        ),
        ({"alembic.ini": IN_PACKAGE, "shop/__init__.py": b""}, ("shop/db/env.py", "shop/db/versions")),
        (
            {"alembic.ini": IN_PACKAGE, "src/shop/db/env.py": b""},
            ("src/shop/db/env.py", "src/shop/db/versions"),
        ),
        (
            {"alembic.ini": IN_PACKAGE, "../../shop/__init__.py": b""},
            ("../../shop/db/env.py", "../../shop/db/versions"),
        ),
        (
            {"env.py": b"e", "../alembic.ini": IN_PACKAGE, "../../shop/db/env.py": b"e"},
            ("../../shop/db/env.py", "../../shop/db/versions"),
        ),
        (
            {
                "alembic.ini": IN_PACKAGE + b"version_locations = shop.more:new ./old\n",
                "shop/db/env.py": b"",
                "shop/more/__init__.py": b"",
            },
            ("shop/db/env.py", "shop/more/new", "old"),
        ),
    ],
)
def test_finds_the_revisions_as_the_configuration_says(files: Mapping[str, bytes], found: tuple[str, ...]):
    assert TOOL.sources(files.get) == found


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"alembic.ini": b"[alembic]\nscript_location = package:db\n"},
        {"alembic.ini": b"[alembic\n"},
        {"alembic.ini": b"[alembic]\nscript_location=db\nversion_locations=x\npath_separator=comma\n"},
        {"pyproject.toml": b"[tool.alembic\n"},
    ],
)
def test_says_where_a_configuration_leads_nowhere(files: Mapping[str, bytes]):
    [found] = TOOL.sources(files.get)

    assert isinstance(found, Diagnostic)
    assert found.code == "alembic-config"


def test_a_configuration_without_the_section_is_not_said_to_be_missing():
    [found] = TOOL.sources({"alembic.ini": b"[stock]\nscript_location = db\n"}.get)

    assert isinstance(found, Diagnostic)
    assert (found.place.file, found.code) == ("alembic.ini", "alembic-config")
    assert "it has no section `[alembic]`" in found.what


SECTIONS = (
    b"[alembic]\nscript_location = shop\n[stock]\n# of the warehouse\nscript_location = %(here)s/stock\n"
    b"version_locations = a b\n[loggers]\nkeys = root\n"
)


def test_the_section_of_the_plan_says_where_the_revisions_are():
    files = {"alembic.ini": SECTIONS, "pyproject.toml": b'[tool.alembic]\nscript_location = "other"\n'}

    assert TOOL.sources(files.get, section="stock") == ("stock/env.py", "a", "b")
    assert TOOL.sources(files.get) == ("shop/env.py", "shop/versions")


@pytest.mark.parametrize("toml", [None, b'[tool.alembic]\nscript_location = "other"\n'])
def test_a_section_that_is_not_there_is_told_with_those_that_are(toml: bytes | None):
    files = {"alembic.ini": SECTIONS, "pyproject.toml": toml, "env.py": b""}

    [found] = TOOL.sources(files.get, section="stok")

    assert isinstance(found, Diagnostic)
    assert "it has no section `[stok]`" in found.what
    assert "It has `alembic`, `stock`." in found.next_step


def test_a_section_without_an_ini_is_told():
    [found] = TOOL.sources({"env.py": b""}.get, section="stock")

    assert isinstance(found, Diagnostic)
    assert "it has no section `[stock]`" in found.what


def test_a_comment_behind_a_separator_that_alembic_refuses_is_named():
    ini = b"[alembic]\nscript_location=db\nversion_locations=x:y\nversion_path_separator=os  # default\n"

    [found] = TOOL.sources({"alembic.ini": ini}.get)

    assert isinstance(found, Diagnostic)
    assert "`os  # default` is no path separator" in found.what
    assert found.next_step == "Write one of `space`, `newline`, `os`, `:`, `;`, and no comment."


def test_the_place_of_a_branch_s_phase_is_its_revision():
    migration = one(EXPAND)

    assert (migration.declared, migration.declared_at and migration.declared_at.line) == (Phase.EXPAND, 10)
