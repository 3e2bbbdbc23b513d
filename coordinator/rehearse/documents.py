"""Texts that a release or its queries read as JSON: sample rows get documents there.

    ALTER TABLE log ALTER COLUMN body TYPE jsonb USING body::jsonb;

A made-up text is no JSON: the migration, or the query, would fail on every row, and nothing would be known of
it. Read by patterns; a column too many has a document where any text would have done. What a migration put
there is JSON already, and does not begin as our texts do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final

from coordinator.backfills.keys import quote
from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.catalogued import bare

_NAME: Final = r"""["`\[]?(?P<{}>[^\W\d]\w*)["`\]]?"""
_OWNER: Final = r"""(?:["`\[]?\w+["`\]]?\s*+\.\s*+)?"""
_READS: Final = re.compile(
    r"\bJSONB?(?!_(?:build|agg|object|quote|group|array\b))(?:_\w+)?\s*+\(\s*+"
    + _OWNER + _NAME.format("given") + "|" + _NAME.format("shown") + r"\s*+->"
    "|" + _NAME.format("cast") + r"\s*+::\s*+JSONB?\b"
    r"|\bCAST\s*+\(\s*+" + _OWNER + _NAME.format("turned") + r"\s++AS\s++JSONB?\b"
    r"|\bMODIFY\s++(?:COLUMN\s++)?" + _NAME.format("modified") + r"\s++JSON\b",
    re.IGNORECASE,
)  # fmt: skip
_IS_TEXT: Final = re.compile(
    r"(?:text|blob|varchar|character varying|(?:tiny|medium|long)text)\b", re.IGNORECASE
)


def read_as_documents(texts: Iterable[str]) -> frozenset[str]:
    """Return the columns, in small letters, of which a text reads a value as JSON."""
    found = (each for text in texts for each in _READS.finditer(text))
    return frozenset(name.lower() for each in found for name in each.groups() if name)


def put_documents(database: RehearsalDatabase, columns: Collection[str], engine: Engine) -> None:
    """Make a document of each sample text in some columns, where its table takes one."""
    if not columns:
        return
    for key, definition in database.catalogue().items():
        kind, _, name = key.partition(" ")
        table, _, column = name.rpartition(".")
        if kind != "column" or bare(column) not in columns or not _IS_TEXT.match(definition):
            continue
        if engine is not Engine.POSTGRESQL:  # whose catalogue quotes what has to be
            table, column = quote(table.removeprefix("main."), engine), quote(column, engine)
        made = (
            f"concat('{{\"a\":\"', {column}, '\"}}')"
            if engine.speaks_mysql
            else (f"'{{\"a\":\"' || {column} || '\"}}'")
        )
        update = f"UPDATE {table} SET {column} = {made} WHERE lower({column}) LIKE 'sample%'"  # noqa: S608
        with suppress(DatabaseError), database.session() as session:  # too long for it, or a check refuses
            session.execute(Batch((update,), transaction=True))
