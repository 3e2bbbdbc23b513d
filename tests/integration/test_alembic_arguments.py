"""What an env.py takes from the command line of Alembic: `-x KEY=VALUE`."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.alembic_project import ENV, LINE, apply_next, heads, plan_in, rows, write_project
from fixtures.audience import Audience
from fixtures.code_release import release

from coordinator.app.connected import step_kinds
from coordinator.app.planning import plan_release
from coordinator.errors import ExitCode, StepFailed
from coordinator.journal.events import Outcome
from coordinator.report.story import tell

ASKS = "\nargs = context.get_x_argument(as_dictionary=True)\n"
BY_URL = ENV.replace(
    "config = context.config",
    f"config = context.config{ASKS}config.set_main_option('sqlalchemy.url', args['db'].replace('%', '%%'))",
)
BY_TENANT = ENV.replace("config = context.config", f"config = context.config{ASKS}").replace(
    "context.configure(\n            connection=connection, target_metadata=target_metadata\n        )",
    "context.configure(connection=connection, version_table='of_' + args['tenant'])",
)


def test_what_env_asks_for_is_told_and_shown(tmp_path: Path, database_url: str):
    write_project(tmp_path, LINE, env=BY_URL)
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    ports = plan_in(tmp_path, url, more='x_arguments: {db: "{url}", tenant: acme}')

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)
    ended = release(ports, Audience())

    [rehearsal] = proof.evidence.rehearsals.values()
    assert rehearsal.is_whole
    assert "  database  shop: alembic (-x db={url}, -x tenant=acme), 0 applied, 3 pending" in tell(proof)
    assert (ended.exit_code(wanted=Outcome.RELEASED), heads(ports)) == (ExitCode.DONE, {"c3"})


def test_an_argument_may_name_the_version_table(tmp_path: Path):
    write_project(tmp_path, LINE, env=BY_TENANT)
    ports = plan_in(
        tmp_path, f"sqlite:///{tmp_path}/a.db", more="x_arguments: {tenant: acme}, table: of_acme"
    )

    apply_next(ports, "a1")

    assert rows(ports, "SELECT version_num FROM of_acme") == [("a1",)]


def test_an_address_that_env_takes_from_elsewhere_is_refused_with_where_it_is_told(tmp_path: Path):
    write_project(tmp_path, LINE, env=BY_URL)
    arguments = f'x_arguments: {{db: "sqlite:///{tmp_path}/b.db", address: "{{url}}"}}'
    ports = plan_in(tmp_path, f"sqlite:///{tmp_path}/a.db", more=arguments)

    with pytest.raises(StepFailed) as refused:
        apply_next(ports, "a1")

    assert "it is to use `sqlalchemy.url` or the variable SHOP_URL or `-x address`." in str(refused.value)


def test_a_rehearsal_of_what_is_refused_whatever_rows_there_are_does_not_speak_of_rows(
    tmp_path: Path, database_url: str
):
    write_project(tmp_path, LINE, env=BY_URL)
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    ports = plan_in(tmp_path, url, more=f'x_arguments: {{db: "sqlite:///{tmp_path}/b.db"}}')

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert "`a1` does not apply to the scratch database: " in rehearsal.notes[0]
    assert not any("row" in each for each in rehearsal.notes if "is code" not in each)


def test_a_plan_with_another_argument_is_another_plan(tmp_path: Path):
    write_project(tmp_path, LINE, env=BY_TENANT)
    url = f"sqlite:///{tmp_path}/a.db"

    digests = {
        plan_in(tmp_path, url, more=f"x_arguments: {{tenant: {each}}}").plan.digest for each in ("a", "b")
    }

    assert len(digests) == 2
