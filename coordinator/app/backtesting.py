"""A repository's past, replayed: git's objects on one side, a scratch server on the other."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from coordinator import discovery
from coordinator.adapters.queries._reading.files import files_of
from coordinator.adapters.trees.git import GitRepository, GitTree
from coordinator.adapters.trees.recorded import RecordedTree
from coordinator.app.exports import Exports
from coordinator.app.past_revisions import PastRevisions, Project
from coordinator.argv import interpreter_from
from coordinator.backtest.bases import Applying, Bases
from coordinator.backtest.checkout import Checkout, Readings, checkout_from
from coordinator.backtest.replay import replay
from coordinator.backtest.tags import Order, Tag, select_tags
from coordinator.backtest.verdict import Backtest, Release
from coordinator.diagnostics import Diagnostic, Place, did_you_mean
from coordinator.errors import Usage
from coordinator.load.migrations import source_files
from coordinator.load.texts import wrong_server_version
from coordinator.model import Engine, Layer, Role, Version
from coordinator.ports.migrations import MigrationTool, Reading
from coordinator.queries import Catalogue, Query
from coordinator.query_ports import Tree, Wanted
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.wording import counted

_SQLC_HEADER = re.compile(rb"^\s*(?:--|/\*|#)\s*name:\s*\w+\s+:[a-z]+", re.MULTILINE)
_SOURCES = {".go": "sqlc-go", ".sql": "sql"}
"""How a file of queries is read; what a generator wrote is nearer to what the client sends."""
_REMEMBERED = 3
"""Catalogues of as many tags: the last ones, of more than one release line."""
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
    server_version: str | None = None
    """The live server's version; None: nobody says it."""
    sqlalchemy: str | None = None
    """A function that returns statements, as `module:function`."""
    python: str | None = None
    """The interpreter in which past code runs; a path is relative to the command's folder."""
    url_variable: str | None = None
    """The environment variable in which past code looks for the address."""
    table: str | None = None
    """The version table that past code names; None: the tool's own."""
    section: str | None = None
    x_arguments: Mapping[str, str] = field(default_factory=dict)
    """What past code's Alembic is given; as in model.MigrationsSpec."""


def replay_past(past: Past, *, told: Callable[[Release], None]) -> tuple[Backtest, float]:
    """Replay a repository's releases on a server of its own; return what was found, and the seconds it took.

    Raises: Usage where there is no repository, no tag, no tool or no server.
    """
    start = time.monotonic()
    if past.server_version is not None:
        wrong = wrong_server_version(past.server_version, past.engine)
        if wrong is not None:
            raise Usage(wrong.type, wrong.message())
    live = None if past.server_version is None else f"{past.engine} {past.server_version}"
    with discovery.rehearsal(past.engine).server(url=None, live_version=live) as server:
        if server.doubt is not None:
            raise Usage(
                "no-rehearsal-server",
                f"No server of this machine can answer for {live or past.engine}: {server.doubt}.",
                next_step=f"Install {live or past.engine}, or correct --engine and --server-version.",
            )
        found = replay_on(server, past, told=told)
    return found, time.monotonic() - start


def replay_on(server: RehearsalServer, past: Past, *, told: Callable[[Release], None]) -> Backtest:
    """Replay a repository's releases on a server. Raises: Usage where there is no repository, tag or tool."""
    tool = _tool(past)
    is_code = past.tool in discovery.names(discovery.RUNNERS)
    layers = past.layers & discovery.rehearsal(past.engine).layers
    with GitRepository(past.folder) as repository, closing(Exports(repository)) as exports:
        revisions = PastRevisions(exports, tool, past.engine, _project(past)) if is_code else None
        apply = Applying(tool, None if revisions is None else revisions.apply, past.table)
        history = _History(past, repository, exports, tool=tool, revisions=revisions)
        with Bases(server, apply, past.engine) as bases:
            releases, notes = replay(_tags(past, repository), history, bases, layers=layers, told=told)
    limits = [
        f"{past.engine} cannot answer the layer {layer}, so nothing was asked there."
        for layer in Layer
        if layer in past.layers - layers
    ]
    asked = tuple(each for each in Layer if each in layers)
    return Backtest(server.version, releases, (*limits, *server.notes, *notes, *history.notes()), asked)


def _tool(past: Past) -> MigrationTool:
    known = discovery.names(discovery.MIGRATION_TOOLS)
    if past.tool not in known:
        raise Usage(
            "unknown-name",
            f"There is no migration tool `{past.tool}`.",
            next_step=did_you_mean(past.tool, known),
        )
    if not past.queries and past.sqlc is None and past.sqlalchemy is None:
        raise Usage(
            "no-queries-named",
            "Nothing says where the queries are.",
            why="A release is judged by the queries of its two versions.",
            next_step="Add `--queries PATH`, `--sqlc FILE` or `--sqlalchemy MODULE:FUNCTION`.",
        )
    return discovery.migration_tool(past.tool)


def _project(past: Past) -> Project:
    return Project(
        past.migrations,
        _python(past),
        past.url_variable,
        past.table,
        section=past.section,
        x_arguments=past.x_arguments,
    )


