"""The lease that a release holds on a database for as long as it is under way, in the database itself.

A process's lease (ports.Lease) ends with the process; this one does not: between two `run`s, while a gate
waits for its answer, nobody else may release on the same database, from whatever machine and checkout. It
belongs to what the release is made from (plan, migrations, places) and not to a process, so that a run whose
journal was lost still owns it.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.errors import Waiting
from coordinator.model import Engine
from coordinator.ports import Batch, Session
from coordinator.sql import literal

_CREATE = (
    "CREATE TABLE IF NOT EXISTS coordinator_lease ("
    "scope text PRIMARY KEY, digest text NOT NULL, release_name text NOT NULL,"
    " acquired_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
_SCOPE = "release"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants a lease: the digest decides, the release's name is for people."""

    digest: str
    release: str


def acquire(session: Session, claim: Claim, *, supersede: bool) -> None:
    """Take the lease; holding it already is success.

    Raises: Waiting `release-under-way` where another release holds it, unless `supersede` takes it over.
    """
    if supersede:
        conflict = (
            "ON CONFLICT (scope) DO UPDATE SET digest = excluded.digest, release_name = excluded.release_name"
        )
    else:
        conflict = "ON CONFLICT (scope) DO NOTHING"
    insert = (
        "INSERT INTO coordinator_lease (scope, digest, release_name)"
        f" VALUES ({literal(_SCOPE)}, {literal(claim.digest)}, {literal(claim.release)}) {conflict}"
    )
    session.execute(Batch((_CREATE, insert), transaction=True))
    digest, release, since = session.query(
        f"SELECT digest, release_name, acquired_at FROM coordinator_lease WHERE scope = {literal(_SCOPE)}"
    )[0]
    if digest != claim.digest:
        raise Waiting(
            "release-under-way",
            f"Release {release} holds this database since {since} and has not ended.",
            why="Its migrations and versions are not among those that this release was checked with.",
            next_step="Finish it with `coordinator run`, or end it with `coordinator abort`, from where it"
            " was started; if that place is lost, `coordinator run --supersede` takes over.",
        )


def is_held(session: Session, claim: Claim) -> bool:
    """Tell whether the claim holds the lease."""
    exists = session.query(_EXISTS[session.target(None).engine])
    if not exists:
        return False
    rows = session.query(f"SELECT 1 FROM coordinator_lease WHERE digest = {literal(claim.digest)}")
    return bool(rows)


def release(session: Session, claim: Claim) -> None:
    """Give the lease back; one that is not ours, or not there, is left alone."""
    if is_held(session, claim):
        delete = f"DELETE FROM coordinator_lease WHERE digest = {literal(claim.digest)}"
        session.execute(Batch((delete,), transaction=True))


_EXISTS = {
    Engine.POSTGRESQL: "SELECT 1 WHERE to_regclass('coordinator_lease') IS NOT NULL",
    Engine.SQLITE: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'coordinator_lease'",
}
