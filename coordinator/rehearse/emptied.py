"""Tables without sample rows, because a migration fails on any that we know to make. Pure.

    ALTER TABLE line ADD COLUMN total integer NOT NULL   -- no default: it takes an empty table alone

The others keep their rows. What comes to one of these, or to what would be made of their rows, met nothing
that it could fail on: it is not proven, whatever it answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from coordinator.model import BackfillSpec, Engine, Migration
from coordinator.pieces import statements_of
from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.reach import Reach
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.walk import Failure
from coordinator.rehearse.written import targets_of
from coordinator.sql import SqlStatement, split_statements

_MAY_COMPUTE: Final = ("ALTER",)
"""By a function, a new column's values."""
_LEAVES_ROWS: Final = frozenset(
    (word,)
    for word in ("ALTER", "CREATE", "DROP", "COMMENT", "GRANT", "REVOKE", "ANALYZE", "VACUUM", "LOCK", "SET")
)
"""How statements begin that make no rows of others."""
_MADE_OF_ROWS: Final = re.compile(
    r"CREATE\b[^(]*?\bTABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<table>[^\s(]+).*\b(?:SELECT|AS\s+TABLE)\b",
    re.IGNORECASE | re.DOTALL,
)
_COMMENTS: Final = re.compile(r"\A(?:\s+|--[^\n]*|#[^\n]*|/\*.*?\*/)+", re.DOTALL)
_MAKES: Final = re.compile(
    r"CREATE\s+(?:[^\s(]+\s+){0,6}?(?P<kind>TABLE|VIEW|FUNCTION|PROCEDURE|TRIGGER)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    r"(?P<name>[^\s(]+)",
    re.IGNORECASE,
)
_NEW_NAME: Final = re.compile(r"\b(?:TO|RENAME\s+AS)\s+(?P<name>[^\s,;]+)", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"(?<![\w@'])@[\w`'\"]")
"""MySQL's, which takes what a query read to another statement."""
_KEY: Final = "0 = 0"
_NO_ROWS: Final = (
    "`{migration}` fails on the sample rows of `{table}`, so it had none: what only rows show is not known"
)


@dataclass(frozen=True, eq=False)
class Emptied:
    """Such tables, in small letters and without schema, each with the migration that fails on its rows."""

    tables: Mapping[str, str]

    def doubt(self, text: str, schemas: Sequence[Schema]) -> str | None:
        """Return why nothing is known of a query that comes to one of them in one of the schemas."""
        for schema in schemas if self.tables else ():
            reached = self._reaches.setdefault(id(schema), Reach(schema)).of(text)
            met = sorted(reached.referred & self.tables.keys() if reached.is_certain else self.tables)
            if met:
                return _NO_ROWS.format(migration=self.tables[met[0]], table=met[0])
        return None

    @property
    def clauses(self) -> tuple[str, ...]:
        """Return for each table why it has no rows."""
        return tuple(f"`{table}`: `{name}` fails on them" for table, name in sorted(self.tables.items()))

    @cached_property
    def _reaches(self) -> dict[int, Reach]:
        return {}  # by the schema's identity: each holds its schema, so that no other gets that number


NOTHING_EMPTIED: Final = Emptied({})


def emptied_by(
    failure: Failure,
    before: Emptied,
    *,
    pending: Sequence[Migration],
    backfills: Sequence[BackfillSpec],
    schemas: Sequence[Schema],
    engine: Engine,
) -> Emptied | None:
    """Return which tables stay empty so that a migration need not fail; None where nobody can tell.

    First those of which the engine tells, then all that it comes to. What is made of their rows has none that
    mean anything either. What a program does to rows nobody reads, nor what SQL does that is put together.
    """
    if any(each.is_code or each.by_program or each.up is None for each in pending):
        return None
    if any(each.command is not None for each in backfills):
        return None
    moving = [statement for each in pending for statement in statements_of(each, engine)]
    reaches = [Reach(each) for each in (*schemas, _meanwhile(moving, schemas))]
    name, own = failure.migration.name, [each.text for each in statements_of(failure.migration, engine)]
    found = _named(failure.error.what, reaches) - before.tables.keys()
    found = found or frozenset[str]().union(*(_touched(each, reaches) for each in own)) - before.tables.keys()
    for each in backfills:
        moving += split_statements(each.statement(_KEY), engine)
    every = dict(before.tables)
    while found:
        found = found.union(*(each.schema.family(found) for each in reaches))
        every |= dict.fromkeys(sorted(found), name)
        if any(_is_unreadable(each, every, reaches) for each in moving):
            return None
        found = frozenset[str]().union(*(_made_of(each, every, reaches) for each in moving)) - every.keys()
    return Emptied(every) if every != before.tables else None


def _named(text: str, reaches: Sequence[Reach]) -> frozenset[str]:
    return frozenset[str]().union(*(each.named(words_of(text)) for each in reaches))


def _touched(text: str, reaches: Sequence[Reach]) -> frozenset[str]:
    return frozenset[str]().union(*(each.of(text).touched for each in reaches))


def _meanwhile(moving: Sequence[SqlStatement], schemas: Sequence[Schema]) -> Schema:
    """Return a schema with all that statements make, also what they take away again: `CREATE TEMP TABLE`."""
    catalogue: dict[str, str] = {}
    for each in schemas:
        catalogue |= each.catalogue
    for statement in moving:
        text = " ".join(_COMMENTS.sub("", statement.text).split())
        if (made := _MAKES.match(text)) is not None:
            kind = made["kind"].lower()
            catalogue.setdefault(f"{kind} {made['name']}", kind if kind == "table" else text)
        for name in _new_names(statement):
            catalogue.setdefault(f"table {name}", "table")
    return Schema.of(catalogue)


def _new_names(statement: SqlStatement) -> frozenset[str]:
    """Return what a statement calls tables from then on, if it may rename one."""
    is_any = statement.words[:1] == ("RENAME",)
    if not is_any and not (statement.words[:2] == ("ALTER", "TABLE") and "RENAME" in statement.words):
        return frozenset()
    return frozenset(bare(each["name"]) for each in _NEW_NAME.finditer(statement.text))


def _is_unreadable(statement: SqlStatement, tables: Mapping[str, str], reaches: Sequence[Reach]) -> bool:
    """Tell whether nobody can read whose rows a statement makes of those of some tables."""
    text = statement.text
    if statement.words[:1] in _LEAVES_ROWS and statement.words[:1] != ("SET",):
        return False
    reached = [each.of(text) for each in reaches]
    if not all(each.is_certain for each in reached):
        return True
    is_kept = statement.engine.speaks_mysql and _VARIABLE.search(text) is not None
    return is_kept and not all(each.referred.isdisjoint(tables) for each in reached)


def _made_of(statement: SqlStatement, tables: Mapping[str, str], reaches: Sequence[Reach]) -> frozenset[str]:
    """Return the tables whose rows a statement may make, change or take away by those of some tables."""
    text, head = statement.text, statement.words[:1]
    reached = [each.of(text) for each in reaches]
    if all(each.is_certain and each.referred.isdisjoint(tables) for each in reached):
        return frozenset()
    if (made := _MADE_OF_ROWS.match(_COMMENTS.sub("", text))) is not None:
        return frozenset({bare(made["table"])})
    if names := _new_names(statement):
        return names
    calls = any(words_of(text) & each.schema.functions.keys() for each in reaches)
    if head in _LEAVES_ROWS and not (calls and head == _MAY_COMPUTE):
        return frozenset()
    targets = targets_of(text)
    if calls or not targets:
        return _touched(text, reaches)
    return targets | _touched(f"UPDATE {' '.join(sorted(targets))}", reaches)
