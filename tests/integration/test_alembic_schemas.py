"""An env.py that works in a schema of its own, in several of them, or in folders that it sets itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.alembic_project import ENV, LINE, apply_next, plan_in, rows, write_project
from fixtures.audience import Audience
from fixtures.code_release import release

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.errors import ExitCode, StepFailed
from coordinator.journal.events import Outcome

CONFIGURED = (
    "context.configure(\n            connection=connection, target_metadata=target_metadata\n        )"
)
RUN = f"{CONFIGURED}\n\n        with context.begin_transaction():\n            context.run_migrations()"
MIGRATE = """
def migrate(connection, schema, **more):
    from sqlalchemy import text

    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    connection.execute(text(f'SET search_path TO "{schema}"'))
    connection.commit()
    connection.dialect.default_schema_name = schema
    context.configure(connection=connection, target_metadata=target_metadata, **more)
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online("""


def env_that(migrates: str) -> str:
    """Return an env.py that sets the schema as Alembic's cookbook does for tenants."""
    env = ENV.replace("\ndef run_migrations_online(", MIGRATE).replace(RUN, migrates)
    assert migrates in env
    return env


OF_TENANT = env_that("migrate(connection, context.get_x_argument(as_dictionary=True)['tenant'])")
OF_EACH = env_that("for schema in ('one', 'two'):\n            migrate(connection, schema)")
OF_BOTH = env_that(
    "migrate(connection, 'one', version_table_schema='one')\n"
    "        migrate(connection, 'two', version_table_schema='two')"
)
HELPER = """
import os, sys
sys.path.insert(0, os.path.dirname(__file__))
from tenants import """
OF_HANDED = env_that("each_schema(migrate, connection)").replace(
    "from alembic import", f"{HELPER}each_schema\nfrom alembic import", 1
)
OF_WRAPPED = OF_HANDED.replace(
    "each_schema(migrate, connection)", "each_schema(wrapped, connection)"
).replace(
    "def run_migrations_online(",
    "def wrapped(connection, schema):\n    migrate(connection, schema)\n\n\ndef run_migrations_online(",
)
OF_LAMBDA = OF_HANDED.replace("each_schema(migrate,", "each_schema(lambda *given: migrate(*given),")
OF_DECORATED = (
    OF_HANDED.replace("def migrate(", "@of_each\ndef migrate(")
    .replace("import each_schema", "import of_each")
    .replace("each_schema(migrate, connection)", "migrate(connection)")
)
ELSEWHERE = ENV.replace(RUN, "run(connection)").replace(
    "from alembic import", f"{HELPER}run\nfrom alembic import", 1
)
TENANTS = f"""
def each_schema(migrate, connection):
    for schema in ("one", "two"):
        migrate(connection, schema)


def of_each(migrate):
    return lambda connection: each_schema(migrate, connection)


def run(connection):
    from alembic import context
    target_metadata = None
    {MIGRATE.removesuffix("def run_migrations_online(").strip().replace(chr(10), chr(10) + "    ")}
    each_schema(migrate, connection)
"""


def made(folder: Path, url: str, env: str, *, more: str) -> ConnectedPorts:
    write_project(folder, LINE, env=env)
    (folder / "migrations" / "tenants.py").write_text(TENANTS)
    return plan_in(folder, url.replace("postgresql://", "postgresql+psycopg://"), more=more)


def test_a_tenant_of_a_schema_by_search_path_is_rehearsed_and_released(tmp_path: Path, database_url: str):
    more = "x_arguments: {tenant: acme}, table: acme.alembic_version"
    ports = made(tmp_path, database_url, OF_TENANT, more=more)

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)
    ended = release(ports, Audience())

    [rehearsal] = proof.evidence.rehearsals.values()
    assert rehearsal.is_whole
    assert ended.exit_code(wanted=Outcome.RELEASED) == ExitCode.DONE
    assert rows(ports, "SELECT version_num FROM acme.alembic_version") == [("c3",)]
    assert rows(ports, "SELECT name FROM acme.item") == [("100%; one",)]


def test_a_version_table_of_another_schema_by_search_path_is_named_before_anything(
    tmp_path: Path, database_url: str
):
    ports = made(tmp_path, database_url, OF_TENANT, more="x_arguments: {tenant: acme}")

    with pytest.raises(StepFailed) as refused:
        apply_next(ports, "a1")

    assert "in the table acme.alembic_version, and what is read is public.alembic_version" in str(
        refused.value
    )
    assert "`migrations: {table: acme.alembic_version}`" in str(refused.value)
    assert rows(ports, "SELECT to_regclass('acme.item')") == [(None,)]


@pytest.mark.parametrize(
    "env",
    [OF_EACH, OF_BOTH, OF_HANDED, OF_WRAPPED, OF_LAMBDA, OF_DECORATED, ELSEWHERE],
    ids=["loop", "calls", "handed", "wrapped", "lambda", "decorated", "elsewhere"],
)
@pytest.mark.parametrize("table", ["one.alembic_version", "two.alembic_version"])
def test_an_env_that_migrates_several_schemas_in_one_go_is_refused_before_anything(
    tmp_path: Path, database_url: str, env: str, table: str
):
    ports = made(tmp_path, database_url, env, more=f"table: {table}")

    with pytest.raises(StepFailed) as refused:
        apply_next(ports, "a1")

    assert "(one.alembic_version, two.alembic_version), and the plan knows one" in str(refused.value)
    assert rows(ports, "SELECT to_regclass('one.item'), to_regclass('two.item')") == [(None, None)]


def test_an_env_that_loops_over_the_one_schema_of_the_plan_is_released(tmp_path: Path, database_url: str):
    ports = made(
        tmp_path,
        database_url,
        OF_EACH.replace("('one', 'two')", "('one',)"),
        more="table: one.alembic_version",
    )

    apply_next(ports, "a1")

    assert rows(ports, "SELECT version_num FROM one.alembic_version") == [("a1",)]


def test_folders_of_revisions_that_env_itself_sets_are_refused(tmp_path: Path):
    sets = "import os\ncontext.script.version_locations = [os.path.join(os.path.dirname(__file__), NAME)]\n"
    url = f"sqlite:///{tmp_path}/shop.db"

    for name in ("other", "versions"):
        write_project(tmp_path, LINE, env=ENV + "\n")
        env = ENV.replace(
            "config = context.config", f"{sets.replace('NAME', repr(name))}config = context.config"
        )
        ports = made(tmp_path, url, env, more="")
        if name == "other":
            with pytest.raises(StepFailed, match=r"env.py sets the folders of revisions .*/migrations/other"):
                apply_next(ports, "a1")
            assert ("item",) not in rows(ports, "SELECT name FROM sqlite_master")
        else:
            apply_next(ports, "a1")
            assert ("item",) in rows(ports, "SELECT name FROM sqlite_master")
