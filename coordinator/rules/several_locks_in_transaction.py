"""A transaction that locks one table after the other holds the first while it waits for the second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, text_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    held = {relation for each in context.before(statement) for relation in _locked(each, context)}
    new = _locked(statement, context) - held
    if held and new:
        yield Danger(
            f"It waits for a lock on {', '.join(sorted(new))} while the transaction holds one on"
            f" {', '.join(sorted(held))}.",
            "Everybody who uses the first waits as long, and two such transactions can deadlock.",
            f"{NEXT}\n{text_of(statement)}",
        )


def _locked(statement: StatementEvidence, context: Context) -> set[str]:
    """Return what it locks, without views: one that is dropped to change its table must come back at once."""
    views = {each.name for each in statement.changes if each.kind in ("view", "materialized view")}
    return {lock.relation for lock in context.strong_locks(statement)} - views


RULE: Final[Rule] = Rule(code="several-locks-in-transaction", check=_check)
