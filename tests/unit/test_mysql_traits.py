"""What a version of MySQL or MariaDB says of the server that has it."""

from __future__ import annotations

import pytest

from coordinator.adapters.rehearsals._mysql.settings import traits_of


@pytest.mark.parametrize(
    ("version", "enforces", "changes"),
    [
        ("8.0.15", False, True),
        ("8.0.16", True, True),
        ("8.0.36-0ubuntu0.22.04.1", True, True),
        ("8.0", True, True),
        ("5.7.44-log", False, False),
        ("5.7.mysql_aurora.2.11.2", False, False),
        ("8.4.3", True, False),
        ("9.7.4", True, False),
        ("10.11.19-MariaDB-0+deb12u1", True, False),
        ("5.5.5-10.1.48-MariaDB", False, False),
        ("10.2.1-MariaDB", True, False),
    ],
)
def test_a_version_says_if_checks_are_enforced_and_if_its_series_is_one_sql(
    version: str, enforces: bool, changes: bool
):
    traits = traits_of(version)

    assert (traits.enforces_checks, traits.changes_within) == (enforces, changes)
