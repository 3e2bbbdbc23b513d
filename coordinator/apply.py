"""Apply or revert exactly one migration: look, refuse or do.

The look happens under the tool's own locks, so that what is decided is still true when it is done; series.py
holds them, for one migration after the other. Nothing here knows a tool's tables or an engine's SQL: the hook
says what to send, the session sends it. Nothing is repeated here either: a caller whose step is in doubt asks
`is_applied` and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import takewhile

from coordinator import applied, marks
from coordinator.applied import Book, Standing
from coordinator.diagnostics import errors_of
from coordinator.errors import CoordinatorError, DatabaseError, StepFailed, Waiting
from coordinator.halfway import Remains, Ways, half_applied, remains_of, was_refused_whole, was_taken_back
from coordinator.marks import Marks
from coordinator.model import Engine, Migration, Script
from coordinator.ports.databases import Batch, Patience, Session, Target
from coordinator.ports.migrations import Ledger, MigrationTool, Pending
from coordinator.sql import controls_transaction, refuses_transaction, split_statements

_NOTHING = Script((), transaction=True)


def read_ledger(session: Session, tool: MigrationTool, target: Target) -> Ledger:
    """Return what the tool's version table says; an absent table is a ledger that does not exist."""
    [[exists]] = session.query(tool.ledger_exists_query(target))
    if not exists:
        return Ledger(exists=False)
    return tool.ledger_from(session.query(tool.ledger_query(target)))


def look(session: Session, tool: MigrationTool, target: Target) -> tuple[Ledger, Standing]:
    """Return what `read_ledger` does and whether the book can be written, asked in one breath."""
    both = f"SELECT ({tool.ledger_exists_query(target)}), ({applied.standing_query(target)})"
    [[exists, standing]] = session.query(both)
    if not exists:
        return Ledger(exists=False), Standing(str(standing))
    return tool.ledger_from(session.query(tool.ledger_query(target))), Standing(str(standing))


def is_applied(
    session: Session,
    tool: MigrationTool,
    migration: Migration,
    *,
    migrations: Sequence[Migration],
    table: str | None,
) -> bool | None:
    """Tell whether the database has the migration; None where a dirty version hides the answer.

    Ask under no lock, but only after whoever was applying it is gone: see `Session.locked`.
    """
    ledger = read_ledger(session, tool, session.target(table))
    pending = {each.version for each in tool.pending(migrations, ledger).migrations}
    if ledger.dirty is not None and migration.version in {ledger.dirty, *pending}:
        return None
    return migration.version not in pending


def send_up(
    session: Session,
    tool: MigrationTool,
    migration: Migration,
    migrations: Sequence[Migration],
    *,
    target: Target,
    ledger: Ledger,
    patience: Patience | None,
    book: Book,
    standing: Standing,
    start: int | None = None,
    is_dirty: bool = False,
) -> Standing:
    """Apply and record what `demand_next` had nothing against; return what is known of the book's table.

    Makes the version table if need be. `patience` is how the engine's locks are waited for, `book` who writes
    down what the file was. `start` goes on with the file's statement of that index (see marks.py); `is_dirty`
    says that the tool's own mark of the version is there.
    Raises: Waiting `lock-blocked` where a table could not be had and nothing happened; DatabaseError with the
    file and line.
    """
    whole = marks.by_statement(migration, target.engine)
    script, settings = marks.rest_of(whole.up, start or 0, target.engine)
    batches = _patient(tool.up(replace(whole, up=script), target=target, ledger=ledger), patience)
    if is_dirty:
        batches = batches[1:]
    mark: Marks | None = None
    late: Batch | None = None
    with _ahead_of_the_file():
        if not ledger.exists:
            session.execute(tool.create_ledger(target))
        is_open = applied.is_open(session, target, standing, book)
        if is_open:
            batches, late = applied.entered(batches, migration, tool=tool, target=target, book=book)
            if marks.can_be_marked(whole.up, target.engine):
                mark = Marks(whole, tool, target, book.release, start or 0)
                batches = mark.beside(batches, settings=settings)
                mark.begin(session)
    ways = partial(_ways, tool, migration, migrations, target=target, ledger=ledger, is_up=True)
    try:
        _execute(
            session,
            batches,
            script,
            path=migration.files[0].path,
            target=target,
            ways=ways,
            begins=not start,
            is_marked=is_dirty and not start,
        )
    except CoordinatorError as error:
        if mark is not None:
            mark.stop(session, error)
        elif is_open and not tool.records_start:
            marks.stop_uncounted(session, error, migration, tool, target=target, release=book.release)
        raise
    if late is not None:
        applied.enter_late(session, late, book)
    return Standing.READY if is_open else Standing.CLOSED


