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


def print_statements(folder: str, callable_name: str, engine: str, instead_of: str | None = None) -> None:
    """Import the callable from the folder, and print what it returns as JSON.

    The folder's files may stand `instead_of` those of another folder, which may be installed as well: what it
    returns must be of the folder then.
    """
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # the project's code may print
        # No module beside this file may stand for one of the project's.
        here = Path(__file__).resolve().parent
        sys.path[:] = [
            *(folder, f"{folder}/src"),
            *(each for each in sys.path if Path(each or ".").resolve() != here),
        ]
        module, _, path = callable_name.partition(":")
        function: Any = import_module(module)
        for step in path.split("."):
            function = getattr(function, step)
        printed = list(_compiled(function(), path, engine))
        if instead_of is not None:
            _demand_own(folder, instead_of, besides=module)
    json.dump(printed, out)


def _demand_own(folder: str, instead_of: str, *, besides: str) -> None:
    """Refuse statements of code that is another version's; the function's own module may stand anywhere."""
    files = {
        name: Path(file).resolve()
        for name, module in list(sys.modules.items())
        if name != besides and (file := getattr(module, "__file__", None)) and "-packages" not in file
    }
    own, other = Path(folder).resolve(), Path(instead_of).resolve()
    for name, file in files.items():
        if file.is_relative_to(other) and not file.is_relative_to(own):
            raise ImportError(f"{name} was imported from {file}, which is another version's")
    of_function = Path(sys.modules[besides].__file__ or "").resolve()
    if not any(file.is_relative_to(own) for file in (*files.values(), of_function)):
        raise ImportError(f"{besides} imports nothing of this version's files: an installed copy comes first")


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
