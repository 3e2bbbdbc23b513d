"""CREATE INDEX without CONCURRENTLY lets nobody write to the table until the index is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ALONE, Context, Danger, Rule, added, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if words_of(statement)[:1] != ("CREATE",):
        return
    locked = {each.relation for each in context.strong_locks(statement)}
    for index in added(statement, "index"):
        table, definition = index.relation or "", index.after or ""
        if table in locked and context.is_large(table):
            yield Danger(
                f"Building {index.name} stops every write to {table}{context.told_size(table)}.",
                "It holds a SHARE lock until it has read and sorted the table.",
                f"{ALONE}\n"
                f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}; -- an invalid one of a failed attempt\n"
                + definition.replace(" INDEX ", " INDEX CONCURRENTLY IF NOT EXISTS ", 1)
                + ";",
            )


RULE: Final[Rule] = Rule(code="index-blocks-writes", check=_check)
