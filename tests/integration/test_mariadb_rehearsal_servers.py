"""Which server a rehearsal on MariaDB and MySQL asks: one like the live one, or the team's, left alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fixtures.local import until
from fixtures.mariadb import ENGINE, NAME, enforces_checks, root_connection, series, version
from fixtures.mysql_rehearsal import INSERT, REHEARSAL, live, scratch, version_with
from fixtures.sqlite_rehearsal import apply, found_by

from coordinator.errors import Usage
from coordinator.model import Engine
from coordinator.rehearsal_ports import Ran
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
OTHER = Engine.MYSQL if ENGINE is Engine.MARIADB else Engine.MARIADB
OTHER_NAME = "MySQL" if ENGINE is Engine.MARIADB else "MariaDB"


# -- the live server's settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "layer"), [("STRICT_TRANS_TABLES", "execute"), ("", "")])
def test_reads_texts_in_the_mode_of_the_live_server(mode: str, layer: str):
    """A column without default breaks an INSERT that leaves it out in a strict mode, and only there."""
    change = "ALTER TABLE orders ADD COLUMN place varchar(9) NOT NULL"
    with (
        REHEARSAL.server(url=None, live_version=version_with(sql_mode=mode)) as server,
        scratch(server) as database,
    ):
        assert found_by(database, change, INSERT)[0] == layer


def test_takes_over_what_the_live_server_was_started_with(mariadb_url: str):
    settings = {
        "sql_mode": "ANSI_QUOTES,PIPES_AS_CONCAT",
        "lower_case_table_names": "1",
        "character_set_database": "utf8mb4",
        "collation_database": "utf8mb4_bin",
        "explicit_defaults_for_timestamp": "OFF",
    }
    with REHEARSAL.server(url=None, live_version=version_with(**settings)) as server:
        assert server.notes == ()
        with server.database() as database:
            apply(database, "CREATE TABLE Big (a varchar(9), t timestamp)")
            catalogue = database.catalogue()
            with database.clone() as clone:
                assert dict(clone.catalogue()) == dict(catalogue)
            [ran] = database.execute([("SELECT count(*) || 'x' FROM BIG", ())], role=None)

    assert isinstance(ran, Ran)
    assert ran.rows == (("0x",),)
    assert catalogue["column big.a"] == "varchar(9) collate utf8mb4_bin"
    assert "not null" in catalogue["column big.t"], "the first timestamp of a table, in the old way"


def test_says_that_settings_are_not_known_where_only_the_plan_tells_the_version():
    with REHEARSAL.server(url=None, live_version=f"{ENGINE} {'.'.join(map(str, version()))}") as server:
        notes, doubt = server.notes, server.doubt

    assert doubt is None
    assert notes == (
        "the live server's settings are not known: its sql_mode and its collations may be others",
    )


def test_doubts_a_series_that_only_the_plan_tells():
    with REHEARSAL.server(url=None, live_version=f"{ENGINE} 5.6") as server:
        assert server.doubt is not None
        assert f"the live server is {ENGINE} 5.6" in server.doubt


def test_tells_of_the_live_server_what_answers_depend_on(mariadb_url: str):
    with live(mariadb_url) as session:
        said = REHEARSAL.live_version(session)

    assert said.startswith(f"{ENGINE} {series()}.")
    assert re.search(r'"sql_mode": "[A-Z_,]*STRICT_TRANS_TABLES', said)
    assert '"collation_database": ' in said


def test_another_series_and_another_kind_decide_nothing(mariadb: str):
    another = f"{ENGINE} {'99' if enforces_checks() else '5'}.2.1"
    with REHEARSAL.server(url=Secret(f"{mariadb}mysql"), live_version=f"{another} {{}}") as server:
        assert server.doubt == (
            f"{server.version} was asked, and the live server is {another}: what one of them accepts the"
            " other may refuse"
        )
    with REHEARSAL.server(url=Secret(f"{mariadb}mysql"), live_version=f"{OTHER} 8.0.1 {{}}") as server:
        assert server.doubt == (
            f"{NAME} was asked, and the live server is {OTHER_NAME}: they read SQL differently"
        )


def test_another_version_of_a_series_decides_nothing_where_its_sql_changes_within(mariadb: str):
    live_one = f"{ENGINE} {series()}.99"
    with REHEARSAL.server(url=Secret(f"{mariadb}mysql"), live_version=f"{live_one} {{}}") as server:
        is_in_doubt = server.doubt is not None

    assert is_in_doubt is (ENGINE is Engine.MYSQL and (8, 0) <= version() < (8, 0, 34))


def test_where_one_of_the_two_forgets_checks_nothing_is_decided(mariadb: str):
    """MySQL 8.0.15 would prove what 8.0.16, of the same series, refuses row by row."""
    live_one = f"{ENGINE} {'5' if enforces_checks() else '99'}.2.1"
    with REHEARSAL.server(url=Secret(f"{mariadb}mysql"), live_version=f"{live_one} {{}}") as server:
        assert server.doubt is not None
        assert f"the live server is {live_one}: " in server.doubt
        assert "reads a CHECK and forgets it" in server.doubt


# -- a server of the team -----------------------------------------------------------------------------------


def test_knows_the_live_server_by_whatever_address(mariadb_url: str, mariadb: str):
    with live(mariadb_url) as session:
        again = Secret(mariadb.replace("127.0.0.1", "localhost") + "mysql?timeout=5s")

        assert REHEARSAL.is_live_server(again, session)


def test_a_server_of_the_team_is_left_as_it_was(mariadb_url: str, mariadb: str):
    def things() -> list[object]:
        with root_connection(mariadb) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT user FROM mysql.user UNION ALL SELECT schema_name FROM information_schema.schemata"
            )
            return [each for each in cursor.fetchall() if "rehearsal" in each[0]]

    with REHEARSAL.server(url=Secret(mariadb_url), live_version=None) as server, scratch(server) as database:
        database.fill()
        assert (
            found_by(database, "ALTER TABLE orders DROP COLUMN note", "SELECT note FROM orders")[0]
            == "prepare"
        )
        assert things()

    assert things() == []


def test_refuses_a_user_who_may_not_make_databases(mariadb_url: str, mariadb: str):
    with root_connection(mariadb) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER poor IDENTIFIED BY 'secret'")
        cursor.execute(f"GRANT ALL ON {mariadb_url.rpartition('/')[2]}.* TO poor")
    url = Secret(mariadb_url.replace("root@", "poor:secret@"))

    with pytest.raises(Usage) as refusal, REHEARSAL.server(url=url, live_version=None):
        pass

    assert refusal.value.code == "rehearsal-server-unfit"


def start_rehearsing(*arguments: str) -> subprocess.Popen[str]:
    """Start a command that rehearses, and return when it holds a scratch database."""
    program = Path(__file__).parent.parent / "fixtures" / "rehearsing.py"
    command = [sys.executable, str(program), ENGINE.value, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_a_killed_command_left_on_the_teams_server_goes_with_the_next(mariadb_url: str, mariadb: str):
    def left() -> int:
        with root_connection(mariadb) as connection, connection.cursor() as cursor:
            return cursor.execute(
                "SELECT user FROM mysql.user WHERE user LIKE 'coordinator%' UNION ALL"
                " SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'coordinator_r%'"
            )

    with start_rehearsing(mariadb_url) as process:
        process.kill()
    assert left() == 2

    def swept() -> bool:
        with REHEARSAL.server(url=Secret(mariadb_url), live_version=None):
            return left() == 0

    until(swept)  # the server notices in its own time that a connection is gone


def test_a_killed_commands_own_server_is_ended_by_the_next(monkeypatch: pytest.MonkeyPatch):
    with tempfile.TemporaryDirectory(prefix="ct-") as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        with start_rehearsing() as process:
            process.kill()
        [left] = Path(folder).iterdir()
        server = int((left / "data" / "server.pid").read_text())
        os.kill(server, 0)

        with REHEARSAL.server(url=None, live_version=None):
            assert not left.exists()

        until(lambda: not Path(f"/proc/{server}").exists())  # killed, it keeps its number until it is reaped
        with pytest.raises(ProcessLookupError):
            os.kill(server, 0)


def test_identity_changes_with_the_program():
    assert f"{ENGINE} {series()}." in str(REHEARSAL.identity(live_version=None))
