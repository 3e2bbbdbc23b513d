"""The page of pains: each test that it names is there, and its way to take over a schema is the right one."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from coordinator import discovery
from coordinator.adapters.databases import postgresql
from coordinator.apply import read_ledger
from coordinator.ports.databases import Batch
from coordinator.secret import Secret

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "reference" / "migration-pains.md").read_text("utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    defined = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    named = re.findall(r"`(test_\w+)`", PAGE)

    assert named
    assert [each for each in named if each not in defined] == []


def test_every_row_has_a_test_or_says_that_it_is_not_solved() -> None:
    rows = re.findall(r"^\| [^|]*\|.*\|$", PAGE, re.MULTILINE)
    heads = ("| issue |", "| trap |", "|---")
    bare = [
        each
        for each in rows
        if not each.startswith(heads) and "`test_" not in each and "not solved" not in each
    ]

    assert len(rows) > len(heads)
    assert bare == []


def test_a_schema_without_a_version_table_is_taken_over_as_the_page_says(database_url: str) -> None:
    [sql] = re.findall(r"^```sql\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    goose = discovery.migration_tool("goose")
    limit = timedelta(seconds=20)

    with postgresql.connect(Secret(database_url), lock_timeout=limit).session(label="test") as session:
        target = session.target(None)
        session.execute(Batch((sql,), transaction=True))
        ours = goose.create_ledger(target).statements[0]

        assert set(read_ledger(session, goose, target).applied) == {1, 2}
        assert " ".join(ours.split()) in " ".join(sql.split())
