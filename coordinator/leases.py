"""The lease that a release holds on a database for as long as it is under way, in the database itself.

A process's lease (ports.Lease) ends with the process; this one does not: between two `run`s, while a gate
waits for its answer, nobody else may release on the same database, from whatever machine and checkout. It
belongs to what the release is made from (plan, migrations, places) and not to a process, so that a run whose
journal was lost still owns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from coordinator.errors import DatabaseError, StepFailed, Waiting
from coordinator.model import Engine
from coordinator.own_tables import execute_with_table, kept_whole
from coordinator.ports import Ports
from coordinator.ports.databases import Batch, Patience, Session
from coordinator.sql import literal

_CREATE = (
    "CREATE TABLE IF NOT EXISTS coordinator_lease ("
    "scope text PRIMARY KEY, digest text NOT NULL, release_name text NOT NULL,"
    " acquired_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
_CREATE_ON_MYSQL = (
    "CREATE TABLE IF NOT EXISTS coordinator_lease ("
    "scope varchar(64) CHARACTER SET ascii PRIMARY KEY, digest varchar(128) NOT NULL,"
    " release_name text CHARACTER SET utf8mb4 NOT NULL,"
    " acquired_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
"""A key of MySQL must say how long it is."""
_SCOPE = "release"
_HOLDER = f"SELECT digest, release_name, acquired_at FROM coordinator_lease WHERE scope = '{_SCOPE}'"

_BUSY = ("lock-blocked", "lock-timeout")
"""Another session is at our row: a coordinator that was killed whose commit the server still carries out."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants a lease: the digest decides, the release's name is for people."""

    digest: str
    release: str


def acquire(session: Session, claim: Claim, *, supersede: bool, patience: Patience | None = None) -> None:
    """Take the lease; holding it already is success. With `patience` whoever is at the row is waited for.

    Raises: Waiting `release-under-way` where another release holds it, unless `supersede` takes it over;
    `lock-blocked` or `lock-timeout` where the patience was not enough; StepFailed `no-schema`.
    """
    target = session.target(None)
    engine = target.engine
    if engine is Engine.POSTGRESQL and target.schema is None:
        raise StepFailed(
            "no-schema",
            "This user has no current schema: none of its `search_path` is there, or it may use none.",
            why="The lease is a row of a table, which has to be somewhere.",
            next_step="Create the schema, or name another one in the URL (`?options=-csearch_path%3Dapp`).",
        )
    values = ", ".join(literal(each, engine) for each in (_SCOPE, claim.digest, claim.release))
    insert = f"INSERT INTO coordinator_lease (scope, digest, release_name) VALUES ({values})"
    conflict = _CONFLICT[engine.speaks_mysql, supersede]
    create = kept_whole(_CREATE_ON_MYSQL if engine.speaks_mysql else _CREATE, engine)
    try:
        batch = Batch((create, f"{insert} {conflict}"), transaction=True, patience=patience)
        execute_with_table(session, batch)
    except DatabaseError as error:
        if error.code not in _BUSY:
            raise
        raise Waiting(error.code, error.what, why=error.why, next_step=error.next_step) from error
    digest, release, since = session.query(_HOLDER)[0]
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
    engine = session.target(None).engine
    if not session.query(_EXISTS[engine]):
        return False
    rows = session.query(f"SELECT 1 FROM coordinator_lease WHERE digest = {literal(claim.digest, engine)}")
    return bool(rows)


def time_held(session: Session, claim: Claim) -> timedelta | None:
    """Return for how long the claim holds the lease, by the server's clock.

    None where it does not hold it, and on SQLite, which has no clock but this machine's.
    """
    engine = session.target(None).engine
    if engine is Engine.SQLITE or not session.query(_EXISTS[engine]):
        return None
    digest = literal(claim.digest, engine)
    rows = session.query(f"SELECT {_HELD[engine]} FROM coordinator_lease WHERE digest = {digest}")
    return timedelta(seconds=int(str(rows[0][0]))) if rows else None


def demand_not_taken_over(session: Session, claim: Claim) -> None:
    """Raise Waiting `release-under-way` where another release has the lease that the claim once had.

    Nobody has it where that one has ended since: what it did is found by whoever looks before it acts.
    """
    if not session.query(_EXISTS[session.target(None).engine]):
        return
    for digest, release, since in session.query(_HOLDER):
        if digest != claim.digest:
            raise Waiting(
                "release-under-way",
                f"Release {release} has taken this database over since {since} and has not ended.",
                why="This run was begun before it, and what it was checked with is not what is there now.",
                next_step="Let that one end and run again, or give this one up with `coordinator abort`.",
            )


def is_taken(session: Session) -> bool:
    """Tell whether any release holds the lease: one that is under way, or that came to no end."""
    return bool(
        session.query(_EXISTS[session.target(None).engine])
        and session.query("SELECT 1 FROM coordinator_lease")
    )


def release(session: Session, claim: Claim) -> None:
    """Give the lease back; one that is not ours, or not there, is left alone."""
    if is_held(session, claim):
        digest = literal(claim.digest, session.target(None).engine)
        delete = f"DELETE FROM coordinator_lease WHERE digest = {digest}"
        session.execute(Batch((delete,), transaction=True))


def release_all(ports: Ports, claim: Claim, *, label: str) -> None:
    """Give back the lease of each database of the plan."""
    for name in ports.plan.databases:
        with ports.session(name, label=label) as session:
            release(session, claim)


_CONFLICT = {
    (False, False): "ON CONFLICT (scope) DO NOTHING",
    (False, True): (
        "ON CONFLICT (scope) DO UPDATE SET digest = excluded.digest, release_name = excluded.release_name,"
        " acquired_at = CURRENT_TIMESTAMP"
    ),
    (True, False): "ON DUPLICATE KEY UPDATE scope = scope",
    (True, True): (
        "ON DUPLICATE KEY UPDATE digest = VALUES(digest), release_name = VALUES(release_name),"
        " acquired_at = CURRENT_TIMESTAMP"
    ),
}
"""By whether the engine speaks MySQL, and whether the lease is taken over."""
_HELD_ON_MYSQL = "UNIX_TIMESTAMP() - UNIX_TIMESTAMP(acquired_at)"
_HELD = {
    Engine.POSTGRESQL: "CAST(extract(epoch FROM now() - acquired_at) AS bigint)",
    Engine.MYSQL: _HELD_ON_MYSQL,
    Engine.MARIADB: _HELD_ON_MYSQL,
}
"""Seconds since it was acquired. A session's wall clock is not asked: it leaps twice a year."""
_EXISTS_ON_MYSQL = (
    "SELECT 1 FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_name = 'coordinator_lease'"
)
_EXISTS = {
    Engine.POSTGRESQL: "SELECT 1 WHERE to_regclass('coordinator_lease') IS NOT NULL",
    Engine.SQLITE: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'coordinator_lease'",
    Engine.MYSQL: _EXISTS_ON_MYSQL,
    Engine.MARIADB: _EXISTS_ON_MYSQL,
}
