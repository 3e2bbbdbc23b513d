"""A table of MySQL can get or lose a column in an instant only so often, and the live one has had its last.

The scratch table has not: it was made a moment ago.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, text_of, words_of

_INSTANT: Final = "ALGORITHM=INSTANT"
_BEGINS_ANEW: Final = (
    "-- all rows are written anew while everybody reads and writes; then the count begins anew\n"
    "ALTER TABLE `{table}` FORCE, ALGORITHM=INPLACE, LOCK=NONE;\n{text}"
)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for table in _changed_instantly(statement):
        left = context.changes_left.get(table)
        if left is None or not context.is_old(table):
            continue
        if any(table in before.rewritten for before in context.earlier):
            continue  # the count began anew
        if left > sum(table in _changed_instantly(before) for before in context.earlier):
            continue
        insists = "INSTANT" in words_of(statement)
        if insists or context.is_large(table):
            yield Danger(
                f"{table}{context.told_size(table)} has had as many instant changes of its columns as it can"
                " have.",
                "The live server refuses the statement (error 4092)."
                if insists
                else "The live server writes the whole table anew; everybody may write meanwhile, but a"
                " replica does the same again and lags behind.",
                _BEGINS_ANEW.format(table=table, text=text_of(statement)),
            )


def _changed_instantly(statement: StatementEvidence) -> set[str]:
    """Return the tables that got or lost a column by another version of their rows."""
    instant = {each.relation for each in statement.locks if each.mode.startswith(_INSTANT)}
    return {
        each.relation
        for each in statement.changes
        if each.kind == "column"
        and each.relation in instant
        and (each.before is None or each.after is None)
        and " as (" not in (each.after or each.before or "")  # a virtual one is stored nowhere
    }


RULE: Final[Rule] = Rule(code="instant-changes-used-up", check=_check, engines=frozenset({"mysql"}))
