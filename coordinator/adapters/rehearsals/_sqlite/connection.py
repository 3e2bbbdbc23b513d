"""Connections to a scratch file: what is asked there leaves nothing, reaches nothing else, and ends.

SQLite asks its authorizer before it compiles anything that would leave the scratch file, and again for the
ATTACH inside VACUUM INTO. A query's work is counted in instructions of SQLite's machine and never in seconds,
and the clock and the dice are ours, so that the same question has the same answer each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Final, cast

from coordinator.evidence import Objection

SqlValue = str | bytes | int | float | None

REFUSED: Final = "CO001"
"""Objection code: coordinator does not run this text on a scratch database, and SQLite was not asked."""

TODAY: Final = "2024-02-29"
_NOW: Final = f"{TODAY} 12:34:56.789"
"""What `now` is in every question. A leap day in the past, far from each sample value."""
_NEWER: Final = {3091: "SQLITE_CONSTRAINT_DATATYPE"}
"""Result codes that SQLite has and Python cannot name (rescode.html)."""
_STEP: Final = 10_000
_STEPS: Final = 2_000
"""A question may take 20 million instructions, which is about one second."""
_LONGEST: Final = 16 * 1024 * 1024
"""Bytes of a text or a row: `randomblob(1e9)` would not count as one instruction more."""
_READING_PRAGMAS: Final = frozenset({
    "collation_list", "compile_options", "database_list", "foreign_key_check", "foreign_key_list",
    "function_list", "index_info", "index_list", "index_xinfo", "integrity_check", "module_list",
    "pragma_list", "quick_check", "table_info", "table_list", "table_xinfo",
})  # fmt: skip
_CONTROL: Final = frozenset({sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT})
_ELSEWHERE: Final = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH})
_FOLDERS: Final = frozenset({"temp_store_directory", "data_store_directory"})
_OWN_ATTACHMENTS: Final = frozenset({"", ":memory:"})
"""An empty name is a temporary file of SQLite's own; plain VACUUM attaches one."""

REFUSALS: Final = (sqlite3.Error, sqlite3.Warning, UnicodeError)
"""What a text may raise; Python refuses NUL bytes and lone surrogates itself, before SQLite sees them."""

Touched = Callable[[int, str, str, str], None]
"""Is told of action, first and second argument, and the view or trigger inside which it stands."""


