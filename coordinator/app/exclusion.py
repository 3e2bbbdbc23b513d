"""One coordinator at a time on a database, wherever it was started.

The lease of place.py is a lock of this machine's kernel and of one checkout. This one is an advisory lock
in each database that can hold one, on a connection that lives as long as the command: a second coordinator
on another machine, with the same plan and therefore the same claim, is turned away before it acts. It goes
with its process. It is not a condition for acting: a way back must not depend on a database that is down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Final

from coordinator.errors import DatabaseError, Waiting
from coordinator.model import DatabaseName, Engine
from coordinator.ports import Ports

_LOCK_ID: Final = int.from_bytes(b"coord", "big")


@contextmanager
def alone_on_databases(ports: Ports) -> Iterator[None]:
    """Hold each PostgreSQL database of the plan. Raises: Waiting `lease-held` where another holds one."""
    with ExitStack() as held:
        for name, spec in sorted(ports.plan.databases.items()):
            if spec.engine is Engine.POSTGRESQL:
                _hold(ports, name, held)
        yield


def _hold(ports: Ports, name: DatabaseName, held: ExitStack) -> None:
    try:
        session = held.enter_context(ports.session(name, label=f"coordinator {ports.plan.release}"))
        held.enter_context(session.locked((_LOCK_ID,), timeout=timedelta()))
    except DatabaseError:
        return  # whatever needs this database will say so, and say it better
    except Waiting as error:
        raise Waiting(
            "lease-held",
            f"Another coordinator works on database `{name}`.",
            why=error.what,
            next_step="Let it finish, or stop it with Ctrl-C where it runs; then run again.",
        ) from error
