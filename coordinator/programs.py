"""Apply one migration that is code: look, let the user's program do it, and look again.

Nobody here knows what code does, so only the tool's version table is believed: exactly that one version must
have been added. The program takes the tool's own locks itself, so they are held while the table is read and
never while the program runs; two coordinators are kept apart by app/exclusion.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

from coordinator.applied import Book, enter
from coordinator.apply import demand_next, read_ledger
from coordinator.diagnostics import Diagnostic
from coordinator.errors import CoordinatorError, DatabaseError, InDoubt, StepFailed
from coordinator.model import Migration, MigrationId
from coordinator.ports.databases import Session
from coordinator.ports.migrations import Ledger, MigrationTool
from coordinator.ports.programs import Ended, MigrationRunner
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.secret import Secret

NOT_REHEARSED = "code-not-rehearsed"


@dataclass(frozen=True, slots=True)
class VersionTable:
    """The version table of a database, as a tool reads it beside its files."""

    tool: MigrationTool
    migrations: Sequence[Migration]
    table: str | None
    lock_timeout: timedelta
    """How long another tool may hold the tool's own locks."""

    def look(self, session: Session, *, next_one: Migration | None = None) -> Ledger:
        """Read the table under the tool's locks. Raises: StepFailed where `next_one` is not the next."""
        target = session.target(self.table)
        with session.locked(self.tool.lock_ids(target), timeout=self.lock_timeout):
            ledger = read_ledger(session, self.tool, target)
            if next_one is not None:
                demand_next(self.tool, next_one, self.migrations, ledger=ledger)
            return ledger

    def beyond(
        self, migration: Migration, ledger: Ledger, *, in_doubt: Collection[MigrationId] = ()
    ) -> tuple[str, ...]:
        """Return the migrations that come only after `migration`, and that the table has too.

        None where one of them is `in_doubt` as well: it was begun, and what comes after it is said of it.
        """
        pending = self.pending(ledger)
        applied = [each for each in self._after(migration) if each.version not in pending]
        return (
            () if any(each.version in in_doubt for each in applied) else tuple(each.name for each in applied)
        )

    def pending(self, ledger: Ledger) -> frozenset[MigrationId]:
        """Return what the table does not have."""
        return frozenset(each.version for each in self.tool.pending(self.migrations, ledger).migrations)

    def _after(self, migration: Migration) -> Sequence[Migration]:
        """Return all that stand behind a migration; of a graph those alone that rest on it."""
        at = [each.version for each in self.migrations].index(migration.version)
        behind = self.migrations[at + 1 :]
        if not any(each.parents for each in self.migrations):
            return behind
        resting = {migration.version}
        for each in behind:
            if not resting.isdisjoint(each.parents):
                resting.add(each.version)
        return [each for each in behind if each.version in resting]


