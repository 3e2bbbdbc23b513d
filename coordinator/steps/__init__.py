"""A step is written twice: `effects` says what it does to the symbolic world, `perform` does it to the real
one, and `observe` asks the real one which of the two holds. One kind a file; the file's name is the kind.

`perform` is only called for what was not observed to be done, under a durable intent. It may be called again
after a kill; where a repetition would do harm, it refuses (already applied, not the colour that was
expected) and leaves the decision to `observe`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from coordinator.backfills.progress import Progress
from coordinator.backfills.work import Work
from coordinator.errors import Interrupted, StepFailed
from coordinator.graph import Step
from coordinator.leases import Claim
from coordinator.model import BackfillSpec, DatabaseName, MigrationId
from coordinator.ports import Ports
from coordinator.ports.checks import Subject
from coordinator.ports.databases import Patience
from coordinator.series import KeptSeries, UnkeptSeries
from coordinator.wording import counted
from coordinator.world import Effect, Seen

_SLICE: Final = timedelta(milliseconds=100)
"""How long a step waits before it looks again whether it was asked to stop."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the world says of a step; `detail` is a sentence for a person."""

    seen: Seen
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a step may use. `in_doubt`: an earlier attempt began and nobody knows how it ended."""

    ports: Ports
    claim: Claim
    supersede: bool
    since: datetime
    """When the step was first started, in whichever process."""
    in_doubt: bool
    is_halted: Callable[[], bool]
    """Somebody wants this command to stop, or the run to turn back."""
    note: Callable[[str], None]
    """Show a line of progress."""
    report: Callable[[Progress], None] = lambda _: None
    """Let everybody know how far the step is, also those who look later."""
    from_line: int | None = None
    """Where in its file a person said that a migration is to go on; 0: at its beginning."""
    series: KeptSeries = field(default_factory=UnkeptSeries)
    """What one migration of a database leaves open for the next."""
    others_in_doubt: frozenset[MigrationId] = frozenset()
    """The migrations of the step's database of which an attempt began, too, and nobody knows how it ended."""

    def wait(self, duration: timedelta) -> None:
        """Wait. Raises: Interrupted as soon as the command is to stop; the step is then repeated later."""
        end = self.ports.clock.now() + duration
        while (left := end - self.ports.clock.now()) > timedelta():
            self.stop_if_halted()
            self.ports.clock.sleep(min(left, _SLICE))
        self.stop_if_halted()

    def patience(self, database: DatabaseName) -> Patience:
        """Return how a session waits for the engine's locks on behalf of the step."""
        locks = self.ports.plan.databases[database].locks
        return Patience(locks, self.wait, self.ports.clock.sleep, self.note)

    def stop_if_halted(self) -> None:
        """Raise Interrupted if the command is to stop."""
        if self.is_halted():
            raise Interrupted("interrupted", "The step was asked to stop while it waited.")


class StepKind(Protocol):
    """A kind of step: `STEP: Final[StepKind]`, last line of steps/<kind>.py."""

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """Say what the step does to the symbolic world."""
        ...

    def observe(self, step: Step, context: Context) -> Observation:
        """Ask the world whether the step's effect is there; changes nothing."""
        ...

    def perform(self, step: Step, context: Context) -> str:
        """Do it, and return a line about it. Raises: StepFailed where the effect is not there."""
        ...

    @property
    def undo(self) -> Callable[[Step, Context], str] | None:
        """Take it back and return a line about it; repeating is harmless. None: there is no way back."""
        ...


@runtime_checkable
class PerformsAll(Protocol):
    """A kind of step of which several that follow each other may be performed in one go."""

    def perform_all(self, steps: Sequence[Step], contexts: Sequence[Context]) -> Sequence[str]:
        """Perform the first of the steps and return a line about each that is done; often none.

        With those behind nothing has happened; `perform` does them, or says why not. Raises: DatabaseError
        that is ambiguous, of each of them; other errors with nothing done.
        """
        ...


def watch(step: Step, subjects: Sequence[Subject], duration: timedelta, context: Context) -> int:
    """Ask the `monitor` checks of a step's service for a time, each of every subject; return how many rounds.

    At least one round, and the last one is content. Raises: StepFailed `monitoring-failed` after as many bad
    rounds in a row as the plan allows.
    """
    spec, clock = context.ports.plan.services[step.its_service], context.ports.clock
    monitor = spec.monitor
    end = clock.now() + duration
    bad, rounds = 0, 0
    while True:
        answers = (context.ports.ask(check, subject) for subject in subjects for check in monitor.checks)
        wrong = next((answer for answer in answers if not answer.ok), None)
        bad, rounds = bad + 1 if wrong else 0, rounds + 1
        if wrong and bad >= monitor.failures:
            raise StepFailed(
                "monitoring-failed",
                f"`{spec.name}` {spec.version} answers badly, {counted(bad, 'time')} in a row:"
                f" {wrong.detail}.",
                next_step=f"Look at its log: {context.ports.platform(spec.name).log_of(step.its_colour)}. The"
                " traffic goes back if the plan says so.",
            )
        if clock.now() >= end and not bad:
            return rounds
        context.wait(min(monitor.every, max(end - clock.now(), monitor.every / 10)))


def backfill_of(step: Step, context: Context) -> BackfillSpec:
    """Return the backfill that a step is about. Raises: StepFailed where the plan has it no more."""
    for each in context.ports.plan.databases[step.its_database].backfills:
        if each.name == step.its_backfill:
            return each
    raise StepFailed(
        "backfill-missing",
        f"The plan has no backfill `{step.its_backfill}` any more, which {step.id} is about.",
        why="The checkout is not the one that the run began with.",
        next_step="Check out the release that is under way, then run the command again.",
    )


def work_on_backfill(step: Step, context: Context) -> str:
    """Work on the backfill of a step until no row is left, and return a line about it."""
    ports, spec = context.ports, backfill_of(step, context)
    return Work(
        ports.plan.databases[step.its_database],
        spec,
        connect=lambda: ports.session(step.its_database, label=step.id),
        now=ports.clock.now,
        wait=context.wait,
        note=context.note,
        report=context.report,
        program=ports.range_program(step.its_database, spec),
    ).run()


def observe_nothing(_step: Step, _context: Context) -> Observation:
    """Observe a step that leaves nothing in the world: it is done again."""
    return Observation(Seen.NOT_DONE)


def no_effects(_step: Step) -> tuple[Effect, ...]:
    """Say that a step changes nothing that the proof reasons about."""
    return ()
