"""A migration's texts with their lines, and what was seen of each of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from coordinator.diagnostics import Place
from coordinator.evidence import StatementEvidence
from coordinator.model import Engine, Migration
from coordinator.sql import split_statements


def at_its_lines(
    found: Sequence[StatementEvidence], migration: Migration, engine: Engine
) -> Iterator[StatementEvidence]:
    """Yield what the migration's own statements did, each at its line; the tool's own statements are none."""
    file = migration.files[0].path if migration.files else migration.name
    left = list(texts_of(migration, engine))
    for each in found:
        at = next((at for at, (text, _) in enumerate(left) if text == each.statement.text), None)
        if at is not None:
            line = left[at][1]
            yield replace(each, migration=migration.name, place=Place(file, line))
            del left[: at + 1]


def texts_of(migration: Migration, engine: Engine) -> Iterator[tuple[str, int]]:
    """Yield the migration's texts with their lines, each whole and then each of its statements."""
    for statement in migration.up.statements if migration.up else ():
        pieces = split_statements(statement.text, engine)
        if len(pieces) > 1:
            yield statement.text.strip(), statement.line + pieces[0].line - 1
        for piece in pieces:
            yield piece.text, statement.line + piece.line - 1
