"""On MySQL who changes a table needs those whose foreign keys reference it too, and names none of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from coordinator.evidence import FOREIGN_KEY_MOMENT, StatementEvidence
from coordinator.rules import MYSQL_SHORT_WAIT, Context, Danger, Rule, text_of

_LONG: Final = timedelta(seconds=2)
"""As in lock_timeout_missing."""


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    wait = context.longest_wait(statement)
    if wait is not None and wait <= _LONG:
        return
    keys = [each.before or each.after or "" for each in statement.changes if each.kind == "constraint"]
    children = [
        f"{each.relation}{context.told_size(each.relation)}"
        for each in statement.locks
        if each.mode == FOREIGN_KEY_MOMENT
        and not each.is_new
        and context.is_old(each.relation)
        and not any(f") references {each.relation} (" in key for key in keys)  # foreign_key_locks_parent's
    ]
    if children:
        yield Danger(
            f"It may wait long for {', '.join(children)}, whose foreign keys reference the table that it"
            " changes.",
            "It waits for every transaction that has used one of these tables, and whoever comes later waits"
            " behind it.",
            f"{MYSQL_SHORT_WAIT}\n{text_of(statement)}",
        )


RULE: Final[Rule] = Rule(code="parent-change-locks-children", check=_check, engines=frozenset({"mysql"}))
