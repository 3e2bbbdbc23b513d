"""One coordinator at a time on a database, wherever it was started.

The lease of place.py is a lock of this machine's kernel and of one checkout. This one is an advisory lock
in each database, on a connection that lives as long as the command, and beside a file of SQLite one of the
kernel: a second coordinator in another checkout or on another machine, with the same plan and therefore the
same claim, is turned away before it acts. It goes with its process. It is not a condition for acting: a way
back must not depend on a database that is down.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from threading import Timer
from typing import Final

from coordinator.errors import DatabaseError, Waiting
from coordinator.model import DatabaseName, Engine
from coordinator.ports import Ports
from coordinator.ports.databases import LiveSession, LockId, Session

_LOCK_ID: Final = int.from_bytes(b"coord", "big")
_LETS_GO: Final = timedelta(seconds=5)
"""How long a lost session of ours may still hold the lock: a server says that it ends it before it has."""
_ANSWERS: Final = timedelta(seconds=20)
"""How long an answer may take to which nothing has to be done."""
_IS_GONE: Final = timedelta(seconds=1)
"""How long a coordinator that was killed may seem to be there: a busy server hears of it a moment later."""


Ask = Callable[[Session, DatabaseName], None]
"""Raises where a database is not as a run left it."""


@contextmanager
def alone_on_databases(ports: Ports) -> Iterator[Callable[[Ask | None], None]]:
    """Hold each database of the plan, and yield what makes sure that it is still held.

    A server that restarted, or somebody who ended the session, took the lock away; asked before each effect,
    the yielded function takes it again. Both raise: Waiting `lease-held` where another coordinator has it.
    What it gets is asked of each database once, and again after its lock was lost: whatever may have happened
    to it then happened before that.
    """
    with ExitStack() as open_locks:
        held: dict[DatabaseName, _Held] = {}
        files: dict[DatabaseName, str] = {}
        asked: set[DatabaseName] = set()

        def hold_all() -> None:
            for name, spec in sorted(ports.plan.databases.items()):
                if spec.engine is Engine.SQLITE and name not in files:  # nobody takes this lock away again
                    with suppress(DatabaseError):
                        files[name] = _hold_file(ports, name, open_locks, held=files.values())
                if spec.engine is not Engine.SQLITE and not _is_alive(held.get(name)):
                    lost = held.pop(name, None)
                    asked.discard(name)
                    timeout = _IS_GONE if lost is None else _LETS_GO
                    with suppress(DatabaseError):  # whatever needs this database will say so, and better
                        held[name] = _hold(ports, name, open_locks, timeout=timeout, others=held.values())

        def renew(ask: Ask | None) -> None:
            hold_all()
            if ask is None:
                return
            for name in ports.plan.databases.keys() - asked:
                with suppress(DatabaseError), ports.session(name, label="coordinator") as session:
                    ask(session, name)
                    asked.add(name)

        hold_all()
        yield renew


@dataclass(frozen=True, slots=True)
class _Held:
    """A session with a lock beside that of its database: who finds it taken is in the same database."""

    session: LiveSession
    token: LockId


def _is_alive(held: _Held | None) -> bool:
    """Tell whether a session answers; one that does not in good time is given up, or the run stood still.

    What stands between may keep a connection and forward nothing, which no kernel notices.
    """
    if held is None:
        return False
    too_late = Timer(_ANSWERS.total_seconds(), held.session.cut_off)
    too_late.daemon = True
    too_late.start()
    try:
        return bool(held.session.query("SELECT 1"))
    except DatabaseError:
        return False
    finally:
        too_late.cancel()


def _lock_id(session: Session) -> LockId:
    """Return the lock of this database; a name of MySQL is one of the whole server, of 64 letters at most."""
    target = session.target(None)
    if target.engine.speaks_mysql:
        return f"coordinator {blake2b(target.database.encode(), digest_size=16).hexdigest()}"
    return _LOCK_ID


def _hold(
    ports: Ports,
    name: DatabaseName,
    open_locks: ExitStack,
    *,
    timeout: timedelta,
    others: Collection[_Held],
) -> _Held:
    """Hold a database, unless a session of ours does already by another name: two may be schemas of one."""
    session = open_locks.enter_context(ports.session(name, label=f"coordinator {ports.plan.release}"))
    token = _token(session.target(None).engine)
    if not any(_is_taken(session, other.token) for other in others if type(other.token) is type(token)):
        _lock(session, name, open_locks, (token, _lock_id(session)), timeout=timeout)
    return _Held(session, token)


def _token(engine: Engine) -> LockId:
    number = secrets.randbits(62)
    return f"coordinator {number}" if engine.speaks_mysql else number


def _is_taken(session: Session, token: LockId) -> bool:
    try:
        with session.locked((token,), timeout=timedelta()):
            return False
    except Waiting:
        return True


def _hold_file(ports: Ports, name: DatabaseName, open_locks: ExitStack, *, held: Collection[str]) -> str:
    """Hold a file of SQLite as long as the command lasts; return which, as two names may mean one file."""
    with ports.session(name, label="coordinator") as session:
        file = session.target(None).database
        if file not in held:
            _lock(session, name, open_locks, (_LOCK_ID,), timeout=_IS_GONE)
    return file


def _lock(
    session: Session,
    name: DatabaseName,
    open_locks: ExitStack,
    lock_ids: tuple[LockId, ...],
    *,
    timeout: timedelta,
) -> None:
    try:
        open_locks.enter_context(session.locked(lock_ids, timeout=timeout))
    except Waiting as error:
        raise Waiting(
            "lease-held",
            f"Another coordinator works on database `{name}`.",
            why=error.what,
            next_step="Let it finish, or stop it with Ctrl-C where it runs; then run again.",
        ) from error
