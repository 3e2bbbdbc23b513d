"""How far a file ran that is not one transaction, written down between its statements, beside its effects.

Before the file a row says where it begins, and after each statement the row moves on: inside the transaction
where one is open, so that rows and mark come or go together, else by itself and durable. After a kill at any
instant everything before the mark ran, and nothing behind the one statement that it points to. The row is
that of applied.py; the entry of the whole file takes its place.

Marks are kept where nothing in the file can turn them: no statement begins or ends transactions, changes the
role, locks tables or leaves something in the session that whoever goes on would miss. Settings of the session
are sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from coordinator import applied
from coordinator.applied import Mark
from coordinator.errors import CoordinatorError, DatabaseError
from coordinator.halfway import may_remain, named, pieces_of
from coordinator.model import Engine, Migration, Script, Statement
from coordinator.ports.databases import Batch, Session, Target
from coordinator.ports.migrations import MigrationTool
from coordinator.sql import SqlStatement, is_repeatable, split_statements, stays_in_transaction

_KEEP_SESSION: Final = frozenset(
    {"ALTER", "ANALYZE", "CLUSTER", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "OPTIMIZE"}
    | {"REFRESH", "REINDEX", "RENAME", "REPLACE", "REVOKE", "SELECT", "TRUNCATE", "UPDATE", "VACUUM"}
)
_OF_SESSION: Final = frozenset({"TEMP", "TEMPORARY", "INTO", "SET_CONFIG"})
"""Words of a statement that may leave something in the session: a table, a variable, a setting."""
_BODIED: Final = frozenset({"EVENT", "FUNCTION", "PROCEDURE", "TRIGGER", "PACKAGE"})
_NOT_SET: Final = ("TRANSACTION", "ROLE", "AUTHORIZATION", "AUTOCOMMIT", "SQL_MODE", "GLOBAL", "PERSIST")
_SETTINGS: Final = frozenset({"SET", "RESET"})
_RESTART: Final = "When all of it is taken back: `{}`."
_SEVERAL: Final = 2
"""Of a single statement a mark says nothing that is not known without it."""


# -- which files ----------------------------------------------------------------------------------------


def by_statement(migration: Migration, engine: Engine) -> Migration:
    """Return the migration with each statement a text of its own, where that is sure to be the same.

    golang-migrate sends a file to MySQL as one text, which the server cuts; where each statement is of a kind
    that has no body, and no backslash can mean two things, it cuts where the lexer does.
    """
    script = migration.up
    if script is None or script.transaction or not engine.speaks_mysql:
        return migration
    if not all(_is_surely_cut(each, engine) for each in script.statements):
        return migration
    texts = tuple(piece for each in script.statements for piece in _pieces(each, engine))
    return replace(migration, up=replace(script, statements=texts))


def _is_surely_cut(text: Statement, engine: Engine) -> bool:
    return "\\" not in text.text and all(
        each.is_closed
        and each.words[:1] != ()
        and (each.words[0] in _KEEP_SESSION or each.words[0] in _SETTINGS)
        and _BODIED.isdisjoint(each.words)
        and "SQL_MODE" not in each.words
        for each in split_statements(text.text, engine)
    )


def _pieces(text: Statement, engine: Engine) -> list[Statement]:
    found, begin = [], 0
    for each in split_statements(text.text, engine):
        start = text.text.index(each.text, begin)
        begin = start + len(each.text)
        found.append(Statement(each.text, text.line + text.text.count("\n", 0, start)))
    return found


def can_be_marked(script: Script | None, engine: Engine) -> bool:
    """Tell whether marks of a file would be right, and say more than that it began."""
    if script is None or len(script.statements) < _SEVERAL or not may_remain(script, engine):
        return False
    texts = [split_statements(each.text, engine) for each in script.statements]
    if engine is not Engine.POSTGRESQL and any(len(each) != 1 for each in texts):
        return False  # a part of a text may stay, where PostgreSQL makes one transaction of it
    lines = {_line(each, engine) for each in script.statements}
    if len(lines) < len(script.statements):
        return False  # a person says a line
    return all(_keeps_session(each) or _is_setting(each) for text in texts for each in text)


def _keeps_session(statement: SqlStatement) -> bool:
    words = statement.words
    leaves = _OF_SESSION if words[:1] == ("SELECT",) else _OF_SESSION - {"INTO"}
    has_variable = statement.engine.speaks_mysql and "@" in statement.text
    return (
        words[:1] != ()
        and words[0] in _KEEP_SESSION
        and statement.is_closed
        and leaves.isdisjoint(words)
        and not has_variable
    )


def _is_setting(statement: SqlStatement) -> bool:
    """The statement sets something of the session, which may be set once more by whoever goes on."""
    return (
        statement.words[:1] != ()
        and statement.words[0] in _SETTINGS
        and statement.is_closed
        and not any(word in each for each in statement.words for word in _NOT_SET)
        and "@" not in statement.text
    )


# -- where to go on -------------------------------------------------------------------------------------


def start_of(mark: Mark | None, script: Script, engine: Engine, *, from_line: int | None) -> int | None:
    """Return the index of the statement to go on with; None where a person has to say.

    `from_line` is what a person said, 0 for the beginning.
    """
    if from_line is not None:
        return sum(_line(each, engine) < from_line for each in script.statements)
    if mark is None or mark.is_refused or mark.ran != _digests(script, engine)[_within(mark, script)]:
        return None
    if mark.at >= len(script.statements):
        return mark.at
    here = split_statements(script.statements[mark.at].text, engine)
    is_taken_back = script.transaction and engine.speaks_mysql and all(map(stays_in_transaction, here))
    is_harmless = all(is_repeatable(each) or _is_setting(each) for each in here)
    return mark.at if is_taken_back or is_harmless else None


def left_of(migration: Migration, mark: Mark, engine: Engine) -> Migration | None:
    """Return a migration as it goes on at a mark inside it; None where its file begins otherwise now."""
    script = by_statement(migration, engine).up
    if script is None or not 0 < mark.at < len(script.statements):
        return None
    if mark.ran != _digests(script, engine)[mark.at]:
        return None
    return replace(migration, up=rest_of(script, mark.at, engine)[0])


def line_behind(script: Script) -> int:
    """Return the first line behind a file's last statement: to go on there is to record it, and no more."""
    return max(each.line + each.text.count("\n") + 1 for each in script.statements)


