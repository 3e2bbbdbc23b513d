"""What a SQLite file's tables are, and the catalogue: the schema as name → definition.

SQLite keeps the text of each CREATE and little else. Columns, keys and indexes are asked of its pragmas; only
a CHECK has to be cut out of the text, where tokens suffice, because its parentheses balance.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token, quoted
from coordinator.adapters.rehearsals._sqlite.conflicts import conflicts_of, deferred_of
from coordinator.adapters.rehearsals._sqlite.tokens import tokens_of
from coordinator.rehearsal_ports import BOOKS

SCHEMA: Final = "main"
_NORMAL: Final = 0
_HIDDEN: Final = 1
"""table_xinfo's `hidden`: 0 an ordinary column, 1 one of a virtual table, 2 and 3 generated ones."""
_READ_BEFORE: Final = 16_384
"""Texts whose tokens are not looked for again. A catalogue is read around each statement of a migration, and
nearly all of its tables are those of the time before; what is made of a text depends on nothing else."""
_USUAL_COLLATION: Final = "binary"
_DOCUMENT: Final = re.compile(
    r"""\bjsonb?(?:_\w+)?\s*\(\s*(?:[\w"`]+\s*\.\s*)?["`\[]?(?P<given>\w+)|(?P<shown>\w+)["`\]]?\s*->""",
    re.IGNORECASE,
)
"""A column that is given to a function of JSON, or of which `->` shows a part."""
_GENERATED: Final = {2: "virtual", 3: "stored"}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as `PRAGMA table_xinfo` tells it."""

    name: str
    declared: str
    not_null: bool
    default: str | None
    key: int
    """Its place in the primary key, from 1; 0 outside."""
    hidden: int

    def definition(
        self, expressions: Mapping[str, str], collations: Mapping[str, str], *, counts: bool
    ) -> str:
        """Return it as the catalogue writes it; `expressions` are those of the generated columns.

        `counts` tells that the table's key never gets a number again.
        """
        parts = [self.declared.lower() or "any"]
        collation = collations.get(self.name.lower(), _USUAL_COLLATION)
        parts += [] if collation == _USUAL_COLLATION else [f"collate {collation}"]
        parts += ["not null"] if self.not_null else []
        parts += [] if self.default is None else [f"default {self.default}"]
        parts += ["primary key"] if self.key else []
        parts += ["autoincrement"] if self.key and counts else []
        if self.hidden in _GENERATED:
            expression = expressions.get(self.name.lower(), "?")
            parts += [f"generated always as ({expression}) {_GENERATED[self.hidden]}"]
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: columns of this table, and those of its parent that they point to."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    actions: str


@dataclass(frozen=True, slots=True)
class Table:
    """An ordinary table; names are written as its author did."""

    name: str
    sql: str
    is_strict: bool
    without_rowid: bool
    columns: tuple[TableColumn, ...]
    foreign_keys: tuple[ForeignKey, ...]
    uniques: tuple[tuple[str, ...], ...]
    """Columns of each unique index that has neither expressions nor a WHERE, the primary key's included."""
    documents: frozenset[str]
    """What the table or one of its indexes reads as JSON, in small letters: other texts are refused there."""

    @property
    def writable(self) -> tuple[TableColumn, ...]:
        """Return the columns that an INSERT may name."""
        return tuple(each for each in self.columns if each.hidden == _NORMAL)


def tables(connection: sqlite3.Connection) -> list[Table]:
    """Return the ordinary tables of a service, by name."""
    rows = connection.execute(
        "SELECT l.name, s.sql, l.wr, l.strict FROM pragma_table_list AS l JOIN sqlite_schema AS s"
        " ON s.type = 'table' AND s.name = l.name WHERE l.schema = 'main' AND l.type = 'table'"
    ).fetchall()
    return [
        _table(connection, name, sql, without_rowid=bool(wr), is_strict=bool(strict))
        for name, sql, wr, strict in sorted(rows)
        if not name.startswith("sqlite_") and name not in BOOKS
    ]


def _documents(connection: sqlite3.Connection, name: str) -> Iterator[str]:
    rows = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type IN ('table', 'index') AND sql IS NOT NULL",
        [name],
    ).fetchall()
    for [sql] in rows:
        for each in _DOCUMENT.finditer(sql):
            yield (each["given"] or each["shown"]).lower()