def batch_up(
    tool: MigrationTool,
    migration: Migration,
    *,
    target: Target,
    ledger: Ledger,
    patience: Patience,
    book: Book,
) -> Batch | None:
    """Return the transaction in which all of a migration is applied, recorded and written down.

    None where that takes more than one, or a look at the database: `send_up` does what is to be done then.
    The book's table is there, and the file is `is_whole`.
    """
    batches = _patient(tool.up(migration, target=target, ledger=ledger), patience)
    batches, late = applied.entered(batches, migration, tool=tool, target=target, book=book)
    return batches[0] if len(batches) == 1 and late is None and batches[0].transaction else None


def ledger_before(migration: Migration, migrations: Sequence[Migration]) -> Ledger:
    """Return the version table as it was before a tool that keeps the last version alone began."""
    below = [each.version for each in takewhile(lambda each: each.version != migration.version, migrations)]
    return Ledger(exists=True, applied=tuple(below[-1:]))


def _patient(batches: Sequence[Batch], patience: Patience | None) -> tuple[Batch, ...]:
    """Return the batches with their patience; once the first is committed, nothing stops the waiting."""
    if patience is None:
        return tuple(batches)
    steady = replace(patience, wait=patience.sleep)
    return tuple(replace(each, patience=steady if at else patience) for at, each in enumerate(batches))


def apply_on_scratch(
    session: Session, tool: MigrationTool, migration: Migration, *, table: str | None
) -> DatabaseError | None:
    """Apply and record `migration` whatever the version table says; return what the engine or tool refused.

    Nobody else works on a scratch database, so there are no locks and no guards, and a migration that failed
    does not stop those after it, as a tool would.
    """
    assert not migration.is_code, "a program applies it: programs.py"
    if migration.up is None:
        return None  # the tool would have nothing to send
    try:
        target = session.target(table)
        [[is_there]] = session.query(tool.ledger_exists_query(target))
        if not is_there:
            session.execute(tool.create_ledger(target))
        batches = tool.up(migration, target=target, ledger=Ledger(exists=True))
        is_faulty = bool(migration.faults)
        batches = tuple(_as_it_stands(each, target.engine, is_faulty=is_faulty) for each in batches)
        _execute(session, batches, migration.up, path=migration.files[0].path, target=target)
    except DatabaseError as error:
        return error
    except StepFailed as error:
        return DatabaseError(error.code, error.what, why=error.why)
    return None


def _as_it_stands(batch: Batch, engine: Engine, *, is_faulty: bool) -> Batch:
    """Return a batch without its guard; a file that bears no transaction around it gets none.

    `run` refuses such a file. The tool that applied one which begins and ends transactions lost its own
    half-way, which leaves behind what the file alone does; one that the engine refuses in a transaction was
    applied when it had another header, or by hand. A revision of Alembic that the engine refuses there has no
    fault to read, and fails here as it will when it is applied.
    """
    statements = tuple(each for text in batch.statements for each in split_statements(text, engine))
    is_its_own = any(map(controls_transaction, statements))
    was_sent_alone = is_faulty and any(map(refuses_transaction, statements))
    return replace(batch, guard=None, transaction=batch.transaction and not (is_its_own or was_sent_alone))


