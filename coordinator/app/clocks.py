"""Whether this machine's clock was set while a run was under way, as far as a server's clock can tell.

The windows of a run (`keep_blue`, the deadline of a drain) count from what the journal says, by this
machine's clock. The lease has the time at which it was taken by the server's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from coordinator import leases
from coordinator.journal.fold import RunState
from coordinator.ports.databases import Session

_NOTABLE: Final = timedelta(minutes=1)
"""A clock that is only corrected moves less; the lease is taken a moment before the journal says so."""


def leap_of_clock(session: Session, state: RunState, claim: leases.Claim, *, now: datetime) -> timedelta:
    """Return how far this machine's clock was set forward since the run took its leases; zero if it was not.

    That it was set back is not known: a release whose journal was lost holds its lease for longer than its
    journal says.
    """
    taken = next((state.steps[step.id].since for step in state.graph if step.kind == "acquire-lease"), None)
    held = leases.time_held(session, claim)
    if taken is None or held is None:
        return timedelta()
    leap = now - taken - held
    return leap if leap >= _NOTABLE else timedelta()
