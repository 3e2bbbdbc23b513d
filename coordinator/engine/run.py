"""The only loop that performs effects. It asks decide what to do, writes the intent, lets a worker do it,
and writes the outcome; the journal has one writer, this thread.

Order is everything here: intent before effect, outcome after it, and no effect before its intent is durable.
The outcome of one step and the intent of the next become durable together, with one flush to the disk, and so
do the intents of migrations that are begun together (ahead.py). Whatever kills the process between any two
lines, the next command finds a journal from which decide goes on.
"""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from coordinator.backfills.progress import Progress
from coordinator.engine.ahead import Paces, chain
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
from coordinator.engine.jobs import Done, Job, Jobs
from coordinator.errors import CoordinatorError, DatabaseError, InDoubt, Interrupted, Waiting
from coordinator.fields import text_from
from coordinator.graph import Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Event
from coordinator.journal.fold import RunState, Status
from coordinator.leases import Claim
from coordinator.model import MigrationId
from coordinator.ports import Ports
from coordinator.ports.machine import Journal
from coordinator.series import KeptSeries, is_whole
from coordinator.steps import Context, StepKind
from coordinator.world import Seen

_TICK: Final = 0.2
"""Seconds between two looks at requests, signals and the display."""
_PROGRESS: Final = timedelta(seconds=5)
"""How often the journal hears how far a step is: what whoever looks at a killed run may be behind."""
_WORKERS: Final = 16
"""Steps that run side by side; each may hold one database connection, or two while it waits for locks."""


