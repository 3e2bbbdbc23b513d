"""The typed scalars of a plan file, for load.py and for the specs that adapters bring along.

A field's error is a PydanticCustomError whose type is the diagnostic's code, so that a wrong duration has
the same page wherever it stands.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from coordinator.model import SecretRef

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SECRET = re.compile(r"(env):([A-Za-z_][A-Za-z0-9_]*)|(file):([^\x00]+)")


class Spec(BaseModel):
    """A mapping of the plan file: unknown keys are errors, values keep their type, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _duration_from(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "bad-duration",
            "This is no duration. Write a whole number and its unit: 500ms, 30s, 10m, 2h, 1d.",
        )
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _secret_from(value: object) -> SecretRef:
    if isinstance(value, SecretRef):
        return value
    match = _SECRET.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "literal-secret",
            "A secret stands here, and a plan holds references to secrets only. "
            "Write env:NAME (an environment variable) or file:PATH.",
        )
    return SecretRef("env", match[2]) if match[1] else SecretRef("file", match[4])


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration_from),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$", "examples": ["30s", "10m"]}),
]
SecretReference = Annotated[
    SecretRef,
    BeforeValidator(_secret_from),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
            "examples": ["env:DATABASE_URL"],
        }
    ),
]
