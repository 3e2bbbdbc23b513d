"""Do what a request says, and write down one answer, however it ends."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from .project import demand_alembic
from .refusal import Refused, fields_of, told
from .scripts import make_scripts
from .upgrade import apply_revisions

_ACTIONS = {"upgrade": apply_revisions, "scripts": make_scripts}
_OWN = f"{Path(__file__).parent.parent}{os.sep}"
"""The folder of these modules, and of the file that imports them."""


def answer_request(request: dict[str, Any]) -> None:
    """Do what a request says and answer."""
    answer: dict[str, Any] = {}
    try:
        demand_alembic()
        _ACTIONS[request["kind"]](request, answer)
    except BaseException as error:  # a user's env.py raises what it likes, SystemExit too: that is the answer
        answer["error"] = told(error)
        answer["sqlstate"] = sqlstate_of(error)
        is_out_of_reach = bool(answer.get("connects")) and "began" not in answer
        answer["is_cut_off"] = is_out_of_reach or getattr(error, "connection_invalidated", False)
        if isinstance(error, Refused):
            sys.stderr.write(f"{answer['error']}\n")
        else:
            _print_traceback(error)
        _write(request["answer"], answer)
        sys.exit(1)
    _write(request["answer"], answer)


def _print_traceback(error: BaseException) -> None:
    """Print what came over the project's own lines; in those of libraries there is nothing to mend."""
    trace = traceback.TracebackException.from_exception(error)
    if getattr(error, "orig", None) is not None:  # SQLAlchemy's: its text has the driver's error already
        trace.__cause__, trace.__suppress_context__ = None, True
    libraries = (str(Path(os.__file__).parent), _OWN, "<")
    each: traceback.TracebackException | None = trace
    while each is not None:
        own = [
            frame
            for frame in each.stack
            if not frame.filename.startswith(libraries) and "-packages" not in frame.filename
        ]
        each.stack[:] = own or each.stack
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    sys.stderr.writelines(trace.format())


def _write(path: str, answer: dict[str, Any]) -> None:
    partly = Path(f"{path}.partly")
    partly.write_text(json.dumps(answer), encoding="utf-8")
    partly.replace(path)


def sqlstate_of(error: BaseException) -> str | None:
    """Return the code by which PostgreSQL names an error."""
    original = getattr(error, "orig", None)
    for name in ("sqlstate", "pgcode"):
        code = getattr(original, name, None)
        if isinstance(code, str):
            return code
    return fields_of(error).get("C")
