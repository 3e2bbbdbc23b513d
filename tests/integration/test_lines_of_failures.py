"""At which line of its file a migration is said to have failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import migration

from coordinator import discovery
from coordinator.adapters.databases import postgresql
from coordinator.apply import apply_on_scratch
from coordinator.model import Migration, Script, Statement
from coordinator.secret import Secret

REFUSES_A_ROW = "INSERT INTO one VALUES (NULL)"
KNOWN = "SELECT nothing FROM one"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"CREATE TABLE one (id int NOT NULL);\n\n{KNOWN};", "migrations/00002_m2.sql:3: "),
        (f"CREATE TABLE one (id int NOT NULL);\n\n{REFUSES_A_ROW};", "migrations/00002_m2.sql: "),
        (f"-- why\n\n{REFUSES_A_ROW.replace('one', 'there')};", "migrations/00002_m2.sql:3: "),
    ],
)
def test_names_the_line_where_the_server_or_the_text_tells_it_and_no_wrong_one(
    database_url: str, text: str, place: str
):
    with postgresql.connect(Secret(database_url), lock_timeout=timedelta(seconds=5)).session(
        label="test"
    ) as session:
        tool = discovery.migration_tool("golang-migrate")
        apply_on_scratch(session, tool, _sent_whole("CREATE TABLE there (id int NOT NULL)"), table=None)

        refused = apply_on_scratch(session, tool, _sent_whole(text), table=None)

    assert refused is not None
    assert refused.what.startswith(f"{place}The database refused a statement: ")


def _sent_whole(text: str) -> Migration:
    return replace(migration(2), up=Script((Statement(text, 1),), transaction=False))
