"""What a process of Alembic wrote down about its statements, read when it did not come to its end.

The process writes a line before and after each statement, and one for each commit, so that a kill at any
instant leaves no statement out. What is for good is said only where that is certain: a commit was seen, or
the engine commits a change of the schema by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.model import Engine, Migration
from coordinator.sql import split_statements, stays_in_transaction

_MOST_NAMED = 12
_MOST_LETTERS = 60


@dataclass(slots=True)
class _Sent:
    line: int | None
    """None: it is not the revision's file that sent it."""
    text: str
    is_ended: bool = False
    is_for_good: bool = False


def read_trail(file: Path, migration: Migration, engine: Engine) -> str:
    """Return sentences about what a revision did before it was cut off or failed; empty: nothing is known."""
    events = _events(file)
    if not events or events[0] != ["revision", str(migration.version), migration.files[0].digest]:
        return ""
    sent = _sent(events[1:], engine)
    if not sent:
        return "It had sent nothing yet."
    is_there = [each for each in sent if each.is_for_good]
    unseen = [each for each in sent if each.is_ended and not each.is_for_good]
    under_way = [each for each in sent if not each.is_ended]
    told = (
        (is_there, "There for good"),
        (unseen, "Ran, and nobody saw it committed"),
        (under_way, "Sent without an answer, and perhaps still at work on the server"),
    )
    return " ".join(f"{how}: {_named(each)}." for each, how in told if each)


def _events(file: Path) -> list[Any]:
    """Return what is written down; a last line that is cut off is none."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    return [json.loads(each) for each in lines]


def _sent(events: list[Any], engine: Engine) -> list[_Sent]:
    sent: list[_Sent] = []
    for event in events:
        match event:
            case ["sends", int() | None as line, str() as text]:
                sent.append(_Sent(line, text))
            case ["sent"]:
                sent[-1].is_ended = True
                if _commits_itself(sent[-1].text, engine):
                    _keep(sent)
            case ["committed"]:
                _keep(sent)
    return sent


def _keep(sent: list[_Sent]) -> None:
    for each in sent:
        each.is_for_good = each.is_ended


def _commits_itself(text: str, engine: Engine) -> bool:
    return engine.speaks_mysql and not all(
        stays_in_transaction(each) for each in split_statements(text, engine)
    )


def _named(sent: list[_Sent]) -> str:
    named = [_name(each) for each in sent[:_MOST_NAMED]]
    if more := len(sent) - len(named):
        named.append(f"and {more} more, up to {_name(sent[-1])}")
    return ", ".join(named)


def _name(sent: _Sent) -> str:
    text = " ".join(sent.text.split())
    text = text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
    return f"line {sent.line} ({text})" if sent.line else f"outside of the file ({text})"
