"""What a version of MySQL or MariaDB says of the server that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.adapters.rehearsals._mysql import programs
from coordinator.adapters.rehearsals._mysql.settings import traits_of
from coordinator.model import Engine


@pytest.mark.parametrize(
    ("version", "enforces"),
    [
        ("8.0.15", False),
        ("8.0.16", True),
        ("8.0.36-0ubuntu0.22.04.1", True),
        ("8.0", True),
        ("5.7.44-log", False),
        ("5.7.mysql_aurora.2.11.2", False),
        ("8.4.3", True),
        ("9.7.4", True),
        ("10.11.19-MariaDB-0+deb12u1", True),
        ("5.5.5-10.1.48-MariaDB", False),
        ("10.2.1-MariaDB", True),
    ],
)
def test_a_version_says_if_checks_are_enforced(version: str, enforces: bool):
    assert traits_of(version).enforces_checks is enforces


@pytest.mark.parametrize(
    ("live", "scratch", "is_same"),
    [
        ("8.4.3", "8.4.6", True),
        ("8.0.20", "8.0.20", True),
        ("8.0.34", "8.0.46", True),
        ("8.0.20", "8.0.36", False),
        ("8.0.36", "8.0.33", False),
        ("8.0", "8.0.46", False),
        ("8.0.46", "8.4.0", False),
        ("8.4.0", "9.7.4", False),
        ("10.11.6-MariaDB", "10.11.19-MariaDB", True),
        ("10.6.21-MariaDB", "10.11.19-MariaDB", False),
        ("8.0.36", "10.11.19-MariaDB", False),
    ],
)
def test_sql_is_that_of_the_series_and_in_mysql_8_0_that_of_the_version(
    live: str, scratch: str, is_same: bool
):
    assert traits_of(live).has_sql_of(traits_of(scratch)) is is_same
    assert traits_of(scratch).has_sql_of(traits_of(live)) is is_same


def test_of_two_programs_of_a_series_the_one_with_the_live_servers_sql_rehearses(
    monkeypatch: pytest.MonkeyPatch,
):
    here = [programs.Program(Path(version), traits_of(version)) for version in ("8.0.20", "8.0.36", "8.4.3")]
    monkeypatch.setattr(programs, "_found", lambda: iter(here))

    def chosen(live: str | None) -> str:
        return programs.server_program(Engine.MYSQL, live).traits.version

    assert chosen("mysql 8.0.20") == "8.0.20"
    assert chosen("mysql 8.0.42") == "8.0.36"
    assert chosen(None) == "8.4.3"
