"""LOCK TABLE stops the live service for as long as it is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import LOCK_TABLES, StatementEvidence
from coordinator.rules import MYSQL, Context, Danger, Rule, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if words_of(statement)[:1] != ("LOCK",):
        return
    yield from _check_mysql(statement, context)
    for lock in context.strong_locks(statement):
        yield Danger(
            f"LOCK TABLE holds a {lock.mode} on {lock.relation} to the end of the transaction.",
            "Every statement takes the lock that it needs; migrations are kept apart without stopping users.",
            "-- keeps other migrations out, and nobody else\n"
            f"SELECT pg_advisory_xact_lock(hashtext('{lock.relation}'));",
        )


def _check_mysql(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for lock in statement.locks:
        if lock.mode == LOCK_TABLES and not lock.is_new and context.is_old(lock.relation):
            yield Danger(
                f"LOCK TABLES holds {lock.relation} until UNLOCK TABLES.",
                "Everybody waits who writes it, and behind WRITE who reads it. Every statement takes the lock"
                " that it needs; migrations are kept apart without stopping users.",
                f"-- keeps other migrations out, and nobody else\nSELECT GET_LOCK('{lock.relation}', 10);",
            )


RULE: Final[Rule] = Rule(code="explicit-lock", check=_check, engines=frozenset({"postgresql", *MYSQL}))
