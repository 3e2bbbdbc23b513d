"""What leads a program to the live database, so that it is kept from one that is rehearsed.

The plan promises (`rehearse: true`) that the program works where it is told to. This is for a program that
looks further all the same: a second variable with the same address, a password for the client's library, a
file in its arguments. What it reads from a file of its own, or has compiled in, nobody sees here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from coordinator.adapters.sqlite_url import path_from
from coordinator.model import Engine
from coordinator.secret import Secret, passwords_in

_OF_CLIENTS: Final = frozenset(
    {
        *("PGDATABASE", "PGHOST", "PGHOSTADDR", "PGPASSFILE", "PGPASSWORD", "PGPORT", "PGSERVICE"),
        *("PGSERVICEFILE", "PGUSER", "MYSQL_HOST", "MYSQL_PWD", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT"),
    }
)
"""Variables by which the libraries of PostgreSQL and MySQL find a server that no address names."""


@dataclass(frozen=True, slots=True)
class LiveAddress:
    """Where the live database is; an empty `url` where nobody knows, and then nothing is seen of it."""

    url: Secret
    engine: Engine
    folder: Path
    """Where the program runs: a relative file starts there."""

    def is_in(self, text: str) -> bool:
        """Tell whether a text leads there: by the address in any scheme, or by the password."""
        if not self.url.reveal():
            return False
        if self.engine is Engine.SQLITE:
            return self._names_file(text)
        whole = re.sub(r"^[\w+]+://", "", self.url.reveal())
        place, _, settings = whole.partition("?")
        # With a scheme, which the form of Go's driver has not, a password is found in any of them.
        passwords = passwords_in(Secret(f"any://{place}")) | {
            value for name, value in parse_qsl(settings) if name == "password"
        }
        is_path = not place or place.startswith("/")  # it names a database alone, as a folder may be called
        return (whole if is_path else place) in text or any(
            re.search(rf"(?:^|[:=]['\"]?){re.escape(each)}(?:['\"]?(?:$|[@\s&;]))", text)
            for each in passwords
        )

    def why_not_rehearsed(self, argv: Sequence[str]) -> str | None:
        """Return why a program may not be run on a scratch database: its own words lead there."""
        if any(self.is_in(each) for each in argv):
            return "its `command` has the live database's address, or the password, in its own words"
        return None

    def kept_from(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return an environment without what leads there, and without what leads to any server."""
        return {
            name: value
            for name, value in environment.items()
            if name not in _OF_CLIENTS and not self.is_in(value)
        }

    def _names_file(self, text: str) -> bool:
        file = path_from(self.url).resolve()
        said = text.rpartition("=")[2].partition("?")[0]  # `--db=shop.db` too
        said = re.sub(r"^[a-z0-9+]+:(?://)?", "", said)
        return str(file) in text or (self.folder / said).resolve() == file
