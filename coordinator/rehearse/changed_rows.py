"""Columns to whose rows a migration gives other values, and tables of which it takes rows away. Pure.

Results tell of an UPDATE or a DELETE only where it met a sample row that the query meets as well. So who
reads what it is about is told; who only writes it is not. Nor is it told of a column that the release makes:
live does not know it, and to the next version it is what the migration says. One that gets back in all rows
what it had is no other one: `RENAME a TO old_a; ADD a bigint; UPDATE t SET a = old_a`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import ANY, bare, called, words_of
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
CALL: Final = "()"
"""In the place of a column's name, where a function's stands in that of a table."""
_MAKES: Final = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+\s+)?(?:FUNCTION|PROCEDURE)\s+"
    r"(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>[\w\"`.]+)",
    re.IGNORECASE,
)
_CALLS: Final = re.compile(r"(?P<name>[\w\"`.]+)\s*\(|\bCALL\s+(?P<procedure>[\w\"`.]+)", re.IGNORECASE)
_RUN: Final = frozenset({"CALL", "DELETE", "DO", "INSERT", "MERGE", "REPLACE", "SELECT", "UPDATE", "WITH"})
"""What begins a statement that runs what it calls."""
_DELETED: Final = "takes rows of `{table}` away"


def changed_by_writes(
    statements: Sequence[StatementEvidence], release: Sequence[StatementEvidence]
) -> Iterator[Recomputed]:
    """Yield the columns that a migration of a release changes, and the tables of which it deletes rows."""
    changed = changed_columns(release)  # a table that is made anew had its columns before
    made = {(bare(table), column) for (table, column), [(first, _), *_] in changed.items() if first is None}
    names = (pair for each in release for pair in _RENAMES.findall(each.statement.text))
    kept = {new.lower(): old.lower() for old, new in names}
    functions = _made_by(each.statement.text for each in release)
    for each in statements:
        text = each.statement.text
        found = {
            (table, column)
            for column in _changed_by(text) - _given_back(text, kept)
            for table in targets_of(text)
        }
        calls = _calls_in(text)
        for body in called(" ".join(calls), functions):
            found |= _changed_in(body)
            calls |= _named_as_calls(body)
        yield from (_changed(table, column) for table, column in sorted(found - made))
        yield from (Recomputed(name, CALL, concerns=Concerns.READING) for name in sorted(calls))


def _changed(table: str, column: str) -> Recomputed:
    return Recomputed(table, column, _CHANGED if column else _DELETED, Concerns.READING)


def _made_by(texts: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return the functions and procedures that a release makes, which may be gone again at its end."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        if (made := _MAKES.match(text)) is not None:
            found[bare(made["name"])].append(text)
    return found


def _calls_in(text: str) -> frozenset[str]:
    """Return the names that a statement which is run calls; the engine's own functions are among them."""
    is_run = any(one.words[:1] and one.words[0] in _RUN for one in split_statements(text))
    return _named_as_calls(text) if is_run else frozenset()


def _named_as_calls(text: str) -> frozenset[str]:
    return frozenset(bare(each["name"] or each["procedure"]) for each in _CALLS.finditer(text))


def _changed_in(text: str) -> set[tuple[str, str]]:
    """Return what the statements inside of a function or trigger change in rows that are there."""
    columns = assigned_by(text) | ({ALL} if _DELETES.search(text) else frozenset())
    return {(table, column) for table in targets_of(text) for column in columns}


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
        case [["DELETE" | "REPLACE", *_]] | [["INSERT", "OR", "REPLACE", *_]]:
            return {ALL}
        case [["WITH" | "DO" | "MERGE", *_]]:
            return {*assigned_by(text), *([ALL] if "delete" in events_of(text) else [])}
        case [["INSERT", *words]] if not _UPSERTS.isdisjoint(words):
            return {*assigned_by(text)}
        case _:
            return set()


def changed_along(each: Recomputed, schema: Schema) -> Iterator[Recomputed]:
    """Yield what a migration does to rows, and what follows of that in a schema.

    Of the words among which its table is, those that are none here are left out, and so are names of
    functions that the schema does not have.
    """
    if each.concerns is not Concerns.READING:
        yield each
    elif each.column == CALL:
        for body in called(each.table, schema.functions):
            for one in sorted(_there(_changed_in(body), schema)):
                yield from _with_what_follows(_changed(*one), schema)
    elif each.table in schema.relations:
        yield from _with_what_follows(each, schema)


def _with_what_follows(each: Recomputed, schema: Schema) -> Iterator[Recomputed]:
    """Yield it, and what goes along with it.

    A partition has its table's rows, a foreign key's action takes other rows along, a generated column is
    made of others, a trigger writes others, and a row that is gone is no parent any more.
    """
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
        yield _changed(table, column)


def _there(changed: Iterable[tuple[str, str]], schema: Schema) -> set[tuple[str, str]]:
    """Return those that are columns in a schema, or rows of a table there."""
    return {
        (table, column)
        for table, column in changed
        if (table, column) in schema.columns or (column == ALL and table in schema.relations)
    }


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
            found = _there(_changed_in(one.text), schema)
            yield from sorted(name for name in found if name[0] != one.table)


def _without_parents(each: Recomputed, tables: Collection[str], schema: Schema) -> Iterator[Recomputed]:
    """Yield the columns that refer to rows which a migration takes away, or gives another key."""
    for one in sorted(schema.references, key=lambda one: (one.table, one.parent)):
        if one.parent in tables and (not each.column or each.column in one.keys):
            clause = _ORPHANED.format(parent=one.parent.replace("{", "{{").replace("}", "}}"))
            yield from (
                Recomputed(one.table, column, clause, Concerns.WRITING) for column in sorted(one.columns)
            )
