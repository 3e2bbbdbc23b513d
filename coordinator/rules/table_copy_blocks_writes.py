"""MySQL and MariaDB change some things by copying the table, and nobody writes to it meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.evidence import FOREIGN_KEY_COPY, PARTITION_CHECK, StatementEvidence
from coordinator.rules import MYSQL, NEXT, Context, Danger, Rule, added, text_of

_BEHIND_TYPE: Final = re.compile(r" (?:not null|default |as \(|on update)")
_STOPS_ALL: Final = "LOCK=EXCLUSIVE"
_STOPS: Final = ("LOCK=SHARED", _STOPS_ALL)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    parents = [
        each.relation
        for each in statement.locks
        if each.mode == FOREIGN_KEY_COPY and not each.is_new and context.is_old(each.relation)
    ]
    too = f", and writers of {', '.join(parents)} wait as long, for a foreign key" if parents else ""
    for lock in statement.locks:
        if lock.mode == FOREIGN_KEY_COPY or lock.mode.startswith(PARTITION_CHECK):
            continue
        if lock.is_new or not lock.mode.endswith(_STOPS) or not context.takes_long(lock.relation):
            continue
        table, who = lock.relation, "reads or writes" if lock.mode.endswith(_STOPS_ALL) else "writes"
        yield Danger(
            f"The cheapest way to change {table}{context.told_size(table)} is {lock.mode}.",
            f"Nobody {who} it until the last row is copied or read{too}; a replica does the same again.",
            _rewrite(statement, table),
        )


def _rewrite(statement: StatementEvidence, table: str) -> str:
    text = text_of(statement)
    if any((each.after or "").startswith("foreign key") for each in added(statement, "constraint")):
        return (
            "-- no row is checked then: look for rows without a parent first\n"
            "SET SESSION foreign_key_checks = 0, lock_wait_timeout = 1;\n"
            f"{text[:-1]}, ALGORITHM=INPLACE, LOCK=NONE;"
        )
    changed = [each for each in statement.changes if each.kind == "column" and each.before is not None]
    if len(changed) == 1 and changed[0].after is not None:
        return _beside(table, changed[0].name, _BEHIND_TYPE.split(changed[0].after)[0])
    return (
        "-- with a program that copies the rows in batches beside the service, and exchanges the tables:\n"
        f"-- pt-online-schema-change or gh-ost, with\n-- {' '.join(text.split())}"
    )


def _beside(table: str, column: str, kind: str) -> str:
    name, old, new = f"`{table}`", f"`{column}`", f"`{column}_next`"
    return (
        f"ALTER TABLE {name} ADD COLUMN {new} {kind}, ALGORITHM=INSTANT;\n"
        f"{NEXT}\n-- a backfill of the plan, or by ranges of the primary key, each by itself;\n"
        "-- the service, or a trigger, fills new rows\n"
        f"-- UPDATE {name} SET {new} = {old} WHERE id BETWEEN 1 AND 1000;\n"
        f"{NEXT}\n-- when no version reads the old one any more\n"
        f"ALTER TABLE {name} DROP COLUMN {old};"
    )


RULE: Final[Rule] = Rule(code="table-copy-blocks-writes", check=_check, engines=MYSQL)
