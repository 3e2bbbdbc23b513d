"""Problems of the world: exceptions that carry an exit code, a cause and the next step.

Problems of a plan are values (diagnostics.py), so that all of them can be shown at once. What is raised
here ends a command, or a step of a run. A bug in coordinator is neither: it stays a bare exception, and
only the command line's edge turns it into exit code 70.

    CoordinatorError
    ├── PlanInvalid          2   carries the diagnostics
    ├── Usage                2   the command line asks for what cannot be
    ├── Refused              3   the proof found a state in which a live version breaks
    ├── Waiting              4   a gate wants an answer, or somebody else holds what we need
    ├── StepFailed           1   an effect was tried and the world said no
    ├── DatabaseError        1   the engine refused, or was lost
    ├── InDoubt              5   nobody can tell whether an effect happened; a human must look
    ├── JournalConflict      5   another coordinator wrote to the run that we thought ours
    └── Interrupted        130   a signal ended the command
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from coordinator.wording import counted

if TYPE_CHECKING:
    from coordinator.diagnostics import Diagnostic


class ExitCode(IntEnum):
    """What a command's end means to the pipeline that called it; docs/reference/exit-codes.md."""

    DONE = 0
    FAILED = 1
    INVALID = 2
    REFUSED = 3
    WAITING = 4
    IN_DOUBT = 5
    BUG = 70
    INTERRUPTED = 130


ENDED: Final = "57P01"
"""admin_shutdown (PostgreSQL, Appendix A), which each engine's session says where somebody ended it."""
OVER_TIME: Final = frozenset({"25P03", "25P04"})
"""idle_in_transaction_session_timeout, transaction_timeout (the same): the server ends what takes longer."""
MEANT: Final = OVER_TIME | {ENDED}
"""How a connection ends that a person or a setting wanted to end: its work is not begun again by itself."""


class CoordinatorError(Exception):
    """A problem of the world: `code` has a page (`coordinator explain CODE`), `next_step` says what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, code: str, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(code, what, why, next_step)
        self.code = code
        self.what = what
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.next_step) if part)


class PlanInvalid(CoordinatorError):
    """The plan, or a file that it names, has errors; `diagnostics` holds all that were found."""

    exit_code = ExitCode.INVALID

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("plan-invalid", f"{counted(len(diagnostics), 'problem')} in the plan.")
        self.diagnostics = diagnostics


class Usage(CoordinatorError):
    """The command line asks for something that cannot be done as it is said."""

    exit_code = ExitCode.INVALID


class Refused(CoordinatorError):
    """The release is not safe as it is written; `diagnostics` names each version and state that breaks."""

    exit_code = ExitCode.REFUSED

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("refused", "The release is refused: it is not safe in this order.")
        self.diagnostics = diagnostics


class Waiting(CoordinatorError):
    """Nothing is wrong, but something outside must happen first."""

    exit_code = ExitCode.WAITING


class StepFailed(CoordinatorError):
    """An effect was tried and did not happen, or was taken back whole."""


class InDoubt(CoordinatorError):
    """Nobody can tell from here whether an effect happened."""

    exit_code = ExitCode.IN_DOUBT


class Interrupted(CoordinatorError):
    """A signal asked the command to end; the journal knows where to go on."""

    exit_code = ExitCode.INTERRUPTED


class DatabaseError(CoordinatorError):
    """The engine refused or was lost; `sqlstate` is its five characters where they are known.

    `ambiguous` says that the connection was lost while a commit was under way: it may have happened.
    `statement` is the failed text's index in its batch and `position` the engine's offset in that text, in
    characters from 1, where they are known. `committed` is how many of the batch's texts are committed
    although they stood in its transaction. `is_busy`: nothing happened, and in a moment it may work.
    `leaves_part`: a part of a file may be there, and nothing says which. `is_login_refused`: the server is
    there and does not take this user and password, nor will in a moment. `took_too_long`: the statement went
    over a limit that a role or a server sets for its time.
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        why: str = "",
        next_step: str = "",
        sqlstate: str | None = None,
        ambiguous: bool = False,
        statement: int | None = None,
        position: int | None = None,
        committed: int = 0,
        is_busy: bool = False,
        is_login_refused: bool = False,
        took_too_long: bool = False,
        leaves_part: bool = False,
    ) -> None:
        super().__init__(code, what, why=why, next_step=next_step)
        self.sqlstate = sqlstate
        self.ambiguous = ambiguous
        self.statement = statement
        self.position = position
        self.committed = committed
        self.is_busy = is_busy
        self.is_login_refused = is_login_refused
        self.took_too_long = took_too_long
        self.leaves_part = leaves_part

    @property
    def is_out_of_reach(self) -> bool:
        """Tell whether a connection is gone, or was not to be had, and another one may be."""
        return self.code in ("connection-lost", "database-unreachable") and not self.is_login_refused

    @property
    def may_pass(self) -> bool:
        """Tell whether nothing happened, and in a moment it may work."""
        is_no_way = self.code == "database-unreachable" and self.is_out_of_reach
        return self.is_busy or (is_no_way and not self.ambiguous)

    @property
    def left_nothing(self) -> bool:
        """Tell whether a connection was lost before a commit, and no person and no setting wanted that."""
        return self.code == "connection-lost" and not self.ambiguous and self.sqlstate not in MEANT


class JournalConflict(CoordinatorError):
    """Another coordinator wrote to this run's journal while we thought that we were alone."""

    exit_code = ExitCode.IN_DOUBT
