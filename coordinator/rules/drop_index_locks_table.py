"""DROP INDEX without CONCURRENTLY stops readers and writers of the table while it waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ACCESS_EXCLUSIVE, Context, Danger, Rule, dropped, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if words_of(statement)[:2] != ("DROP", "INDEX"):
        return
    exclusive = {each.relation for each in context.strong_locks(statement) if each.mode == ACCESS_EXCLUSIVE}
    gone = [each for each in dropped(statement, "index") if each.relation in exclusive]
    if gone:
        tables = ", ".join(sorted({str(each.relation) for each in gone}))
        yield Danger(
            f"Dropping {', '.join(each.name for each in gone)} locks {tables} against everybody.",
            "It waits for the longest query on the table, and every later query waits behind it.",
            "-- each alone in a file that runs without a transaction (goose: -- +goose NO TRANSACTION)\n"
            + "\n".join(f"DROP INDEX CONCURRENTLY IF EXISTS {each.name};" for each in gone),
        )


RULE: Final[Rule] = Rule(code="drop-index-locks-table", check=_check)
