"""CREATE TABLE … PARTITION OF locks the parent against readers and writers; ATTACH does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import ACCESS_EXCLUSIVE, NEXT, Context, Danger, Rule, added


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    made = {each.name for each in added(statement, "table")}
    exclusive = {each.relation for each in context.strong_locks(statement) if each.mode == ACCESS_EXCLUSIVE}
    for partition in added(statement, "partition"):
        parent, child = partition.relation or "", partition.name
        if child in made and parent in exclusive:
            bound = (partition.after or "").partition(" check ")[0]
            yield Danger(
                f"Making the partition {child} takes an ACCESS EXCLUSIVE lock on {parent}.",
                "It waits for the longest query on any partition, and every later query waits behind it.",
                f"CREATE TABLE {child} (LIKE {parent} INCLUDING ALL);\n"
                f"{NEXT}\nALTER TABLE {parent} ATTACH PARTITION {child} {bound};",
            )


RULE: Final[Rule] = Rule(code="partition-of-locks-parent", check=_check)
