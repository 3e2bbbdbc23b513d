"""DETACH PARTITION without CONCURRENTLY locks the parent and the partition against everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ACCESS_EXCLUSIVE, ALONE, Context, Danger, Rule, dropped, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if "DETACH" not in words_of(statement):
        return
    exclusive = {each.relation for each in context.strong_locks(statement) if each.mode == ACCESS_EXCLUSIVE}
    for partition in dropped(statement, "partition"):
        if partition.relation in exclusive:
            yield Danger(
                f"DETACH PARTITION locks {partition.relation} and {partition.name} against everybody.",
                "It waits for the longest query on any partition, and every later query waits behind it.",
                f"{ALONE}\nALTER TABLE {partition.relation} DETACH PARTITION {partition.name} CONCURRENTLY;",
            )


RULE: Final[Rule] = Rule(code="detach-partition-locks-table", check=_check)
