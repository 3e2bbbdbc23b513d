"""LOCK TABLE stops the live service for as long as the transaction takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if words_of(statement)[:1] != ("LOCK",):
        return
    for lock in context.strong_locks(statement):
        yield Danger(
            f"LOCK TABLE holds a {lock.mode} on {lock.relation} to the end of the transaction.",
            "Every statement takes the lock that it needs; migrations are kept apart without stopping users.",
            "-- keeps other migrations out, and nobody else\n"
            f"SELECT pg_advisory_xact_lock(hashtext('{lock.relation}'));",
        )


RULE: Final[Rule] = Rule(code="explicit-lock", check=_check)
