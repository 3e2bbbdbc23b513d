"""On MySQL and MariaDB a statement that writes locks every row that it reads, and keeps them locked.

So does a table that is made with a query's rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import MYSQL, Context, Danger, Rule, words_of

_BY_RANGES: Final = (
    "-- a backfill of the plan, or the same statement by ranges of the primary key, each in a transaction of"
    " its own:\n-- … AND id BETWEEN 1 AND 1000"
)
_TABLE_FIRST: Final = (
    "-- the table by its columns first, its rows by ranges of the primary key, each in a transaction of its"
    " own:\n-- INSERT INTO … SELECT … WHERE id BETWEEN 1 AND 1000"
)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for table in statement.scanned:
        if context.takes_long(table):
            yield Danger(
                f"One statement reads {table}{context.told_size(table)} from end to end, and locks what it"
                " reads.",
                "No index can serve it. InnoDB keeps the rows locked until it commits: whoever writes one"
                " waits, and gives up after innodb_lock_wait_timeout (50 s); a replica does the same again.",
                _rewrite(words_of(statement), table),
            )


def _rewrite(words: tuple[str, ...], table: str) -> str:
    if words[:1] == ("CREATE",):
        return _TABLE_FIRST
    if words[:1] == ("DELETE",) and {"WHERE", "LIMIT"}.isdisjoint(words):
        return f"-- again and again, until it deletes no row\nDELETE FROM `{table}` LIMIT 1000;"
    return _BY_RANGES


RULE: Final[Rule] = Rule(code="scan-locks-rows", check=_check, engines=MYSQL)
