"""Migrations of the past that are code: each tag's files are written to a folder, and run from there.

What a revision sends is asked of its tool without a database, once for each content; what that cannot say is
run as a whole on the scratch database. Both happen in the environment of today, which an old tag's code may
not suit: then it has no effect here, and that is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from coordinator import discovery
from coordinator.app.exports import Exports
from coordinator.app.scripts import scripted, spoken_on
from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.load.migrations import project_files
from coordinator.model import (
    DatabaseName,
    DatabaseSpec,
    Engine,
    Migration,
    MigrationId,
    MigrationsSpec,
    Script,
    SecretRef,
    SourceFile,
)
from coordinator.ports.migrations import MigrationTool, Reading
from coordinator.programs import apply_on_scratch_by_program, not_rehearsed
from coordinator.query_ports import Tree
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.secret import Secret

if TYPE_CHECKING:
    from coordinator.ports.databases import Database, LiveSession
    from coordinator.ports.programs import MigrationRunner

_LOCK_TIMEOUT: Final = timedelta(seconds=5)
"""Nobody else is on a scratch database."""
_SEVERAL: Final = 2
"""Of one migration it is not known whether the reason is its own."""


@dataclass(frozen=True, slots=True)
class Project:
    """Where past code is, and in what it runs today."""

    folders: tuple[str, ...]
    """Each from the repository's folder; at a tag the first of them counts that is there."""
    python: str | None
    url_variable: str | None
    """The environment variable in which the code looks for the address."""
    table: str | None = None
    """The version table, where the code names one of its own."""
    section: str | None = None
    x_arguments: Mapping[str, str] = field(default_factory=dict)
    """As in model.MigrationsSpec."""


class PastRevisions:
    """The migrations of each tag, with what they send."""

    def __init__(self, exports: Exports, tool: MigrationTool, engine: Engine, project: Project) -> None:
        self._exports = exports
        self._tool = tool
        self._engine = engine
        self._project = project
        self._folders: dict[str, str] = {}
        self._known: dict[str, Script | str] = {}
        self._lost: dict[str, str] = {}
        """Why nothing of a tag could be asked, by the digests of its migrations."""
        self._runner: tuple[str, MigrationRunner] | None = None
        self._last: tuple[list[tuple[str, str]], Reading] | None = None
        """The files of the tag before, as most tags have them too, and what they are."""

    def read(self, tree: Tree, tag: str) -> tuple[Reading, str | None]:
        """Return a tag's migrations, and the folder that has them; None where none of the folders is there.

        Raises: StepFailed where the program that is asked cannot be started.
        """
        for folder in self._project.folders:
            files, wrong = project_files(tree, folder, self._tool, section=self._project.section)
            if files:
                self._folders[tag] = folder
                content = [(each.path.partition(":")[2], each.digest) for each in files]
                if self._last is None or self._last[0] != content:
                    self._last = content, self._read(files, tag)
                reading = self._last[1]
                return Reading(reading.migrations, (*wrong, *reading.diagnostics)), folder
        return Reading((), ()), None

    def _read(self, files: Sequence[SourceFile], tag: str) -> Reading:
        reading = self._tool.read(files, self._engine)
        of_migrations = {file for each in reading.migrations for file in each.files}
        beside = "".join(each.digest for each in files if each not in of_migrations)
        return Reading(self._with_scripts(reading.migrations, tag, beside), reading.diagnostics)

    def apply(self, database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
        """Run a migration of which the SQL is not known; return why it is not there afterwards."""
        if (why := self._lost.get(migration.digest)) is not None:
            return not_rehearsed(why)
        tag = _tag_of(migration)
        return apply_on_scratch_by_program(
            database,
            self._located(migration),
            tool=self._tool,
            runner=self._runner_at(tag),
            live=spoken_on(self._engine),
            table=self._project.table,
        )

    def _with_scripts(self, migrations: Sequence[Migration], tag: str, beside: str) -> tuple[Migration, ...]:
        keys = {each.version: f"{each.digest} {beside}" for each in migrations}
        asked = [each for each in migrations if keys[each.version] not in self._known]
        if asked:
            runner, digests = self._runner_at(tag), {each.digest for each in asked}
            found = runner.scripts([self._located(each) for each in asked], url=spoken_on(self._engine))
            self._known.update({keys[version]: script for version, script in found.items()})
            self._lost = {digest: why for digest, why in self._lost.items() if digest not in digests}
            self._lost |= _lost(asked, found)
        known = {each.version: self._known[keys[each.version]] for each in migrations}
        return tuple(scripted(each, known) for each in migrations)

    def _located(self, migration: Migration) -> Migration:
        """Return a migration whose files are those on the disk."""
        root = self._exports.root(_tag_of(migration))
        files = tuple(replace(each, path=str(root / each.path.partition(":")[2])) for each in migration.files)
        return replace(migration, files=files)

    def _runner_at(self, tag: str) -> MigrationRunner:
        root = self._exports.tree(tag).place(self._folders[tag])
        if self._runner is None or self._runner[0] != root:
            self._runner = root, self._connected(Path(root), importing=self._exports.tree(tag).place("."))
        return self._runner[1]

    def _connected(self, folder: Path, *, importing: str) -> MigrationRunner:
        """Return what runs a project's code, to which the packages in a folder come before installed ones."""
        place, variable = Place(str(folder)), self._project.url_variable
        spec = DatabaseSpec(
            DatabaseName("past"),
            self._engine,
            SecretRef("env", variable) if variable else SecretRef("file", "nowhere"),
            MigrationsSpec(
                self._tool.name,
                folder,
                self._project.table,
                place,
                python=self._project.python,
                section=self._project.section,
                x_arguments=self._project.x_arguments,
            ),
            _LOCK_TIMEOUT,
            place,
        )
        connect = discovery.runner_of(self._tool.name)
        path = os.pathsep.join(filter(None, (importing, f"{importing}/src", os.environ.get("PYTHONPATH"))))
        return connect(
            spec,
            folder=Path.cwd(),
            environment={**os.environ, "PYTHONPATH": path},
            secrets=tuple,
            connect=partial(_session, spec),
        )


def _lost(asked: Sequence[Migration], found: Mapping[MigrationId, Script | str]) -> dict[str, str]:
    """Return why none of several migrations can be asked, where one reason holds for all: their env.py."""
    offline = [found[each.version] for each in asked if each.needs_database is None]
    if len(offline) < _SEVERAL or len(set(offline)) > 1 or isinstance(offline[0], Script):
        return {}
    return {each.digest: offline[0] for each in asked}


def _tag_of(migration: Migration) -> str:
    """Return the tag of whose tree a migration was read (GitTree.place)."""
    return migration.files[0].path.partition(":")[0]


def _session(spec: DatabaseSpec, url: Secret) -> AbstractContextManager[LiveSession]:
    connect = cast("Callable[..., Database]", discovery.member(discovery.DATABASES, spec.engine, "connect"))
    return connect(url, lock_timeout=spec.lock_timeout).session(label="coordinator backtest")
