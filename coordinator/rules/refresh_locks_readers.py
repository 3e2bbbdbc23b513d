"""REFRESH MATERIALIZED VIEW without CONCURRENTLY lets nobody read the view until it is filled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ACCESS_EXCLUSIVE, Context, Danger, Rule, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    words = words_of(statement)
    if words[:1] != ("REFRESH",) or "CONCURRENTLY" in words:
        return
    for lock in context.strong_locks(statement):
        if lock.mode == ACCESS_EXCLUSIVE:
            yield Danger(
                f"REFRESH lets nobody read {lock.relation} until it is filled.",
                "It holds an ACCESS EXCLUSIVE lock while the view's query runs.",
                "-- the view needs a unique index over columns, without a WHERE\n"
                f"REFRESH MATERIALIZED VIEW CONCURRENTLY {lock.relation};",
            )


RULE: Final[Rule] = Rule(code="refresh-locks-readers", check=_check)
