"""What a repository says of itself: migrations, queries, services. Only looked at, never run.

`init` writes a plan from it, and `plan --against` does without a plan file where this is enough. Everything
here is a guess from names and contents, so each find says where it was found and why it was taken for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coordinator.app.finding.alembic import find_alembic
from coordinator.app.finding.deployment import Program, Workload, find_programs, find_workloads
from coordinator.app.finding.files import MAX_FILES, list_files
from coordinator.app.finding.migrations import MigrationFolder, find_migrations
from coordinator.app.finding.queries import QueryFolder, SqlcEntry, find_query_folders, find_sqlc

__all__ = ["Found", "MigrationFolder", "Program", "QueryFolder", "SqlcEntry", "Workload", "find"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found below a folder; every path is relative to it, with slashes."""

    migrations: tuple[MigrationFolder, ...]
    """The folder with the most files first."""
    sqlc: tuple[SqlcEntry, ...]
    query_folders: tuple[QueryFolder, ...]
    workloads: tuple[Workload, ...]
    programs: tuple[Program, ...]
    notes: tuple[str, ...] = ()
    """What was not looked at, a sentence each."""


def find(folder: Path) -> Found:
    """Look through a folder. Raises: Usage `file-unreadable` where it cannot be listed."""
    files, is_whole = list_files(folder)
    sqlc, notes = find_sqlc(files)
    scripts = find_migrations(files, sqlc)
    projects, unnamed = find_alembic(files, folder)
    taken = frozenset(each.path for each in scripts)
    return Found(
        tuple(sorted((*scripts, *projects), key=MigrationFolder.rank)),
        sqlc,
        find_query_folders(files, sqlc, taken=taken),
        find_workloads(files),
        find_programs(files),
        (
            *notes,
            *unnamed,
            *(() if is_whole else (f"Only the first {MAX_FILES} files were looked at.",)),
        ),
    )
