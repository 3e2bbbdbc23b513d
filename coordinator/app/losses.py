"""What a database has lost of a run: its journal says that a migration was applied, and it is not there.

A failover to a server that had not got the last commits does that, and a backup, and a tool that goes down.
Nothing may rest on such a migration any more. What to do about it only a person can say.
"""

from __future__ import annotations

from coordinator.apply import read_ledger
from coordinator.errors import InDoubt
from coordinator.journal.fold import RunState, Status
from coordinator.model import DatabaseName
from coordinator.ports import Ports
from coordinator.ports.databases import Session


def demand_nothing_lost(session: Session, name: DatabaseName, *, state: RunState, ports: Ports) -> None:
    """Raise InDoubt `migration-lost` where a database has not what the run did there.

    What a person settled as done may stand in no version table.
    """
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
            next_step="Find out whether the address leads to the right server, and which version has the"
            " traffic. Then end this run with `coordinator abort`, and `coordinator run` plans from what is"
            " there; `coordinator rollback` takes the traffic back first.",
        )
