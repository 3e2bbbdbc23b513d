"""The names of golang-migrate's files: which it takes for migrations, and what is wrong with one.

Its pattern is that of golang-migrate v4.20.1 (source/parse.go).
"""

from __future__ import annotations

import re
from typing import Final

from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.model import SourceFile

FILENAME: Final = re.compile(r"([0-9]+)_(.*)\.(down|up)\.(.*)", re.ASCII)
_MAX_VERSION: Final = 2**63 - 1


def filename_of(file: SourceFile) -> str:
    """Return the last part of a file's path."""
    return file.path.rpartition("/")[2]


def unnamed(file: SourceFile) -> Diagnostic:
    """Return that golang-migrate does not see a file."""
    return Diagnostic(
        "golang-migrate-filename",
        Place(file.path),
        "The file's name is not that of a golang-migrate migration.",
        "golang-migrate does not see this file.",
        "Name it like 0002_add_email.up.sql or 0002_add_email.down.sql.",
    )


def side_of(file: SourceFile) -> tuple[int, str] | Diagnostic:
    """Return a file's version and direction, or what is wrong with its name."""
    match = FILENAME.fullmatch(filename_of(file))
    if match is None:
        return unnamed(file)
    if int(match[1]) > _MAX_VERSION:
        return Diagnostic(
            "migration-version-range",
            Place(file.path),
            f"Version {match[1]} is larger than 2^63-1.",
            "golang-migrate skips such a file, or takes its version for a negative one and starts again"
            " from the first migration.",
            "Give it the next free number.",
        )
    if not f".{match[4]}".endswith(".sql"):
        return Diagnostic(
            "golang-migrate-extension",
            Place(file.path),
            f"The file ends in `.{match[4]}` and is a migration all the same.",
            "golang-migrate never looks at the extension: it runs backups and editors' copies too.",
            "Delete the file, or end its name in .sql.",
        )
    return int(match[1]), match[3]


def duplicate(file: SourceFile, other: SourceFile) -> Diagnostic:
    """Return that two files have one version and direction."""
    return Diagnostic(
        "duplicate-version",
        Place(file.path),
        f"The version and direction are also those of {other.path}.",
        "golang-migrate stops at two files with one version and direction.",
        "Give one of them the next free number.",
    )


def no_up_file(file: SourceFile) -> Diagnostic:
    """Return a warning about a version that changes nothing."""
    return Diagnostic(
        "missing-up-file",
        Place(file.path),
        "This version has a down file and no up file.",
        "golang-migrate records the version and changes nothing.",
        "Add the up file, or delete this one.",
        Severity.WARNING,
    )
