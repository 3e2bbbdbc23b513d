"""What follows in a schema of what a migration does to rows: cascades, generated columns, triggers. Pure.

One thing sets off another: a trigger writes a table whose trigger writes a third one, and a row that one of
them takes away takes its children along. No sample row has to show any of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Final

from coordinator.rehearse.acting import Acting
from coordinator.rehearse.catalogued import ANY, bare, called, words_of
from coordinator.rehearse.changed_rows import CALL, CHANGED, NEW, changed, changed_in
from coordinator.rehearse.recomputed import ALL, Concerns, Recomputed
from coordinator.rehearse.schema import Schema, is_computed

_ORPHANED: Final = "takes rows of `{parent}` away, or their keys, to which `{{table}}.{{column}}` refers"
_TAKEN: Final = "gives `{{table}}.{changed}`, which is unique, other values in rows that are there"
_EVENTS: Final = {ALL: "delete", NEW: "insert"}
"""What is done to rows, by what stands in the place of a column; any column is of an update."""
_OF_SOME_ROWS: Final = re.compile(
    r"\b(?:UPDATE|DELETE\s+FROM)\s+(?P<table>[\w\"`.]+)\s(?P<sets>[^;]*?)\bWHERE\b(?P<where>[^;]*);",
    re.IGNORECASE,
)
_LIKE_ITSELF: Final = re.compile(
    r"(?:^|\bAND\b)\s*[\"`]?(?P<column>\w+)[\"`]?\s*=\s*(?:NEW|OLD)\s*\.\s*[\"`]?(?P=column)[\"`]?\s*(?=$|\bAND\b)",
    re.IGNORECASE,
)
_ANY_OTHER: Final = frozenset({"or", "not", "where"})
"""Words of a WHERE that may be about more than the row that it names."""
_ROW_ID: Final = frozenset({"rowid"})


def changed_along(each: Recomputed, schema: Schema) -> Iterator[Recomputed]:
    """Yield what a migration does to rows, and what follows of that in a schema.

    Of the words among which its table is, those that are none here are left out, and so are names of
    functions that the schema does not have.
    """
    if each.concerns is not Concerns.READING:
        yield each
    elif each.column == CALL:
        bodies = called(each.table, schema.functions)
        found = {name for body in bodies for name in _there(changed_in(body), schema)}
        yield from _with_what_follows([changed(*name) for name in sorted(found)], schema)
    elif each.table in schema.relations:
        yield from _with_what_follows([each], schema)


def _with_what_follows(first: Iterable[Recomputed], schema: Schema) -> Iterator[Recomputed]:
    """Yield what is told of each, and of all that it sets off, and what that does."""
    to_do, done = [*first], set[tuple[str, str]]()
    while to_do:
        each = to_do.pop(0)
        if (each.table, each.column) in done:
            continue
        done.add((each.table, each.column))
        if each.column != NEW:
            yield each
        for one in _following(each, schema):
            if one.concerns is Concerns.READING:
                to_do.append(one)
            else:
                yield one


def _following(each: Recomputed, schema: Schema) -> Iterator[Recomputed]:
    """Yield what goes along with it.

    A view's rows are a table's, and so are a partition's; a foreign key's action takes other rows along, a
    generated column is made of others, a trigger writes others, and a row that is gone is no parent any more.
    """
    tables = schema.family(frozenset({each.table}))
    yield from (replace(each, table=table) for table in sorted(tables - {each.table}))
    event = _EVENTS.get(each.column, "update")
    for table, column in sorted(_behind_views(each, schema)):
        yield changed(table, column)
    if event != "insert":
        yield from _by_keys(each, tables, event, schema)
        for (table, column), given in schema.given.items():
            if table in tables and is_computed(given) and each.column in words_of(given):
                yield replace(each, table=table, column=column)
    if event == "update":
        yield from _taken(each, tables, schema)
    if event != "delete":
        yield from (changed(table, ALL) for table in sorted(_replacing(tables, each.column, schema)))
    for table, column in _by_triggers(tables, event, each.column, schema):
        yield changed(table, column)


def _behind_views(each: Recomputed, schema: Schema) -> set[tuple[str, str]]:
    """Return what it is that is done to the tables of a view, where it is done to one."""
    if each.column in _EVENTS:
        return {(table, each.column) for table in schema.relations_behind(each.table)}
    return {*schema.through(each.table, each.column)}


def _by_keys(each: Recomputed, tables: frozenset[str], event: str, schema: Schema) -> Iterator[Recomputed]:
    """Yield what foreign keys do to other rows, and what rows refer to that is gone."""
    going = sorted(schema.following.going(tables, {each.column} if each.column else None, event))
    yield from _without_parents(each, tables | {table for does, table in going if does == "delete"}, schema)
    for does, table in going:
        if does == "delete" and table not in tables:
            yield replace(each, table=table)
        for follower in schema.followers if does == "update" else ():
            if follower.of_child == (does, table):
                named = (replace(each, table=table, column=column) for column in sorted(follower.columns))
                yield from (replace(one, clause=CHANGED) for one in named)


def _there(names: Iterable[tuple[str, str]], schema: Schema) -> set[tuple[str, str]]:
    """Return those that are columns in a schema, or rows of a table there; of a view any name may be one."""
    return {
        (table, column)
        for table, column in names
        if (table, column) in schema.columns
        or table in schema.views
        or (column in _EVENTS and table in schema.relations)
    }


def _replacing(tables: Collection[str], column: str, schema: Schema) -> set[str]:
    """Return the tables of SQLite in which a row takes the place of those that are in its way."""
    return {
        table
        for table in tables
        for rule in schema.conflicts.get(table, ())
        if rule.endswith(" REPLACE") and (column == NEW or column in words_of(rule))
    }


def _by_triggers(
    tables: Collection[str], event: str, column: str, schema: Schema
) -> Iterator[tuple[str, str]]:
    """Yield the columns, each with its table, that triggers change which a migration sets off, or defaults.

    Of rows that they take away it is ALL. What a trigger gives every row, every sample row shows.
    """
    done = {event, "truncate"} if event == "delete" else {event}

    def is_set_off(table: str, events: frozenset[str]) -> bool:
        is_of_it = not done.isdisjoint(events) and ("of" not in events or column in events)
        return table in tables and (is_of_it or events == ANY)

    defaults = [given for name, given in schema.given.items() if event == "insert" and name[0] in tables]
    for body in called(" ".join(defaults), schema.functions):
        yield from sorted(_there(changed_in(body), schema))
    for giver in schema.givers if event == "update" else ():
        if is_set_off(giver.table, giver.events):
            yield from ((giver.table, one.column) for one in giver.gives if one.depends)
    for one in schema.acting:
        if is_set_off(one.table, one.events):
            yield from sorted(_there(changed_in(_of_others(one, schema)), schema))


def _of_others(trigger: Acting, schema: Schema) -> str:
    """Return what a trigger does, without what it does to the row alone that has set it off."""

    def left(found: re.Match[str]) -> str:
        is_own = bare(found["table"]) == trigger.table and _is_one_row(found["where"], trigger.table, schema)
        return ";" if is_own and "where" not in words_of(found["sets"]) else found[0]

    return _OF_SOME_ROWS.sub(left, trigger.body)


def _is_one_row(where: str, table: str, schema: Schema) -> bool:
    """Tell whether a WHERE is met by one row, that of NEW or OLD, if by any."""
    if not words_of(where).isdisjoint(_ANY_OTHER):
        return False
    alike = frozenset(each["column"].lower() for each in _LIKE_ITSELF.finditer(where.strip()))
    keys = [one.key_columns for one in schema.uniques if one.table == table]
    return any(key <= alike for key in [*keys, _ROW_ID])


def _taken(each: Recomputed, tables: Collection[str], schema: Schema) -> Iterator[Recomputed]:
    """Yield the columns of which a new value may be one that a row has now, or had before."""
    of_unique = {
        (one.table, column)
        for one in schema.constraints_of(tables)
        if one.is_unique and each.column in one.words
        for column in one.words & schema.columns_of({one.table})
    }
    clause = _TAKEN.format(changed=each.column)
    yield from (Recomputed(*name, clause, Concerns.WRITING) for name in sorted(of_unique))


def _without_parents(each: Recomputed, tables: Collection[str], schema: Schema) -> Iterator[Recomputed]:
    """Yield the columns that refer to rows which a migration takes away, or gives another key."""
    for one in sorted(schema.references, key=lambda one: (one.table, one.parent)):
        if one.parent in tables and (not each.column or each.column in one.keys):
            clause = _ORPHANED.format(parent=one.parent.replace("{", "{{").replace("}", "}}"))
            yield from (
                Recomputed(one.table, column, clause, Concerns.WRITING) for column in sorted(one.columns)
            )
