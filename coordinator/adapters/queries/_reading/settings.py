"""Settings whose most common form is one path: `{sqlc: sqlc.yaml}` for `{sqlc: {config: sqlc.yaml}}`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from coordinator.errors import Usage
from coordinator.fields import QuerySettings
from coordinator.query_ports import Wanted

VERSION = "{version}"


class PathSettings(QuerySettings):
    """A mapping that may be written as the text of its field `main` alone."""

    main: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_text_alone(cls, value: object) -> object:
        return {cls.main: value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, to_json: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of both forms, for the editor."""
        mapping = to_json.resolve_ref_schema(to_json(core))
        text: dict[str, Any] = mapping["properties"][cls.main]
        return {"anyOf": [text, mapping]}

    @property
    def path(self) -> str:
        """Return the text itself."""
        return str(getattr(self, self.main))

    @property
    def is_versioned(self) -> bool:
        """The path holds `{version}`, so one tree has every version."""
        return VERSION in self.path

    def path_for(self, wanted: Wanted) -> str:
        """Return the path of a version. Raises: Usage `version-unknown`."""
        if not self.is_versioned:
            return self.path
        if wanted.version is None:
            raise Usage(
                "version-unknown",
                f"`{self.path}` needs the {wanted.role} version, and nobody knows it.",
                next_step="Release once with coordinator, which writes the version down.",
            )
        return self.path.replace(VERSION, wanted.version)
