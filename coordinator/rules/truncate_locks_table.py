"""TRUNCATE stops readers and writers of the table, and its rows are gone for both versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ACCESS_EXCLUSIVE, MYSQL, Context, Danger, Rule, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if words_of(statement)[:1] != ("TRUNCATE",):
        return
    yield from _check_mysql(statement, context)
    for lock in context.strong_locks(statement):
        if lock.mode == ACCESS_EXCLUSIVE and lock.relation in statement.rewritten:
            table = lock.relation
            yield Danger(
                f"TRUNCATE locks {table}{context.told_size(table)} against everybody and empties it.",
                "It waits for the longest query on the table, and a rollback finds the rows gone.",
                "-- in batches, each in a transaction of its own, until it deletes no row\n"
                f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} LIMIT 1000);",
            )


def _check_mysql(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for lock in statement.locks:
        if lock.mode.startswith("metadata lock") and not lock.is_new and context.is_old(lock.relation):
            table = lock.relation
            yield Danger(
                f"TRUNCATE locks {table}{context.told_size(table)} against everybody and empties it.",
                "It waits for every transaction that has used the table, and a rollback finds the rows gone.",
                f"-- again and again, until it deletes no row\nDELETE FROM `{table}` LIMIT 1000;",
            )


RULE: Final[Rule] = Rule(code="truncate-locks-table", check=_check, engines=frozenset({"postgresql", *MYSQL}))
