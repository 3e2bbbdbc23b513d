"""A statement outside of a transaction that cannot be repeated leaves a failed migration stuck."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, added, text_of, words_of

_FORMS: Final = (
    (
        r"^((?:--[^\n]*\n|\s)*CREATE\s+(?:UNIQUE\s+)?INDEX(?:\s+CONCURRENTLY)?)\s+(?!ON\b)",
        r"\1 IF NOT EXISTS ",
    ),
    (
        r"^((?:--[^\n]*\n|\s)*CREATE\s+(?:UNLOGGED\s+)?(?:TABLE|SEQUENCE|SCHEMA|EXTENSION))\s+",
        r"\1 IF NOT EXISTS ",
    ),
    (r"^((?:--[^\n]*\n|\s)*CREATE)\s+(FUNCTION|PROCEDURE|VIEW|TRIGGER)\b", r"\1 OR REPLACE \2"),
    (r"^((?:--[^\n]*\n|\s)*DROP\s+INDEX(?:\s+CONCURRENTLY)?)\s+", r"\1 IF EXISTS "),
    (r"^((?:--[^\n]*\n|\s)*DROP\s+(?:MATERIALIZED\s+VIEW|\w+))\s+", r"\1 IF EXISTS "),
    (r"\b(ADD\s+COLUMN)\s+", r"\1 IF NOT EXISTS "),
    (r"\b(ADD\s+VALUE)\s+", r"\1 IF NOT EXISTS "),
    (r"\b(DROP\s+(?:COLUMN|CONSTRAINT))\s+", r"\1 IF EXISTS "),
)
"""Statements that have a form which does nothing where its work is done."""


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    words = words_of(statement)
    others = [each for each in context.statements if each is not statement and each.changes]
    is_alone = not others and "CONCURRENTLY" not in words
    if statement.in_transaction or is_alone or not statement.changes or {"EXISTS", "REPLACE"} & set(words):
        return
    text = text_of(statement)
    repeatable = next(
        (
            re.sub(found, made, text, count=1, flags=re.IGNORECASE)
            for found, made in _FORMS
            if re.search(found, text, re.IGNORECASE)
        ),
        None,
    )
    if repeatable is not None:
        yield Danger(
            f"`{' '.join(words[:3])}` runs outside of a transaction and cannot be repeated.",
            "A failure behind it leaves it done and the version unrecorded, and the next attempt fails here.",
            _without_rest(statement) + repeatable,
        )


def _without_rest(statement: StatementEvidence) -> str:
    """Return what removes the invalid index of a failed attempt: IF NOT EXISTS would take it for done."""
    if words_of(statement)[:1] != ("CREATE",):
        return ""
    return "".join(f"DROP INDEX CONCURRENTLY IF EXISTS {each.name};\n" for each in added(statement, "index"))


RULE: Final[Rule] = Rule(code="not-repeatable", check=_check)