def _within(mark: Mark, script: Script) -> int:
    return min(mark.at, len(script.statements))


def _line(text: Statement, engine: Engine) -> int:
    """Return the line of the first word of a text, behind its comments."""
    statements = split_statements(text.text, engine)
    return text.line + (statements[0].line - 1 if statements else 0)


def rest_of(script: Script | None, start: int, engine: Engine) -> tuple[Script | None, int]:
    """Return what is sent to go on: the settings that stood before, then the rest; and how many settings."""
    if script is None:
        return None, 0
    settings = tuple(
        each
        for each in script.statements[:start]
        if all(map(_is_setting, split_statements(each.text, engine)))
    )
    return replace(script, statements=(*settings, *script.statements[start:])), len(settings)


def told(mark: Mark, migration: Migration, engine: Engine, *, step: str) -> str:
    """Return what is known after a file was cut off, and with which commands a person says how to go on."""
    script = by_statement(migration, engine).up
    assert script is not None, "of nothing nothing remains"
    texts, settle = script.statements, f"coordinator settle {step} --as not-done"
    if mark.is_uncounted:
        return (
            f"{migration.name} stopped half-way ({mark.release}), and of such a file nobody counts where."
            f" Look which of its statements are there: {named(pieces_of(script, engine))}. Run the rest by"
            f" hand and record the version. {_RESTART.format(settle)}"
        )
    if mark.at > len(texts) or mark.ran != _digests(script, engine)[mark.at]:
        return (
            f"{migration.name} ran in part ({mark.release}): {mark.at} of its statements are there,"
            " and they are not those that the file begins with now. Look at the schema, then say at which"
            f" line to go on: `{settle} --from-line LINE`; or, when all of it is taken back, `{settle}`."
        )
    pieces = pieces_of(script, engine)
    behind = line_behind(script)
    lines = [*(_line(each, engine) for each in texts), behind]
    count = len(pieces_of(replace(script, statements=texts[: mark.at]), engine))
    ran = f"There for good: {named(pieces[:count])}." if count else "Nothing is known to be there."
    if mark.at == len(texts):
        return (
            f"All of {migration.name} ran and is not recorded. {ran}"
            f" Record it: `{settle} --from-line {behind}`. {_RESTART.format(settle)}"
        )
    here, after = lines[mark.at], lines[mark.at + 1]
    begins = pieces[count].begins if count < len(pieces) else ""
    if mark.is_refused:
        return (
            f"{migration.name} stopped at line {here} ({begins}), which the server refused. {ran} From"
            f" line {here} on nothing is. When the cause is gone, go on there: `{settle} --from-line {here}`."
            f" {_RESTART.format(settle)}"
        )
    return (
        f"{migration.name} was cut off at line {here} ({begins}). {ran} Behind line {here} nothing is."
        f" Look whether line {here} is there. It is: `{settle} --from-line {after}`. It is not:"
        f" `{settle} --from-line {here}`. {_RESTART.format(settle)}"
    )


