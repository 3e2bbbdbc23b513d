"""What a plan says of a service on this machine; checking it must not load what starts processes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from coordinator.argv import Argv
from coordinator.fields import Duration, HttpPath, Spec, secret_from
from coordinator.model import SecretRef


def _value_from(value: object) -> object:
    if isinstance(value, str) and value.startswith(("env:", "file:")):
        return secret_from(value)
    return value


_Name = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
_Value = Annotated[SecretRef | str, BeforeValidator(_value_from), WithJsonSchema({"type": "string"})]


class LocalSpec(Spec):
    """The plan's `platform: {local: …}`."""

    command: Argv
    env: dict[_Name, _Value] = Field(
        default_factory=dict,
        description="Its environment, besides PORT, VERSION and COLOR: env:NAME or file:PATH for a secret, "
        "anything else as it stands.",
    )
    port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="The public port on 127.0.0.1; 0 for a free one that is then kept.",
    )
    ready: HttpPath = Field(
        default="/ready", description="The path that answers 200 when the service is ready."
    )
    grace: Duration = Field(
        default=timedelta(seconds=10),
        description="From SIGTERM to SIGKILL when a process is replaced or taken down.",
    )
