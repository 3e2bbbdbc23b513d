"""The only loop that performs effects. It asks decide what to do, writes the intent, lets a worker do it,
and writes the outcome; the journal has one writer, this thread.

Order is everything here: intent before effect, outcome after it, and no effect before its intent is durable.
The outcome of one step and the intent of the next become durable together, with one flush to the disk, and so
do the intents of migrations that are begun together (ahead.py). Whatever kills the process between any two
lines, the next command finds a journal from which decide goes on. A worker that is cut off leaves its step in
doubt, never in a guessed state.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from coordinator.backfills.progress import Progress
from coordinator.engine.ahead import NOT_BEGUN, TOGETHER, Paces, chain
from coordinator.engine.decide import (
    Command,
    Finish,
    Observe,
    Rest,
    Situation,
    Start,
    TurnBack,
    Undo,
    decide,
)
from coordinator.engine.way_back import demand_way_back
from coordinator.errors import CoordinatorError, DatabaseError, InDoubt, Interrupted, Waiting
from coordinator.graph import Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Event
from coordinator.journal.fold import RunState, Status
from coordinator.leases import Claim
from coordinator.ports import Ports
from coordinator.ports.machine import Journal
from coordinator.series import KeptSeries, is_whole
from coordinator.steps import Context, Observation, PerformsAll, StepKind
from coordinator.world import Seen

_TICK: Final = 0.2
"""Seconds between two looks at requests, signals and the display."""
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts to observe a step in doubt."""
_PROGRESS: Final = timedelta(seconds=5)
"""How often the journal hears how far a step is: what whoever looks at a killed run may be behind."""
_WORKERS: Final = 16
"""Steps that run side by side; each may hold one database connection, or two while it waits for locks."""


class Audience(Protocol):
    """Who watches a run: a terminal, a log, a test."""

    def saw(self, event: Event, state: RunState) -> None:
        """Show an event that is durable now; `state` is the one after it."""
        ...

    def noted(self, step: StepId, text: str) -> None:
        """Show a line of progress; called by workers."""
        ...

    def ticked(self, state: RunState, *, now: datetime) -> None:
        """Redraw, or say that we are still here."""
        ...


@dataclass(frozen=True, slots=True)
class _Done:
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


_Job = tuple[Start | Observe | Undo, ...]
"""What one worker does, one after the other."""


