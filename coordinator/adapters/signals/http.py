"""Ask a running version by HTTP: one GET, its status, and optionally a text that its body must contain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from coordinator.fields import Duration, HttpPath, Spec
from coordinator.ports.checks import Answer, CheckKind, Subject


class HttpSpec(Spec):
    """`{http: /ready}`, or a mapping with more to say."""

    path: HttpPath
    status: int = Field(default=200, ge=100, le=599, description="The only status that is content.")
    contains: str | None = Field(
        default=None, min_length=1, description="A text that the body (its first MiB) must contain."
    )
    timeout: Duration = Field(
        default=timedelta(seconds=2), gt=timedelta(0), description="The limit for the whole answer."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, to_json: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of both forms, for the editor."""
        mapping = to_json.resolve_ref_schema(to_json(core))
        path: dict[str, Any] = mapping["properties"]["path"]
        return {"anyOf": [path, mapping]}


class HttpCheck:
    """The check `http`. A redirect is an answer and is not followed."""

    spec: type = HttpSpec

    def ask(self, spec: object, subject: Subject) -> Answer:
        """Ask once and compare."""
        from coordinator.adapters.web import NoReply, get  # noqa: PLC0415 - checking a plan asks nobody

        assert isinstance(spec, HttpSpec)
        question = f"GET {spec.path}"
        try:
            reply = get(subject.address + spec.path, timeout=spec.timeout)
        except NoReply as error:
            return Answer(ok=False, detail=f"{question}: {error}")
        if reply.status != spec.status:
            return Answer(ok=False, detail=f"{question} answered {reply.status}, not {spec.status}")
        if spec.contains is not None and spec.contains.encode() not in reply.body:
            return Answer(ok=False, detail=f"{question} answered {reply.status} without {spec.contains!r}")
        return Answer(ok=True, detail=f"{question} answered {reply.status}")


CHECK: Final[CheckKind] = HttpCheck()
