"""The URL of a SQLite file, as golang-migrate and as SQLAlchemy write it: they differ by one slash.

`sqlite:///shop.db` is the absolute `/shop.db` for golang-migrate and a file in the current folder for
SQLAlchemy; `sqlite:////srv/shop.db` is the same file for both. A URL that names a driver is SQLAlchemy's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from coordinator.adapters.go_url import sqlite_file
from coordinator.adapters.sqlalchemy_url import names_driver, without_driver
from coordinator.errors import Usage
from coordinator.secret import Secret

SCHEME: Final = "sqlite://"


def path_from(url: Secret) -> Path:
    """Return the file of `sqlite://PATH` or `sqlite3://PATH` (as golang-migrate writes it), of SQLAlchemy's
    form, of a URI of SQLite's own (`file:PATH`), or of a bare path. Raises: Usage `bad-database-url`.
    """
    text = sqlite_file(without_driver(url).reveal())
    path = text.removeprefix(SCHEME).partition("?")[0]
    if not path or "://" in path:
        raise Usage(
            "bad-database-url",
            "The database's URL is no SQLite file.",
            next_step="Write sqlite://folder/file.db, or sqlite:///folder/file.db for an absolute path.",
        )
    return Path(path)


def written_like(path: Path, like: Secret) -> Secret:
    """Return the address of an absolute path in the form that a URL has."""
    scheme = re.match(r"sqlite(?:3|\+\w+)?://", like.reveal())
    slash = "/" if names_driver(like) else ""
    return Secret(f"{scheme[0] if scheme else ''}{slash}{path}")


def of_sqlalchemy(url: Secret) -> Secret:
    """Return a URL that is meant as SQLAlchemy reads it so that nobody reads it otherwise.

    Raises: Usage `bad-database-url` where it was perhaps meant in golang-migrate's form.
    """
    text = url.reveal()
    if not re.match("sqlite:///(?!/)", text):
        return url
    path = text.removeprefix("sqlite:///").partition("?")[0]
    other = Path(f"/{path}")
    if not Path(path).parent.is_dir() or (other.is_file() and not Path(path).is_file()):
        raise Usage(
            "bad-database-url",
            "The database's URL has three slashes, and in the form that Alembic reads they begin a path from"
            " the current folder, where its folder or file is not.",
            why="Whoever meant an absolute path would get a new, empty database elsewhere.",
            next_step="Write four slashes before an absolute path: sqlite:////folder/file.db.",
        )
    return Secret(text.replace(SCHEME, "sqlite+pysqlite://", 1))
