"""What a server of our own would be, told from its files: a start takes a second, and a look does not.

Its answers depend on the programs, on the extensions that are installed (a migration may ask what is there),
and on the variables that libpq reads. A server of the team has roles, extensions and settings that change
without our seeing it, so nothing of the kind is told of that one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._postgresql.binaries import server_binaries

_SHARED: Final = ("share/extension", "share/postgresql*/extension")
_LIBRARIES: Final = ("lib", "lib/postgresql*")
"""Below the folder that holds `bin`, as PostgreSQL's own build, Homebrew and PGDG lay them out."""
_SYSTEM: Final = ("share/postgresql/{major}/extension", "share/postgresql{major}/extension")
"""Below /usr, for programs that are below it: Debian, Alpine."""


def identity(live_version: str | None) -> str | None:
    """Return the programs and extensions as names, sizes and times; None where there is no such folder.

    Raises: Usage `no-rehearsal-server`.
    """
    binaries = server_binaries(live_version)
    parent = binaries.folder.parent
    extensions = list(_folders(parent, _SHARED))
    if binaries.folder.is_relative_to("/usr"):
        extensions += _folders(Path("/usr"), [each.format(major=binaries.major) for each in _SYSTEM])
    if not extensions:
        return None
    folders = (binaries.folder, *extensions, *_folders(parent, _LIBRARIES))
    files = [(folder.as_posix(), *_files_in(folder)) for folder in folders]
    variables = sorted((name, value) for name, value in os.environ.items() if _reaches_us(name))
    return repr((binaries.version, files, variables))


def _folders(parent: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(each for each in parent.glob(pattern) if each.is_dir())


def _files_in(folder: Path) -> list[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        found = [(each.name, each.stat()) for each in entries if each.is_file()]
    return sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def _reaches_us(variable: str) -> bool:
    return variable.startswith("PG") and variable != "PGPASSWORD"