def revert_migration(
    session: Session,
    tool: MigrationTool,
    migration: Migration,
    *,
    migrations: Sequence[Migration],
    table: str | None,
    lock_timeout: timedelta,
) -> None:
    """Undo `migration`, which must be the last that was applied, and record that.

    Raises: as `send_up`; StepFailed `migration-order`; `no-down-migration` where nobody wrote how to undo it.
    """
    if migration.down is None:
        raise StepFailed(
            "no-down-migration",
            f"{migration.name} does not say how it is undone.",
            why="Taking its version out of the table alone would make the table lie about the schema.",
            next_step="Write a down migration, or undo it by a new migration.",
        )
    target = session.target(table)
    with session.locked(tool.lock_ids(target), timeout=lock_timeout):
        ledger = read_ledger(session, tool, target)
        _refuse_unless_last(tool, migration, migrations, ledger=ledger)
        batches = tool.down(migration, migrations=migrations, target=target, ledger=ledger)
        ways = partial(_ways, tool, migration, migrations, target=target, ledger=ledger, is_up=False)
        _execute(session, batches, migration.down, path=migration.files[-1].path, target=target, ways=ways)


def demand_next(
    tool: MigrationTool, migration: Migration, migrations: Sequence[Migration], *, ledger: Ledger
) -> tuple[Migration, ...]:
    """Return what the tool would apply, of which `migration` is the first.

    Raises: StepFailed `already-applied` or `migration-order`.
    """
    pending = tool.pending(migrations, ledger)
    versions = [each.version for each in pending.migrations]
    if migration.version not in versions and ledger.dirty is None:
        raise StepFailed(
            "already-applied",
            f"{migration.name} is already applied.",
            why="Somebody else applied it a moment ago.",
            next_step="Run again: what is applied is seen, and not applied twice.",
        )
    _refuse_problems(pending)
    if versions[0] != migration.version:
        raise StepFailed(
            "migration-order",
            f"{migration.name} is not the next migration: {pending.migrations[0].name} is.",
            why=f"{tool.name} applies migrations in the order of their versions.",
            next_step="Look at what changed since the release was planned, and plan it again.",
        )
    return pending.migrations


def _refuse_unless_last(
    tool: MigrationTool, migration: Migration, migrations: Sequence[Migration], *, ledger: Ledger
) -> None:
    if ledger.dirty is not None:
        _refuse_problems(tool.pending(migrations, ledger))
    if ledger.applied[:1] != (migration.version,):
        last = ledger.applied[0] if ledger.applied else "none"
        raise StepFailed(
            "migration-order",
            f"{migration.name} is not the last applied migration: version {last} is.",
            why=f"{tool.name} undoes migrations in the opposite order.",
            next_step="Undo the later ones first.",
        )


def _refuse_problems(pending: Pending) -> None:
    if problems := errors_of(pending.diagnostics):
        first = problems[0]
        raise StepFailed(first.code, first.what, why=first.why, next_step=first.next_step)


def _ways(
    tool: MigrationTool,
    migration: Migration,
    migrations: Sequence[Migration],
    *,
    target: Target,
    ledger: Ledger,
    is_up: bool,
) -> Ways:
    """Return what the tool sends to record a migration as applied, and as not applied, and nothing else."""
    empty = replace(migration, up=_NOTHING, down=_NOTHING)
    up = tool.up(empty, target=target, ledger=ledger)
    down = tool.down(empty, migrations=migrations, target=target, ledger=ledger)
    done, undone = (up, down) if is_up else (down, up)
    return Ways(done[-1].statements, undone[-1].statements if tool.records_start else ())


