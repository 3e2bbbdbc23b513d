"""What a worker does: one job, step after step, and what it brings back. It never touches the journal.

A job is one step, or several that are begun together (ahead.py). A worker that is cut off leaves its steps in
doubt, never in a guessed state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from coordinator.engine.ahead import NOT_BEGUN, Paces
from coordinator.engine.decide import Command, Observe, Start, Undo
from coordinator.engine.way_back import demand_way_back
from coordinator.errors import CoordinatorError, DatabaseError, Interrupted, Waiting
from coordinator.graph import Step
from coordinator.ports.machine import Clock
from coordinator.steps import Context, Observation, PerformsAll, StepKind
from coordinator.world import Seen

_BRING: Final = timedelta(seconds=0.05)
"""How long a worker keeps what it knows, while it has more to do."""
_TOGETHER: Final = 64
"""Steps that are done in one go: the loop's thread writes down what came of them while the next are done."""
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts to observe a step in doubt."""
_LONG: Final = timedelta(seconds=sum(_PAUSES))
"""A look that is in vain for so long already is not repeated: what was in its way is not passing."""

Job = tuple[Start | Observe | Undo, ...]
"""What one worker does, one after the other."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a worker brings back: exactly one event's worth of knowledge, or the problem it met."""

    step: Step
    task: type[Command]
    at: datetime
    detail: str = ""
    observation: Observation | None = None
    error: BaseException | None = None

    @property
    def is_in_the_way(self) -> bool:
        """Tell whether what comes after this step must not begin, or could not be looked for either."""
        return self.error is not None or (self.task is Start and self.observation is not None)


@dataclass(frozen=True, slots=True)
class Jobs:
    """Does the jobs of one run; its methods are called by many threads."""

    kinds: Mapping[str, StepKind]
    run: str
    clock: Clock
    paces: Paces
    bring: Callable[[tuple[Done, ...]], None]
    """Takes what is known of some of a job's steps."""

    def do(self, job: Job, contexts: Sequence[Context], ahead: Sequence[Step]) -> None:
        """Do one command after the other and bring back what came of them, every so often.

        `ahead` are the steps of no return that have not begun.
        """
        now = self.clock.now
        began = brought = now()
        known: list[Done] = []
        last: Done | None = None
        at = 0
        while at < len(job):
            command, context = job[at], contexts[at]
            if last is not None and (last.is_in_the_way or context.is_halted()):
                known.append(_not_done(command, last, now()))
                at += 1
                continue
            done = self._done_together(job[at : at + _TOGETHER], contexts[at : at + _TOGETHER])
            done = done or (self._done(command, context, ahead),)
            known += done
            at, last = at + len(done), done[-1]
            is_time = now() - brought >= _BRING
            if is_time and at < len(job) and isinstance(command, Start) and not last.is_in_the_way:
                self.bring(tuple(known))
                known, brought = [], now()
        if isinstance(job[0], Start):
            self.paces.learn(job[0].step.database, len(job), now() - began)
        self.bring(tuple(known))

    def _done_together(self, job: Job, contexts: Sequence[Context]) -> tuple[Done, ...]:
        """Do the first of several steps in one go; none where that is not to be had."""
        kind, steps = self.kinds[job[0].step.kind], [command.step for command in job]
        if len(job) == 1 or not isinstance(job[0], Start) or not isinstance(kind, PerformsAll):
            return ()
        now = self.clock.now
        try:
            lines = kind.perform_all(steps, contexts)
        except DatabaseError as error:
            return tuple(Done(step, Start, now(), error=error) for step in steps) if error.ambiguous else ()
        except CoordinatorError:
            return ()  # each of them by itself meets it again, and says it of itself
        except BaseException as error:  # noqa: BLE001 - the loop's thread raises it: it is a bug
            return (Done(steps[0], Start, now(), error=error),)
        return tuple(Done(step, Start, now(), detail=line) for step, line in zip(steps, lines, strict=False))

    def _done(self, command: Start | Observe | Undo, context: Context, ahead: Sequence[Step]) -> Done:
        step, kind = command.step, self.kinds[command.step.kind]
        try:
            if isinstance(command, Undo) and step.service is not None:
                demand_way_back(ahead, self.kinds, context)
            return _carry_out(command, _Fenced(kind, self.run), context)
        except BaseException as error:  # noqa: BLE001 - the loop's thread raises what is not a problem of the world
            return Done(step, type(command), context.ports.clock.now(), error=error)


