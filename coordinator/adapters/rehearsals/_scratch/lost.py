"""What is told where the server of a rehearsal ends while it is asked."""

from __future__ import annotations

from coordinator.errors import DatabaseError


def server_lost(said: object) -> DatabaseError:
    """Return what to raise where its driver says that nobody answers any more; the first line tells it."""
    first, *_ = str(said).strip().splitlines() or ["it does not answer"]
    return DatabaseError(
        "connection-lost",
        f"The server of the rehearsal was lost: {first.rstrip('.')}.",
        why="It was stopped or killed, or there was no memory left for it. Nothing live was touched.",
        next_step="Run the command again.",
    )
