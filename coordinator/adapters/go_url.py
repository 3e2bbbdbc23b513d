"""URLs as Go's tools and drivers have them, where they are none of libpq's or SQLite's.

A team with golang-migrate or goose has its address in that form, and the same variable is read by the tool,
the service and us. pgx and lib/pq take a parameter that they do not know for a setting of the session
(`?search_path=app`), which libpq refuses; golang-migrate's own begin with `x-`. What says how the tool or a
pool of connections works is passed over here; what says that the tool keeps its versions or its locks
elsewhere is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from coordinator.errors import Usage
from coordinator.secret import Secret

_OF_PGX: Final = re.compile(r"\Apgx[45]?(?=://)")
"""golang-migrate's drivers by pgx."""
_POSTGRESQL: Final = re.compile(r"(?P<head>postgres(?:ql)?://(?:[^@/]*@)?[^?]*)\?(?P<query>.*)", re.DOTALL)
_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")
_NO_SETTING: Final = ("x-", "ssl", "tls")
"""A tool's own, or what was to protect the connection and is misspelt."""
_OF_POOL: Final = "pool_"
_PASSED_OVER: Final = frozenset(
    {"x-multi-statement", "x-multi-statement-max-size", "x-statement-timeout", "x-no-tx-wrap", "x-no-lock"}
    | {"binary_parameters", "default_query_exec_mode", "description_cache_capacity", "min_read_buffer_size"}
    | {"prefer_simple_protocol", "statement_cache_capacity", "statement_cache_mode"}
)
"""How golang-migrate, lib/pq and pgx send what they send. What each file needs is seen in the file."""
_FILE_URI: Final = re.compile(
    r"file:(?://(?:localhost)?(?=/))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?.*", re.DOTALL
)
TABLE: Final = "x-migrations-table"


def for_libpq(url: Secret, *, known: AbstractSet[str]) -> Secret:
    """Return a PostgreSQL URL of Go's as libpq reads it, whose parameters are `known`; others as they are.

    Raises: Usage `bad-database-url` for a parameter that may not be passed over.
    """
    text = _OF_PGX.sub("postgresql", url.reveal())
    match = _POSTGRESQL.fullmatch(text)
    if match is None:
        return Secret(text)
    kept, settings = [], []
    for piece in match["query"].split("&"):
        name, is_given, value = piece.partition("=")
        if not is_given or name in known:
            kept.append(piece)
        elif name not in _PASSED_OVER and not name.startswith(_OF_POOL):
            settings.append(_setting(unquote(name), unquote(value)))
    if len(kept) == match["query"].count("&") + 1:
        return Secret(text)
    if settings:
        given = [unquote(each.partition("=")[2]) for each in kept if each.startswith("options=")]
        kept = [each for each in kept if not each.startswith("options=")]
        kept.append("options=" + quote(" ".join([*given, *settings]), safe=""))
    return Secret(match["head"] + ("?" if kept else "") + "&".join(kept))


def sqlite_file(text: str) -> str:
    """Return the file of `sqlite3://PATH` or of a URI of SQLite's own (`file:shop.db?_fk=1`); else the text.

    Raises: Usage `bad-database-url` for a parameter that may not be passed over.
    """
    uri = _FILE_URI.fullmatch(text)
    query = (uri["query"] if uri else text.partition("?")[2]) or ""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == TABLE:
            raise refused_parameter(name)
        if uri and (name, value) == ("mode", "memory"):
            raise refused_parameter("mode=memory")
    return unquote(uri["path"]) if uri else re.sub(r"\Asqlite3(?=://)", "sqlite", text)


def _setting(name: str, value: str) -> str:
    """Return libpq's option for a setting of the session."""
    if name.startswith(_NO_SETTING) or not _SETTING.fullmatch(name):
        raise refused_parameter(name)
    if "@" in value:  # a piece of a password, which nobody may show
        raise refused_parameter("")
    return f"-c {name}=" + re.sub(r"([\\\s])", r"\\\1", value)


def refused_parameter(name: str) -> Usage:
    """Return the error of a parameter that may not be passed over; that of a version table has its place."""
    shown = name if re.fullmatch(r"[\w=-]{1,40}", name) else "one whose name is odd"
    is_table = name.startswith(TABLE)
    return Usage(
        "bad-database-url",
        f"The database's URL has a parameter that coordinator does not know ({shown}).",
        next_step="Take it out, and name the version table in the plan: `migrations: {…, table: NAME}`."
        if is_table
        else "Take it out of the URL that the plan names.",
    )
