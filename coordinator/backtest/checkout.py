"""The migrations that a tag holds, and what became of them from one tag to the next.

A migration is known by its version, as the tools know it: a path that moved, a new name or an edited file
makes no new migration. Edits are told by content, once for each content, because release lines that
interleave bring old contents back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coordinator.diagnostics import errors_of
from coordinator.model import Engine, Migration, MigrationId, SourceFile
from coordinator.ports.migrations import MigrationTool, Reading
from coordinator.wording import counted

_FEW = 3
"""More names in a note are not read."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """What a tag holds, ascending by version; a migration without `up` has no effect that anybody sees."""

    tag: str
    migrations: tuple[Migration, ...]
    is_there: bool
    """One of the paths exists at this tag."""
    problems: dict[str, str]
    """Why a migration has no effect here, or not the one that its file says, by its name; a clause."""


class Readings:
    """Reads a folder's files through its tool, each content once: neighbouring tags share nearly all.

    It is for tools whose migrations are told apart by a version in the file's name: they read each of them
    by itself.
    """

    def __init__(self, tool: MigrationTool, engine: Engine) -> None:
        self._tool = tool
        self._engine = engine
        self._last = Reading((), ())
        self._known: dict[tuple[str, str], SourceFile] = {}

    def read(self, files: Sequence[SourceFile]) -> tuple[Sequence[SourceFile], Reading]:
        """Return the reading, and the files as it knows them: of the first tag that had this content."""
        known = (self._known.setdefault((_filename(each.path), each.digest), each) for each in files)
        files = list(dict.fromkeys(known))  # a copy in another folder is the same file
        present = set(files)
        kept = [each for each in self._last.migrations if present.issuperset(each.files)]
        paths = {file.path for each in kept for file in each.files}
        reading = self._tool.read([each for each in files if each.path not in paths], self._engine)
        if {each.version for each in kept} & {each.version for each in reading.migrations}:
            reading = self._tool.read(files, self._engine)  # a file was added to a version that was there
        else:
            problems = [each for each in self._last.diagnostics if each.place.file in paths]
            migrations = sorted((*kept, *reading.migrations), key=lambda each: each.version)
            reading = Reading(tuple(migrations), (*problems, *reading.diagnostics))
        self._last = reading
        return files, reading


def checkout_from(tag: str, reading: Reading, *, is_there: bool, runs_code: bool = False) -> Checkout:
    """Return a tag's migrations; one in code counts as one that does nothing, where nobody `runs_code`."""
    names = {file.path: each.name for each in reading.migrations for file in each.files}
    problems = {
        names.get(each.place.file, _filename(each.place.file)): each.what.rstrip(".")
        for each in errors_of(reading.diagnostics)
    }
    if not runs_code:
        code = (each for each in reading.migrations if each.is_code)
        problems |= {each.name: "it is code, which is not run here" for each in code}
    return Checkout(tag, reading.migrations, is_there, problems)


def new_migrations(before: Checkout, after: Checkout) -> tuple[Migration, ...]:
    """Return what `after` has and `before` has not, in the order of the tool."""
    known = {each.version for each in before.migrations}
    return tuple(each for each in after.migrations if each.version not in known)


def effect(migration: Migration) -> str:
    """Return what changes with whatever a migration does to a database, and with nothing else."""
    if migration.up is None:
        return f"{migration.version} {migration.digest if migration.is_code else ''}"
    texts = [statement.text for statement in migration.up.statements]
    return f"{migration.version} {migration.up.transaction} {json.dumps(texts)}"


def pair_notes(before: Checkout, after: Checkout) -> Iterator[str]:
    """Yield what is odd about `after` as the follower of `before`, a sentence each."""
    if not before.is_there:
        yield f"{before.tag} has none of the paths of migrations, so its schema is not known."
    present = {each.version for each in after.migrations}
    removed = [each.name for each in before.migrations if each.version not in present]
    if removed:
        gone = listed(removed, "migration")
        yield f"{after.tag} has no more {gone} of {before.tag}: removed, or another release line."
    names = {each.version: each.name for each in before.migrations}
    for each in after.migrations:
        if names.get(each.version, each.name) != each.name:
            yield f"{names[each.version]} is called {each.name} in {after.tag}."
    for each in new_migrations(before, after):
        yield from _oddities(each, before, after)


def _oddities(migration: Migration, before: Checkout, after: Checkout) -> Iterator[str]:
    """Yield what is odd about a new migration."""
    newest = before.migrations[-1] if before.migrations else None
    if newest is not None and _is_older(migration, newest):
        yield (
            f"{migration.name} is older than {newest.name}, which {before.tag} has applied: goose refuses it,"
            " and golang-migrate passes it over. It is applied here."
        )
    if migration.name in after.problems:
        has = "has no effect here" if migration.up is None else "is applied as it is"
        yield f"{migration.name} {has}: {after.problems[migration.name]}."


def _is_older(migration: Migration, newest: Migration) -> bool:
    """Tell whether a migration comes too late, where versions are numbers that follow each other."""
    versions = migration.version, newest.version
    return all(isinstance(each, int) for each in versions) and int(versions[0]) < int(versions[1])


class Contents:
    """Which contents each version was seen with, so that an edit after release is told, and told once."""

    def __init__(self) -> None:
        self._seen: dict[MigrationId, dict[str, str]] = {}

    def edits(self, checkout: Checkout) -> Iterator[str]:
        """Yield a sentence if there are migrations with another content than in the tags before."""
        edited: list[str] = []
        for each in checkout.migrations:
            contents = self._seen.setdefault(each.version, {})
            if contents and each.digest not in contents:
                edited.append(f"{each.name} (released in {next(iter(contents.values()))})")
            contents.setdefault(each.digest, checkout.tag)
        if edited:
            yield f"Edited in {checkout.tag}, after release: {listed(edited, 'migration')}."


def _filename(path: str) -> str:
    return path.rpartition("/")[2]


def listed(names: Sequence[str], what: str) -> str:
    """Write the first names, and how many more there are of `what`, one of which it names."""
    shown = ", ".join(names[:_FEW])
    return shown if len(names) <= _FEW else f"{shown} and {counted(len(names) - _FEW, f'more {what}')}"
