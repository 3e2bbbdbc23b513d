"""Which files of a tree a path, a folder or a glob means, and their texts.

A pattern that finds nothing ends the reading: half of a catalogue would look like a whole one.
"""

from __future__ import annotations

import fnmatch
import posixpath

from coordinator.errors import Usage
from coordinator.query_ports import Tree

_WILD = frozenset("*?[")


def files_of(tree: Tree, pattern: str, *, endings: tuple[str, ...], deep: bool) -> tuple[str, ...]:
    """Return the files that a pattern means, sorted; of a folder those with one of `endings`.

    `deep`: also those in folders below. `*` does not cross a slash, `**` does.

    Raises: Usage `no-query-files`.
    """
    found = _matching(tree, pattern, deep=deep) if _WILD & set(pattern) else _at(tree, pattern, deep=deep)
    fitting = tuple(each for each in found if each == pattern or each.endswith(endings))
    if not fitting:
        raise Usage(
            "no-query-files",
            f"`{pattern}` finds no file of queries in {tree.label}.",
            why="A catalogue without them would miss queries that the version needs.",
            next_step=f"Correct the path. Of a folder, files that end in {', '.join(endings)} are read.",
        )
    return fitting


def text_of(tree: Tree, path: str) -> str:
    """Return a file's text. Raises: Usage `no-query-files` or `not-utf-8`."""
    content = tree.read(path)
    if content is None:
        raise Usage(
            "no-query-files",
            f"There is no file `{path}` in {tree.label}.",
            next_step="Correct the path; it starts at the plan's folder.",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Usage(
            "not-utf-8",
            f"`{path}` in {tree.label} is not UTF-8 at byte {error.start}.",
            next_step="Save the file as UTF-8.",
        ) from error


def beside(file: str, path: str) -> str:
    """Return a path that `file` writes, relative to its own folder, as the tree takes it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path))


def _at(tree: Tree, path: str, *, deep: bool) -> tuple[str, ...]:
    below = tree.files(path)
    if not below and tree.read(path) is not None:
        return (path,)
    folder = posixpath.normpath(path)
    return below if deep else tuple(each for each in below if folder_of(each) == folder)


def folder_of(path: str) -> str:
    """Return the folder that a file stands in, as `beside` writes it."""
    return posixpath.dirname(posixpath.normpath(path)) or "."


def _matching(tree: Tree, pattern: str, *, deep: bool) -> tuple[str, ...]:
    steps = posixpath.normpath(pattern).split("/")
    fixed = next(position for position, step in enumerate(steps) if _WILD & set(step))
    folder = "/".join(steps[:fixed]) or "."
    files = ((each, posixpath.normpath(each).split("/")) for each in tree.files(folder))
    # A folder that fits stands for its files.
    return tuple(
        each
        for each, path in files
        if any(_fits(path[:length], steps) for length in range(1 if deep else len(path) - 1, len(path) + 1))
    )


def _fits(path: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_fits(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _fits(path[1:], pattern[1:])
