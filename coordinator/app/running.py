"""Start, resume and end runs. `run_release` is right after any end of any earlier command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from coordinator import __version__, leases
from coordinator.app.clocks import leap_of_clock
from coordinator.app.exclusion import Ask, alone_on_databases
from coordinator.app.losses import demand_nothing_lost
from coordinator.app.place import Place, catch_up, open_run
from coordinator.app.planning import plan_release
from coordinator.app.requests import Inbox
from coordinator.diagnostics import Diagnostic
from coordinator.engine.run import Audience, Engine
from coordinator.errors import CoordinatorError, ExitCode, Interrupted, Refused, StepFailed, Usage, Waiting
from coordinator.graph import Graph, StepId
from coordinator.journal import events
from coordinator.journal.events import Outcome
from coordinator.journal.fold import RunState, Status, fold
from coordinator.journal.steps_on_wire import wire_from
from coordinator.leases import Claim
from coordinator.model import DatabaseName
from coordinator.ports import Ports
from coordinator.ports.databases import Session
from coordinator.prove import Proof, risks
from coordinator.rehearsal_ports import EvidenceCache, Tell
from coordinator.steps import StepKind

_FOLLOW: Final = timedelta(milliseconds=200)
_HEARS: Final = timedelta(seconds=5)
"""Within what time a process at work takes a request over: it looks for them five times a second."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command left a run. `state` is None where there was nothing to do and no run."""

    state: RunState | None
    stuck: tuple[StepId, ...] = ()
    problems: tuple[CoordinatorError, ...] = ()

    def exit_code(self, *, wanted: Outcome) -> ExitCode:
        """Return what the pipeline is told that asked for `wanted`; docs/reference/exit-codes.md."""
        if self.state is None:
            return ExitCode.DONE
        if self.state.outcome is not None:
            return ExitCode.DONE if self.state.outcome is wanted else ExitCode.FAILED
        statuses = {self.state.status(step) for step in self.stuck}
        has_failed = any(each.exit_code is ExitCode.FAILED for each in self.problems)
        otherwise = ExitCode.FAILED if has_failed else ExitCode.WAITING
        return next((code for status, code in _EXIT_CODES if status in statuses), otherwise)


_EXIT_CODES = (
    (Status.UNKNOWN, ExitCode.IN_DOUBT),
    (Status.STARTED, ExitCode.IN_DOUBT),
    (Status.FAILED, ExitCode.FAILED),
    (Status.UNDOING, ExitCode.FAILED),
)
"""What is stuck decides, worst first; what only waits is none of these."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Everything that acting on a plan's runs needs."""

    place: Place
    ports: Ports
    settings: Mapping[str, str]
    """What `--set` said when the plan was loaded; a run remembers it."""
    kinds: Mapping[str, StepKind]
    audience: Audience
    is_stopping: Callable[[], bool]

    def run_release(
        self,
        *,
        supersede: bool,
        accept_unproven: bool = False,
        cache: EvidenceCache | None = None,
        telling: Callable[[], AbstractContextManager[Tell]] = lambda: nullcontext(lambda _: None),
        show: Callable[[Proof, tuple[Diagnostic, ...]], None],
    ) -> Ended:
        """Go on with the open run, or plan and start a new one; `show` gets the new one before it starts.

        `accept_unproven` starts it also where something is not proven, and writes down what. `telling` opens
        what is told how far a rehearsal is.

        Raises: PlanInvalid, Refused, Waiting `lease-held`, Usage `plan-changed`, StepFailed `live-not-ready`
        where there is nothing to release, Interrupted.
        """
        with self.place.lease(), alone_on_databases(self.ports) as renew:
            journal = self.place.journal
            state = open_run(journal)
            if state is not None and not supersede:
                demand_same(state, inputs_of(self.ports))
                return self._engage(state, renew)
            with telling() as tell:
                proof, warnings = plan_release(self.ports, self.kinds, cache=cache, tell=tell)
            if not proof.graph:
                demand_serving(self.ports)
            show(proof, warnings)
            unproven = risks(proof)
            if proof.diagnostics or (unproven and not accept_unproven):
                raise Refused(proof.diagnostics or unproven)
            if state is not None:
                ended = events.RunFinished(self.ports.clock.now(), Outcome.SUPERSEDED)
                journal.append(state.run, state.sequence + 1, events.to_wire(ended))
            if not proof.graph:
                # A run of this release that came to its end without its journal may hold them still.
                claim = _claim(inputs_of(self.ports), self.ports.plan.release)
                leases.release_all(self.ports, claim, label="coordinator run")
                return Ended(None)
            accepted = tuple(f"{each.what} {each.why}" for each in unproven)
            return self._engage(self._begin(proof.graph, supersedes=supersede, accepted=accepted), renew)

    def resume_or_follow(self, state: RunState, *, say: Callable[[str], None] = lambda _: None) -> Ended:
        """Go on with a run, whatever its plan says now: a way back must not depend on an edit.

        If another coordinator works on it, show what that one does until the run has ended or it stopped, and
        `say` once where it does not hear. Raises: Interrupted.
        """
        until: datetime | None = self.ports.clock.now() + _HEARS
        while state.outcome is None:
            with ExitStack() as held:
                if _entered(held, self.place.lease()):
                    renew = held.enter_context(alone_on_databases(self.ports))
                    state = self._caught_up(state)
                    return self._engage(state, renew) if state.outcome is None else Ended(state)
            state = self._caught_up(state)
            if self.is_stopping():
                raise Interrupted(
                    "interrupted", "Stopped watching; the request stands, and the other one goes on."
                )
            now = self.ports.clock.now()
            if until is not None and now >= until:
                until = None
                self._demand_hearing(state, say)
            self.audience.ticked(state, now=now)
            self.ports.clock.sleep(_FOLLOW)
        return Ended(state)

    def _demand_hearing(self, state: RunState, say: Callable[[str], None]) -> None:
        """Say so where the process that acts on a run has not taken over what was asked of it."""
        holder = self.place.holder()
        if holder is not None and state.rollback is None and state.abort is None:
            say(
                f"{holder} acts on {state.run} and has not heard of this for {_HEARS.total_seconds():g} s: it"
                " may be suspended (Ctrl-Z). Let it go on there (`fg`), or end it (`kill -9`), and this"
                " command does it."
            )

    def _caught_up(self, state: RunState) -> RunState:
        """Show what another coordinator wrote since, and return the state after it."""
        return catch_up(self.place.journal, state, self.audience.saw)

    def _begin(self, graph: Graph, *, supersedes: bool, accepted: tuple[str, ...]) -> RunState:
        journal, release = self.place.journal, self.ports.plan.release
        run = f"{release}@{len(journal.runs()) + 1}"
        started = events.RunStarted(
            self.ports.clock.now(),
            release,
            self.ports.plan.file.name,
            inputs_of(self.ports),
            wire_from(graph),
            supersedes,
            __version__,
            self.settings,
            accepted,
        )
        journal.append(run, 1, events.to_wire(started))
        state = fold(run, [started])
        self.audience.saw(started, state)
        return state

    def _engage(self, state: RunState, renew: Callable[[Ask | None], None]) -> Ended:
        claim = claim_of(state)

        def ask(session: Session, name: DatabaseName) -> None:
            leases.demand_not_taken_over(session, claim)
            leap = leap_of_clock(session, engine.state, claim, now=self.ports.clock.now())
            engine.clock_leap = max(engine.clock_leap, leap)
            if engine.state.rollback is None:  # a way back rests on nothing that was lost
                demand_nothing_lost(session, name, state=engine.state, ports=self.ports)

        engine = Engine(
            state=state,
            ports=self.ports,
            journal=self.place.journal,
            audience=self.audience,
            kinds=self.kinds,
            claim=claim,
            is_stopping=self.is_stopping,
            take_requests=Inbox(self.place.journal, state.run).take,
            demand_alone=lambda: renew(ask if _holds_leases(engine.state) else None),
        )
        stuck = engine.run()
        return Ended(engine.state, stuck, tuple(engine.problems))