@contextmanager
def asking(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect for questions, with foreign keys enforced: see docs/reference/rehearsal-sqlite.md."""
    with closing(sqlite3.connect(path, isolation_level=None, cached_statements=0)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        with ExitStack() as opened:
            _fix(connection, opened)
            connection.execute("PRAGMA foreign_keys = ON")
            # Else a build that distrusts schemas would refuse our time in a CHECK or an index.
            connection.execute("PRAGMA trusted_schema = ON")
            connection.execute("PRAGMA synchronous = OFF")
            yield connection


@contextmanager
def taken_back(connection: sqlite3.Connection) -> Iterator[None]:
    """Roll back whatever is done inside."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.OperationalError):  # a failure that rolled back by itself: ON CONFLICT ROLLBACK
            connection.execute("ROLLBACK")


@contextmanager
def limited(connection: sqlite3.Connection, touched: Touched | None = None) -> Iterator[None]:
    """Let SQLite refuse inside what a query may not do on a scratch database, and end what does not end."""
    left = _STEPS

    def spend() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    def allow(action: int, first: str | None, second: str | None, _: str | None, inside: str | None) -> int:
        if _leaves(action, (first or "").lower(), second):
            return sqlite3.SQLITE_DENY
        if touched is not None:
            touched(action, first or "", second or "", inside or "")
        return sqlite3.SQLITE_OK

    connection.set_progress_handler(spend, _STEP)
    connection.set_authorizer(allow)
    try:
        yield
    finally:
        connection.set_authorizer(None)
        connection.set_progress_handler(None, 0)


def _leaves(action: int, first: str, second: str | None) -> bool:
    if action == sqlite3.SQLITE_PRAGMA:
        return first not in _READING_PRAGMAS and second is not None
    if action == sqlite3.SQLITE_FUNCTION:
        return (second or "").lower() == "load_extension"
    return action in _CONTROL or action in _ELSEWHERE


def allow_within_scratch(action: int, first: str | None) -> int:
    """Authorize what a migration does: everything but to attach, or to write, another file."""
    if action == sqlite3.SQLITE_ATTACH and first not in _OWN_ATTACHMENTS:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _FOLDERS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def objection_from(error: sqlite3.Error | sqlite3.Warning | UnicodeError) -> Objection:
    """Return SQLite's refusal; Python's own, which comes before SQLite sees the text, as one of a query."""
    name: str | None = getattr(error, "sqlite_errorname", None)
    if name == "SQLITE_AUTH":
        return Objection(
            REFUSED,
            "coordinator does not run this on a scratch database: transaction control, another file,"
            " or a PRAGMA that sets something",
        )
    if name == "SQLITE_INTERRUPT":
        return Objection(
            REFUSED, f"it was stopped after {_STEP * _STEPS:,} instructions on a few sample rows"
        )
    if name == "unknown":
        code = getattr(error, "sqlite_errorcode", 0)
        name = _NEWER.get(code, f"SQLITE_{code}")
    return Objection(name or "SQLITE_MISUSE", str(error))


def _fix(connection: sqlite3.Connection, opened: ExitStack) -> None:
    """Put our time and our dice in place of SQLite's."""

    @cache
    def clock() -> sqlite3.Connection:
        return opened.enter_context(closing(sqlite3.connect(":memory:", isolation_level=None)))

    for name in ("date", "time", "datetime", "julianday", "unixepoch"):
        if _has(name):
            connection.create_function(name, -1, _timed(clock, name, (0,)), deterministic=True)
    connection.create_function("strftime", -1, _timed(clock, "strftime", (1,)), deterministic=True)
    if _has("timediff"):
        connection.create_function("timediff", 2, _timed(clock, "timediff", (0, 1)), deterministic=True)
    for name in ("current_date", "current_time", "current_timestamp"):
        connection.create_function(name, 0, partial(_at_our_time, name), deterministic=True)
    dice = _Dice()
    connection.create_function("random", 0, dice.number)
    connection.create_function("randomblob", 1, dice.blob)


def _timed(
    clock: Callable[[], sqlite3.Connection], name: str, places: Sequence[int]
) -> Callable[..., SqlValue]:
    """Return a function of SQLite's with our time in those places of its arguments that mean now."""

    def ask(*given: SqlValue) -> SqlValue:
        arguments = list(given)
        for place in places:
            if len(arguments) == place:
                arguments.append("now")
            if len(arguments) > place and str(arguments[place]).lower() == "now":
                arguments[place] = _NOW
        marks = ", ".join("?" * len(arguments))
        [value] = clock().execute(f"SELECT {name}({marks})", arguments).fetchone()
        return cast("SqlValue", value)

    return ask


@cache
def _has(name: str) -> bool:
    with closing(sqlite3.connect(":memory:")) as library:
        asked = "SELECT 1 FROM pragma_function_list WHERE name = ?"
        return library.execute(asked, (name,)).fetchone() is not None


@cache
def _at_our_time(name: str) -> SqlValue:
    function = {"current_date": "date", "current_time": "time"}.get(name, "datetime")
    with closing(sqlite3.connect(":memory:")) as library:
        [value] = library.execute(f"SELECT {function}(?)", (_NOW,)).fetchone()
    return cast("SqlValue", value)


class _Dice:
    """Numbers that look random, never repeat within a connection, and are the same in each of them."""

    def __init__(self) -> None:
        self._thrown = 0

    def number(self) -> int:
        self._thrown += 1
        mixed = self._thrown * 0x9E3779B97F4A7C15 % 2**64
        return mixed - 2**63

    def blob(self, length: object) -> bytes:
        size = max(1, int(length) if isinstance(length, int | float) else 1)
        if size > _LONGEST:
            raise OverflowError("string or blob too big")
        block = self.number().to_bytes(8, "big", signed=True)
        return (block * (size // len(block) + 1))[:size]
