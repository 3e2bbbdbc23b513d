"""How far a backfill got: one row of a table of our own, in the database whose rows it changes.

The row moves in the transaction of the batch, and only from the number of batches that was read: the fence.
It stays when the backfill is done, so that the next release knows, and nobody does it a second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from coordinator.backfills.keys import Place
from coordinator.errors import StepFailed
from coordinator.model import BackfillSpec, Engine
from coordinator.own_tables import execute_with_table, kept_whole
from coordinator.ports.databases import Batch, Session
from coordinator.sql import literal

_CREATE = (
    "CREATE TABLE IF NOT EXISTS coordinator_backfill ("
    "name {name} PRIMARY KEY, digest varchar(64) NOT NULL, batches bigint NOT NULL, passed bigint NOT NULL,"
    " position {text}, is_done smallint NOT NULL, began_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
_READ = "SELECT digest, batches, passed, position, is_done FROM coordinator_backfill WHERE name = {name}"
_INSERT = (
    "INSERT INTO coordinator_backfill (name, digest, batches, passed, position, is_done)"
    " VALUES ({name}, '{digest}', 0, 0, NULL, 0) {unless_there}"
)
_MOVE = (
    "UPDATE coordinator_backfill SET batches = {batches}, passed = {passed}, position = {place},"
    " is_done = {is_done} WHERE name = {name} AND digest = '{digest}' AND batches = {was}"
)
_EXISTS_ON_MYSQL = (
    "SELECT 1 FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_name = 'coordinator_backfill'"
)
_EXISTS = {
    Engine.POSTGRESQL: "SELECT 1 WHERE to_regclass('coordinator_backfill') IS NOT NULL",
    Engine.SQLITE: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'coordinator_backfill'",
    Engine.MYSQL: _EXISTS_ON_MYSQL,
    Engine.MARIADB: _EXISTS_ON_MYSQL,
}


@dataclass(frozen=True, slots=True)
class Cursor:
    """`passed` rows are done in this pass over the table: all up to `place`, or none yet."""

    batches: int
    passed: int
    place: Place | None
    is_done: bool

    def past(self, place: Place, rows: int) -> Cursor:
        """Return it after a batch."""
        return replace(self, batches=self.batches + 1, passed=self.passed + rows, place=place, is_done=False)

    def at_end(self) -> Cursor:
        """Return it when no row is left."""
        return replace(self, batches=self.batches + 1, is_done=True)

    def at_start(self) -> Cursor:
        """Return it before the first row again."""
        return Cursor(self.batches + 1, 0, None, is_done=False)


def digest_of(spec: BackfillSpec) -> str:
    """Return what changes with what a backfill does to which rows in which order, and with nothing else."""
    work = spec.sql if spec.command is None else spec.command.argv
    return hashlib.sha256(json.dumps([spec.table, spec.key, work]).encode()).hexdigest()


def read_cursor(session: Session, spec: BackfillSpec) -> Cursor | None:
    """Return where a backfill stands; None if it never began. Raises: StepFailed `backfill-changed`."""
    engine = session.target(None).engine
    if not session.query(_EXISTS[engine]):
        return None
    rows = session.query(_READ.format(name=literal(spec.name, engine)))
    if not rows:
        return None
    digest, batches, passed, place, is_done = rows[0]
    if digest != digest_of(spec):
        raise StepFailed(
            "backfill-changed",
            f"Backfill `{spec.name}` began with another table, key or statement than the plan has now.",
            why=f"{int(str(passed)):,} rows are done in the old way, and what that means now is not known.",
            next_step="Give the changed one another name: then it begins at the first row.",
        )
    values = None if place is None else tuple(map(str, json.loads(str(place))))
    return Cursor(int(str(batches)), int(str(passed)), values, is_done=bool(is_done))


def begin_cursor(session: Session, spec: BackfillSpec) -> Cursor:
    """Return where a backfill stands, before the first row if it never began.

    Of two who begin it at the same moment both get the one cursor, and its fence tells them apart.
    Raises: StepFailed `backfill-changed`.
    """
    if cursor := read_cursor(session, spec):
        return cursor
    engine = session.target(None).engine
    name = "varchar(64) CHARACTER SET ascii" if engine.speaks_mysql else "text"
    text = "text CHARACTER SET utf8mb4" if engine.speaks_mysql else "text"
    unless_there = "ON DUPLICATE KEY UPDATE name = name" if engine.speaks_mysql else "ON CONFLICT DO NOTHING"
    insert = _INSERT.format(
        name=literal(spec.name, engine), digest=digest_of(spec), unless_there=unless_there
    )
    create = kept_whole(_CREATE.format(name=name, text=text), engine)
    execute_with_table(session, Batch((create, insert), transaction=True))
    begun = read_cursor(session, spec)
    assert begun is not None, "it was written, and nobody takes a cursor away"
    return begun


def move_cursor(
    session: Session,
    spec: BackfillSpec,
    was: Cursor,
    now: Cursor,
    *,
    engine: Engine,
    statements: tuple[str, ...],
    before_fence: Callable[[], None] | None = None,
) -> None:
    """Move the cursor from where it was read, together with the rows that `statements` change.

    The engine is told and not asked for: that would be a trip to the server for each batch.
    `before_fence` is called when they are changed; the cursor moves when it returns, and nothing does if not.
    Raises: DatabaseError `cursor-moved` where it stands elsewhere; nothing is changed then.
    """
    assert before_fence is None or engine is Engine.POSTGRESQL, "the others have the fence first"
    place = "NULL" if now.place is None else literal(json.dumps(now.place), engine)
    fence = _MOVE.format(
        batches=now.batches,
        passed=now.passed,
        place=place,
        is_done=int(now.is_done),
        name=literal(spec.name, engine),
        digest=digest_of(spec),
        was=was.batches,
    )
    session.execute(Batch(statements, transaction=True, fence=fence, before_fence=before_fence))
