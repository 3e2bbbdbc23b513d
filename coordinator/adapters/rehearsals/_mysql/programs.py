"""Which server of this machine rehearses: of the live server's kind and SQL, as far as it has one.

A `mysqld` may be MariaDB's, as on Debian: each program is asked what it is, and that says nothing of what the
plan calls its database.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._mysql.settings import Traits, traits_from, traits_of
from coordinator.errors import Usage
from coordinator.model import Engine

_NAMES: Final = ("mariadbd", "mysqld")
_FOLDERS: Final = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/local/mysql/bin",
    "/opt/homebrew/opt/mariadb*/bin",
    "/opt/homebrew/opt/mysql*/bin",
    "/usr/local/opt/mariadb*/bin",
    "/usr/local/opt/mysql*/bin",
)
_INSTALLERS: Final = ("mariadb-install-db", "mysql_install_db")
_SAYS: Final = re.compile(r"Ver (?P<version>\S+)(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Program:
    """A server's program."""

    path: Path
    traits: Traits

    @property
    def identity(self) -> str:
        """Return what changes with the program."""
        seen = self.path.stat()
        return repr((str(self.path), self.traits.name, seen.st_size, seen.st_mtime_ns))

    def installer(self) -> str | None:
        """Return MariaDB's program that makes a data folder."""
        places = os.pathsep.join(
            (str(self.path.parent), str(self.path.parent.parent / "bin"), os.environ.get("PATH", ""))
        )
        return next((found for name in _INSTALLERS if (found := shutil.which(name, path=places))), None)


def server_program(engine: Engine, live_version: str | None) -> Program:
    """Return the program to rehearse with. Raises: Usage `no-rehearsal-server`."""
    live = traits_from(live_version)
    kind = live.engine if live else engine
    found = list(_found())
    if not found:
        raise Usage(
            "no-rehearsal-server",
            "No MariaDB and no MySQL was found to rehearse on.",
            why=f"Looked for {' and '.join(_NAMES)} in PATH, {', '.join(_FOLDERS)}.",
            next_step="Install the server's package of your distribution (Debian: mariadb-server), or name a"
            " scratch server of your team as the database's `rehearsal: {url: env:…}`.",
        )
    return max(found, key=lambda each: _order(each, kind, live))


def _order(program: Program, kind: Engine, live: Traits | None) -> tuple[bool, bool, tuple[int, ...]]:
    traits = program.traits
    has_its_sql = live is not None and traits.has_sql_of(live)
    return traits.engine is kind, has_its_sql, tuple(map(int, traits.version.split(".")))


def _found() -> Iterator[Program]:
    places = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    for pattern in _FOLDERS:
        places += sorted(Path("/").glob(pattern.removeprefix("/")))
    paths = (folder / name for folder in places for name in _NAMES)
    for path in dict.fromkeys(each.resolve() for each in paths if os.access(each, os.X_OK)):
        if (traits := _traits_of(path)) is not None:
            yield Program(path, traits)


def _traits_of(path: Path) -> Traits | None:
    """Return what `mariadbd  Ver 10.11.19-MariaDB-… for debian-linux-gnu` says; None if it does not run."""
    try:
        shown = subprocess.run(
            [path, "--no-defaults", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    said = _SAYS.search(shown.stdout)
    return traits_of(f"{said['version']} {said['rest']}") if said else None
