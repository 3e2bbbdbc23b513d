"""Alembic on MariaDB, which commits each change of the schema by itself: what stays of a revision is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.alembic_project import (
    ENV,
    LINE,
    SHOP,
    apply_next,
    heads,
    plan_in,
    revision,
    rows,
    write_project,
)
from fixtures.audience import Audience
from fixtures.code_release import release
from fixtures.local import until
from fixtures.mariadb import root_connection

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.errors import ExitCode, InDoubt
from coordinator.journal.events import Outcome
from coordinator.journal.fold import Status

pytestmark = pytest.mark.mariadb

EXPAND = "coordinator: phase=expand"
COLUMNS = (
    "SELECT column_name FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND table_name = 'item' ORDER BY ordinal_position"
)


def steps(*statements: str) -> str:
    return "\n".join(f"op.execute({each!r})" for each in statements)


def columns(ports: ConnectedPorts) -> list[str]:
    return [str(name) for [name] in rows(ports, COLUMNS)]


def coordinator(folder: Path, url: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", *arguments],
        cwd=folder,
        env={**os.environ, "SHOP_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_release_is_rehearsed_by_statement_and_compared_and_done(mariadb_url: str, tmp_path: Path):
    ports = plan_in(write_project(tmp_path, LINE), mariadb_url)

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)
    ended = release(ports)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert rehearsal.is_whole
    assert not [each for each in rehearsal.notes if "something else than the SQL" in each]
    assert any("ADD COLUMN price" in each.statement.text for each in rehearsal.statements)
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE
    assert heads(ports) == {"c3"}
    assert rows(ports, "SELECT * FROM item") == [(1, "100%; one", None)]


def test_other_rows_than_those_of_the_sql_are_told(mariadb_url: str, tmp_path: Path):
    hook = """
from sqlalchemy import event as seen
from sqlalchemy.engine import Engine

@seen.listens_for(Engine, "before_cursor_execute", retval=True)
def more(connection, cursor, text, values, context, many):
    return text.replace("; one", "; two"), values
"""
    ports = plan_in(write_project(tmp_path, LINE, env=hook + ENV), mariadb_url)

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)

    [rehearsal] = proof.evidence.rehearsals.values()
    [note] = [each for each in rehearsal.notes if "something else than the SQL" in each]
    assert "it leaves other rows in `item`: of those that its SQL leaves, 1 are missing, and 1 are" in note


def test_a_revision_that_fails_half_way_says_which_statements_stayed(mariadb_url: str, tmp_path: Path):
    up = steps(
        "ALTER TABLE item ADD y int", "INSERT INTO item (id) VALUES (7)", "SELECT nothing FROM nowhere"
    )
    broken = revision("d4", "c3", up=up, said=EXPAND)
    ports, audience = plan_in(write_project(tmp_path, {**LINE, **broken}), mariadb_url), Audience()

    ended = release(ports, audience)

    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED
    [failed] = audience.failed
    assert "There for good: line 17 (ALTER TABLE item ADD y int)." in failed.reason
    assert "nobody saw it committed: line 18 (INSERT INTO item (id) VALUES (7))." in failed.reason
    assert (columns(ports)[-1], rows(ports, "SELECT id FROM item")) == ("y", [(1,)])
    assert heads(ports) == {"c3"}

    again = release(ports, audience)
    assert again.exit_code(wanted=Outcome.RELEASED) is ExitCode.IN_DOUBT
    [asked] = [each for each in again.state.steps.values() if each.status is Status.UNKNOWN]
    assert (
        "It failed when it was tried last, and its file is the same. There for good: line 17" in asked.detail
    )
    assert columns(ports)[-1] == "y"


def test_a_revision_that_failed_half_way_runs_again_where_a_person_says_so_or_has_edited_it(
    mariadb_url: str, tmp_path: Path
):
    broken = steps("ALTER TABLE item ADD y int", "SELECT nothing FROM nowhere")
    project = {**LINE, **revision("d4", "c3", up=broken, said=EXPAND)}
    ports = plan_in(write_project(tmp_path, project), mariadb_url)
    assert coordinator(tmp_path, mariadb_url, "run", "--accept-unproven")[0] == 1
    code, said = coordinator(tmp_path, mariadb_url, "run", "--accept-unproven")
    assert code == 5, said

    settle = ("settle", "expand:shop:d4", "--as", "not-done")
    code, said = coordinator(tmp_path, mariadb_url, *settle)
    assert code == 0, said
    code, said = coordinator(tmp_path, mariadb_url, "run", "--accept-unproven")
    assert (code, "Duplicate column" in said) == (1, True), said

    mended = revision("d4", "c3", up=steps("ALTER TABLE item ADD z int"), said=EXPAND)
    write_project(tmp_path, {**LINE, **mended})
    code, said = coordinator(tmp_path, mariadb_url, "run", "--accept-unproven")
    assert code == 0, said
    assert (columns(ports)[-2:], heads(ports)) == (["y", "z"], {"d4"})


def test_a_revision_whose_connection_is_lost_is_in_doubt(mariadb_url: str, tmp_path: Path):
    loses = """\
