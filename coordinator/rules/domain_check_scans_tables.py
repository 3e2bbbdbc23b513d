"""A CHECK on a domain reads every table that uses it while nobody may write to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, added, words_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if words_of(statement)[:2] != ("ALTER", "DOMAIN"):
        return
    tables = [each for each in statement.scanned if context.takes_long(each)]
    for check in added(statement, "constraint"):
        if tables and "NOT VALID" not in (check.after or ""):
            yield Danger(
                f"The new check {check.name} of {check.relation} reads all of {', '.join(tables)}.",
                "It holds a SHARE lock on every table that uses the domain: nobody writes to them.",
                f"ALTER DOMAIN {check.relation} ADD CONSTRAINT {check.name} {check.after} NOT VALID;\n"
                f"{NEXT}\nALTER DOMAIN {check.relation} VALIDATE CONSTRAINT {check.name};",
            )


RULE: Final[Rule] = Rule(code="domain-check-scans-tables", check=_check)
