"""What is written down of migrations that one program has applied together, on a real server and a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.mariadb import ADAPTER

from coordinator import discovery
from coordinator.adapters.databases import postgresql, sqlite
from coordinator.applied import Book, enter, read_records
from coordinator.model import Migration, SourceFile
from coordinator.ports.databases import Batch, Session
from coordinator.secret import Secret

ALEMBIC = discovery.migration_tool("alembic")
PATIENCE = timedelta(seconds=5)


class Heard:
    """A session, and the texts that were sent over it to be executed."""

    def __init__(self, session: Session) -> None:
        self.query, self.target, self._execute = session.query, session.target, session.execute
        self.texts: list[str] = []

    def execute(self, batch: Batch) -> None:
        self.texts += batch.statements
        self._execute(batch)


@pytest.fixture(params=["postgresql", "sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Heard]:
    match request.param:
        case "postgresql":
            url, adapter = request.getfixturevalue("database_url"), postgresql
        case "mariadb":
            url, adapter = request.getfixturevalue("mariadb_url"), ADAPTER
        case _:
            url, adapter = f"sqlite://{tmp_path}/shop.db", sqlite
    with adapter.connect(Secret(url), lock_timeout=PATIENCE).session(label="test") as session:
        yield Heard(session)


def revision(version: str, digest: str) -> Migration:
    file = SourceFile(f"{version}.py", b"", digest)
    return Migration(version, f"{version}_it's", None, None, (file,), is_code=True)


def test_the_entries_of_several_are_one_statement_and_say_what_each_is_now(heard: Heard):
    target = heard.target(None)
    first, second = Book("shop-1", str.strip), Book("shop-2", str.strip)

    enter(heard, [revision("a1", "old")], tool=ALEMBIC, target=target, book=first)
    heard.texts.clear()
    enter(heard, [revision("a1", "1"), revision("b2", "2")], tool=ALEMBIC, target=target, book=second)

    found = read_records(heard, ALEMBIC, target)
    assert found is not None
    assert len(heard.texts) == 1
    assert {each: (it.file_digest, it.release) for each, it in found.entries.items()} == {
        "a1": ("1", "shop-2"),
        "b2": ("2", "shop-2"),
    }
    assert not found.marks