@dataclass(frozen=True, slots=True)
class _Fenced:
    """A kind of step whose service is this run's alone before it is looked at or changed.

    The fence contacts the platform, so it is as patient as what it stands before.
    """

    kind: StepKind
    run: str

    def observe(self, step: Step, context: Context) -> Observation:
        self._take(step, context)
        return self.kind.observe(step, context)

    def perform(self, step: Step, context: Context) -> str:
        return self.kind.perform(step, context)

    def undo(self, step: Step, context: Context) -> str:
        assert self.kind.undo is not None, step.kind
        self._take(step, context)
        return self.kind.undo(step, context)

    def _take(self, step: Step, context: Context) -> None:
        if step.service is not None:
            context.ports.platform(step.service).fence(self.run)


def _carry_out(command: Start | Observe | Undo, kind: _Fenced, context: Context) -> Done:
    step, task, now = command.step, type(command), context.ports.clock.now
    if isinstance(command, Undo):
        detail = kind.undo(step, context)
        return Done(step, task, now(), detail=detail)
    if isinstance(command, Observe):
        observation = _observe_patiently(step, kind, context)
        return Done(step, task, now(), observation=observation)
    observation = _look_before(step, kind, context)
    if observation.seen is Seen.DONE:
        return Done(step, task, now(), detail=f"was done already: {observation.detail}")
    if observation.seen is Seen.UNKNOWN:
        return Done(step, task, now(), observation=observation)
    detail = kind.perform(step, context)
    return Done(step, task, now(), detail=detail)


def _look_before(step: Step, kind: _Fenced, context: Context) -> Observation:
    """Observe a step that is to begin; Raises: Waiting where somebody keeps even a look waiting for long."""
    try:
        return _observe_patiently(step, kind, context, is_passing=_is_passing)
    except DatabaseError as error:
        if not _is_busy(error):
            raise
        raise Waiting(error.code, error.what, why=error.why, next_step=error.next_step) from error


def _not_done(command: Start | Observe | Undo, last: Done, at: datetime) -> Done:
    """Return what is known of a step that its worker did not come to: an intent ahead, or still in doubt."""
    if isinstance(command, Start):
        seen = Observation(Seen.NOT_DONE, NOT_BEGUN)
        return Done(command.step, Start, at, observation=seen)
    error = last.error or Interrupted("interrupted", "The command was asked to stop.")
    return Done(command.step, type(command), at, error=error)


def _observe_patiently(
    step: Step,
    kind: _Fenced,
    context: Context,
    *,
    is_passing: Callable[[CoordinatorError], bool] = lambda _: True,
) -> Observation:
    """Observe, and where the world does not answer (a server restarts), ask again for half a minute."""
    now = context.ports.clock.now
    for pause in _PAUSES:
        began = now()
        try:
            return kind.observe(step, context)
        except CoordinatorError as error:
            if isinstance(error, Interrupted) or not is_passing(error) or now() - began > _LONG:
                raise
            context.note(f"{error} Asking again in {pause:g} s.")
            context.wait(timedelta(seconds=pause))
    return kind.observe(step, context)


def _is_passing(error: CoordinatorError) -> bool:
    return isinstance(error, DatabaseError) and (error.is_out_of_reach or _is_busy(error))


def _is_busy(error: DatabaseError) -> bool:
    """Tell whether a look was refused because somebody else has the table, or the whole file, locked."""
    return error.is_busy or error.code == "lock-timeout"
