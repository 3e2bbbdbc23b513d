"""A folder of migrations as its tool reads it: the disk is read once, and the hook gets bytes.

What a later stage executes is what was read and hashed here; a file that changes meanwhile changes nothing.
The folder belongs to whoever can merge into the repository, so a symbolic link out of it, a device and a
giant are refused instead of read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from os import walk
from os.path import normpath
from pathlib import Path
from posixpath import dirname, join

from coordinator import discovery
from coordinator.diagnostics import Diagnostic, Place, errors_of
from coordinator.errors import Usage
from coordinator.load.source import read_bytes, shown
from coordinator.model import Engine, Migration, MigrationsSpec, SourceFile
from coordinator.ports.migrations import BELOW, MigrationTool, Reading
from coordinator.query_ports import Tree

MAX_MIGRATION_BYTES = 16 << 20


def read_migrations(spec: MigrationsSpec, engine: Engine) -> Reading:
    """Return the folder's migrations and every problem of its files; a missing folder is one too."""
    tool = discovery.migration_tool(spec.tool)
    problems: list[Diagnostic] = []
    files: list[SourceFile] = []
    for source in tool.sources(lambda path: glance(spec.folder / path), section=spec.section):
        paths = _paths(spec, source, tool) if isinstance(source, str) else _placed(source, spec.folder)
        if isinstance(paths, Diagnostic):
            problems.append(paths)
            continue
        for path in paths:
            read = _read(path, folder=path.parent)
            if isinstance(read, Diagnostic):
                problems.append(read)
            else:
                files.append(read)
    reading = tool.read(files, engine)
    lacking = () if _has_runner(spec) else map(_no_command, filter(_is_code, reading.migrations))
    return with_faults(tool, reading, (*problems, *lacking))


def with_faults(tool: MigrationTool, reading: Reading, problems: tuple[Diagnostic, ...]) -> Reading:
    """Return what was read with more problems, and each migration with the errors of its own files.

    A tool that reads all its files whatever is applied has no such: one error stops it.
    """
    diagnostics = (*problems, *reading.diagnostics)
    faults: dict[str, list[Diagnostic]] = {}
    for each in () if tool.reads_applied else errors_of(diagnostics):
        faults.setdefault(each.place.file, []).append(each)
    migrations = tuple(
        replace(each, faults=tuple(fault for file in each.files for fault in faults.get(file.path, ())))
        for each in reading.migrations
    )
    return Reading(migrations if faults else reading.migrations, diagnostics)


def errors_of_folder(reading: Reading) -> tuple[Diagnostic, ...]:
    """Return the errors that stand in the way of whatever is to be done: those of no single migration."""
    of_files = {fault for each in reading.migrations for fault in each.faults}
    return tuple(each for each in errors_of(reading.diagnostics) if each not in of_files)


def _has_runner(spec: MigrationsSpec) -> bool:
    return spec.command is not None or spec.tool in discovery.names(discovery.RUNNERS)


def glance(path: Path) -> bytes | None:
    """Return what a configuration beside the migrations holds; None where there is none to read."""
    content = read_bytes(path, limit=MAX_MIGRATION_BYTES, place=Place(shown(path)))
    return None if isinstance(content, Diagnostic) else content


def _placed(found: Diagnostic, folder: Path) -> Diagnostic:
    return replace(found, place=replace(found.place, file=shown(folder / found.place.file)))


def _is_code(migration: Migration) -> bool:
    return migration.is_code


def _no_command(migration: Migration) -> Diagnostic:
    return Diagnostic(
        "goose-go-migration",
        Place(migration.files[0].path),
        "This migration is written in Go, and the plan does not say which program applies it.",
        "Its code is compiled into a program of its own; coordinator cannot run it or look into it.",
        'Name the program: `migrations: {…, command: [./bin/migrate, up-to, "{version}"]}`, or write the'
        " migration in SQL.",
    )


def source_files(tree: Tree, paths: Iterable[str], tool: MigrationTool) -> tuple[SourceFile, ...]:
    """Return the files of a tree that the tool would look at, as it gets them; what is not there is left out.

    Raises: Usage for a giant or an unreadable file.
    """
    read = [(path, tree.read(path)) for path in paths if tool.is_migration(path.rpartition("/")[2])]
    return tuple(
        SourceFile(tree.place(path), content, hashlib.sha256(content).hexdigest())
        for path, content in read
        if content is not None
    )


def project_files(
    tree: Tree, folder: str, tool: MigrationTool, *, section: str | None = None
) -> tuple[tuple[SourceFile, ...], tuple[Diagnostic, ...]]:
    """Return the files that the tool would look at for the project in a folder of a tree, perhaps none.

    Beside them stands what is wrong with the project's configuration. Raises: as `source_files`.
    """
    sources = tool.sources(lambda path: _glance(tree, normpath(join(folder, path))), section=section)
    wrong = tuple(each for each in sources if isinstance(each, Diagnostic))
    places = [normpath(join(folder, each)) for each in sources if isinstance(each, str)]
    return source_files(tree, [path for place in places for path in _right_in(tree, place)], tool), wrong


def _glance(tree: Tree, path: str) -> bytes | None:
    try:
        return tree.read(path)
    except Usage:
        return None  # above the repository nothing is said about it


def _right_in(tree: Tree, place: str) -> list[str]:
    """Return the files in a folder; what is no folder is a file, or is not there."""
    top = place.removesuffix(BELOW)
    return [each for each in tree.files(top) if top != place or (dirname(each) or ".") == top] or [top]


def _paths(spec: MigrationsSpec, source: str, tool: MigrationTool) -> list[Path] | Diagnostic:
    top = source.removesuffix(BELOW)
    folder = Path(normpath(spec.folder / top)) if top else spec.folder
    if folder.is_file():
        return [folder]
    try:
        below = [Path(each) for each, *_ in walk(folder)][1:] if source.endswith(BELOW) else []
        return sorted(
            each for one in (folder, *below) for each in one.iterdir() if tool.is_migration(each.name)
        )
    except (FileNotFoundError, NotADirectoryError):
        return Diagnostic(
            code="folder-missing",
            place=spec.place,
            what=f"There is no folder `{shown(folder)}`.",
            next_step="Correct the path, which starts at the plan file's folder, or make the folder.",
        )
    except OSError as error:
        return Diagnostic(
            code="file-unreadable",
            place=spec.place,
            what=f"The folder `{shown(folder)}` cannot be read: {error.strerror}.",
            next_step="Check its owner and its permissions.",
        )


def _read(path: Path, *, folder: Path) -> SourceFile | Diagnostic:
    place = Place(shown(path))
    if place.file != str(path):
        return Diagnostic(
            code="not-utf-8", place=place, what="The file's name is not UTF-8.", next_step="Rename the file."
        )
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return Diagnostic(
            code="link-leaves-folder",
            place=place,
            what="This is a symbolic link to a file outside of the folder.",
            why="What is applied must be what was reviewed in the folder.",
            next_step="Put the file itself here.",
        )
    content = read_bytes(path, limit=MAX_MIGRATION_BYTES, place=place)
    if isinstance(content, Diagnostic):
        return content
    return SourceFile(str(path), content, hashlib.sha256(content).hexdigest())
