"""Which rows a change of partitions takes out of a table or puts into it, as a rehearsal sees it."""

from __future__ import annotations

import pytest

from coordinator.adapters.rehearsals._mysql.watching import Watcher
from coordinator.model import Engine
from coordinator.sql import split_statements

TABLES = {"table t": "InnoDB", "table o": "InnoDB", "table others": "InnoDB"}


def written_by(text: str) -> tuple[str, ...]:
    watcher = Watcher(Engine.MARIADB, lambda: TABLES, numbers=dict, in_use=frozenset)
    watcher.take()
    [statement] = split_statements(text, Engine.MARIADB)
    watcher.watch(statement, lambda _: [("DEFAULT",)], lambda: False)
    [seen] = watcher.take()
    return seen.written


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("ALTER TABLE t CONVERT PARTITION p TO TABLE o", ("o", "t")),
        ("ALTER TABLE t CONVERT TABLE o TO PARTITION p VALUES LESS THAN (9)", ("o", "t")),
        ("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE o", ("o", "t")),
        ("ALTER TABLE t DROP PARTITION p", ("t",)),
        ("ALTER TABLE t REBUILD PARTITION p", ()),
        ("ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", ()),
    ],
)
def test_a_partition_that_goes_or_comes_writes_rows(text: str, tables: tuple[str, ...]):
    assert written_by(text) == tables
