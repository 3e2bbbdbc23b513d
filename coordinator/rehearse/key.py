"""The name under which a rehearsal's evidence is kept: a digest of everything that it depends on. Pure.

One key for all of a database's answers, and not one for each query at each state. What a query does on sample
rows can depend on the queries before it (they draw numbers from sequences, which no rollback gives back), and
a state on all pending migrations (a role that the last one makes is there at the first). So a smaller key
would be wrong, or would have to leave out the dear layers, whose answers alone are worth keeping: the cheap
ones take 20 ms a state.

The whole task goes in, field by field, so that a field which is added some day is in the key by itself. What
is left out is named here, with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, timedelta
from enum import Enum
from hashlib import sha256
from pathlib import PurePath

from coordinator.rehearse.task import Task

_RESTRICT = re.compile(r"^\\restrict ([A-Za-z0-9]{32,})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What answers depend on beside the task."""

    program: str
    """What changes with any line of this program and with the libraries that it talks to engines through."""
    engine: str
    """RehearsalEngine.identity."""
    live_version: str | None
    """Decides which server is taken, and what its notes say."""
    day: date
    """In UTC. Migrations and queries may ask for the time (a partition for each month), and things that we
    do not see may change: collations, time zones. Evidence is of today, or it is none."""


_LEFT_OUT = frozenset({"tool", "run_code", "run_range"})


def key_of(task: Task, circumstances: Circumstances) -> str:
    """Return the key: other tasks and other circumstances have other ones.

    Live sizes and counters are left out: they change by the minute, and only hazards, which are found anew
    each time, depend on them. The tool is a part of the program, and is told by its type. What runs code, or
    does a backfill's rows, is the user's, and may do something else each time: whoever asks for the key has
    no such task.
    """
    live = replace(task.live, sizes=None, changes_left={}, dump=_without_token(task.live.dump))
    told = replace(task, live=live)
    parts = {each.name: getattr(told, each.name) for each in fields(task) if each.name not in _LEFT_OUT}
    tool = f"{type(task.tool).__module__}.{type(task.tool).__qualname__}"
    digest = sha256()
    for piece in _pieces((circumstances, tool, parts)):
        digest.update(piece)
    return digest.hexdigest()


def _without_token(dump: str | None) -> str | None:
    """Take the word out that pg_dump draws anew each time (`restrict`, since 18.0 and 17.6)."""
    drawn = _RESTRICT.search(dump or "")
    return dump.replace(drawn[1], "") if dump and drawn else dump


def _pieces(value: object) -> Iterator[bytes]:
    """Yield a value's type and content such that two values with the same bytes are equal.

    Everything that holds others says how many, and every text how long it is, so none runs into the next.
    """
    kind = type(value).__name__
    if is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value)]
        yield f"<{kind} {len(names)}>".encode()
        for name in names:
            yield from _pieces(name)
            yield from _pieces(getattr(value, name))
    elif isinstance(value, Mapping):
        yield f"<{kind} {len(value)}>".encode()
        for each in value.items():
            yield from _pieces(each)
    elif isinstance(value, tuple | list):
        yield f"<{kind} {len(value)}>".encode()
        for each in value:
            yield from _pieces(each)
    else:
        content = _content(value)
        yield f"<{kind} {len(content)}>".encode()
        yield content


def _content(value: object) -> bytes:
    match value:
        case Enum():
            return repr(value).encode()
        case bytes():
            return value
        case str() | PurePath():
            return str(value).encode(errors="surrogatepass")
        case None | bool() | int() | timedelta() | date():
            return repr(value).encode()
        case _:
            # A repr might leave something out, and then two tasks would have one key.
            raise TypeError(f"{type(value).__name__} has no place in a key")