def _python(past: Past) -> str:
    """Return the interpreter of past code; a path that the user wrote starts where the user is."""
    return interpreter_from(past.python, folder=Path.cwd())


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

    def __init__(
        self,
        past: Past,
        repository: GitRepository,
        exports: Exports,
        *,
        tool: MigrationTool,
        revisions: PastRevisions | None,
    ) -> None:
        self._past = past
        self._repository = repository
        self._exports = exports
        self._tool = tool
        self._revisions = revisions
        self._readings = Readings(tool, past.engine)
        self._files: dict[tuple[str, bytes], Catalogue] = {}
        self._recorded: list[tuple[RecordedTree, str | None, Catalogue]] = []
        self._without: list[str] = []
        self._unfound = {*past.migrations, *past.queries}

    def notes(self) -> Iterator[str]:
        """Yield what concerns tags that are in no release, and paths that are in no tag."""
        looked_for = {*self._past.migrations, *(self._past.queries if self._recorded else ())}
        for pattern in sorted(self._unfound & looked_for):
            why = "is it written as in the repository?"
            if self._revisions is not None and pattern in self._past.migrations:
                why = "name the folder that has alembic.ini, or the one that has env.py."
            yield f"`{pattern}` finds nothing at any of the tags: {why}"
        if self._without:
            first, last = self._without[0], self._without[-1]
            named = first if first == last else f"{first} … {last}"
            yield f"No path of migrations is there at {counted(len(self._without), 'tag')}: {named}."

    def checkout(self, tag: Tag) -> Checkout:
        reading, is_there = self._reading(tag)
        if not is_there:
            self._without.append(tag.name)
        return checkout_from(tag.name, reading, is_there=is_there, runs_code=self._revisions is not None)

    def _reading(self, tag: Tag) -> tuple[Reading, bool]:
        """Return the migrations of a tag, and whether any of the paths is there."""
        tree = self._tree(tag)
        if self._revisions is not None:
            reading, folder = self._revisions.read(tree, tag.name)
            self._unfound.discard(folder or "")
            return reading, folder is not None
        paths = self._at(tree, self._past.migrations, deep=False)
        files, reading = self._readings.read(source_files(tree, paths, self._tool))
        return reading, bool(files)

    def catalogue(self, tag: Tag, role: Role) -> Catalogue:
        tree = self._tree(tag)
        commit = None if self._past.sqlalchemy is None else tree.commit  # code may depend on any file
        for record, of_commit, catalogue in self._recorded:
            if of_commit == commit and record.is_same_in(tree):
                return catalogue
        record = RecordedTree(tree)
        catalogue = self._joined(record, Version(tag.name), role)
        self._recorded = [(record, commit, catalogue), *self._recorded[: _REMEMBERED - 1]]
        return catalogue

    def _at(self, tree: Tree, patterns: tuple[str, ...], *, deep: bool) -> dict[str, None]:
        """Return the files that any of the patterns finds, each once, in order."""
        paths: dict[str, None] = {}
        for pattern in patterns:
            found = files_at(tree, pattern, deep=deep)
            paths.update(dict.fromkeys(found))
            if found:
                self._unfound.discard(pattern)
        return paths

    def _tree(self, tag: Tag) -> GitTree:
        return self._repository.tree(tag.name)

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
        if past.sqlalchemy is not None:
            settings = {"callable": past.sqlalchemy, "python": _python(past)}
            written = replace(
                wanted, tree=self._exports.tree(str(wanted.version)), instead_of=self._repository.root
            )
            yield [_read("sqlalchemy", settings, written)]
        if past.sqlc is not None:
            yield [_read("sqlc", past.sqlc, wanted)]
        paths = self._at(tree, past.queries, deep=True)
        by_hand = [path for path in paths if f"{path}.go" not in paths]  # else its code is beside it
        for ending, key in _SOURCES.items():
            yield [self._file(key, path, wanted) for path in by_hand if path.endswith(ending)]

    def _file(self, key: str, path: str, wanted: Wanted) -> Catalogue:
        """Return the queries of a file; each content is read once."""
        content = wanted.tree.read(path) or b""
        if (key, content) not in self._files:
            found = _read(key, path, wanted)
            is_of_sqlc = key == "sql" and _SQLC_HEADER.search(content)
            self._files[key, content] = _frozen(found) if is_of_sqlc else found
        return self._files[key, content]


def files_at(tree: Tree, pattern: str, *, deep: bool) -> list[str]:
    """Return the files that a path, a folder or a glob of files or folders means, perhaps none."""
    inside = f"{pattern.rstrip('/')}/{'**' if deep else '*'}"
    found: list[str] = []
    for each in (pattern, inside) if _WILD.search(pattern) else (pattern,):
        with suppress(Usage):  # the path is not there at this tag
            found.extend(files_of(tree, each, endings=("",), deep=deep))
    return list(dict.fromkeys(found))


def _read(key: str, settings: object, wanted: Wanted) -> Catalogue:
    source = discovery.query_source(key)
    spec = source.spec.model_validate(settings)  # type: ignore[attr-defined]  # a pydantic model; see QuerySource
    try:
        return source.read(spec, wanted)
    except Usage as error:
        place = wanted.tree.place(settings) if isinstance(settings, str) else wanted.tree.label
        problem = Diagnostic(error.code, Place(place), error.what, error.why)
        return Catalogue(wanted.tree.label, (), (problem,))


def _frozen(catalogue: Catalogue) -> Catalogue:
    """Return the queries of a file of sqlc's, which writes the columns of each `*` into the client."""
    queries = tuple(replace(each, freezes_star=True) for each in catalogue.queries)
    return replace(catalogue, queries=queries)
