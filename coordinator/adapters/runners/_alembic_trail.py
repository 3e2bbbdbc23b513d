"""What a process of Alembic wrote down about its statements, read when it did not come to its end.

The process writes a line before and after each statement, and one for each commit, so that a kill at any
instant leaves no statement out. What is for good is said only where that is certain: a commit was seen, or
the engine commits a change of the schema by itself.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.model import Engine, Migration
from coordinator.sql import split_statements

_MOST_NAMED = 12
_MOST_LETTERS = 60
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_COMMITTING = frozenset({"ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE"})
"""What MySQL and MariaDB commit, and all before it on the same connection; other words may or may not."""


@dataclass(slots=True)
class _Sent:
    connection: int
    line: int | None
    """None: it is not the revision's file that sent it."""
    text: str
    is_whole: bool
    is_ended: bool = False
    is_for_good: bool = False
    is_open: bool = True
    """A commit of its connection would keep it: nothing was taken back behind it."""


def begin_trail(file: Path, migration: Migration) -> None:
    """Write down what a process is asked for; it writes over that before it sends anything of a revision."""
    file.write_text(f"{json.dumps(_asked(migration))}\n", encoding="utf-8")


def may_have_begun(file: Path, migration: Migration) -> bool:
    """Tell whether anything of a revision may have been sent; of a file that is gone nobody knows."""
    return _events(file) != [_asked(migration)]


def read_trail(file: Path, migration: Migration, engine: Engine) -> str:
    """Return sentences about what a revision did before it was cut off or failed; empty: nothing is known."""
    sent = _sent_of(file, migration, engine)
    if sent is None:
        return ""
    if not sent:
        return "It had sent nothing yet."
    is_there = [each for each in sent if each.is_for_good]
    unseen = [each for each in sent if each.is_ended and not each.is_for_good]
    under_way = [each for each in sent if not each.is_ended]
    at_work = "" if engine is Engine.SQLITE else " and perhaps still at work on the server"
    told = (
        (is_there, "There for good"),
        (unseen, "Ran, and nobody saw it committed"),
        (under_way, f"Refused, or sent without an answer{at_work}"),
    )
    return " ".join(f"{how}: {_named(each)}." for each, how in told if each)


def has_left(file: Path, migration: Migration, engine: Engine) -> bool:
    """Tell whether a statement of a revision is there for good, which was cut off or failed.

    One that came to its end is none: where the version table lacks it, somebody went back by hand.
    """
    sent = _sent_of(file, migration, engine) or []
    return any(each.is_for_good for each in sent) and not _is_recorded(sent)


def _is_recorded(sent: list[_Sent]) -> bool:
    """Tell whether what Alembic sent behind the file's last statement, its own record of it, is for good."""
    end = max((place for place, each in enumerate(sent, 1) if each.line is not None), default=0)
    return any(each.is_for_good for each in sent[end:])


def _sent_of(file: Path, migration: Migration, engine: Engine) -> list[_Sent] | None:
    """Return what a revision sent, whose file is what it was then; None: nothing is known."""
    events = _events(file)
    if not events or events[0] != ["revision", str(migration.version), migration.files[0].digest]:
        return None
    return _sent(events[1:], engine)


def _asked(migration: Migration) -> list[str]:
    """Return what is written down of a request, and in which life of the machine: one that stops loses what
    was written over it. Where that is not to be had, this process alone believes it.
    """
    life = _BOOT.read_text(encoding="ascii").strip() if _BOOT.is_file() else f"process {os.getpid()}"
    return ["asked", str(migration.version), migration.files[0].digest, life]


def _events(file: Path) -> list[Any]:
    """Return what is written down; a last line that is cut off is none."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    return [json.loads(each) for each in lines]


def _sent(events: list[Any], engine: Engine) -> list[_Sent]:
    sent: list[_Sent] = []
    for event in events:
        match event:
            case ["sends", int() as connection, int() | None as line, str() as text, bool() as is_whole]:
                sent.append(_Sent(connection, line, text, is_whole))
            case ["sent", int() as connection]:
                last = next(each for each in reversed(sent) if each.connection == connection)
                last.is_ended = True
                if _commits_itself(last, engine):
                    _keep(sent, connection)
            case ["committed", int() as connection]:
                _keep(sent, connection)
            case ["taken back", int() as connection]:
                _give_up(sent, connection)
    return sent


def _keep(sent: list[_Sent], connection: int) -> None:
    for each in sent:
        if each.connection == connection and each.is_ended and each.is_open:
            each.is_for_good = True


def _give_up(sent: list[_Sent], connection: int) -> None:
    for each in sent:
        if each.connection == connection and not each.is_for_good:
            each.is_open = False


def _commits_itself(sent: _Sent, engine: Engine) -> bool:
    if not (engine.speaks_mysql and sent.is_whole):
        return False
    statements = split_statements(sent.text, engine)
    words = statements[0].words if len(statements) == 1 else ()
    return words[:1] != () and words[0] in _COMMITTING and "TEMPORARY" not in words


def _named(sent: list[_Sent]) -> str:
    named = [_name(each) for each in sent[:_MOST_NAMED]]
    if more := len(sent) - len(named):
        named.append(f"and {more} more, up to {_name(sent[-1])}")
    return ", ".join(named)


def _name(sent: _Sent) -> str:
    text = " ".join(sent.text.split())
    text = text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
    return f"line {sent.line} ({text})" if sent.line else f"outside of the file ({text})"
