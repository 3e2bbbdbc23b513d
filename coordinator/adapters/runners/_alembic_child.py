"""Alembic itself, with a user's env.py, in a process and an environment of the user's own.

This file is run by its path with the interpreter of the user's project, which has Alembic 1.9 or newer and of
coordinator only the folder _alembic_inside beside this file. It reads one request from its environment and
writes one answer to a file; whatever env.py prints goes where this process's output goes. It may end in any
way that env.py likes: without an answer nothing is believed.

An online request names the database by what its server says about itself. Every connection that SQLAlchemy
opens here is asked the same before anything else is sent over it, and refused if it is another database: an
env.py that takes its address from somewhere else so changes nothing.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

REQUEST = "COORDINATOR_ALEMBIC_REQUEST"
_INSIDE = "_coordinator_alembic_inside"
"""What _alembic_inside is called here: a name that no project has."""


def main() -> None:
    """Do what the request in the environment says, and answer."""
    request = json.loads(os.environ.pop(REQUEST))
    forget_own_folder()
    load_inside().answer_request(request)


def forget_own_folder() -> None:
    """Let no module beside this file be imported: one has the name of Alembic."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != here]


def load_inside() -> Any:
    """Return the module that answers. No folder is put on sys.path, where it could hide the project's own."""
    if _INSIDE not in sys.modules:
        init = Path(__file__).parent / "_alembic_inside" / "__init__.py"
        spec = spec_from_file_location(_INSIDE, init)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[_INSIDE] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_INSIDE])
    return import_module(f"{_INSIDE}.answer")


if __name__ == "__main__":
    main()
