"""The Go code that sqlc generated, alone: what the program sends, also where the .sql files are gone."""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import Field

from coordinator.adapters.queries._reading.files import files_of, text_of
from coordinator.adapters.queries._reading.go_constants import queries_of_go
from coordinator.adapters.queries._reading.settings import PathSettings
from coordinator.model import Role
from coordinator.queries import Catalogue
from coordinator.query_ports import QuerySource, Wanted


class SqlcGoSettings(PathSettings):
    """`{sqlc-go: internal/db}`, or a mapping with more to say."""

    main: ClassVar[str] = "files"

    files: str = Field(
        min_length=1,
        description="The generated code: a folder (its `*.go`), a file or a glob, relative to the plan file.",
        examples=["internal/db"],
    )


class SqlcGo:
    """The source `sqlc-go`."""

    spec: type = SqlcGoSettings
    roles: frozenset[Role] = frozenset(Role)

    def is_versioned(self, spec: object) -> bool:
        """Tell whether the path holds `{version}`."""
        assert isinstance(spec, SqlcGoSettings)
        return spec.is_versioned

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return every query that the code holds. Raises: Usage where a file is missing or cannot be read."""
        assert isinstance(spec, SqlcGoSettings)
        path = spec.path_for(wanted)
        files = files_of(wanted.tree, path, endings=(".go",), deep=False)
        queries = tuple(
            query
            for file in files
            for query in queries_of_go(text_of(wanted.tree, file), wanted.tree.place(file), wanted.engine)
        )
        return Catalogue(f"{path} in {wanted.tree.label}", queries, is_of_files=True)


QUERIES: Final[QuerySource] = SqlcGo()