@dataclass
class Engine:
    """One command's work on one run. Holds the state after the last event that it wrote."""

    state: RunState
    ports: Ports
    journal: Journal
    audience: Audience
    kinds: Mapping[str, StepKind]
    claim: Claim
    is_stopping: Callable[[], bool]
    """A signal asked the command to end after the effects at hand."""
    take_requests: Callable[[RunState], Sequence[Event]]
    """The events that follow from what people asked for since the last look."""
    demand_alone: Callable[[], None]
    """Make sure that no other coordinator acts; raises Waiting `lease-held` if one does."""
    problems: list[CoordinatorError] = field(default_factory=list)
    """What workers met and no event tells: why a step waits, or could not be observed."""
    _in_flight: dict[StepId, Future[None]] = field(default_factory=dict)
    _tried: set[StepId] = field(default_factory=set)
    _results: queue.SimpleQueue[tuple[_Done, ...]] = field(default_factory=queue.SimpleQueue)
    _unwritten: list[tuple[Event, RunState]] = field(default_factory=list)
    """Events that count already and are not durable yet, each with the state after it: no effect before."""
    _progress: dict[StepId, Progress] = field(default_factory=dict)
    """How far steps are, as their workers say, where it is not written yet."""
    _series: KeptSeries = field(default_factory=KeptSeries)
    _paces: Paces = field(default_factory=Paces)
    _has_ended: bool = False
    """The loop is over, also by a failure of its own: whoever still waits shall stop."""

    def run(self) -> tuple[StepId, ...]:
        """Work until the run has an outcome or nothing more can be done; return the steps that are stuck.

        Raises: Interrupted after a signal, JournalConflict if another coordinator writes, any bug as it is.
        """
        try:
            with ThreadPoolExecutor(_WORKERS, thread_name_prefix="step") as workers:
                try:
                    return self._loop(workers)
                finally:
                    self._has_ended = True
                    self._make_durable()
        finally:
            self._series.end_all_but(())

    def _loop(self, workers: ThreadPoolExecutor) -> tuple[StepId, ...]:
        while self.state.outcome is None:
            for event in self.take_requests(self.state):
                if not self._knows_better(event):
                    self._write(event)
            stuck = self._act(workers)
            if stuck is not None:
                return stuck
            if self.is_stopping() and not self._in_flight:
                raise Interrupted(
                    "interrupted", "Stopped on request.", next_step="`coordinator run` goes on from here."
                )
            self._write_progress()
            self._collect()
            self.audience.ticked(self.state, now=self.ports.clock.now())
        return ()

    def _knows_better(self, event: Event) -> bool:
        """Tell whether a person settles a step that a worker of ours is busy with: it will say itself."""
        return isinstance(event, events.StepSettled) and event.step in self._in_flight

    def _act(self, workers: ThreadPoolExecutor) -> tuple[StepId, ...] | None:
        """Carry out what decide says; return the stuck steps if it says that nothing is left to do."""
        begun: list[_Job] = []
        stuck = None if self.is_stopping() else self._take_up(begun)
        self._make_durable()
        for job in begun:
            self._submit(workers, job)
        at_work = map(self.state.graph.step, self._in_flight)
        self._series.end_all_but({step.database for step in at_work if step.kind == "apply"})
        return stuck

    def _take_up(self, begun: list[_Job]) -> tuple[StepId, ...] | None:
        """Write what decide says, and add to `begun` what a worker is to do when that is durable."""
        situation = Situation(
            in_flight=self._in_flight.keys(),
            tried=self._tried,
            undoable={name for name, kind in self.kinds.items() if kind.undo is not None},
            on_failure=self.ports.plan.on_failure,
        )
        now = self.ports.clock.now
        commands = decide(self.state, situation)
        if any(isinstance(each, Start | Undo) for each in commands):
            self.demand_alone()
        for command in commands:
            match command:
                case Start(step):
                    steps = self._begun_with(step)
                    for each in steps:
                        self._write(events.StepStarted(now(), each.id))
                    begun.append(tuple(map(Start, steps)))
                case Observe():
                    _add_look(begun, command)
                case Undo(step):
                    self._write(events.UndoStarted(now(), step.id))
                    begun.append((command,))
                case TurnBack(reason):
                    self._write(events.RollbackStarted(now(), reason, automatic=True))
                    self._tried.clear()
                case Finish(outcome):
                    self._write(events.RunFinished(now(), outcome))
                case Rest(steps):
                    return steps
        return None

    def _begun_with(self, step: Step) -> tuple[Step, ...]:
        """Return the step, and the migrations whose intents are written with its own."""
        size = self._paces.size(step.database)
        return chain(step, self.state, is_whole=self._is_whole, tried=self._tried, most=size)

    def _is_whole(self, step: Step) -> bool:
        name = step.its_database
        found = None if step.migration is None else self.ports.migration(name, step.migration)
        return found is not None and is_whole(found, self.ports.plan.databases[name].engine)

    def _submit(self, workers: ThreadPoolExecutor, job: _Job) -> None:
        is_way_back = isinstance(job[0], Undo)
        ahead = [
            each for each in self.state.graph if is_way_back and each.no_return and self._is_pending(each)
        ]
        contexts = [self._context(command) for command in job]
        at_work = workers.submit(self._work, job, contexts, ahead)
        self._in_flight.update((command.step.id, at_work) for command in job)

    def _context(self, command: Start | Observe | Undo) -> Context:
        step = command.step
        return Context(
            ports=self.ports,
            claim=self.claim,
            supersede=self.state.started.supersedes,
            since=self.state.steps[step.id].first or self.ports.clock.now(),
            in_doubt=isinstance(command, Observe),
            is_halted=lambda: self._has_ended or self.is_stopping() or self._is_turning(command),
            note=lambda text: self.audience.noted(step.id, text),
            report=lambda progress: self._progress.update({step.id: progress}),
            from_line=self.state.steps[step.id].from_line,
            series=self._series,
        )

    def _is_pending(self, step: Step) -> bool:
        return self.state.status(step.id) is Status.PENDING

    def _is_turning(self, command: Command) -> bool:
        """Tell whether a forward step's waiting has lost its point: the run goes back, or is given up."""
        return isinstance(command, Start) and bool(self.state.rollback or self.state.abort)

    def _work(self, job: _Job, contexts: Sequence[Context], ahead: Sequence[Step]) -> None:
        """Do one command after the other in a worker and bring back what came of it, every tick.

        It never touches the journal. `ahead` are the steps of no return that have not begun.
        """
        now = self.ports.clock.now
        began = brought = now()
        known: list[_Done] = []
        last: _Done | None = None
        at = 0
        while at < len(job):
            command, context = job[at], contexts[at]
            if last is not None and (last.is_in_the_way or context.is_halted()):
                known.append(_not_done(command, last, now()))
                at += 1
                continue
            done = self._done_together(job[at : at + TOGETHER], contexts[at : at + TOGETHER])
            done = done or (self._done(command, context, ahead),)
            known += done
            at, last = at + len(done), done[-1]
            is_tick = (now() - brought).total_seconds() >= _TICK
            if is_tick and at < len(job) and isinstance(command, Start) and not last.is_in_the_way:
                self._results.put(tuple(known))
                known, brought = [], now()
        if isinstance(job[0], Start):
            self._paces.learn(job[0].step.database, len(job), now() - began)
        self._results.put(tuple(known))

    def _done_together(self, job: _Job, contexts: Sequence[Context]) -> tuple[_Done, ...]:
        """Do the first of several steps in one go; none where that is not to be had."""
        kind, steps = self.kinds[job[0].step.kind], [command.step for command in job]
        if len(job) == 1 or not isinstance(job[0], Start) or not isinstance(kind, PerformsAll):
            return ()
        now = self.ports.clock.now
        try:
            lines = kind.perform_all(steps, contexts)
        except DatabaseError as error:
            return tuple(_Done(step, Start, now(), error=error) for step in steps) if error.ambiguous else ()
        except CoordinatorError:
            return ()  # each of them by itself meets it again, and says it of itself
        except BaseException as error:  # noqa: BLE001 - the loop's thread raises it: it is a bug
            return (_Done(steps[0], Start, now(), error=error),)
        return tuple(_Done(step, Start, now(), detail=line) for step, line in zip(steps, lines, strict=False))

    def _done(self, command: Start | Observe | Undo, context: Context, ahead: Sequence[Step]) -> _Done:
        step, kind = command.step, self.kinds[command.step.kind]
        try:
            if isinstance(command, Undo) and step.service is not None:
                demand_way_back(ahead, self.kinds, context)
            return _carry_out(command, _Fenced(kind, self.state.run), context)
        except BaseException as error:  # noqa: BLE001 - the loop's thread raises what is not a problem of the world
            return _Done(step, type(command), context.ports.clock.now(), error=error)

    def _collect(self) -> None:
        """Write the outcome of every worker that is done, waiting a tick for the first."""
        try:
            brought = self._results.get(timeout=_TICK)
            while True:
                for done in brought:
                    del self._in_flight[done.step.id]
                    self._write_last_progress(done.step.id, done.at)
                    event = self._event_of(done)
                    if event is not None:
                        self._write(event)
                brought = self._results.get_nowait()
        except queue.Empty:
            return

    def _write_progress(self) -> None:
        """Write how far steps are that did not say so for a while."""
        for step in list(self._progress):
            last, now = self.state.steps[step].progress, self.ports.clock.now()
            if last is None or now - last.at >= _PROGRESS:
                self._write_last_progress(step, now)

    def _write_last_progress(self, step: StepId, at: datetime) -> None:
        progress = self._progress.pop(step, None)
        if progress is not None and self.state.status(step) is Status.STARTED:
            speed = round(progress.per_second, 1)
            self._write(events.StepProgressed(at, step, progress.passed, progress.total, speed))

    def _event_of(self, done: _Done) -> Event | None:
        """Return what a worker's result means; None leaves the step as it is, in doubt."""
        now, step = done.at, done.step.id
        if done.error is None:
            if done.observation is not None:
                return events.StepObserved(now, step, done.observation.seen, done.observation.detail)
            if done.task is Undo:
                return events.UndoFinished(now, step, done.detail)
            return events.StepFinished(now, step, done.detail)
        if not isinstance(done.error, CoordinatorError):
            raise done.error
        if isinstance(done.error, Interrupted):
            return None
        self._tried.add(step)
        return self._event_of_problem(done, done.error, now)

    def _event_of_problem(self, done: _Done, error: CoordinatorError, now: datetime) -> Event | None:
        step = done.step.id
        if done.task is Undo:
            return events.UndoFailed(now, step, error.code, str(error))
        if done.task is Observe:
            if error not in self.problems:  # one look may have failed for several
                self.problems.append(error)
            return None
        if isinstance(error, DatabaseError) and error.ambiguous:
            self._tried.discard(step)  # a commit was cut off: the step is in doubt, and observed next
            return None
        if isinstance(error, InDoubt):
            return events.StepObserved(now, step, Seen.UNKNOWN, str(error))
        if isinstance(error, Waiting):
            self.problems.append(error)
            return events.StepObserved(now, step, Seen.NOT_DONE, str(error))
        return events.StepFailed(now, step, error.code, str(error))

    def _write(self, event: Event) -> None:
        """Let an event count; it is durable before the next effect."""
        self.state = self.state.with_event(event)
        self._unwritten.append((event, self.state))

    def _make_durable(self) -> None:
        """Write the events that count already, all at once, and show them."""
        written, self._unwritten = self._unwritten, []
        if not written:
            return
        records = (events.to_wire(event) for event, _ in written)
        self.journal.append(self.state.run, written[0][1].sequence, *records)
        for event, state in written:
            self.audience.saw(event, state)


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