op.execute("CREATE TABLE extra (id integer)")
number = op.get_bind().exec_driver_sql("SELECT CONNECTION_ID()").scalar()
with sa.create_engine(op.get_bind().engine.url).connect() as other:
    other.exec_driver_sql(f"KILL {number}")
op.execute("ALTER TABLE extra ADD more integer")"""
    ports = plan_in(write_project(tmp_path, revision("a1", up=loses)), mariadb_url)

    with pytest.raises(InDoubt) as lost:
        apply_next(ports, "a1")

    assert lost.value.code == "program-cut-off"
    assert "There for good: line 17 (CREATE TABLE extra" in lost.value.why
    assert "perhaps still at work on the server: line 21 (ALTER TABLE extra" in lost.value.why


def test_after_a_kill_half_way_a_person_is_told_what_stayed_and_says_how_it_ended(
    mariadb_url: str, tmp_path: Path
):
    slow = "CREATE TABLE b AS SELECT sleep(seconds) AS x FROM pace"
    up = steps("ALTER TABLE item ADD y int", slow, "ALTER TABLE item ADD z int")
    files = {**LINE, **revision("d4", "c3", up=up, said=EXPAND)}
    ports = plan_in(write_project(tmp_path, files), mariadb_url)
    for version in ("a1", "b2", "c3"):
        apply_next(ports, version)
    database = mariadb_url.rpartition("/")[2]
    at_work = (
        "SELECT id FROM information_schema.processlist"
        f" WHERE info LIKE '%CREATE TABLE b%' AND db = '{database}'"
    )

    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {database}.pace AS SELECT 600 AS seconds")
        command = [sys.executable, "-m", "coordinator", "run", "--accept-unproven"]
        environment = {**os.environ, "SHOP_URL": mariadb_url}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=-3, stderr=-3) as process:
            until(lambda: cursor.execute(at_work), seconds=120)
            process.kill()

        code, said = coordinator(tmp_path, mariadb_url, "run", "--accept-unproven")
        assert code == 5, said
        assert "There for good: line 17 (ALTER TABLE item ADD y int)." in said
        assert f"perhaps still at work on the server: line 18 ({slow})." in said
        assert (columns(ports)[-1], heads(ports)) == ("y", {"c3"})

        cursor.execute(at_work)
        for [orphan] in cursor.fetchall():
            cursor.execute(f"KILL {orphan}")
        cursor.execute(f"UPDATE {database}.pace SET seconds = 0")
    by_hand(ports, "ALTER TABLE item DROP y")
    by_hand(ports, "DROP TABLE IF EXISTS b")
    assert coordinator(tmp_path, mariadb_url, "settle", f"expand:{SHOP}:d4", "--as", "not-done")[0] == 0
    code, said = coordinator(tmp_path, mariadb_url, "run", "--accept-unproven")
    assert code == 0, said
    assert (columns(ports)[-2:], heads(ports)) == (["y", "z"], {"d4"})


def by_hand(ports: ConnectedPorts, statement: str) -> None:
    with ports.session(SHOP, label="test") as session:
        session.query(statement)