def _holds_leases(state: RunState) -> bool:
    """Tell whether a run has taken the leases, and has more to do than to give them back."""
    status = {step.kind: state.status(step.id) for step in state.graph if step.kind.endswith("-lease")}
    is_taken = status.get("acquire-lease") is Status.DONE
    return is_taken and status.get("release-lease") is Status.PENDING and state.abort is None


def _entered(held: ExitStack, lease: AbstractContextManager[None]) -> bool:
    """Take the lease if it is free."""
    try:
        held.enter_context(lease)
    except Waiting:
        return False
    return True


def inputs_of(ports: Ports) -> dict[str, str]:
    """Return what a run is made from, by name, each as a digest."""
    migrations = {
        f"{database}/{each.name}": each.digest
        for database in ports.plan.databases
        for each in ports.migrations(database)
    }
    places = {
        f"place of {service}": hashlib.sha256(ports.platform(service).identity().encode()).hexdigest()
        for service in ports.plan.services
    }
    return {"plan": ports.plan.digest, **migrations, **places}


def demand_serving(ports: Ports) -> None:
    """Raise StepFailed `live-not-ready` where a service has its version and nobody is served by it.

    Clients are let in again first, where the platform's own router had died.
    """
    for name in ports.plan.services:
        platform = ports.platform(name)
        platform.let_clients_in()
        serving = platform.survey()
        if serving.live is not None and not (side := serving.sides[serving.live]).ready:
            raise StepFailed(
                "live-not-ready",
                f"`{name}` {side.version} on {serving.live} has the traffic and is not ready.",
                why=f"It says: {side.detail}. There is nothing to release: the wanted version is there.",
                next_step=f"Look at its log: {platform.log_of(serving.live)}. Start it again (a local"
                " platform: `coordinator local up`).",
            )


def claim_of(state: RunState) -> Claim:
    """Return the claim of a run's release: the same inputs make the same claim, also without a journal."""
    return _claim(state.started.inputs, state.started.release)


def _claim(inputs: Mapping[str, str], release: str) -> Claim:
    text = json.dumps(dict(inputs), sort_keys=True)
    return Claim(hashlib.sha256(text.encode()).hexdigest(), release)


def demand_same(state: RunState, inputs: Mapping[str, str]) -> None:
    """Raise Usage `plan-changed` if the open run was made from something else than what is there now."""
    then = state.started.inputs
    changed = sorted(name for name in {*then, *inputs} if then.get(name) != inputs.get(name))
    moved = [name.removeprefix("place of ") for name in changed if name.startswith("place of ")]
    if moved and len(moved) == len(changed):
        raise Usage(
            "other-place",
            f"Run {state.run} began at another place than this command looks at: {', '.join(moved)}.",
            why="It is another cluster, namespace, machine or folder, and nothing was done to it.",
            next_step="Use the kubeconfig, the machine and the folder that the run began with. If that place"
            f" is gone, pass --supersede to give {state.run} up and release from where this world is.",
        )
    if changed:
        raise Usage(
            "plan-changed",
            f"Run {state.run} is under way, and since it began these changed: {', '.join(changed)}.",
            why="What was checked is not what would be run.",
            next_step=f"Take the change back and run again, or end it with `coordinator rollback` or"
            f" `coordinator abort`, or pass --supersede to give {state.run} up and release this plan from"
            " where the world is now.",
        )
