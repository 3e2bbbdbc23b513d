"""What is met inside a migration whose statements commit one by one, between two of them.

A file without a transaction is such a one, and on MySQL and MariaDB every file that changes the schema: a
`RENAME TABLE` and the `CREATE VIEW` that mends it are two instants apart, and a run that is killed there
stays there. It is asked on a copy, which gets the statements one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coordinator.errors import DatabaseError
from coordinator.evidence import Objection
from coordinator.halfway import may_remain
from coordinator.model import Engine, Migration, Script
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.subject import Answer
from coordinator.sql import (
    SqlStatement,
    controls_transaction,
    ends_transaction,
    split_statements,
    stays_in_transaction,
)

_SILENT: Final = frozenset({"ANALYZE", "COMMENT", "PRAGMA", "RESET", "SET", "USE", "VACUUM"})
"""First words of statements after which every query finds what it found before."""
_ADDS: Final = (("CREATE", "INDEX"), ("CREATE", "TABLE"))
"""The same where no other schema's table can be hidden by it, as PostgreSQL's search_path lets it."""


@dataclass(frozen=True, slots=True)
class Visible:
    """Statements after which others see what they did, and not before."""

    texts: tuple[str, ...]
    line: int
    """That of the last one, in the migration's file."""


def steps_of(migration: Migration, engine: Engine) -> tuple[Visible, ...]:
    """Return the statements of a migration by what becomes visible at once; a single one has no inside."""
    if migration.up is None or not may_remain(migration.up, engine):
        return ()
    pieces = list(_pieces(migration.up, engine))
    if not all(piece.is_closed for each in pieces for piece in each[2]):
        return ()
    steps: list[Visible] = []
    texts: list[str] = []
    line = 0
    holds = False
    says = False
    for text, at, parts in pieces:
        stays = migration.up.transaction and all(map(stays_in_transaction, parts))
        if says and not stays and not holds and texts:
            steps.append(Visible(tuple(texts), line))  # a change of the schema commits what stood before it
            texts, says = [], False
        texts.append(text)
        line = at
        says = says or not all(_is_silent(each, engine) for each in parts)
        for each in parts:
            holds = _holds(each, engine, holds=holds)
        if says and not holds and not stays:
            steps.append(Visible(tuple(texts), line))
            texts, says = [], False
    if texts:
        steps.append(Visible(tuple(texts), line))
    return tuple(steps)


def _pieces(script: Script, engine: Engine) -> Iterator[tuple[str, int, Sequence[SqlStatement]]]:
    """Yield what commits by itself: PostgreSQL takes a text as one transaction, the others do not."""
    for statement in script.statements:
        pieces = split_statements(statement.text, engine)
        if engine is Engine.POSTGRESQL and pieces:
            yield statement.text, statement.line + pieces[-1].line - 1, pieces
            continue
        for piece in pieces:
            yield piece.text, statement.line + piece.line - 1, (piece,)


def _is_silent(statement: SqlStatement, engine: Engine) -> bool:
    adds = statement.words[:2] in _ADDS and engine is not Engine.POSTGRESQL
    return adds or _SILENT.issuperset(statement.words[:1])


def _holds(statement: SqlStatement, engine: Engine, *, holds: bool) -> bool:
    """Tell whether others wait, or see nothing yet, behind a statement of a transaction or of LOCK TABLES."""
    if engine.speaks_mysql and statement.words[:1] in (("LOCK",), ("UNLOCK",)):
        return statement.words[0] == "LOCK"
    return not ends_transaction(statement) if controls_transaction(statement) else holds


def instants(
    scratch: RehearsalDatabase, migration: Migration, engine: Engine
) -> Iterator[tuple[RehearsalDatabase, int]]:
    """Yield a copy of a scratch database between the statements of a migration, and the last line there.

    A statement that fails is for the walk to find.
    """
    steps = steps_of(migration, engine)
    if len(steps) < 2:  # noqa: PLR2004
        return
    with scratch.clone() as copy, copy.session() as session:
        for step in steps[:-1]:
            try:
                session.execute(Batch(step.texts, transaction=False))
            except DatabaseError:
                return
            yield copy, step.line


def placed(answer: Answer, migration: Migration, line: int) -> Answer:
    """Return an answer whose sentences say where in a migration it was given."""
    where = f", between the statements of `{migration.name}` (after line {line})"
    broken = answer.broken and (
        answer.broken[0],
        Objection(answer.broken[1].code, f"{answer.broken[1].message}{where}"),
    )
    return Answer(broken, tuple((layer, f"{reason}{where}") for layer, reason in answer.unchecked))


def joined(at_state: Answer, met: Answer) -> Answer:
    """Return what holds of a state where a version may also meet what lies on the way from it or to it."""
    asked = {layer for layer, _ in at_state.unchecked}
    more = tuple((layer, reason) for layer, reason in met.unchecked if layer not in asked)
    return replace(at_state, broken=at_state.broken or met.broken, unchecked=(*at_state.unchecked, *more))
