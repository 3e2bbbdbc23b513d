"""A statement that waits long for its lock makes everybody behind it wait as long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import SHORT_WAIT, Context, Danger, Rule, text_of, words_of

_LONG: Final = timedelta(seconds=2)
"""Four times a plan's default; measured, readers stall for the whole of it."""


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    locks = context.strong_locks(statement)
    wait = context.longest_wait(statement)
    if not locks or words_of(statement)[:1] == ("LOCK",) or (wait is not None and wait <= _LONG):
        return
    yield Danger(
        f"It may wait long for its {locks[0].mode} on {locks[0].relation}.",
        "A lock that is waited for stops every later query on the table for the whole time.",
        f"{SHORT_WAIT}\n{text_of(statement)}",
    )


RULE: Final[Rule] = Rule(code="lock-timeout-missing", check=_check)
