"""A repository's past, replayed: git's objects on one side, a scratch server on the other."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator import discovery
from coordinator.adapters.queries._reading.files import files_of
from coordinator.adapters.trees.git import GitRepository
from coordinator.adapters.trees.recorded import RecordedTree
from coordinator.backtest.bases import Bases
from coordinator.backtest.checkout import Checkout, Readings, checkout_from
from coordinator.backtest.replay import replay
from coordinator.backtest.tags import Order, Tag, select_tags
from coordinator.backtest.verdict import Backtest, Release
from coordinator.diagnostics import Diagnostic, Place, did_you_mean
from coordinator.errors import Usage
from coordinator.load.migrations import source_files
from coordinator.model import Engine, Layer, Role, Version
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import Tree, Wanted

if TYPE_CHECKING:
    from coordinator.ports import MigrationTool

_SQLC_HEADER = re.compile(rb"^\s*(?:--|/\*)\s*name:\s*\w+\s+:[a-z]+", re.MULTILINE)
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Past:
    """What shall be replayed; paths are relative to `folder`."""

    folder: Path
    tool: str
    migrations: tuple[str, ...]
    queries: tuple[str, ...]
    sqlc: str | None
    tags: re.Pattern[str]
    last: int | None
    order: Order
    layers: frozenset[Layer]
    engine: Engine


def replay_past(past: Past, *, told: Callable[[Release], None]) -> tuple[Backtest, float]:
    """Replay a repository's releases; return what was found, and the seconds that it took.

    Raises: Usage where there is no repository, no tag, no tool or no server.
    """
    start = time.monotonic()
    tool = _tool(past)
    rehearsal = discovery.rehearsal(past.engine)
    layers = past.layers & rehearsal.layers
    with GitRepository(past.folder) as repository:
        tags = _tags(past, repository)
        history = _History(past, repository, tool)
        with (
            rehearsal.server(url=None, live_version=None) as server,
            Bases(server, tool) as bases,
        ):
            releases, notes = replay(tags, history, bases, layers=layers, told=told)
            engine, limits = server.version, server.notes
    unasked = [layer for layer in Layer if layer in past.layers - layers]
    found = Backtest(engine, releases, (*_limits(unasked, past.engine), *limits, *notes, *history.notes()))
    return found, time.monotonic() - start


def _limits(unasked: Iterable[Layer], engine: Engine) -> Iterator[str]:
    for layer in unasked:
        yield f"{engine} cannot answer the layer {layer}, so nothing was asked there."


def _tool(past: Past) -> MigrationTool:
    known = discovery.names(discovery.MIGRATION_TOOLS)
    if past.tool not in known:
        raise Usage(
            "unknown-name",
            f"There is no migration tool `{past.tool}`.",
            next_step=did_you_mean(past.tool, known),
        )
    if not past.queries and past.sqlc is None:
        raise Usage(
            "no-queries-named",
            "Nothing says where the queries are.",
            why="A release is judged by the queries of its two versions.",
            next_step="Add `--queries PATH` or `--sqlc FILE`.",
        )
    return discovery.migration_tool(past.tool)


def _tags(past: Past, repository: GitRepository) -> tuple[Tag, ...]:
    found = [Tag(each.name, each.created) for each in repository.tags()]
    tags = select_tags(found, pattern=past.tags, order=past.order, last=past.last)
    if not tags:
        examples = ", ".join(f"`{each.name}`" for each in found[-3:])
        raise Usage(
            "no-tags",
            f"None of the {len(found)} tags of the repository is matched whole by `{past.tags.pattern}`.",
            next_step=f"Its newest tags are {examples}; correct `--tags`."
            if found
            else "Fetch the tags (`git fetch --tags`), or tag what was released.",
        )
    return tags


class _History:
    """Reads each tag when the walk comes to it."""

    def __init__(self, past: Past, repository: GitRepository, tool: MigrationTool) -> None:
        self._past = past
        self._repository = repository
        self._tool = tool
        self._readings = Readings(tool)
        self._catalogues: dict[str, Catalogue] = {}
        self._recorded: list[tuple[RecordedTree, Catalogue]] = []
        self._without: list[str] = []

    def notes(self) -> Iterator[str]:
        """Yield what concerns tags that are in no release."""
        if self._without:
            first, last = self._without[0], self._without[-1]
            named = first if first == last else f"{first} … {last}"
            yield f"{len(self._without)} tag(s) have none of the paths of migrations: {named}."

    def checkout(self, tag: Tag) -> Checkout:
        tree = self._tree(tag)
        paths = [path for pattern in self._past.migrations for path in files_at(tree, pattern, deep=False)]
        files, reading = self._readings.read(source_files(tree, dict.fromkeys(paths), self._tool))
        if not files:
            self._without.append(tag.name)
        return checkout_from(tag.name, files, reading, is_there=bool(files))

    def catalogue(self, tag: Tag, role: Role) -> Catalogue:
        if tag.name not in self._catalogues:
            self._catalogues = {**dict(list(self._catalogues.items())[-1:]), tag.name: self._read(tag, role)}
        return self._catalogues[tag.name]

    def _tree(self, tag: Tag) -> Tree:
        return self._repository.tree(tag.name)

    def _read(self, tag: Tag, role: Role) -> Catalogue:
        tree = self._tree(tag)
        for record, catalogue in self._recorded:
            if record.is_same_in(tree):
                return catalogue
        record = RecordedTree(tree)
        catalogue = self._joined(record, Version(tag.name), role)
        self._recorded = [(record, catalogue), *self._recorded[:2]]
        return catalogue

    def _joined(self, tree: Tree, version: Version, role: Role) -> Catalogue:
        """Return what all sources have; a query that several of them have is taken from the first."""
        wanted = Wanted(role, version, self._past.engine, tree, None, None)
        queries: dict[tuple[str, str], Query] = {}
        problems: list[Diagnostic] = []
        for parts in self._sources(wanted):
            known = {name for name, _ in queries}
            for part in parts:
                problems.extend(part.diagnostics)
                fresh = (each for each in part.queries if each.name not in known)
                queries.update({(each.name, each.text): each for each in fresh})
        return Catalogue(tree.label, tuple(queries.values()), tuple(problems))

    def _sources(self, wanted: Wanted) -> Iterator[list[Catalogue]]:
        """Yield the catalogues of each source, the one that knows best what the client sends first."""
        past, tree = self._past, wanted.tree
        if past.sqlc is not None and tree.read(past.sqlc) is not None:
            yield [_read("sqlc", past.sqlc, wanted)]
        paths = dict.fromkeys(path for pattern in past.queries for path in files_at(tree, pattern, deep=True))
        yield [_read("sqlc-go", path, wanted) for path in paths if path.endswith(".go")]
        yield [
            _frozen(_read("sql", path, wanted), tree.read(path) or b"")
            for path in paths
            if path.endswith(".sql")
        ]


def files_at(tree: Tree, pattern: str, *, deep: bool) -> list[str]:
    """Return the files that a path, a folder or a glob of files or folders means, perhaps none."""
    inside = f"{pattern.rstrip('/')}/{'**' if deep else '*'}"
    found: list[str] = []
    for each in (pattern, inside) if _WILD.search(pattern) else (pattern,):
        with suppress(Usage):  # the path is not there at this tag
            found.extend(files_of(tree, each, endings=("",), deep=deep))
    return list(dict.fromkeys(found))


def _read(key: str, path: str, wanted: Wanted) -> Catalogue:
    source = discovery.query_source(key)
    spec = source.spec.model_validate(path)  # type: ignore[attr-defined]  # a pydantic model; see QuerySource
    try:
        return source.read(spec, wanted)
    except Usage as error:
        problem = Diagnostic(error.code, Place(wanted.tree.place(path)), error.what, error.why)
        return Catalogue(wanted.tree.label, (), (problem,))


def _frozen(catalogue: Catalogue, content: bytes) -> Catalogue:
    """Return the queries of a file of sqlc's, which writes the columns of each `*` into the client."""
    if not _SQLC_HEADER.search(content):
        return catalogue
    queries = tuple(replace(each, freezes_star=True) for each in catalogue.queries)
    return replace(catalogue, queries=queries)
