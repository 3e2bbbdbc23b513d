"""Columns to whose rows a migration gives other values, and tables of which it takes rows away. Pure.

Results tell of an UPDATE or a DELETE only where it met a sample row that the query meets as well. So who
reads what it is about is told; who only writes it is not. Nor is it told of a column that the release makes:
live does not know it, and to the next version it is what the migration says. One that gets back in all rows
what it had is no other one: `RENAME a TO old_a; ADD a bigint; UPDATE t SET a = old_a`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import ANY, bare, words_of
from coordinator.rehearse.met import events_of
from coordinator.rehearse.recomputed import ALL, Concerns, Recomputed
from coordinator.rehearse.renewed import changed_columns
from coordinator.rehearse.schema import Schema, is_computed
from coordinator.rehearse.written import assigned_by, set_by, targets_of
from coordinator.sql import split_statements

_CHANGED: Final = "changes `{table}.{column}` in rows that are there"
_RENAMES: Final = re.compile(r"\bRENAME\s+(?:COLUMN\s+)?[`\"]?(\w+)[`\"]?\s+TO\s+[`\"]?(\w+)", re.IGNORECASE)
_ORPHANED: Final = "takes rows of `{parent}` away, or their keys, to which `{{table}}.{{column}}` refers"
_UPSERTS: Final = frozenset({"CONFLICT", "DUPLICATE"})
_DELETES: Final = re.compile(r"\bDELETE\s+FROM\b", re.IGNORECASE)
_DELETED: Final = "takes rows of `{table}` away"


def changed_by_writes(
    statements: Sequence[StatementEvidence], release: Sequence[StatementEvidence]
) -> Iterator[Recomputed]:
    """Yield the columns that a migration of a release changes, and the tables of which it deletes rows."""
    changed = changed_columns(release)  # a table that is made anew had its columns before
    made = {(bare(table), column) for (table, column), [(first, _), *_] in changed.items() if first is None}
    names = (pair for each in release for pair in _RENAMES.findall(each.statement.text))
    kept = {new.lower(): old.lower() for old, new in names}
    for each in statements:
        text = each.statement.text
        columns = _changed_by(text) - _given_back(text, kept)
        for table in sorted(targets_of(text)) if columns else ():
            yield from (
                Recomputed(table, column, _CHANGED if column else _DELETED, Concerns.READING)
                for column in sorted(columns)
                if (table, column) not in made
            )


def _given_back(text: str, kept: Mapping[str, str]) -> set[str]:
    """Return the columns that get in all rows what has stood there, by the names that it is `kept` under."""
    if "where" in words_of(text):
        return set()
    return {column for column, value in set_by(text).items() if kept.get(bare(value.strip())) == column}


def _changed_by(text: str) -> set[str]:
    """Return the columns that a statement changes in rows that are there; where it takes rows away, ALL."""
    match [one.words for one in split_statements(text)]:
        case [["UPDATE", *_]]:
            return {*set_by(text)}
        case [["DELETE", *_]]:
            return {ALL}
        case [["WITH" | "DO" | "MERGE", *_]]:
            return {*assigned_by(text), *([ALL] if "delete" in events_of(text) else [])}
        case [["INSERT", *words]] if not _UPSERTS.isdisjoint(words):
            return {*assigned_by(text)}
        case _:
            return set()


def changed_along(each: Recomputed, schema: Schema) -> Iterator[Recomputed]:
    """Yield what a migration does to rows, and what follows of that in a schema.

    A partition has its table's rows, a foreign key's action takes other rows along, a generated column is
    made of others, a trigger writes others, and a row that is gone is no parent any more. Of the words among
    which its table is, those that are none here are left out.
    """
    if each.concerns is not Concerns.READING:
        yield each
        return
    if each.table not in schema.relations:
        return
    yield each
    tables = schema.family(frozenset({each.table}))
    yield from (replace(each, table=table) for table in sorted(tables - {each.table}))
    event, columns = ("update", {each.column}) if each.column else ("delete", None)
    going = sorted(schema.following.going(tables, columns, event))
    yield from _without_parents(each, tables | {table for does, table in going if does == "delete"}, schema)
    for does, table in going:
        if does == "delete" and table not in tables:
            yield replace(each, table=table)
        for follower in schema.followers if does == "update" else ():
            if follower.of_child == (does, table):
                named = (replace(each, table=table, column=column) for column in sorted(follower.columns))
                yield from (replace(one, clause=_CHANGED) for one in named)
    for (table, column), given in schema.given.items():
        if table in tables and is_computed(given) and each.column in words_of(given):
            yield replace(each, table=table, column=column)
    for table, column in _by_triggers(tables, event, each.column, schema):
        yield Recomputed(table, column, _CHANGED if column else _DELETED, Concerns.READING)


def _by_triggers(
    tables: Collection[str], event: str, column: str, schema: Schema
) -> Iterator[tuple[str, str]]:
    """Yield the columns, each with its table, that triggers change which a migration sets off.

    Of rows that they take away it is ALL. What a trigger gives every row, every sample row shows.
    """

    def is_set_off(table: str, events: frozenset[str]) -> bool:
        is_of_it = event in events and ("of" not in events or column in events)
        return table in tables and (is_of_it or events == ANY)

    for giver in schema.givers if event == "update" else ():
        if is_set_off(giver.table, giver.events):
            yield from ((giver.table, one.column) for one in giver.gives if one.depends)
    for one in schema.acting:
        if one.writes_others and is_set_off(one.table, one.events):
            changed = assigned_by(one.text) | ({ALL} if _DELETES.search(one.text) else frozenset())
            others = targets_of(one.text) & schema.relations - {one.table}
            names = {(table, each) for table in others for each in changed}
            yield from sorted(name for name in names if name in schema.columns or name[1] == ALL)


def _without_parents(each: Recomputed, tables: Collection[str], schema: Schema) -> Iterator[Recomputed]:
    """Yield the columns that refer to rows which a migration takes away, or gives another key."""
    for one in sorted(schema.references, key=lambda one: (one.table, one.parent)):
        if one.parent in tables and (not each.column or each.column in one.keys):
            clause = _ORPHANED.format(parent=one.parent.replace("{", "{{").replace("}", "}}"))
            yield from (
                Recomputed(one.table, column, clause, Concerns.WRITING) for column in sorted(one.columns)
            )
