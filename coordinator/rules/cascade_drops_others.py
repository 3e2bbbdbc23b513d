"""CASCADE drops what the statement does not name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.evidence import Change, StatementEvidence
from coordinator.rules import Context, Danger, Rule, bare, text_of, words_of

_CASCADE: Final = re.compile(r"\bCASCADE\b", re.IGNORECASE)
_WORD: Final = re.compile(r"[\w$]+")
_RELATIONS: Final = frozenset({"table", "view", "materialized view"})
_PARTS: Final = frozenset({"constraint", "trigger", "policy", "index", "column"})
_DROPS: Final = {
    "view": "DROP VIEW IF EXISTS {name};",
    "materialized view": "DROP MATERIALIZED VIEW IF EXISTS {name};",
    "constraint": "ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {name};",
    "column": "ALTER TABLE {relation} DROP COLUMN IF EXISTS {name};",
    "trigger": "DROP TRIGGER IF EXISTS {name} ON {relation};",
    "policy": "DROP POLICY IF EXISTS {name} ON {relation};",
    "function": "DROP FUNCTION IF EXISTS {name};",
    "domain": "DROP DOMAIN IF EXISTS {name};",
    "sequence": "DROP SEQUENCE IF EXISTS {name};",
    "index": "DROP INDEX IF EXISTS {name};",
}
"""What CASCADE can take, and how it is dropped by name."""


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    del context  # what is dropped is gone, however old or large it was
    words = words_of(statement)
    if "CASCADE" not in words or "DROP" not in words:
        return
    text = text_of(statement)
    gone = {each.name for each in statement.changes if each.after is None and each.kind in _RELATIONS}
    others = [
        each
        for each in statement.changes
        if each.after is None and each.kind in _DROPS and each.relation not in gone - {each.name}
        if not _is_named(each, text)
    ]
    if others:
        told = ", ".join(f"{each.kind} {_full_name(each)}" for each in others)
        yield Danger(
            f"CASCADE also drops {told}.",
            "Whoever uses them is not in the statement, nor in its review.",
            "\n".join(_DROPS[each.kind].format(name=each.name, relation=each.relation) for each in others)
            + "\n"
            + _CASCADE.sub("RESTRICT", text),
        )


def _is_named(change: Change, text: str) -> bool:
    """The statement names the thing, or the relation that it is a part of."""
    words = set(_WORD.findall(text))
    name = bare(change.relation if change.kind in _PARTS and change.relation else change.name)
    return name.partition("(")[0] in words | {each.lower() for each in words}


def _full_name(change: Change) -> str:
    return (
        change.name
        if change.kind in ("view", "materialized view", "function")
        else f"{change.name} of {change.relation}"
    )


RULE: Final[Rule] = Rule(code="cascade-drops-others", check=_check)
