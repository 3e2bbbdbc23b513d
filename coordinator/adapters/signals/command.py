"""Ask a running version by a program of the team: exit code 0 is yes, its last line is the detail.

The program runs in a process group of its own, and the whole group is killed when the question is answered:
a smoke test that leaves a browser behind would fill the machine release by release. Its output goes to a
file without a name, not to a pipe, because a child that escaped the group could hold a pipe open for ever.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from datetime import timedelta
from typing import IO, Any, Final

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from coordinator.argv import Argv, argv_from
from coordinator.fields import Duration, Spec
from coordinator.ports.checks import Answer, CheckKind, Subject

_TAIL = 64 * 1024


class CommandSpec(Spec):
    """`{command: [./smoke.sh]}`, or a mapping with `argv` and `timeout`."""

    argv: Argv
    timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="When it is over, the program and its children are killed.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_argv_alone(cls, value: object) -> object:
        return {"argv": value} if isinstance(value, list | tuple) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, to_json: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of both forms, for the editor."""
        mapping = to_json.resolve_ref_schema(to_json(core))
        argv: dict[str, Any] = mapping["properties"]["argv"]
        return {"anyOf": [argv, mapping]}


class CommandCheck:
    """The check `command`. The program gets our environment and COORDINATOR_URL, _SERVICE and _VERSION."""

    spec: type = CommandSpec

    def ask(self, spec: object, subject: Subject) -> Answer:
        """Run the program once, in the plan's folder."""
        assert isinstance(spec, CommandSpec)
        with tempfile.TemporaryFile() as output:
            try:
                started = subprocess.Popen(
                    argv_from(spec.argv, folder=subject.folder),
                    cwd=subject.folder,
                    env=os.environ | _environment_of(subject),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                return Answer(ok=False, detail=f"{spec.argv[0]} could not be started: {error.strerror}")
            with started:
                exit_code = _exit_code_of(started, spec.timeout)
            return _answer(spec, exit_code, _last_line(output))


def _environment_of(subject: Subject) -> dict[str, str]:
    return {
        "COORDINATOR_URL": subject.address,
        "COORDINATOR_SERVICE": subject.service,
        "COORDINATOR_VERSION": subject.version,
    }


def _exit_code_of(started: subprocess.Popen[bytes], timeout: timedelta) -> int | None:
    """Return the exit code, None when time is up; the process group is gone either way."""
    try:
        return started.wait(timeout.total_seconds())
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(started.pid, signal.SIGKILL)


def _last_line(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL))
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _answer(spec: CommandSpec, exit_code: int | None, last_line: str) -> Answer:
    if exit_code is None:
        what = f"{spec.argv[0]} did not end within {spec.timeout.total_seconds():g} s"
    else:
        what = f"{spec.argv[0]} ended with exit code {exit_code}"
    return Answer(ok=exit_code == 0, detail=f"{what}: {last_line}" if last_line else what)


CHECK: Final[CheckKind] = CommandCheck()