def _execute(
    session: Session,
    batches: Iterable[Batch],
    script: Script | None,
    *,
    path: str,
    target: Target,
    ways: Callable[[], Ways] | None = None,
    begins: bool = True,
    is_marked: bool = False,
) -> None:
    """Send the batches; with `ways`, a failure that leaves a part of the file says which, and what now.

    `begins` says that nothing of the file is there, `is_marked` that the tool's own mark of it is.
    """
    is_sent = False
    for batch in batches:
        try:
            session.execute(batch)
        except DatabaseError as error:
            line = _line_of(error, batch, script, target.engine)
            what = f"{path}:{line}: {error.what}" if line else f"{path}: {error.what}"
            remains = (
                None if script is None else remains_of(error, batch, script, target.engine, is_sent=is_sent)
            )
            if remains and remains.committed and ways is not None:
                raise half_applied(error, remains, what=what, ways=ways()) from error
            has_begun = not _nothing_happened(error, batch, remains)
            is_back = was_taken_back(error, batch, target.engine)
            if begins and script is not None:
                is_back = is_back or was_refused_whole(error, remains, script, target.engine)
            if is_marked and ways is not None and (is_back or not has_begun):
                session.execute(Batch(ways().back, transaction=True))  # no mark either of what did not happen
                is_marked = False
            is_apart = script is not None and not script.transaction and (is_sent or not batch.transaction)
            is_untouched = not has_begun and not is_marked
            if not (is_sent or is_marked) and _is_read_only_throughout(error, batch, script, remains):
                is_untouched = True  # as for a moment of a failover
            if error.code == "lock-blocked" and is_untouched:
                raise Waiting("lock-blocked", what, why=error.why, next_step=error.next_step) from error
            raise DatabaseError(
                error.code,
                what,
                why=f"{error.why} It runs without a transaction: what stood before the failure stays."
                if is_apart and not is_back
                else error.why,
                next_step=error.next_step,
                sqlstate=error.sqlstate,
                ambiguous=error.ambiguous,
                statement=error.statement,
                position=error.position,
                committed=error.committed,
                is_busy=is_untouched,
                leaves_part=remains is None
                and not (is_back or is_untouched)
                and (is_apart or error.code == "transaction-ended"),
            ) from error
        is_sent = is_sent or (script is not None and batch.statements[:1] == _first_text(script))
        is_marked = True


def _nothing_happened(error: DatabaseError, batch: Batch, remains: Remains | None) -> bool:
    """Tell whether the batch that failed has certainly left nothing, so that it may be sent again."""
    is_known = remains is not None or error.code == "lock-blocked"
    return is_known and error.is_busy and (batch.transaction or not error.statement)


@contextmanager
def _ahead_of_the_file() -> Iterator[None]:
    """Say of what a server refuses that takes no writes now, as in a failover, that it may be tried again."""
    try:
        yield
    except DatabaseError as error:
        error.is_busy = error.is_busy or (error.code == "database-read-only" and not error.ambiguous)
        raise


def _is_read_only_throughout(
    error: DatabaseError, batch: Batch, script: Script | None, remains: Remains | None
) -> bool:
    """Tell whether the first batch was refused for where it was sent, and nothing of it can have stayed."""
    if error.code != "database-read-only" or error.ambiguous or not batch.transaction:
        return False
    return remains is not None or script is None or batch.statements[:1] != _first_text(script)


def _first_text(script: Script) -> tuple[str, ...]:
    return tuple(each.text for each in script.statements[:1])


def _line_of(error: DatabaseError, batch: Batch, script: Script | None, engine: Engine) -> int | None:
    """Return the line of the file in which the engine stopped, if it stopped in a text of the file.

    PostgreSQL says nothing of where a row is refused: then it is known of a text that is one statement.
    """
    if error.statement is None or script is None:
        return None
    text = batch.statements[error.statement]
    same = [each.line for each in script.statements if each.text == text]
    earlier = batch.statements[: error.statement].count(text)
    if earlier >= len(same):
        return None  # a statement of the tool's own
    if error.position is not None:
        return same[earlier] + text.count("\n", 0, error.position - 1)
    statements = split_statements(text, engine)
    return same[earlier] + statements[0].line - 1 if len(statements) == 1 else None
