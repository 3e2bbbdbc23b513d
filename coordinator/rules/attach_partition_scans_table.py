"""ATTACH PARTITION reads the whole new partition unless a valid CHECK has proved its rows before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, added, bare, quoted


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for partition in added(statement, "partition"):
        child = partition.name
        if child not in statement.scanned or not context.takes_long(child):
            continue
        bound, _, proof = (partition.after or "").partition(" check ")
        check = quoted(bare(child), "bound")
        yield Danger(
            f"ATTACH PARTITION reads all of {child}{context.told_size(child)}.",
            "It holds an ACCESS EXCLUSIVE lock on the partition meanwhile.",
            f"ALTER TABLE {child} ADD CONSTRAINT {check} CHECK {proof or '(true)'} NOT VALID;\n"
            f"{NEXT}\nALTER TABLE {child} VALIDATE CONSTRAINT {check};\n"
            f"{NEXT}\nALTER TABLE {partition.relation} ATTACH PARTITION {child} {bound};\n"
            f"ALTER TABLE {child} DROP CONSTRAINT {check};",
        )


RULE: Final[Rule] = Rule(code="attach-partition-scans-table", check=_check)
