"""The plan file's JSON Schema, with the settings of every platform and check that is installed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema

from coordinator.fields import text_from
from coordinator.load.document import PlanDocument


class _Draft202012(GenerateJsonSchema):
    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode=mode)}

    def encode_default(self, dft: Any) -> Any:
        return text_from(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12; an editor may mark a `${NAME}` where no free text stands."""
    return PlanDocument.model_json_schema(by_alias=True, schema_generator=_Draft202012)
