"""What a version asks of its database: its queries, and where they were read. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.diagnostics import Diagnostic, Place


@dataclass(frozen=True, slots=True)
class Query:
    """One statement of a version, as its client sends it."""

    name: str
    """What a person calls it: sqlc's name, a constant's name, a file's name and number."""
    text: str
    """One statement without its `;`, with the engine's own parameters: `$1` (PostgreSQL), `?` (SQLite)."""
    place: Place
    reads_result: bool = True
    """The client looks at the result's columns; false for sqlc's `:exec`, for a COPY, and the like."""
    freezes_star: bool = False
    """A generator wrote the columns of each `*` into the client, as they were at the version's own state."""
    obstacle: str | None = None
    """Why the engine cannot be asked about it (a clause: `its text is made at run time`); else None."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All queries of one version on one database."""

    source: str
    """Where they were read, for a person: `sqlc.yaml at git v1.4 (3f2a91c)`."""
    queries: tuple[Query, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    is_of_files: bool = False
    """All of it stands in the files of the tree that was read: nothing was run for it, and nobody asked."""
    is_what_serves: bool = False
    """It is of the very commit that serves, which calls itself by the commit's id: an id cannot move."""