# -- the row --------------------------------------------------------------------------------------------


def read_mark(
    session: Session, tool: MigrationTool, migration: Migration, *, target: Target
) -> tuple[Mark | None, bool]:
    """Return how far a migration is known to have run, and whether nothing of it ran that left no mark."""
    records = applied.read_records(session, tool, target, of=migration)
    if records is None:
        return None, False
    script = by_statement(migration, target.engine).up
    return records.marks.get(str(migration.version)), can_be_marked(script, target.engine)


@dataclass(frozen=True, slots=True)
class Marks:
    """Moves the mark of one migration, whose statements go from `start` on."""

    migration: Migration
    tool: MigrationTool
    target: Target
    release: str
    start: int

    def begin(self, session: Session) -> None:
        """Write the mark before anything is sent."""
        row = applied.begun(self.migration, tool=self.tool, target=self.target, release=self.release)
        session.execute(Batch((row, self._move(self.start)), transaction=True))

    def beside(self, batches: Sequence[Batch], *, settings: int) -> tuple[Batch, ...]:
        """Return the batches; what holds the file has a mark to be moved after each of its statements.

        The first `settings` texts of it are sent once more, and move nothing.
        """
        script = self._script
        moves = [self._move(at + 1) for at in range(self.start, len(script.statements))]
        sent = tuple(each.text for each in script.statements[self.start :])
        marks = (*[None] * settings, *moves)
        return tuple(
            replace(each, marks=marks) if sent and each.statements[settings : len(marks)] == sent else each
            for each in batches
        )

    def stop(self, session: Session, error: CoordinatorError) -> None:
        """Write down that the server refused a statement; where nothing is left, that there is no mark.

        Nothing is written where it is in doubt what happened: the mark stays where it is, and who goes on
        goes by it. A person who takes back what is there must take it away too, and `error` says so then.
        """
        is_refused = isinstance(error, DatabaseError) and error.statement is not None and not error.ambiguous
        has_no_effect = error.code in ("interrupted", "ledger-changed", "lock-blocked")
        row = applied.is_row_of(self.migration, tool=self.tool, target=self.target)
        table = applied.table_of(self.target)
        delete = f"DELETE FROM {table} WHERE {row}"  # noqa: S608
        is_kept = not is_refused and (bool(self.start) or not has_no_effect)
        if not is_kept:
            texts = [f"UPDATE {table} SET is_refused = 1 WHERE {row}"]  # noqa: S608
            if error.code != "half-applied" and not self.start:
                texts.insert(0, f"{delete} AND at_statement = 0")
            try:
                session.execute(Batch(tuple(texts), transaction=True))
            except DatabaseError:
                is_kept = True
        if is_kept and error.code == "half-applied":
            error.next_step = (
                "Run the command again: a mark says how far the file came, and it goes on there, or asks."
                f" {error.next_step} Whoever goes back by hand takes the mark away first: `{delete}`."
            )

    @property
    def _script(self) -> Script:
        assert self.migration.up is not None, "of nothing nothing remains"
        return self.migration.up

    def _move(self, at: int) -> str:
        ran = _digests(self._script, self.target.engine)[at]
        return (
            f"UPDATE {applied.table_of(self.target)} SET at_statement = {at}, code_digest = '{ran}',"  # noqa: S608
            f" is_refused = 0 WHERE {applied.is_row_of(self.migration, tool=self.tool, target=self.target)}"
        )


def stop_uncounted(
    session: Session,
    error: CoordinatorError,
    migration: Migration,
    tool: MigrationTool,
    *,
    target: Target,
    release: str,
) -> None:
    """Write down that a part of a file of which no marks are kept may be there: who comes next asks first.

    Without that it would be begun anew, and its rows be written twice.
    """
    if not isinstance(error, DatabaseError) or not error.leaves_part or error.ambiguous:
        return
    is_row = applied.is_row_of(migration, tool=tool, target=target)
    begun = applied.begun(migration, tool=tool, target=target, release=release)
    refused = f"UPDATE {applied.table_of(target)} SET is_refused = 1 WHERE {is_row}"  # noqa: S608
    with suppress(DatabaseError):  # its failure is what is to be told
        session.execute(Batch((begun, refused), transaction=True))


def _digests(script: Script, engine: Engine) -> list[str]:
    """Return for each number of statements the digest of the code of so many, from none to all."""
    digest = hashlib.sha256()
    digests = [digest.hexdigest()]
    for each in script.statements:
        digest.update(
            repr(applied.code_of(Script((each,), transaction=False), engine)).encode(errors="replace")
        )
        digests.append(digest.hexdigest())
    return digests
