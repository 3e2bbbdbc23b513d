"""On MySQL and MariaDB a statement that writes locks every row that it reads, and keeps them locked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import MYSQL, Context, Danger, Rule, words_of

_BY_RANGES: Final = (
    "-- a backfill of the plan, or the same statement by ranges of the primary key, each in a transaction of"
    " its own:\n-- … AND id BETWEEN 1 AND 1000"
)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    words = words_of(statement)
    if words[:1] == ("DELETE",) and "LIMIT" in words and "WHERE" not in words:
        return  # it stops after so many rows, and locks no more
    for table in statement.scanned:
        if context.takes_long(table):
            yield Danger(
                f"One statement reads {table}{context.told_size(table)} from end to end, and locks what it"
                " reads.",
                "No index can serve it. InnoDB keeps the rows locked until it commits: whoever writes one"
                " waits, and gives up after innodb_lock_wait_timeout (50 s); a replica does the same again.",
                f"-- again and again, until it deletes no row\nDELETE FROM `{table}` LIMIT 1000;"
                if words[:1] == ("DELETE",) and "WHERE" not in words
                else _BY_RANGES,
            )


RULE: Final[Rule] = Rule(code="scan-locks-rows", check=_check, engines=MYSQL)
