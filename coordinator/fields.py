"""The typed scalars of a plan file, for the loader and for the specs that adapters bring along.

A field's error is a PydanticCustomError whose type is the diagnostic's code, so that a wrong duration has
the same page wherever it stands. Its message is the whole text that a user sees, and never the value.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from coordinator.model import SecretRef

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_LONGEST = timedelta(days=366)
_SECRET = re.compile(r"(env):([A-Za-z_][A-Za-z0-9_]*)|(file):([^\x00]+)")
_DURATION_SCHEMA = {
    "type": "string",
    "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$",
    "examples": ["30s", "10m"],
    "title": "duration",
}


class Spec(BaseModel):
    """A mapping of the plan file: unknown keys are errors, values keep their type, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class QuerySettings(Spec):
    """What every source of queries takes; an adapter's own model adds where they are."""

    database: str | None = Field(
        default=None,
        description="The database that gets these queries. Without it: the only one that the service uses.",
    )


def _duration_from(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "bad-duration",
            "This is no duration. Write a whole number and its unit: 500ms, 30s, 10m, 2h, 1d.",
        )
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if duration > _LONGEST:
        raise PydanticCustomError("bad-duration", "This is more than a year. Write at most 366d.")
    return duration


def text_from(duration: timedelta) -> str:
    """Return a duration as a plan writes it, in the largest unit that takes it whole."""
    milliseconds = duration // timedelta(milliseconds=1)
    sizes = {unit: timedelta(**{name: 1}) // timedelta(milliseconds=1) for unit, name in _UNITS.items()}
    unit = max(
        (unit for unit in sizes if milliseconds % sizes[unit] == 0 and milliseconds),
        default="s",
        key=sizes.__getitem__,
    )
    return f"{milliseconds // sizes[unit]}{unit}"


def _more_than_nothing(value: timedelta) -> timedelta:
    if not value:
        raise PydanticCustomError("bad-duration", "This must be more than nothing. Write at least 1ms.")
    return value


def secret_from(value: object) -> SecretRef:
    """Return the reference that a text holds. Raises: PydanticCustomError `literal-secret`."""
    if isinstance(value, SecretRef):
        return value
    match = _SECRET.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "literal-secret",
            "This is no reference to a secret, and a plan holds no secrets. "
            "Write env:NAME (an environment variable) or file:PATH (relative to the plan's folder).",
        )
    return SecretRef("env", match[2]) if match[1] else SecretRef("file", match[4])


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration_from),
    PlainSerializer(text_from),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""`500ms`, `30s`, `10m`, `2h`, `1d`, up to a year; `0s` is one too."""

PositiveDuration = Annotated[Duration, AfterValidator(_more_than_nothing)]
"""A duration that is not nothing, for whatever is waited or repeated."""

SecretReference = Annotated[
    SecretRef,
    BeforeValidator(secret_from),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
            "examples": ["env:DATABASE_URL"],
            "title": "reference to a secret",
        }
    ),
]

HttpPath = Annotated[
    str,
    Field(pattern=r"^/[!-~]*$", description="The path to ask, from a slash; no blanks.", examples=["/ready"]),
]
