"""Making or dropping a foreign key locks the referenced table too, which nobody sees in the statement.

On MySQL renaming its table does so as well. Where a table is copied, table_copy_blocks_writes tells of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import FOREIGN_KEY_COPY, FOREIGN_KEY_MOMENT, Change, StatementEvidence
from coordinator.rules import (
    MYSQL,
    MYSQL_SHORT_WAIT,
    NEXT,
    SHORT_WAIT,
    Context,
    Danger,
    Rule,
    added,
    bare,
    dropped,
    text_of,
)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if context.waits_briefly(statement):
        return
    yield from _check_mysql(statement, context)
    touched = (*added(statement, "constraint"), *dropped(statement, "constraint"))
    keys = [each for each in touched if (each.before or each.after or "").startswith("FOREIGN KEY")]
    children = {each.relation for each in keys}
    if not keys:
        return
    for lock in context.strong_locks(statement):
        if lock.relation in children:
            continue
        key = next((each for each in keys if _references(lock.relation, each)), None)
        if key is None:
            continue
        yield Danger(
            f"The foreign key {key.name} takes the lock {lock.mode} on {lock.relation}"
            f"{context.told_size(lock.relation)}, the table that it references.",
            "Writers there wait for it, and while it waits itself, everybody behind it waits as well.",
            _rewrite(statement, keys),
        )


def _check_mysql(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    is_told = any(context.takes_long(each) for each in statement.rewritten)
    told = {each.relation for each in statement.locks if each.mode == FOREIGN_KEY_COPY and is_told}
    keys = [each for each in statement.changes if each.kind == "constraint" and _is_made_or_dropped(each)]
    for lock in statement.locks:
        key = next((each for each in keys if f") references {lock.relation} (" in _text(each)), None)
        if lock.mode != FOREIGN_KEY_MOMENT or key is None or lock.relation in told:
            continue
        if lock.is_new or not context.is_old(lock.relation):
            continue
        yield Danger(
            f"The foreign key {key.name} of {key.relation} needs {lock.relation}"
            f"{context.told_size(lock.relation)}, the table that it references, against everybody.",
            "It waits for every transaction that has used it, and whoever comes later waits behind that.",
            f"{MYSQL_SHORT_WAIT}\n{text_of(statement)}",
        )


def _is_made_or_dropped(key: Change) -> bool:
    return key.before is None or key.after is None


def _text(key: Change) -> str:
    return key.before or key.after or ""


def _references(relation: str, key: Change) -> bool:
    return f"REFERENCES {relation}(" in (key.before or key.after or "")


def _rewrite(statement: StatementEvidence, keys: list[Change]) -> str:
    """Return the statement with a short wait; a new table gets its keys after it is there."""
    tables = list(added(statement, "table"))
    if not tables:
        return f"{SHORT_WAIT}\n{text_of(statement)}"
    parts = [_table(statement, each.name) for each in tables]
    parts += [
        f"{NEXT}\n{SHORT_WAIT}\nALTER TABLE {key.relation} ADD CONSTRAINT {key.name} {key.after};"
        for key in keys
    ]
    return "\n".join(parts)


def _table(statement: StatementEvidence, table: str) -> str:
    text = text_of(statement)
    lines = [
        f"    {each.name} {_column(each.after or '')}"
        for each in sorted(added(statement, "column"), key=lambda each: text.find(bare(each.name)))
        if each.relation == table
    ]
    lines += [
        f"    CONSTRAINT {each.name} {each.after}"
        for each in added(statement, "constraint")
        if each.relation == table and "FOREIGN KEY" not in (each.after or "")
    ]
    return f"CREATE TABLE {table} (\n" + ",\n".join(lines) + "\n);"


def _column(definition: str) -> str:
    """Return a column's definition; a sequence of its own is made with the table."""
    kind, _, default = definition.partition(" not null default nextval(")
    return (
        {"integer": "serial", "bigint": "bigserial", "smallint": "smallserial"}.get(kind, definition)
        if default
        else definition
    )


RULE: Final[Rule] = Rule(
    code="foreign-key-locks-parent", check=_check, engines=frozenset({"postgresql", *MYSQL})
)
