"""Why nothing was done, and how an error is told."""

from __future__ import annotations

import sys


class Refused(Exception):
    """What was asked for cannot be done; nothing has happened."""


class Lost(Refused):
    """The connection was lost where nothing of a revision had been sent over it."""

    connection_invalidated = True  # as SQLAlchemy's own errors say it


def fields_of(error: BaseException) -> dict[str, str]:
    """Return what PostgreSQL says of an error by the letters of its fields, where pg8000 hands it on."""
    first = next(iter(getattr(getattr(error, "orig", None), "args", ())), None)
    return first if isinstance(first, dict) else {}


def told(error: BaseException) -> str:
    """Return what an error says in one line; of SQLAlchemy's what the driver's own says."""
    said = fields_of(error).get("M") or getattr(error, "orig", None) or error
    text = " ".join(str(said).split())
    if isinstance(error, ModuleNotFoundError):
        text += (
            f" for {sys.executable}. `migrations: {{…, python: .venv/bin/python}}` names the project's"
            " interpreter, `prepend_sys_path` in alembic.ini a folder to import from"
        )
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
