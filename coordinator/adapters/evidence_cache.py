"""Evidence of earlier rehearsals in one SQLite file of the user's cache, which nobody has to have.

A wrong answer from here would be a wrong verdict, so an answer counts only with a digest of itself and its
key beside it, and a file that is damaged, of another program or open to others is thrown away. A missing
answer costs only time, so a file that cannot be read or written is none, and no error.

SQLite and not a file for each answer: several commands write at once, a kill in between leaves the state
before, and the oldest answers go out when there are too many.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

from coordinator.adapters.cache_folder import cache_folder

_OURS: Final = 0x636F6F72
"""SQLite's application_id of our files: `coor`."""
_TABLE: Final = """
CREATE TABLE evidence
  (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, answer TEXT NOT NULL, digest TEXT NOT NULL)
"""
_LARGEST: Final = 32 * 1024 * 1024
"""Characters of all answers together; one of a large release has 100,000."""
_PATIENCE: Final = 2.0
"""Seconds that a command waits for another one's write; ours last milliseconds."""
_SPOILT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PACKAGES: Final = ("coordinator", "migrations_hooks")
_LIBRARIES: Final = ("coordinator", "psycopg", "psycopg-binary", "psycopg-c", "PyMySQL")

_T = TypeVar("_T")


def evidence_file() -> Path:
    """Return where a user's evidence is kept; the number is that of the form of its table."""
    return cache_folder() / "evidence-1.sqlite3"


def program() -> str:
    """Return what changes with any line of this program, and with what talks to an engine for it."""
    digest = sha256(repr((sys.version, platform.platform(), [*map(_version, _LIBRARIES)])).encode())
    for package in _PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        for folder in spec.submodule_search_locations or ():
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(f"\0{package}/{file.relative_to(folder).as_posix()}\0".encode())
                digest.update(sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


class _SpoiltError(Exception):
    """The file is not what we made."""


class EvidenceFile:
    """rehearsal_ports.EvidenceCache. A connection for each call: calls are few, and threads share nothing."""

    def __init__(self, file: Path, *, tell: Callable[[str], None], largest: int = _LARGEST) -> None:
        self._file = file
        self._tell = tell
        self._largest = largest

    def get(self, key: str) -> str | None:
        """Return the answer that was kept; None if there is none that can be trusted."""
        row = self._try(
            lambda connection: connection.execute(
                "SELECT answer, digest FROM evidence WHERE key = ?", (key,)
            ).fetchone()
        )
        if row is None or not isinstance(row[0], str) or row[1] != _digest(key, row[0]):
            return None
        return row[0]

    def put(self, key: str, answer: str) -> None:
        """Keep an answer, if that is possible; the oldest ones make room."""
        self._try(lambda connection: self._write(connection, key, answer))

    def _write(self, connection: sqlite3.Connection, key: str, answer: str) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM evidence WHERE key = ?", (key,))
        connection.execute(
            "INSERT INTO evidence (key, answer, digest) VALUES (?, ?, ?)", (key, answer, _digest(key, answer))
        )
        connection.execute(
            "DELETE FROM evidence WHERE number IN (SELECT number FROM"
            " (SELECT number, sum(length(answer)) OVER (ORDER BY number DESC) AS size FROM evidence)"
            " WHERE size > ?)",
            (self._largest,),
        )
        connection.execute("COMMIT")

    def _try(self, ask: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """Return what was asked of the file; None where there can be none. One that is no good goes."""
        try:
            with closing(self._opened()) as connection:
                return ask(connection)
        except _SpoiltError as error:
            self._throw_away(str(error))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _SPOILT:
                self._throw_away("is damaged")
        except OSError:
            pass  # it cannot be made: nobody has to have it
        return None

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        # Not opened to look at it: to close it would let go of the locks that SQLite may hold.
        found = self._file.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise _SpoiltError("is no private file")
        with ExitStack() as opened:
            connection = sqlite3.connect(self._file, timeout=_PATIENCE, isolation_level=None)
            opened.callback(connection.close)
            _demand_ours(connection)
            opened.pop_all()
        return connection

    def _throw_away(self, why: str) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            # A journal that stays would be played back into the next file of that name.
            self._file.with_name(f"{self._file.name}-journal").unlink(missing_ok=True)
            self._tell(f"{self._file} {why}: it was thrown away, and every question is asked anew.")


def _demand_ours(connection: sqlite3.Connection) -> None:
    """Make the table in a new file. Raises: _SpoiltError where it is another program's."""
    if _application(connection) == _OURS:
        return
    connection.execute("BEGIN IMMEDIATE")  # somebody else may be making it
    [[things]] = connection.execute("SELECT count(*) FROM sqlite_schema")
    if _application(connection) == 0 and not things:
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA application_id = {_OURS}")
    elif _application(connection) != _OURS:
        raise _SpoiltError("is another program's")
    connection.execute("COMMIT")


def _application(connection: sqlite3.Connection) -> int:
    [[number]] = connection.execute("PRAGMA application_id")
    return int(number)


def _digest(key: str, answer: str) -> str:
    return sha256(f"{key}\0{answer}".encode(errors="surrogatepass")).hexdigest()
