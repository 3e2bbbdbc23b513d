"""A statement that writes a table anew holds it against everybody until the last row and index is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coordinator.evidence import Change, StatementEvidence
from coordinator.rules import NEXT, Context, Danger, Rule, bare, quoted, schema_of, words_of

_OTHERS: Final = frozenset({"TRUNCATE", "REFRESH", "REINDEX"})
"""Commands that give a table or index a new file for another reason; they have rules of their own."""
_IN_BATCHES: Final = "-- again and again, each time in a transaction of its own, until it writes no row"


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    if _OTHERS & set(words_of(statement)[:1]):
        return
    locked = {each.relation for each in context.strong_locks(statement)}
    for table in statement.rewritten:
        is_table = table in locked or any(each.relation == table for each in statement.changes)
        if is_table and context.takes_long(table):
            yield Danger(
                f"The statement writes all of {table}{context.told_size(table)} anew, with its indexes.",
                "It holds an ACCESS EXCLUSIVE lock meanwhile (3 to 5 s for a million rows): nobody reads or"
                " writes the table.",
                _rewrite(statement, table, context.major),
            )


def _rewrite(statement: StatementEvidence, table: str, major: int) -> str:
    columns = [each for each in statement.changes if each.kind == "column" and each.relation == table]
    for column in columns:
        if column.after is not None:
            return _changed(column) if column.before is not None else _added(column, major)
    if {"VACUUM", "CLUSTER"} & set(words_of(statement)[:1]):
        return f"-- space is used again after this; a tool like pg_repack gives it back\nVACUUM {table};"
    copy = f"{schema_of(table)}.{quoted(bare(table), 'next')}"
    unlogged = "UNLOGGED " if any("unlogged" in (each.after or "") for each in statement.changes) else ""
    return (
        f"CREATE {unlogged}TABLE {copy} (LIKE {table} INCLUDING ALL);\n"
        "-- then copy the rows in batches, keep both tables alike by a trigger, and exchange their names"
    )


def _added(column: Change, major: int) -> str:
    table, name, definition = column.relation or "", column.name, column.after or ""
    if definition.endswith(" stored"):
        return _computed(column, major)
    if " identity" in definition or "nextval(" in definition:
        return _numbered(table, name, definition)
    kind, has_default, default = definition.replace(" not null", "", 1).partition(" default ")
    if not has_default:
        return _of_domain(table, name, kind)
    return (
        f"ALTER TABLE {table} ADD COLUMN {name} {kind};\n"
        f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {default};\n"
        + _filled(table, name, default)
        + _not_null(table, name, definition)
    )


def _filled(table: str, name: str, value: str) -> str:
    return (
        f"{NEXT}\n{_IN_BATCHES}\n"
        f"UPDATE {table} SET {name} = {value} WHERE ctid IN\n"
        f"    (SELECT ctid FROM {table} WHERE {name} IS NULL LIMIT 1000);"
    )


def _not_null(table: str, name: str, definition: str) -> str:
    if " not null" not in definition:
        return ""
    check = quoted(bare(table), bare(name), "not_null")
    return (
        f"\n{NEXT}\n-- when every row is filled\n"
        f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID;\n"
        f"{NEXT}\nALTER TABLE {table} VALIDATE CONSTRAINT {check};\n"
        f"{NEXT}\nALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL;\n"
        f"ALTER TABLE {table} DROP CONSTRAINT {check};"
    )


def _numbered(table: str, name: str, definition: str) -> str:
    kind = definition.partition(" ")[0]
    sequence = f"{schema_of(table)}.{quoted(bare(table), bare(name), 'numbers')}"
    value = f"nextval('{sequence}')"
    return (
        f"CREATE SEQUENCE {sequence} AS {kind};\n"
        f"ALTER TABLE {table} ADD COLUMN {name} {kind};\n"
        f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {value};\n"
        f"ALTER SEQUENCE {sequence} OWNED BY {table}.{name};\n"
        + _filled(table, name, value)
        + _not_null(table, name, definition)
    )


def _computed(column: Change, major: int) -> str:
    table, name = column.relation or "", column.name
    kind, _, expression = (column.after or "").removesuffix(" stored").partition(" generated always as ")
    kind = kind.removesuffix(" not null")
    if major >= _VIRTUAL_SINCE:
        return f"ALTER TABLE {table} ADD COLUMN {name} {kind} GENERATED ALWAYS AS ({expression}) VIRTUAL;"
    function = f"{schema_of(table)}.{quoted('compute', bare(table), bare(name))}"
    return (
        f"ALTER TABLE {table} ADD COLUMN {name} {kind};\n"
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n"
        f"    SELECT {expression} INTO NEW.{name} FROM (SELECT NEW.*) AS row; RETURN NEW;\nEND $$;\n"
        f"CREATE TRIGGER {quoted('compute', bare(name))} BEFORE INSERT OR UPDATE ON {table}\n"
        f"    FOR EACH ROW EXECUTE FUNCTION {function}();\n" + _filled(table, name, expression)
    )


_VIRTUAL_SINCE: Final = 18
"""The first major version of PostgreSQL with virtual generated columns, which are not stored."""


def _of_domain(table: str, name: str, domain: str) -> str:
    return (
        f"-- the domain's base type, which needs no check of every row\n"
        "DO $$ BEGIN EXECUTE (\n"
        f"    SELECT 'ALTER TABLE {table} ADD COLUMN {name} ' || format_type(typbasetype, typtypmod)\n"
        f"    FROM pg_type WHERE oid = '{domain}'::regtype); END $$;\n"
        "-- then the domain's CHECK as a constraint of the table, NOT VALID, and VALIDATE it"
    )


def _changed(column: Change) -> str:
    table, name = column.relation or "", column.name
    kind = re.split(r" (?:default|not null|generated|storage)\b", column.after or "", maxsplit=1)[0]
    shadow = quoted(bare(name), "next")
    function = f"{schema_of(table)}.{quoted('keep', bare(table), bare(shadow))}"
    return (
        f"ALTER TABLE {table} ADD COLUMN {shadow} {kind};\n"
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n"
        f"    NEW.{shadow} := NEW.{name}; RETURN NEW;\nEND $$;\n"
        f"CREATE TRIGGER {quoted('keep', bare(shadow))} BEFORE INSERT OR UPDATE ON {table}\n"
        f"    FOR EACH ROW EXECUTE FUNCTION {function}();\n"
        f"{NEXT}\n{_IN_BATCHES}\n"
        f"UPDATE {table} SET {shadow} = {name}::{kind} WHERE ctid IN\n"
        f"    (SELECT ctid FROM {table} WHERE {shadow} IS NULL AND {name} IS NOT NULL LIMIT 1000);\n"
        f"-- let the versions move to {shadow}; drop {name} in a later release"
    )


RULE: Final[Rule] = Rule(code="table-rewrite", check=_check)
