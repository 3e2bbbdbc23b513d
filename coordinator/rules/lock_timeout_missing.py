"""A statement that waits long for its lock makes everybody behind it wait as long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import SHORT_WAIT, Context, Danger, Rule, text_of, words_of

_LONG: Final = timedelta(seconds=2)
"""The default of a plan; measured, readers stall for the whole of it."""
_UNLIMITED: Final = frozenset({"0", "DEFAULT", "default", "0s", "0ms"})


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    locks = context.strong_locks(statement)
    if not locks or words_of(statement)[:1] == ("LOCK",):
        return
    own = _own_timeout(statement, context)
    is_long = own in _UNLIMITED if own else context.lock_timeout is None or context.lock_timeout > _LONG
    if is_long:
        yield Danger(
            f"It may wait long for its {locks[0].mode} on {locks[0].relation}.",
            "A lock that is waited for stops every later query on the table for the whole time.",
            f"{SHORT_WAIT}\n{text_of(statement)}",
        )


def _own_timeout(statement: StatementEvidence, context: Context) -> str:
    """Return the value that the migration sets before the statement, as it writes it; empty if none."""
    found = ""
    for each in context.statements:
        if each is statement:
            break
        words = words_of(each)
        if words[:1] in (("SET",), ("RESET",)) and "LOCK_TIMEOUT" in words[:3]:
            value = re.split(r"=|\bTO\b", text_of(each), maxsplit=1, flags=re.IGNORECASE)
            found = value[1].strip(" ;'") if words[0] == "SET" and len(value) > 1 else ""
    return found


RULE: Final[Rule] = Rule(code="lock-timeout-missing", check=_check)