@dataclass(frozen=True, slots=True)
class Programs:
    """What applies migrations that are code to one live database, and records them."""

    connect: Callable[[], AbstractContextManager[Session]]
    versions: VersionTable
    runner: MigrationRunner
    url: Secret
    book: Book

    def apply(self, migration: Migration) -> str:
        """Have the program apply and record `migration`, which must be the tool's next one; return a line.

        Raises: as `demand_next`, and Waiting `migration-lock-held`, before the program ran. After it
        StepFailed `program-failed` where it says itself that it failed, InDoubt where what it did is not what
        the table says, and an ambiguous DatabaseError where the table could not be read.
        """
        versions, runner, who = self.versions, self.runner, self._who(migration)
        with self.connect() as session:
            before = versions.look(session, next_one=migration)
        ended = runner.up(migration, url=self.url, live=None, note=self.book.note)
        with _readable_or_ambiguous(who), self.connect() as session:
            after = versions.look(session)
            self._enter([migration] if migration.version in after.applied else [], session)
        added = frozenset(after.applied) - frozenset(before.applied)
        if after.dirty is not None or added - {migration.version} or versions.beyond(migration, after):
            raise _ran_further(who, ended, _others(added, migration, versions, after))
        if migration.version not in added:
            if ended.is_cut_off and not ended.has_begun:
                raise _out_of_reach(who, ended)
            is_whole = is_whole_by_program(migration, runner)
            if is_whole and ended.is_cut_off:
                raise _cut_off(who, ended)
            ran = "" if is_whole else runner.what_ran(migration)
            is_repeatable = runner.is_repeatable
            raise _not_recorded(who, ended, ran, is_whole=is_whole, is_repeatable=is_repeatable)
        return f"{runner.called} has applied it" + ("" if ended.exit_code == 0 else f", and {ended.told}")

    def apply_together(self, migrations: Sequence[Migration]) -> tuple[str, ...]:
        """Have one program apply and record migrations; return a line for each that is there, from the first.

        None where each has a program of its own. Each `is_atomic`, and the first must be the tool's next one.
        Raises: as `demand_next`, and Waiting `migration-lock-held`, before the program ran; after it an
        ambiguous DatabaseError where the table could not be read, or has more than these.
        """
        versions = self.versions
        with self.connect() as session:
            before = versions.look(session, next_one=migrations[0])
        if self.runner.up_together(migrations, url=self.url, note=self.book.note) is None:
            return ()
        with _readable_or_ambiguous(self._who(migrations[0])), self.connect() as session:
            after = versions.look(session)
            added = versions.pending(before) - versions.pending(after)
            there = list(takewhile(lambda each: each.version in added, migrations))
            self._enter(there, session)
        if len(added) > len(there):  # a look at each of them says what it sees
            what = f"The version table changed by more than {', '.join(each.name for each in migrations)}."
            raise DatabaseError("migration-ran-further", what, ambiguous=True)
        return (f"{self.runner.called} has applied it",) * len(there)

    def _who(self, migration: Migration) -> str:
        """Return how a sentence begins about what the program of a migration did."""
        return f"{migration.name}: {self.runner.called}"

    def _enter(self, migrations: Sequence[Migration], session: Session) -> None:
        if migrations:
            target = session.target(self.versions.table)
            enter(session, migrations, tool=self.versions.tool, target=target, book=self.book)


def is_whole_by_program(migration: Migration, runner: MigrationRunner) -> bool:
    """Tell whether nothing is there of a migration that its table does not have: its code commits nothing by
    itself, as far as that is seen, and its program was not seen to leave a part of it all the same.
    """
    return migration.is_atomic and not runner.has_left(migration)


@contextmanager
def _readable_or_ambiguous(who: str) -> Iterator[None]:
    """Raise whatever hinders the look at what a program did as an ambiguous DatabaseError."""
    try:
        yield
    except CoordinatorError as error:  # whatever it is: the program may have done its work
        what = f"{who} has ended, and the version table cannot be read: {error.what}"
        raise DatabaseError(
            error.code, what, why=error.why, next_step=error.next_step, ambiguous=True
        ) from error


def apply_on_scratch_by_program(
    database: RehearsalDatabase,
    migration: Migration,
    *,
    tool: MigrationTool,
    runner: MigrationRunner,
    live: Secret,
    table: str | None,
) -> DatabaseError | None:
    """Have the program apply `migration` to a scratch database; return why it is not there afterwards.

    `live` is the live address, which the program must not reach, and whose form it reads; empty where nobody
    knows it.
    """
    if (why := runner.why_not_rehearsed(live)) is not None:
        return not_rehearsed(why)

    def applied() -> frozenset[MigrationId]:
        with database.session() as session:
            return frozenset(read_ledger(session, tool, session.target(table)).applied)

    try:
        before = applied()
        ended = runner.up(migration, url=database.address(live), live=live, note=_unheard)
        added = applied() - before
    except StepFailed as error:
        if error.code == "program-not-started":
            return not_rehearsed(error.what.removesuffix("."))
        return DatabaseError("program-failed", error.what, why=error.why, next_step=error.next_step)
    if ended.is_late:  # it would hang as long on other rows
        return not_rehearsed(f"{runner.called} did not come to its end: {ended.told}")
    if added == {migration.version} and ended.exit_code == 0:
        return None
    versions = ", ".join(sorted(map(str, added))) or "nothing"
    return DatabaseError(
        "program-failed",
        f"{runner.called} was to record version {migration.version} and recorded {versions}; {ended.told}",
    )