def _carry_out(command: Start | Observe | Undo, kind: _Fenced, context: Context) -> _Done:
    step, task, now = command.step, type(command), context.ports.clock.now
    if isinstance(command, Undo):
        detail = kind.undo(step, context)
        return _Done(step, task, now(), detail=detail)
    if isinstance(command, Observe):
        observation = _observe_patiently(step, kind, context)
        return _Done(step, task, now(), observation=observation)
    observation = kind.observe(step, context)
    if observation.seen is Seen.DONE:
        return _Done(step, task, now(), detail=f"was done already: {observation.detail}")
    if observation.seen is Seen.UNKNOWN:
        return _Done(step, task, now(), observation=observation)
    detail = kind.perform(step, context)
    return _Done(step, task, now(), detail=detail)


def _not_done(command: Start | Observe | Undo, last: _Done, at: datetime) -> _Done:
    """Return what is known of a step that its worker did not come to: an intent ahead, or still in doubt."""
    if isinstance(command, Start):
        seen = Observation(Seen.NOT_DONE, NOT_BEGUN)
        return _Done(command.step, Start, at, observation=seen)
    error = last.error or Interrupted("interrupted", "The command was asked to stop.")
    return _Done(command.step, type(command), at, error=error)


def _add_look(begun: list[_Job], command: Observe) -> None:
    """Add a look: one after the other at the migrations of a database, as each takes the tool's locks."""
    step = command.step
    for at, job in enumerate(begun):
        other = job[-1].step
        if step.kind == other.kind == "apply" and step.database == other.database:
            begun[at] = (*job, command)
            return
    begun.append((command,))


def _observe_patiently(step: Step, kind: _Fenced, context: Context) -> Observation:
    """Observe, and where the world does not answer (a server restarts), ask again for half a minute."""
    for pause in _PAUSES:
        try:
            return kind.observe(step, context)
        except CoordinatorError as error:
            if isinstance(error, Interrupted):
                raise
            context.note(f"{error} Asking again in {pause:g} s.")
            context.wait(timedelta(seconds=pause))
    return kind.observe(step, context)
