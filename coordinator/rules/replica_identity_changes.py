"""Another replica identity changes what readers of the change stream get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, text_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for table in statement.changes:
        if table.kind not in ("table", "index") or not (table.before and table.after):
            continue
        is_changed = ("replica identity" in table.before) != ("replica identity" in table.after)
        if is_changed and context.is_old(table.relation or "") and not context.waits_briefly(statement):
            yield Danger(
                f"The replica identity of {table.relation} changes.",
                "Who reads the table's changes (logical replication, CDC) gets other old rows from now on.",
                "-- after the consumers were asked\nSET lock_timeout = '50ms';\n" + text_of(statement),
            )


RULE: Final[Rule] = Rule(code="replica-identity-changes", check=_check)
