"""What a database has lost of a run: its journal says that something was done there, and it is not there.

A failover to a server that had not got the last commits does that, and a backup, and a tool that goes down.
Nothing may rest on such a migration or backfill any more. What to do about it only a person can say.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.apply import read_ledger
from coordinator.backfills.cursor import read_cursor
from coordinator.errors import InDoubt
from coordinator.journal.fold import RunState, Status
from coordinator.model import BackfillSpec, DatabaseName
from coordinator.ports import Ports
from coordinator.ports.databases import Session

_NEXT_STEP = (
    "Find out whether the address leads to the right server, and which version has the traffic. Then end this"
    " run with `coordinator abort`, and `coordinator run` plans from what is there; `coordinator rollback`"
    " takes the traffic back first."
)


def demand_nothing_lost(session: Session, name: DatabaseName, *, state: RunState, ports: Ports) -> None:
    """Raise InDoubt `migration-lost` or `backfill-lost` where a database has not what the run did there.

    What a person settled as done may stand in no table.
    """
    _demand_migrations(session, name, state=state, ports=ports)
    for spec in _filled(name, state=state, ports=ports):
        cursor = read_cursor(session, spec)
        if cursor is None or not cursor.is_done:
            passed = "is gone" if cursor is None else f"has passed {cursor.passed:,} rows"
            raise InDoubt(
                "backfill-lost",
                f"Run {state.run} completed backfill `{spec.name}` of `{name}`; its cursor there {passed}.",
                why="A failover to a server that had not got the last commits does that, or a backup that is"
                " played back: rows that were done are in their old form again.",
                next_step=_NEXT_STEP,
            )


def _demand_migrations(session: Session, name: DatabaseName, *, state: RunState, ports: Ports) -> None:
    steps = (step for step in state.graph if step.kind == "apply" and step.database == name)
    found = ((step.migration, state.steps[step.id]) for step in steps)
    done = [each for each, of in found if of.status is Status.DONE and not of.is_settled]
    if not done:
        return
    tool, table = ports.tool(name), ports.plan.databases[name].migrations.table
    ledger = read_ledger(session, tool, session.target(table))
    pending = tool.pending(ports.migrations(name), ledger).migrations
    lost = [each.name for each in pending if each.version in done]
    if lost:
        raise InDoubt(
            "migration-lost",
            f"Run {state.run} applied {', '.join(lost)} to `{name}`, and the version table does not have it"
            " any more.",
            why="A failover to a server that had not got the last commits does that, a backup that is played"
            " back, or a tool that goes down. What comes next rests on it.",
            next_step=_NEXT_STEP,
        )


def _filled(name: DatabaseName, *, state: RunState, ports: Ports) -> Iterator[BackfillSpec]:
    """Yield the backfills whose cursor the run left at its end; `complete` moves it once more."""
    for spec in ports.plan.databases[name].backfills:
        steps = (step for step in state.graph if (step.database, step.backfill) == (name, spec.name))
        begun = [each for step in steps if (each := state.steps[step.id]).first is not None]
        if begun and all(each.status is Status.DONE and not each.is_settled for each in begun):
            yield spec
