"""SQLAlchemy statements compiled and printed, in a process and an environment of the user's own.

This file is run by its path with the interpreter of the user's project, which has SQLAlchemy 1.4 or newer and
nothing of coordinator.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any


def print_statements(folder: str, callable_name: str, engine: str) -> None:
    """Import the callable from the folder, and print what it returns as JSON."""
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # the project's code may print
        # No module beside this file may stand for one of the project's.
        here = Path(__file__).resolve().parent
        sys.path[:] = [folder, *(each for each in sys.path if Path(each or ".").resolve() != here)]
        module, _, path = callable_name.partition(":")
        function: Any = import_module(module)
        for step in path.split("."):
            function = getattr(function, step)
        printed = list(_compiled(function(), path, engine))
    json.dump(printed, out)


def _compiled(returned: Any, path: str, engine: str) -> Iterator[dict[str, str]]:
    from sqlalchemy import exc, text

    dialect = _dialect_of(engine)
    for number, each in enumerate(returned, start=1):
        name, statement = each if isinstance(each, tuple) else (f"{path} {number}", each)
        element: Any = text(statement) if isinstance(statement, str) else statement
        element = getattr(element, "statement", element)  # of the ORM's older Query
        try:
            compiled = element.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        except (exc.SQLAlchemyError, AttributeError, TypeError) as error:
            why = str(error).partition("\n")[0]
            yield {"name": name, "obstacle": f"SQLAlchemy cannot compile it ({why})"}
        else:
            yield {"name": name, "text": str(compiled).strip()}


def _dialect_of(engine: str) -> Any:
    import sqlalchemy
    from sqlalchemy.dialects import mysql, postgresql, sqlite

    if engine == "postgresql":
        knows_dollars = sqlalchemy.__version__.partition(".")[0] != "1"
        return postgresql.dialect(paramstyle="numeric_dollar" if knows_dollars else "named")  # type: ignore[no-untyped-call]
    return (sqlite if engine == "sqlite" else mysql).dialect(paramstyle="qmark")


if __name__ == "__main__":
    print_statements(*sys.argv[1:])
