"""A view that takes the name of a table does not have the table's privileges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, added, dropped, text_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    gone = {
        change.name
        for each in context.statements
        for kind in ("table", "view", "materialized view")
        for change in dropped(each, kind)
    }
    for view in added(statement, "view"):
        if view.name not in gone:
            continue
        every = [
            change for each in context.statements for change in each.changes if change.relation == view.name
        ]
        had = {each.name: each.before for each in every if each.kind == "privilege" and each.after is None}
        has = {each.name for each in every if each.kind == "privilege" and each.before is None}
        lost = {role: privileges for role, privileges in had.items() if role not in has}
        if lost:
            yield Danger(
                f"The view {view.name} does not have the privileges of what had its name: {', '.join(lost)}.",
                "The service's role gets `permission denied` as soon as the migration commits.",
                text_of(statement)
                + "".join(
                    f"\nGRANT {_on_view(granted or '')} ON {view.name} TO {role};"
                    for role, granted in lost.items()
                ),
            )


def _on_view(privileges: str) -> str:
    kept = [each for each in privileges.split(", ") if each in ("SELECT", "INSERT", "UPDATE", "DELETE")]
    return ", ".join(kept) or "SELECT"


RULE: Final[Rule] = Rule(code="view-without-grants", check=_check)
