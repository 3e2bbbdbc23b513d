"""Each statement that is sent while one revision runs, written down before it and after it.

A kill leaves what was written; only a machine that stops may lose the last of it. _alembic_trail.py reads it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .session import driver_connection, is_for_good, only_reads, takes_back
from .taps import line_of, replace_method

_KEPT = 10_000
"""Letters of a statement that are written down."""


class Trail:
    """The file that it is written to; of one revision after the other."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._is_listening = False

    def begin(self, request: dict[str, Any]) -> None:
        """Write down what the revision of a request sends from now on; of several revisions nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if request["trail"] is None:
            return
        if len(request["revisions"]) > 1:
            Path(request["trail"]).write_text("[]\n", encoding="utf-8")  # they have begun, and no more
            return
        [(revision, (self._path, digest))] = request["revisions"].items()
        self._connections: list[Any] = []  # kept, so that no other one gets its number
        self._file = os.open(request["trail"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._note("revision", revision, digest)
        if not self._is_listening:
            self._is_listening = True
            self._listen()

    def _listen(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "before_cursor_execute", self._before)
        event.listen(Engine, "after_cursor_execute", self._after)
        event.listen(Engine, "commit", self._commits)
        for name in ("rollback", "rollback_savepoint"):
            event.listen(Engine, name, lambda one, *_: self._note("taken back", self._number(one)))

    def _before(self, connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if self._file is None:
            return
        line, is_whole = line_of(self._path), len(text) <= _KEPT
        self._note("sends", self._number(connection), line, text[:_KEPT], is_whole)

    def _after(self, connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        self._note("sent", self._number(connection))
        if only_reads(text, connection.dialect.name):
            return
        if takes_back(text):
            self._note("taken back", self._number(connection))
        elif is_for_good(text, driver_connection(connection)):
            self._note("committed", self._number(connection))

    def _commits(self, connection: Any) -> None:
        """Write a commit down when it has come back; SQLAlchemy says only that it comes."""
        dialect, commit = connection.dialect, connection.dialect.do_commit

        def committed(driver_connection: Any) -> None:
            replace_method(dialect, "do_commit", commit)
            commit(driver_connection)
            self._note("committed", self._number(connection))

        replace_method(dialect, "do_commit", committed)

    def _number(self, connection: Any) -> int:
        if connection not in self._connections:
            self._connections.append(connection)
        return self._connections.index(connection)

    def _note(self, *event: Any) -> None:
        if self._file is not None:
            os.write(self._file, f"{json.dumps(event)}\n".encode())