_CUT_OFF: Final = 2
"""How often a step of which nothing is there is begun again after its connection was lost: a server that dies
of it would die for ever."""


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
    clock_leap: timedelta = timedelta()
    """How far this machine's clock was set forward since the run began, as a database's server knows it."""
    problems: list[CoordinatorError] = field(default_factory=list)
    """What workers met and no event tells: why a step waits, or could not be observed."""
    _in_flight: dict[StepId, Future[None]] = field(default_factory=dict)
    _tried: set[StepId] = field(default_factory=set)
    _looked: set[StepId] = field(default_factory=set)
    """The steps that a worker of this command was done with, whatever came of it."""
    _cut_off: Counter[StepId] = field(default_factory=Counter)
    """How often the connection of a step was lost."""
    _last_loss: dict[StepId, str] = field(default_factory=dict)
    _results: queue.SimpleQueue[tuple[Done, ...]] = field(default_factory=queue.SimpleQueue)
    _unwritten: list[tuple[Event, RunState]] = field(default_factory=list)
    """Events that count already and are not durable yet, each with the state after it: no effect before."""
    _progress: dict[StepId, Progress] = field(default_factory=dict)
    """How far steps are, as their workers say, where it is not written yet."""
    _series: KeptSeries = field(default_factory=KeptSeries)
    _paces: Paces = field(default_factory=Paces)
    _began: datetime = field(init=False)
    _has_ended: bool = False
    """The loop is over, also by a failure of its own: whoever still waits shall stop."""

    def run(self) -> tuple[StepId, ...]:
        """Work until the run has an outcome or nothing more can be done; return the steps that are stuck.

        Raises: Interrupted after a signal, JournalConflict if another coordinator writes, any bug as it is.
        """
        self._began = self.ports.clock.now()
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
                    "interrupted",
                    "Stopped on request.",
                    next_step=f"`{self.state.command}` goes on from here.",
                )
            if self.state.outcome is None:
                self._write_progress()
                self._collect()
            self.audience.ticked(self.state, now=self.ports.clock.now())
        return ()

    def _knows_better(self, event: Event) -> bool:
        """Tell whether a person settles a step that a worker of ours is busy with: it will say itself.

        Not one that is looked at once more: what a person found counts, and the look nothing then.
        """
        if not isinstance(event, events.StepSettled) or event.step not in self._in_flight:
            return False
        return self.state.status(event.step) is not Status.UNKNOWN

    def _act(self, workers: ThreadPoolExecutor) -> tuple[StepId, ...] | None:
        """Carry out what decide says; return the stuck steps if it says that nothing is left to do."""
        begun: list[Job] = []
        stuck = None if self.is_stopping() else self._take_up(begun)
        self._make_durable()
        for job in begun:
            self._submit(workers, job)
        at_work = map(self.state.graph.step, self._in_flight)
        self._series.end_all_but({step.database for step in at_work if step.kind == "apply"})
        return stuck

    def _take_up(self, begun: list[Job]) -> tuple[StepId, ...] | None:
        """Write what decide says, and add to `begun` what a worker is to do when that is durable."""
        situation = Situation(
            in_flight=self._in_flight.keys(),
            tried=self._tried,
            undoable={name for name, kind in self.kinds.items() if kind.undo is not None},
            on_failure=self.ports.plan.on_failure,
            looked=self._looked,
        )
        now = self.ports.clock.now
        commands = decide(self.state, situation)
        if any(isinstance(each, Start | Undo) for each in commands):
            self.demand_alone()
        for command in commands:
            match command:
                case Start(step):
                    begun.append(self._begin(step))
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

    def _begin(self, step: Step) -> Job:
        """Write the intent of a step, and of the migrations that are begun with it; return all of them."""
        size = self._paces.size(step.database)
        steps = chain(step, self.state, is_whole=self._is_whole, tried=self._tried, most=size)
        for each in steps:
            self._write(events.StepStarted(self.ports.clock.now(), each.id))
        return tuple(map(Start, steps))

    def _is_whole(self, step: Step) -> bool:
        name = step.its_database
        found = None if step.migration is None else self.ports.migration(name, step.migration)
        return found is not None and is_whole(found, self.ports.plan.databases[name].engine)

    def _may_be_repeated(self, step: Step, error: DatabaseError) -> bool:
        return error.left_nothing and self._is_whole(step)

    def _submit(self, workers: ThreadPoolExecutor, job: Job) -> None:
        steps = self.state.graph if isinstance(job[0], Undo) else ()
        ahead = [each for each in steps if each.no_return and self._is_pending(each)]
        contexts = [self._context(command) for command in job]
        jobs = Jobs(self.kinds, self.state.run, self.ports.clock, self._paces, self._results.put)
        at_work = workers.submit(jobs.do, job, contexts, ahead)
        self._in_flight.update((command.step.id, at_work) for command in job)

    def _context(self, command: Start | Observe | Undo) -> Context:
        step = command.step
        return Context(
            ports=self.ports,
            claim=self.claim,
            supersede=self.state.started.supersedes,
            since=self._since(step),
            in_doubt=isinstance(command, Observe),
            is_halted=lambda: self._has_ended or self.is_stopping() or self._is_turning(command),
            note=lambda text: self.audience.noted(step.id, text),
            report=lambda progress: self._progress.update({step.id: progress}),
            from_line=self.state.steps[step.id].from_line,
            series=self._series,
            others_in_doubt=self._in_doubt_with(step) if isinstance(command, Observe) else frozenset(),
        )

    def _since(self, step: Step) -> datetime:
        """Return when a step was first started, by the clock as it is now: it may have been set since.

        A window that is too long costs less than one that is cut short.
        """
        first, now = self.state.steps[step.id].first, self.ports.clock.now()
        if first is None:
            return now
        if first > now:
            self.audience.noted(step.id, "The clock was set back since this began: its time counts from now.")
            return now
        if not self.clock_leap or first >= self._began:
            return first
        leap = text_from(timedelta(seconds=round(self.clock_leap.total_seconds())))
        self.audience.noted(step.id, f"The clock was set forward by {leap} since: that does not count.")
        return min(first + self.clock_leap, now)

    def _in_doubt_with(self, step: Step) -> frozenset[MigrationId]:
        others = (each for each in self.state.graph if each.database == step.database and each != step)
        in_doubt = (each for each in others if self.state.status(each.id) is Status.STARTED)
        return frozenset(each.migration for each in in_doubt if each.migration is not None)

    def _is_pending(self, step: Step) -> bool:
        return self.state.status(step.id) is Status.PENDING

    def _is_turning(self, command: Command) -> bool:
        """Tell whether a forward step's waiting has lost its point: the run goes back, or is given up."""
        return isinstance(command, Start) and bool(self.state.rollback or self.state.abort)

    def _collect(self) -> None:
        """Write the outcome of every worker that is done, waiting a tick for the first."""
        try:
            brought = self._results.get(timeout=_TICK)
            while True:
                for done in brought:
                    del self._in_flight[done.step.id]
                    self._write_last_progress(done.step.id, done.at)
                    is_again = done.task is Observe and self.state.status(done.step.id) is not Status.STARTED
                    event = self._event_of_another_look(done) if is_again else self._event_of(done)
                    self._looked.add(done.step.id)
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

    def _event_of(self, done: Done) -> Event | None:
        """Return what a worker's result means; None leaves the step as it is, in doubt."""
        now, step = done.at, done.step.id
        if done.error is None:
            if done.observation is not None:
                is_not_done = done.task is Observe and done.observation.seen is Seen.NOT_DONE
                if is_not_done and self._cut_off[step] > _CUT_OFF:
                    self._tried.add(step)
                    return self._given_up(step, now)
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

    def _event_of_another_look(self, done: Done) -> Event | None:
        """Return that a step in doubt is done after all; None where a person is still to say so, or has said
        what it came to meanwhile.

        That it is not there proves nothing: a part of it may be, which is what the person is asked about.
        """
        if isinstance(done.error, CoordinatorError):
            if not isinstance(done.error, Interrupted):
                self._add_problem(done.error)
            return None
        if done.error is not None:
            raise done.error
        found, step = done.observation, done.step.id
        if found is None or found.seen is not Seen.DONE or self.state.status(step) is not Status.UNKNOWN:
            return None
        return events.StepObserved(done.at, step, found.seen, found.detail)

    def _add_problem(self, error: CoordinatorError) -> None:
        if error not in self.problems:  # one look may have failed for several
            self.problems.append(error)

    def _given_up(self, step: StepId, now: datetime) -> Event:
        why = (
            f"The connection to the database was lost {self._cut_off[step]} times while this was at"
            f" work, and nothing of it is there. The last time: {self._last_loss[step]} Look at the server's"
            " log, and run the command again."
        )
        return events.StepFailed(now, step, "connection-lost", why)

    def _event_of_problem(self, done: Done, error: CoordinatorError, now: datetime) -> Event | None:
        step = done.step.id
        if done.task is Undo:
            return events.UndoFailed(now, step, error.code, str(error))
        if done.task is Observe:
            self._add_problem(error)
            return None
        if isinstance(error, DatabaseError) and (error.ambiguous or self._may_be_repeated(done.step, error)):
            return self._event_of_loss(step, error, now)
        if isinstance(error, InDoubt):
            return events.StepObserved(now, step, Seen.UNKNOWN, str(error), error.code)
        if isinstance(error, Waiting) or (isinstance(error, DatabaseError) and error.is_login_refused):
            # A password that was changed meanwhile says nothing against the release: it stays where it is.
            self.problems.append(error)
            return events.StepObserved(now, step, Seen.NOT_DONE, str(error))
        return events.StepFailed(now, step, error.code, str(error))

    def _event_of_loss(self, step: StepId, error: DatabaseError, now: datetime) -> Event | None:
        """Return what a lost connection means. After a commit that was cut off the step is observed next."""
        self._cut_off[step] += 1
        self._last_loss[step] = error.what
        if not error.ambiguous and self._cut_off[step] > _CUT_OFF:
            return self._given_up(step, now)
        self._tried.discard(step)
        return None if error.ambiguous else events.StepObserved(now, step, Seen.NOT_DONE, error.what)

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


def _add_look(begun: list[Job], command: Observe) -> None:
    """Add a look: one after the other at the migrations of a database, as each takes the tool's locks."""
    step = command.step
    for at, job in enumerate(begun):
        other = job[-1].step
        if step.kind == other.kind == "apply" and step.database == other.database:
            begun[at] = (*job, command)
            return
    begun.append((command,))
