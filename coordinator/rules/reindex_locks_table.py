"""REINDEX without CONCURRENTLY stops writers of the table, and readers that plan a query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ALONE, Context, Danger, Rule, text_of, words_of

_WHAT: Final = re.compile(r"\b(INDEX|TABLE|SCHEMA|DATABASE)\b", re.IGNORECASE)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    words = words_of(statement)
    if words[:1] != ("REINDEX",) or "CONCURRENTLY" in words:
        return
    indexes = [each for each in statement.rewritten if context.is_old(each)]
    if indexes:
        yield Danger(
            f"REINDEX rebuilds {', '.join(indexes)} and locks the table meanwhile.",
            "Nobody writes to the table, and a reader waits as soon as it plans a query over the index.",
            f"{ALONE}\n" + _WHAT.sub(r"\1 CONCURRENTLY", text_of(statement), count=1),
        )


RULE: Final[Rule] = Rule(code="reindex-locks-table", check=_check)
