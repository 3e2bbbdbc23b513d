"""Plain files of statements: a file, a folder or a glob, `{version}` in it for the version.

The source for projects that keep their SQL in files and for those that write down by hand what their code
asks. A statement's name is that of its header (`-- name: GetOrder :one`), else the file's name and a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from coordinator.adapters.queries._reading.files import files_of, text_of
from coordinator.adapters.queries._reading.parameters import Dialect, with_engine_parameters
from coordinator.adapters.queries._reading.statements import statements_of
from coordinator.diagnostics import Place
from coordinator.errors import Usage
from coordinator.fields import QuerySettings
from coordinator.model import Role
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import QuerySource, Wanted

_VERSION = "{version}"


class SqlSettings(QuerySettings):
    """`{sql: queries}`, or a mapping with more to say."""

    files: str = Field(
        min_length=1,
        description="A file, a folder (its `*.sql`, also in folders below) or a glob, relative to the plan "
        "file. `{version}` stands for the version; then both versions are read from the working tree.",
        examples=["queries", "queries/{version}"],
    )

    @model_validator(mode="before")
    @classmethod
    def _from_files_alone(cls, value: object) -> object:
        return {"files": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, to_json: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of both forms, for the editor."""
        mapping = to_json.resolve_ref_schema(to_json(core))
        files: dict[str, Any] = mapping["properties"]["files"]
        return {"anyOf": [files, mapping]}


class SqlFiles:
    """The source `sql`."""

    spec: type = SqlSettings
    roles: frozenset[Role] = frozenset(Role)

    def is_versioned(self, spec: object) -> bool:
        """Tell whether the path holds `{version}`."""
        assert isinstance(spec, SqlSettings)
        return _VERSION in spec.files

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return every statement of the files. Raises: Usage where a file is missing or cannot be read."""
        assert isinstance(spec, SqlSettings)
        pattern = _with_version(spec.files, wanted)
        files = files_of(wanted.tree, pattern, endings=(".sql",), deep=True)
        queries = tuple(query for file in files for query in _queries_of(file, wanted))
        return Catalogue(f"{pattern} in {wanted.tree.label}", queries)


def _with_version(files: str, wanted: Wanted) -> str:
    if _VERSION not in files:
        return files
    if wanted.version is None:
        raise Usage(
            "version-unknown",
            f"`{files}` needs the {wanted.role} version, and nobody knows it.",
            next_step="Release once with coordinator, which writes the version down.",
        )
    return files.replace(_VERSION, wanted.version)


def _queries_of(file: str, wanted: Wanted) -> Iterator[Query]:
    dialect = Dialect(wanted.engine, names=True, marks=True)
    place = wanted.tree.place(file)
    for number, each in enumerate(statements_of(text_of(wanted.tree, file)), start=1):
        yield Query(
            name=each.name or f"{PurePosixPath(file).name} {number}",
            text=with_engine_parameters(each.text, dialect),
            place=Place(place, each.line),
            reads_result=each.reads_result,
            obstacle=None if each.is_closed else "a quote or a comment in it is still open at the file's end",
        )


QUERIES: Final[QuerySource] = SqlFiles()
