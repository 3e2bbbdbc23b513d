"""Scale the live version down. It is gone then, and only then contract may begin.

Where the plan says how its database sessions are called, they must have ended too: a Pod that is gone may
have left one that still runs a statement. A session that lingers is no failure of the release, so the step
waits for the next `run` and nothing turns back; contract does not begin before it.

Nothing is observed: a version that merely died may be started again by whoever finds it dead, on a schema
that it does not know any more. One that was told to stop stays down, and telling it twice is harmless.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from coordinator.errors import Waiting
from coordinator.graph import Step
from coordinator.model import DatabaseName, Engine, Role
from coordinator.sql import literal
from coordinator.steps import Context, StepKind, observe_nothing
from coordinator.wording import counted
from coordinator.world import Effect, Stops

_POLL: Final = timedelta(milliseconds=200)
_SESSIONS: Final = (
    "SELECT pid, coalesce(host(client_addr), 'the local socket'), coalesce(state, 'of an unknown state'),"
    " date_trunc('second', backend_start) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name = left({name}, 63) ORDER BY backend_start"
)
"""The server cuts an application_name to 63 bytes (NAMEDATALEN)."""


class Stop:
    """The platform refuses to stop what serves."""

    observe = staticmethod(observe_nothing)

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """Live uses no database any more."""
        return (Stops(step.its_service, Role.LIVE),)

    def perform(self, step: Step, context: Context) -> str:
        """Stop it, and wait until its database sessions are gone. Raises: Waiting `sessions-left`."""
        spec = context.ports.plan.services[step.its_service]
        context.ports.platform(spec.name).stop(step.its_colour, grace=spec.drain_deadline)
        if spec.sessions is None:
            return f"{step.version} scaled down"
        name = spec.sessions.replace("{version}", step.version or "").replace("{colour}", step.its_colour)
        end = context.ports.clock.now() + spec.drain_deadline
        unseen = []
        for database in spec.uses:
            engine = context.ports.plan.databases[database].engine
            if engine is Engine.POSTGRESQL:
                _wait_for_sessions(name, database, step, context, end=end)
            elif engine.speaks_mysql:
                unseen.append(
                    f"; those on `{database}` were not looked at: {engine} does not tell them apart"
                )
        return f"{step.version} scaled down, no session of `{name}` left{''.join(unseen)}"

    def undo(self, step: Step, context: Context) -> str:
        """Start it again as it was, ready to take the traffic back."""
        spec = context.ports.plan.services[step.its_service]
        context.ports.platform(spec.name).restore(step.its_colour, deadline=spec.deploy_deadline)
        return f"{step.version} runs again on {step.colour}"


def _wait_for_sessions(
    name: str, database: DatabaseName, step: Step, context: Context, *, end: datetime
) -> None:
    with context.ports.session(database, label=step.id) as session:
        while left := session.query(_SESSIONS.format(name=literal(name))):
            if context.ports.clock.now() >= end:
                raise _sessions_left(name, database, left)
            context.wait(_POLL)


def _sessions_left(name: str, database: DatabaseName, left: list[tuple[object, ...]]) -> Waiting:
    pid, address, state, since = left[0]
    return Waiting(
        "sessions-left",
        f"Database `{database}` still has {counted(len(left), 'session')} of `{name}`, whose version is gone:"
        f" the oldest is pid {pid}, from {address}, {state}, since {since}.",
        why="What it does may need what contract takes away.",
        next_step=f"If nobody needs it: SELECT pg_terminate_backend({pid}); then run the command again.",
    )


STEP: Final[StepKind] = Stop()
