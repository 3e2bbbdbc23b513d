"""A table that becomes a partition is read from end to end: do its rows belong there?

PostgreSQL skips that where a valid CHECK has proved it before, MySQL where it is told to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import PARTITION_CHECK, Lock, StatementEvidence
from coordinator.rules import MYSQL, NEXT, Context, Danger, Rule, added, bare, quoted, text_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for lock in statement.locks:
        if lock.mode.startswith(PARTITION_CHECK) and not lock.is_new and context.takes_long(lock.relation):
            yield _of_mysql(statement, lock, context)
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


def _of_mysql(statement: StatementEvidence, lock: Lock, context: Context) -> Danger:
    child, text = lock.relation, text_of(statement)
    others = sorted({each.relation for each in statement.locks} - {child})
    who = "reads or writes" if lock.mode.endswith("EXCLUSIVE") else "writes"
    return Danger(
        f"Each row of {child}{context.told_size(child)} is read, whether it belongs into the partition.",
        f"Nobody {who} {' or '.join((child, *others))} meanwhile.",
        f"-- look first that no row of {child} is outside: it is believed then (MariaDB 10.11 cannot do it)\n"
        f"{text.removesuffix(';')} WITHOUT VALIDATION;",
    )


RULE: Final[Rule] = Rule(
    code="attach-partition-scans-table", check=_check, engines=frozenset({"postgresql", *MYSQL})
)
