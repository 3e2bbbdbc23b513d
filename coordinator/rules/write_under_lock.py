"""Rows that are moved in the transaction of a DDL statement make its lock last as long as the move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, is_write, text_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if not is_write(statement):
        return
    read = [each for each in statement.scanned if context.takes_long(each)]
    held = [lock for each in context.before(statement) for lock in context.strong_locks(each)]
    if read and held:
        yield Danger(
            f"It reads all of {', '.join(read)} while the transaction still holds a {held[0].mode} on"
            f" {held[0].relation}.",
            "The lock of an earlier statement lasts to the end of the transaction, and this takes its time.",
            f"{NEXT}\n{text_of(statement)}",
        )


RULE: Final[Rule] = Rule(code="write-under-lock", check=_check)
