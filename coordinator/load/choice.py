"""A mapping of exactly one key that names an adapter: `{local: {…}}`, `{http: /ready}`.

The value belongs to the adapter, whose own pydantic model checks it, so the core learns nothing about
platforms and a new adapter needs no change here. Only the adapter that a plan names is imported; the JSON
Schema and the reference page import all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import GenericAlias
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    ValidationError,
    core_schema,
)

from coordinator import discovery


@dataclass(frozen=True, slots=True)
class Chosen:
    """The adapter's key and its checked settings."""

    kind: str
    spec: object


@dataclass(frozen=True, slots=True)
class Choice:
    """What may be chosen: `word` is what a message calls it, `package` holds one adapter a module."""

    word: str
    package: str
    spec_of: Callable[[str], type]

    def offers(self) -> tuple[str, ...]:
        """Return what a plan may write."""
        return discovery.names(self.package)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._choose,
            serialization=core_schema.plain_serializer_function_ser_schema(self._dump),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "type": "object",
            "properties": {key: handler(TypeAdapter(self.spec_of(key)).core_schema) for key in self.offers()},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }

    def _choose(self, value: object) -> Chosen:
        if not isinstance(value, dict):
            raise PydanticKnownError("dict_type")
        if len(value) != 1:
            raise PydanticCustomError(
                "one-key",
                "Exactly one {word} stands here. Write one key, one of: {listed}.",
                {"word": self.word, "listed": ", ".join(self.offers())},
            )
        [key] = value
        if key not in self.offers():
            raise _unknown(key, self)
        # The inner model checks JSON, as the outer one does, so that both are strict in the same way.
        return Chosen(key, _mapping_of(self.spec_of(key)).validate_json(json.dumps(value))[key])

    def _dump(self, chosen: Chosen) -> dict[str, object]:
        dumped: dict[str, object] = _mapping_of(self.spec_of(chosen.kind)).dump_python(
            {chosen.kind: chosen.spec}, mode="json", by_alias=True
        )
        return dumped


class OneOrMore:
    """A mark on a list: a plan may write a single item without the list around it."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_tuple, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _as_tuple(value: object) -> tuple[object, ...]:
    # An error's path then has a position that the file does not have, which tree.find passes over.
    return tuple(value) if isinstance(value, list) else (value,)


@cache
def _mapping_of(spec: type) -> TypeAdapter[dict[str, Any]]:
    """Return what checks `{key: settings}`, so that the key is a part of an error's path; slow to make."""
    mapping: Any = GenericAlias(dict, (str, spec))
    return TypeAdapter(mapping)


def _unknown(key: str, choice: Choice) -> ValidationError:
    error = unknown_name(choice.word, choice.offers())
    return ValidationError.from_exception_data(
        choice.word, [InitErrorDetails(type=error, loc=(key, "[key]"), input=key)]
    )


def unknown_name(word: str, known: tuple[str, ...]) -> PydanticCustomError:
    """Return the error for a name that is none of `known`; problems.py adds the name and a guess."""
    return PydanticCustomError("unknown-name", "There is no such {word}.", {"word": word, "known": known})


def _platform_spec(key: str) -> type:
    return discovery.platform(key).spec


def _check_spec(key: str) -> type:
    return discovery.check(key).spec


def _query_spec(key: str) -> type:
    return discovery.query_source(key).spec


PlatformChoice: TypeAlias = Annotated[Chosen, Choice("platform", discovery.PLATFORMS, _platform_spec)]
CheckChoice: TypeAlias = Annotated[Chosen, Choice("check", discovery.CHECKS, _check_spec)]
QueriesChoices: TypeAlias = Annotated[
    tuple[Annotated[Chosen, Choice("source of queries", discovery.QUERIES, _query_spec)], ...], OneOrMore()
]
