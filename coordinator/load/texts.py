"""The texts of a plan file that have a form of their own: names, versions, references to its other parts."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from coordinator import discovery
from coordinator.load.choice import unknown_name
from coordinator.model import Engine

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_VERSION = re.compile(r"[A-Za-z0-9][!-~]{0,127}")
_RELEASE_LENGTH = 100
_SERVER_VERSIONS = {
    Engine.POSTGRESQL: (re.compile(r"[1-9]\d?(\.\d{1,3}){0,2}"), "16"),
    Engine.MYSQL: (re.compile(r"[1-9]\d?(\.\d{1,3}){1,2}"), "8.4"),
    Engine.MARIADB: (re.compile(r"[1-9]\d?(\.\d{1,3}){1,2}"), "10.11"),
}
"""How a server's version is written, which has at least what decides about SQL; and an example."""


def _is_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise PydanticCustomError(
            "bad-name",
            "This name does not fit. Write at most 63 lower-case letters, digits or hyphens, a letter first.",
        )
    return value


def _is_release(value: str) -> str:
    fits = value.isprintable() and not set(value) & {"/", "\\"} and value == value.strip(" .")
    if not fits or not 1 <= len(value) <= _RELEASE_LENGTH:
        raise PydanticCustomError(
            "bad-release",
            "This is no name for a release. Write 1 to 100 printable characters without a slash, "
            "with no blank or dot at either end.",
        )
    return value


def _is_version(value: str) -> str:
    if not _VERSION.fullmatch(value):
        raise PydanticCustomError(
            "bad-version",
            "This is no version. Write 1 to 128 ASCII characters without blanks, a letter or a digit first.",
        )
    return value


def _is_tool(value: str) -> str:
    known = discovery.names(discovery.MIGRATION_TOOLS)
    if value not in known:
        raise unknown_name("migration tool", known)
    return value


def _list_tools(schema: dict[str, Any]) -> None:
    schema["enum"] = list(discovery.names(discovery.MIGRATION_TOOLS))


def _is_database(value: str, info: ValidationInfo) -> str:
    known: tuple[str, ...] = info.context or ()
    if value not in known:
        raise unknown_name("database", known)
    return value


def _is_text(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("empty-text", "This text is empty. Write something, or remove the key.")
    return value


def _without_repetition(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("repeated-value", "A value stands here twice. Remove one.")
    return values


def example_of_server_version(engine: Engine) -> str:
    """Return how a version of an engine's servers is written."""
    return _SERVER_VERSIONS[engine][1]


def wrong_server_version(version: str, engine: Engine) -> PydanticCustomError | None:
    """Return why an engine's server cannot have a version; None where it can."""
    if engine not in _SERVER_VERSIONS:
        return PydanticCustomError(
            "idle-setting",
            "The version of a live server is said, and {engine} has no server. Remove it.",
            {"engine": engine.value},
        )
    form, example = _SERVER_VERSIONS[engine]
    if form.fullmatch(version):
        return None
    return PydanticCustomError(
        "bad-server-version",
        "No server of {engine} has such a version. Write one like `{example}`.",
        {"engine": engine.value, "example": example},
    )


def _form(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Name = Annotated[str, AfterValidator(_is_name), _form(f"^{_NAME.pattern}$")]
Release = Annotated[str, AfterValidator(_is_release), _form(r"^[^/\\]{1,100}$")]
VersionText = Annotated[str, AfterValidator(_is_version), _form(r"^\S+$")]
"""JSON Schema has only a loose form of these two: an editor must let `${VERSION}` pass."""
Tool = Annotated[str, AfterValidator(_is_tool), Field(json_schema_extra=_list_tools)]
DatabaseReference = Annotated[str, AfterValidator(_is_database)]
"""The name of a database of the plan; the validation's context holds the names that the plan has."""
Text = Annotated[str, AfterValidator(_is_text), _form(r"\S")]
XArgument = Annotated[str, Field(pattern="^[^\\s=]+$")]
"""A key of `alembic -x KEY=VALUE`."""
Unrepeated = AfterValidator(_without_repetition)