def views(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the texts of the views, by their names in small letters."""
    rows = connection.execute("SELECT lower(name), sql FROM sqlite_schema WHERE type = 'view'").fetchall()
    return dict(rows)


def _table(
    connection: sqlite3.Connection, name: str, sql: str, *, without_rowid: bool, is_strict: bool
) -> Table:
    columns = columns_of_table(connection, name)
    return Table(
        name,
        sql,
        is_strict,
        without_rowid,
        columns,
        tuple(_foreign_keys(connection, name)),
        tuple(_uniques(connection, name, columns)),
        frozenset(_documents(connection, name)),
    )


def columns_of_table(connection: sqlite3.Connection, name: str) -> tuple[TableColumn, ...]:
    """Return the columns of a table or view; empty if there is none of this name."""
    rows = connection.execute(f"PRAGMA main.table_xinfo({quoted(name)})").fetchall()
    return tuple(
        TableColumn(column, declared, bool(not_null), default, key, hidden)
        for _, column, declared, not_null, default, key, hidden in rows
        if hidden != _HIDDEN
    )


def _foreign_keys(connection: sqlite3.Connection, name: str) -> Iterator[ForeignKey]:
    rows = connection.execute(f"PRAGMA main.foreign_key_list({quoted(name)})").fetchall()
    for number in sorted({row[0] for row in rows}):
        parts = [row for row in rows if row[0] == number]
        parent = parts[0][2]
        keys = sorted(
            (each for each in columns_of_table(connection, parent) if each.key), key=lambda c: c.key
        )
        named = tuple(row[4] for row in parts if row[4] is not None)
        pointed = named or tuple(each.name for each in keys)
        yield ForeignKey(
            tuple(row[3] for row in parts),
            parent,
            pointed,
            f"on update {parts[0][5]} on delete {parts[0][6]}",
        )


def _uniques(
    connection: sqlite3.Connection, name: str, columns: Sequence[TableColumn]
) -> Iterator[tuple[str, ...]]:
    for _, index, unique, _, partial in connection.execute(
        f"PRAGMA main.index_list({quoted(name)})"
    ).fetchall():
        rows = connection.execute(f"PRAGMA main.index_info({quoted(index)})").fetchall()
        if unique and not partial and all(column is not None for _, _, column in rows):
            yield tuple(column for _, _, column in rows)
    if keys := tuple(each.name for each in columns if each.key):
        yield keys


def checks_of(table: Table) -> list[str]:
    """Return the text of each CHECK of a table, without its parentheses."""
    found: list[str] = []
    tokens = tokens_of(table.sql)
    for place, token in enumerate(tokens):
        if token.depth == 1 and token.keyword == "CHECK":
            found.append(_inside(table.sql, tokens, place + 1))
    return found


def _expressions_of(table: Table) -> Mapping[str, str]:
    """Return what computes each generated column, by its name in small letters."""
    tokens = tokens_of(table.sql)
    return {
        column: _folded(_inside(table.sql, tokens, place + 1))
        for column, place in _words_of_columns(tokens)
        if tokens[place].keyword == "AS"
    }


def _collations_of(table: Table) -> Mapping[str, str]:
    """Return the collation of each column that names one, both in small letters: the last one counts."""
    tokens = tokens_of(table.sql)
    return {
        column: tokens[place + 1].name or ""
        for column, place in _words_of_columns(tokens)
        if tokens[place].keyword == "COLLATE"
    }


def _words_of_columns(tokens: Sequence[Token]) -> Iterator[tuple[str, int]]:
    """Yield the places of what stands in a table's columns outside of parentheses, each with its column."""
    column: str | None = None
    for place, token in enumerate(tokens):
        if (token.text, token.depth) in (("(", 0), (",", 1)):
            column = tokens[place + 1].name
        elif token.depth == 1 and column is not None:
            yield column, place


def _inside(text: str, tokens: Sequence[Token], place: int) -> str:
    """Return what stands between the parenthesis at a place and the one that closes it."""
    opening = tokens[place]
    closing = next(each for each in tokens[place + 1 :] if each.text == ")" and each.depth == opening.depth)
    return text[opening.end : closing.start].strip()


def catalogue(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the schema as name → definition, as rehearsal_ports.RehearsalDatabase.catalogue has it.

    The version tables of the migration tools and SQLite's own tables are left out.
    """
    found: dict[str, str] = {}
    for table in tables(connection):
        found.update(_of_table(table))
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name"
    ).fetchall()
    for kind, name, table_name, sql in rows:
        if table_name in BOOKS:
            continue
        if kind == "table" and f"table {SCHEMA}.{name}" not in found:
            found[f"table {SCHEMA}.{name}"] = _folded(sql)  # a virtual table, or a part of one
        elif kind == "view":
            found[f"view {SCHEMA}.{name}"] = _folded(sql)
        elif kind != "table":
            found[f"{kind} {SCHEMA}.{table_name}.{name}"] = _folded(sql)
    return found


@lru_cache(maxsize=_READ_BEFORE)
def _of_table(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple(_things_of(table))


def _things_of(table: Table) -> Iterator[tuple[str, str]]:
    full = f"{SCHEMA}.{table.name}"
    options = ["strict"] * table.is_strict + ["without rowid"] * table.without_rowid
    yield f"table {full}", " ".join(["table", *options])
    expressions, collations = _expressions_of(table), _collations_of(table)
    counts = any(each.keyword == "AUTOINCREMENT" and each.depth == 1 for each in tokens_of(table.sql))
    for column in table.columns:
        yield f"column {full}.{column.name}", column.definition(expressions, collations, counts=counts)
    deferred = set(deferred_of(tokens_of(table.sql)))
    for key in table.foreign_keys:
        is_deferred = frozenset(each.lower() for each in key.columns) in deferred
        when = " deferrable initially deferred" if is_deferred else ""
        listed = ", ".join(key.columns)
        pointed = ", ".join(key.parent_columns)
        yield (
            f"constraint {full}.foreign key ({listed})",
            f"references {key.parent} ({pointed}) {key.actions}{when}".lower(),
        )
    for check in checks_of(table):
        yield f"constraint {full}.check ({_folded(check)})", f"check ({_folded(check)})"
    for columns in table.uniques:
        yield f"constraint {full}.unique ({', '.join(columns)})", "unique"
    for rule, does in conflicts_of(tokens_of(table.sql)):
        yield f"conflict {full}.{rule}", does


@lru_cache(maxsize=_READ_BEFORE)
def _folded(sql: str) -> str:
    """Return a text with one blank between its tokens, so that a new indentation is no change."""
    return " ".join(token.text for token in tokens_of(sql))
