"""How often the watcher of a scratch database on MySQL and MariaDB looks at its whole catalogue."""

from __future__ import annotations

import pytest

from coordinator.adapters.rehearsals._mysql.watching import Watcher
from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.sql import SqlStatement, split_statements

CREATE, DROP = split_statements("CREATE TABLE a (x int); DROP TABLE a;", Engine.MARIADB)


class Scratch:
    """A database that counts the looks at it."""

    def __init__(self) -> None:
        self.looks = 0
        self.has_table = False
        self.watcher = Watcher(Engine.MARIADB, self.look, numbers=dict, in_use=frozenset)

    def look(self) -> dict[str, str]:
        self.looks += 1
        return {"table a": "engine innodb"} if self.has_table else {}

    def send(self, text: str) -> list[tuple[object, ...]]:
        self.has_table = text.startswith("CREATE")
        return []

    def refuse(self, text: str) -> list[tuple[object, ...]]:
        self.send(text)
        raise DatabaseError("statement-failed", "No.", statement=0)

    def watch(self, statement: SqlStatement) -> None:
        self.watcher.watch(statement, self.send, lambda: False)

    def changes(self) -> list[tuple[str | None, str | None]]:
        seen = self.watcher.take()
        return [(change.before, change.after) for each in seen for change in each.changes]


def test_looks_once_after_each_statement_and_not_before_it():
    scratch = Scratch()
    scratch.watcher.take()

    scratch.watch(CREATE)
    scratch.watch(DROP)

    assert scratch.changes() == [(None, "engine innodb"), ("engine innodb", None)]
    assert scratch.looks == 4


def test_looks_anew_behind_a_statement_that_failed():
    scratch = Scratch()
    scratch.watcher.take()
    with pytest.raises(DatabaseError):
        scratch.watcher.watch(CREATE, scratch.refuse, lambda: False)

    scratch.watch(DROP)

    assert scratch.changes() == [("engine innodb", None)]


@pytest.mark.parametrize("text", ["INSERT INTO a VALUES (1)", "UPDATE a SET x = 2", "DO RELEASE_LOCK('a')"])
def test_looks_at_nothing_behind_what_stays_in_its_transaction(text: str):
    [statement] = split_statements(text, Engine.MARIADB)
    scratch = Scratch()
    scratch.watch(CREATE)
    scratch.watcher.take()
    looks = scratch.looks

    scratch.watcher.watch(statement, lambda _: [], lambda: False)

    assert scratch.looks == looks
    assert scratch.changes() == []


@pytest.mark.parametrize(
    "text", ["CALL make_a()", "EXECUTE made", "SET STATEMENT max_statement_time = 1 FOR DROP TABLE a"]
)
def test_looks_behind_what_may_change_a_schema(text: str):
    [statement] = split_statements(text, Engine.MARIADB)
    scratch = Scratch()
    scratch.watch(CREATE)
    scratch.watcher.take()

    scratch.watcher.watch(statement, scratch.send, lambda: False)

    assert scratch.changes() == [("engine innodb", None)]
