"""What the core asks of a user's program: to apply a migration that is code, or to fill a range of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from coordinator.model import Migration, MigrationId, Script
from coordinator.secret import Secret

ON_SCRATCH: Final = timedelta(minutes=5)
"""How long a program may take on the sample rows of a rehearsal, where its `deadline` is for all of a
migration or batch, and one that hangs would take it at every state.
"""
_FEW_LINES = 5
"""How many of a program's last lines a message has."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; `exit_code` is None where nobody knows, and negative where a signal ended it."""

    exit_code: int | None
    lines: tuple[str, ...]
    """The last lines of its output, without secrets."""
    is_late: bool = False
    """It was ended because its time was up."""
    is_hurried: bool = False
    """Its time was what a rehearsal gives it, which is less than the plan's `deadline`."""
    is_cut_off: bool = False
    """It says that its connection was lost or not to be had, and no administrator ended it."""
    has_begun: bool = True
    """False: certainly nothing of the migration was sent."""

    @property
    def told(self) -> str:
        """How it ended and the last that it said, as the end of a sentence."""
        match self:
            case Ended(is_late=True, is_hurried=True):
                minutes = ON_SCRATCH // timedelta(minutes=1)
                how = f"it was killed because its time was up: a rehearsal gives it {minutes} minutes"
            case Ended(is_late=True):
                how = "it was killed because its time was up (`deadline`)"
            case Ended(exit_code=None):
                how = "nobody knows how it ended"
            case Ended(exit_code=int() as code) if code < 0:
                how = f"it was ended by signal {-code}"
            case _:
                how = f"it ended with exit code {self.exit_code}"
        said = " | ".join(self.lines[-_FEW_LINES:])
        return f"{how}; it said: {said}" if said else f"{how} and said nothing"


class MigrationRunner(Protocol):
    """What applies a migration that is code: a program, which records it in the tool's own version table."""

    called: str
    """What a person calls it in a sentence: `Alembic`, or `its program`, the migration's."""
    is_repeatable: bool
    """A migration that was cut off may be run again."""
    rehearses: bool
    """It works on the database at the URL that it gets and on no other, for certain."""

    def up(
        self,
        migration: Migration,
        *,
        url: Secret,
        live: Secret | None,
        note: Callable[[str], None],
    ) -> Ended:
        """Run the program until it has ended, and everything that it started; `note` gets its output by line.

        It works on the database at `url`. Where that is a scratch database, `live` is the live address, empty
        if nobody knows it: the program must not reach it, and gets no more time than ON_SCRATCH. It takes the
        tool's own locks, so nobody here may hold them. When this process dies it is killed.

        Raises: StepFailed `program-not-started` with nothing done.
        """
        ...

    def up_together(
        self, migrations: Sequence[Migration], *, url: Secret, note: Callable[[str], None]
    ) -> Ended | None:
        """Run one program for migrations that follow each other; None where each has one of its own.

        Each of them `is_atomic`, and is committed before the next one begins. How many of them, from the
        first, are there the version table says, however it ended. As in `up`, of a live database.
        """
        ...

    def let_go(self) -> None:
        """End the program that waits for the next migration, if there is one: no other is to come soon."""
        ...

    def why_not_rehearsed(self, live: Secret) -> str | None:
        """Return why it may not be run on a scratch database though it `rehearses`; None if it may."""
        ...

    def scripts(self, migrations: Sequence[Migration], *, url: Secret) -> Mapping[MigrationId, Script | str]:
        """Return what migrations send, by their version, without running them; a text says why not.

        What is not there can be known by `up` on a scratch database alone.
        """
        ...

    def what_ran(self, migration: Migration) -> str:
        """Return sentences about what a migration that did not come to its end has sent; empty: not known."""
        ...

    def may_have_begun(self, migration: Migration) -> bool:
        """Tell whether anything of a migration that did not come to its end may have been sent."""
        ...

    def has_left(self, migration: Migration) -> bool:
        """Tell whether something is surely there for good of a migration that did not come to its end."""
        ...

    def demand_gone(self, timeout: timedelta) -> None:
        """Return when no program of an earlier command works on the database. Raises: Waiting."""
        ...


class RangeProgram(Protocol):
    """The program of a backfill, which does the rows of one range after the other."""

    def run(self, condition: str, *, note: Callable[[str], None]) -> Ended:
        """Run it for the rows of which a condition is true, until it and all that it started have ended.

        When this process dies it is killed. Raises: StepFailed `program-not-started` with nothing done,
        Waiting `program-running` where one of an earlier command is still there.
        """
        ...

    def on_scratch(self, url: Secret, *, live: Secret) -> RangeProgram | str:
        """Return what runs it on the scratch database at `url`; a text says why it may not be run there.

        It gets nothing of this command that leads it to the database at `live`, as far as that can be seen.
        """
        ...
