"""How far the replicas of a server are behind, as far as the server itself knows.

PostgreSQL alone tells: a standby or subscriber that is connected reports when it has replayed what it got.
One that is not connected is in no view, and of what the role may not read nothing is known. MySQL and MariaDB
keep that on the replicas.
"""

from __future__ import annotations

from coordinator.ports.databases import Session

_BEHIND = """
SELECT coalesce(application_name, ''), coalesce(extract(epoch FROM replay_lag), 0)::float8
FROM pg_catalog.pg_stat_replication
WHERE state IN ('streaming', 'catchup') ORDER BY replay_lag DESC NULLS LAST LIMIT 1
"""


def furthest_behind(session: Session) -> tuple[str, float] | None:
    """Return the name of the replica that is furthest behind and by how many seconds; None: there is none."""
    for name, seconds in session.query(_BEHIND):
        return str(name), float(str(seconds))
    return None