def not_rehearsed(why: str) -> DatabaseError:
    """Return why a migration that is code was not applied to a scratch database."""
    return DatabaseError(NOT_REHEARSED, f"it is code, and {why}")


def not_readable(fault: Diagnostic) -> DatabaseError:
    """Return why a file that is applied, and that nobody can read any more, was not replayed."""
    return DatabaseError(NOT_REHEARSED, f"{fault.place}: {fault.what.rstrip('.')}")


def _unheard(_line: str) -> None:
    """A rehearsal shows no progress; the last lines are in the result."""


def _others(
    added: frozenset[MigrationId], migration: Migration, versions: VersionTable, after: Ledger
) -> tuple[str, ...]:
    if after.dirty is not None:
        return (f"{after.dirty} (dirty)",)
    known = {each.version: each.name for each in versions.migrations}
    names = [known.get(each, str(each)) for each in sorted(added - {migration.version}, key=str)]
    return tuple(dict.fromkeys((*names, *versions.beyond(migration, after))))


def _ran_further(who: str, ended: Ended, others: Sequence[str]) -> InDoubt:
    return InDoubt(
        "migration-ran-further",
        f"{who} was to apply that alone, and the version table changed by more: {', '.join(others)}.",
        why=f"What waits for a later step may be applied already, and a version that is live may break."
        f" Of the program: {ended.told}.",
        next_step="Look at the live service first. Then correct `command` so that it stops at {version}, and"
        " say with `coordinator settle` whether this step is done.",
    )


def _out_of_reach(who: str, ended: Ended) -> DatabaseError:
    what = f"{who} does not reach the database: {ended.told}."
    again = "Nothing of the migration was sent. Run the command again when the database can be reached."
    return DatabaseError("database-unreachable", what, next_step=again)


def _cut_off(who: str, ended: Ended) -> DatabaseError:
    """Return that a migration, which is there as a whole or not at all, was not seen there yet."""
    what = f"{who} lost its connection to the database: {ended.told}."
    again = "Run the command again: it looks before it acts."
    return DatabaseError("connection-lost", what, next_step=again, ambiguous=True)


def _not_recorded(
    who: str, ended: Ended, ran: str, *, is_whole: bool, is_repeatable: bool
) -> InDoubt | StepFailed:
    how = f"{who} did not record it: {ended.told}."
    if ended.exit_code == 0 and not ended.is_late:
        return InDoubt(
            "migration-not-recorded",
            how,
            why="It says that all went well, and the version table of this database does not have it: it may"
            " have worked on another database, or with another version table.",
            next_step="Find out where it worked. Correct `command`, and say with `coordinator settle` whether"
            " the step is done.",
        )
    if is_whole or not ended.has_begun:
        return StepFailed(
            "program-failed",
            how,
            why="It runs in one transaction, and nothing of it is there."
            if ended.has_begun
            else "Nothing of it was sent.",
            next_step="Correct what it says, and run again.",
        )
    has_failed = ended.exit_code is not None and ended.exit_code > 0 and not ended.is_late
    is_certain = has_failed and not ended.is_cut_off  # a server may go on with what it got last
    if is_certain or is_repeatable:
        return StepFailed(
            "program-failed",
            how,
            why=ran or "What it did before that stays, unless its code ran in one transaction.",
            next_step="Correct what it says; look whether a part of it stayed before it runs again.",
        )
    return InDoubt(
        "program-cut-off",
        how,
        why=ran or "Nobody can tell from here what it has done before that.",
        next_step="Look at what it was to change, complete it or take it back, and say with"
        " `coordinator settle` whether the step is done.",
    )
