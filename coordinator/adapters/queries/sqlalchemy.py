"""SQLAlchemy statements that a callable of the project returns, compiled for the engine.

The project's code runs in a process and, if the plan names its interpreter, in an environment of its own: it
may print, hang, exit or need another version of anything without breaking the release. Only the working tree
can be imported; for a version at a git ref a `command` must be given that prints the same JSON from wherever
that version is.
"""

from __future__ import annotations

import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from coordinator.adapters.queries._reading import sqlalchemy_child
from coordinator.adapters.queries._reading.settings import PathSettings
from coordinator.argv import Argv, argv_from, interpreter_from
from coordinator.diagnostics import Place
from coordinator.errors import Usage
from coordinator.fields import PositiveDuration
from coordinator.model import Role
from coordinator.queries import Catalogue, Query
from coordinator.query_ports import QuerySource, Wanted

_TELLING = ("ModuleNotFoundError", "ImportError", "AttributeError")
"""Errors whose text names a part of the code. Another one's may hold anything, a password too."""
_BY_HAND = (
    "Call the function by hand. Where it needs the project's own environment, name its interpreter: "
    "`python: .venv/bin/python`."
)
_COMMAND = "Give a `command` that prints the statements of the version in `VERSION`, or another source."


class SqlalchemySettings(PathSettings):
    """`{sqlalchemy: shop.queries:all_statements}`, or a mapping with more to say."""

    main: ClassVar[str] = "callable"

    callable: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$",
        description="A function without arguments, as `module:function`, that returns statements, or pairs "
        "of a name and a statement. It is imported from the plan's folder.",
        examples=["shop.queries:statements"],
    )
    python: str | None = Field(
        default=None,
        description="The interpreter of the environment in which the function runs, which has SQLAlchemy 1.4 "
        "or newer and what the project imports. A path starts at the plan file's folder. Without it: the "
        "interpreter that runs coordinator.",
        examples=[".venv/bin/python"],
    )
    command: Argv | None = Field(
        default=None,
        description="A program that prints the queries of the live version, which cannot be imported, as a "
        'JSON list of {"name": …, "text": …}. The environment variable VERSION says which version that is.',
    )
    timeout: PositiveDuration = Field(
        default=timedelta(seconds=60), description="How long the program may take."
    )


class Printed(BaseModel):
    """A query as a program prints it; `obstacle` says why there is no text."""

    name: str
    text: str = ""
    obstacle: str | None = None


class Sqlalchemy:
    """The source `sqlalchemy`."""

    spec: type = SqlalchemySettings
    roles: frozenset[Role] = frozenset(Role)

    def is_versioned(self, spec: object) -> bool:
        """Tell whether a command speaks for every version."""
        assert isinstance(spec, SqlalchemySettings)
        return spec.command is not None

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return the statements that the callable returns, or that the command prints.

        Raises: Usage `sqlalchemy-failed` where they cannot be had.
        """
        assert isinstance(spec, SqlalchemySettings)
        folder = Path(wanted.tree.place("."))
        if not folder.is_dir():
            raise _failed(f"`{spec.callable}` cannot be imported from {wanted.tree.label}.", _COMMAND)
        command = spec.command if wanted.role is Role.LIVE else None
        queries = tuple(
            Query(each.name, each.text, Place(spec.callable), obstacle=each.obstacle)
            for each in _printed_by(command, spec, wanted, folder)
        )
        if command:
            return Catalogue(f"what `{' '.join(command)}` printed for {wanted.version}", queries)
        return Catalogue(f"{spec.callable} in {wanted.tree.label}", queries)


def _printed_by(
    command: Argv | None, spec: SqlalchemySettings, wanted: Wanted, folder: Path
) -> list[Printed]:
    own = [
        interpreter_from(spec.python, folder=folder),
        *(sqlalchemy_child.__file__, str(folder.absolute()), spec.callable, wanted.engine),
        *([] if wanted.instead_of is None else [str(wanted.instead_of.absolute())]),
    ]
    argv = argv_from(command, folder=folder) if command else own
    try:
        ended = subprocess.run(
            argv,
            cwd=folder,
            env=os.environ | {"VERSION": wanted.version or ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=spec.timeout.total_seconds(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"`{argv[0]}` did not end within {spec.timeout.total_seconds():g} s.") from error
    except OSError as error:
        raise _failed(f"`{argv[0]}` cannot be started: {error.strerror}.") from error
    if ended.returncode != 0:
        what = f"`{' '.join(command)}`" if command else f"`{spec.callable}`"
        raise _failed(f"{what} failed with exit code {ended.returncode}{_reason_in(ended.stderr, folder)}.")
    try:
        return TypeAdapter(list[Printed]).validate_json(ended.stdout)
    except ValidationError as error:
        raise _failed(f"`{argv[0]}` did not print a JSON list of queries.") from error


def _reason_in(stderr: bytes, folder: Path) -> str:
    """Return what a traceback says that can be no secret, and the project's line that it ends at."""
    text = stderr.decode("utf-8", "replace").strip()
    error, _, message = text.rpartition("\n")[2].partition(":")
    if not error.isidentifier():
        return ""
    own = rf'^  File "{re.escape(str(folder.absolute()))}/((?!.*site-packages).+)", line (\d+)'
    lines = re.findall(own, text, re.MULTILINE)
    at = ", {}:{}".format(*lines[-1]) if lines else ""
    return f" ({error}:{message}{at})" if error in _TELLING and message else f" ({error}{at})"


def _failed(what: str, next_step: str = _BY_HAND) -> Usage:
    return Usage(
        "sqlalchemy-failed", what, why="So the statements of the version are not known.", next_step=next_step
    )


QUERIES: Final[QuerySource] = Sqlalchemy()
