"""What a source of queries is asked, and of which files, as Protocols: the catalogues of both versions.

They stand apart from ports because a migration hook, a platform and a step know nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coordinator.model import Engine, Role, Version
from coordinator.ports.databases import Session
from coordinator.queries import Catalogue


class Tree(Protocol):
    """The files of a project, in the working folder or at one commit; only ever read.

    A path is POSIX and relative to the folder that the tree was opened at, as a plan file writes it; `..` may
    lead up to the repository's root and no further.
    """

    label: str
    """For a person: `the working tree`, `git v1.4 (3f2a91c)`."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if there is no such file. Usage for a giant or an unreadable one."""
        ...

    def files(self, folder: str) -> tuple[str, ...]:
        """Return every file below a folder, sorted, each as a path that `read` takes; empty if none."""
        ...

    def place(self, path: str) -> str:
        """Return what a person calls the file: its path from the command's working folder, if it has one."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose queries a source is asked for."""

    role: Role
    version: Version | None
    """None where nobody knows which version is live."""
    engine: Engine
    tree: Tree
    session: Callable[[], AbstractContextManager[Session]] | None
    """Connects to the live database; None where nothing live may be asked."""
    database_role: str | None
    instead_of: Path | None = None
    """The working folder for whose files the tree's stand: code that a source runs is the tree's own."""


class QuerySource(Protocol):
    """A source of queries: `QUERIES: Final[QuerySource]`, last line of adapters/queries/<key>.py."""

    spec: type
    """The pydantic model of the plan's `queries: {<key>: …}`; a subclass of fields.QuerySettings."""
    roles: frozenset[Role]
    """The versions that it can speak for: what was observed on the live database says nothing of next."""

    def is_versioned(self, spec: object) -> bool:
        """Tell whether the settings hold `{version}`: then one tree, the working one, has both versions."""
        ...

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return a version's queries. What cannot be read is a diagnostic, what cannot be asked an obstacle.

        Raises: Usage or DatabaseError where there is no answer at all.
        """
        ...
