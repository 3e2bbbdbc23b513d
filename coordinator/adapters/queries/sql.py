"""Plain files of statements: a file, a folder or a glob, `{version}` in it for the version.

The source for projects that keep their SQL in files and for those that write down by hand what their code
asks. A statement's name is that of its header (`-- name: GetOrder :one`), else the file's name and a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import ClassVar, Final

from pydantic import Field

from coordinator.adapters.queries._reading.files import files_of, text_of
from coordinator.adapters.queries._reading.parameters import Dialect, with_engine_parameters
from coordinator.adapters.queries._reading.settings import PathSettings
from coordinator.adapters.queries._reading.statements import statements_of
from coordinator.diagnostics import Place
from coordinator.model import Role
from coordinator.queries import Catalogue, Query
from coordinator.query_ports import QuerySource, Wanted

_OF_MIGRATE: Final = re.compile(r"(?:\A|/)[0-9]+_[^/]*\.(?:up|down)\.sql\Z", re.ASCII)
_OF_GOOSE: Final = re.compile(r"^[ \t]*--[ \t]*\+goose[ \t]+(?:Up|Down)\b", re.IGNORECASE | re.MULTILINE)


class SqlSettings(PathSettings):
    """`{sql: queries}`, or a mapping with more to say."""

    main: ClassVar[str] = "files"

    files: str = Field(
        min_length=1,
        description="A file, a folder (its `*.sql`, also in folders below) or a glob, relative to the plan "
        "file. Migrations of goose and golang-migrate among them are no queries. `{version}` stands for the "
        "version; then both versions are read from the working tree.",
        examples=["queries", "queries/{version}"],
    )


class SqlFiles:
    """The source `sql`."""

    spec: type = SqlSettings
    roles: frozenset[Role] = frozenset(Role)

    def is_versioned(self, spec: object) -> bool:
        """Tell whether the path holds `{version}`."""
        assert isinstance(spec, SqlSettings)
        return spec.is_versioned

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return every statement of the files. Raises: Usage where a file is missing or cannot be read."""
        assert isinstance(spec, SqlSettings)
        path = spec.path_for(wanted)
        files = files_of(wanted.tree, path, endings=(".sql",), deep=True)
        texts = ((file, text_of(wanted.tree, file)) for file in files)
        queries = tuple(
            query
            for file, text in texts
            if not _is_migration(file, text)
            for query in _queries_of(file, text, wanted)
        )
        return Catalogue(f"{path} in {wanted.tree.label}", queries, is_of_files=True)


def _is_migration(file: str, text: str) -> bool:
    """Tell by the tools' own signs: one folder often holds both, `sqlc/migrations` and `sqlc/queries`."""
    return bool(_OF_MIGRATE.search(file) or _OF_GOOSE.search(text))


def _queries_of(file: str, text: str, wanted: Wanted) -> Iterator[Query]:
    dialect = Dialect(wanted.engine, macros=True, names=True, marks=True)
    place = wanted.tree.place(file)
    for number, each in enumerate(statements_of(text, wanted.engine), start=1):
        yield Query(
            name=each.name or f"{PurePosixPath(file).name} {number}",
            text=with_engine_parameters(each.text, dialect),
            place=Place(place, each.line),
            reads_result=each.reads_result,
            obstacle=each.obstacle,
        )


QUERIES: Final[QuerySource] = SqlFiles()
