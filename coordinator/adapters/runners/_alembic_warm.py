"""Alembic, imported once for many revisions: each of them runs in a fork of this process.

This file is run by its path with the interpreter of the user's project, as _alembic_child.py is, of which it
spares each revision the start. It imports what that file imports before anything of the project: neither
env.py nor a revision ever runs in this process, so none finds what another one left.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module, invalidate_caches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

_MODULES = ("alembic.config", "alembic.script", "alembic.runtime.environment", "sqlalchemy.event")


def main() -> None:
    """Import Alembic, and do one request after the other, each in a process of its own."""
    here = Path(__file__).resolve().parent
    child, forker = _file(here / "_alembic_child.py"), _file(here.parent / "forker.py")
    supervisor = _file(here.parent / "supervisor.py")
    child.forget_own_folder()
    child.load_inside()
    for each in _MODULES:
        import_module(each)
    gc.freeze()  # a fork would else look through all that was imported when it ends, and so copy its memory
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("Something that is imported has started a thread, of which a fork would have half.")

    os.environ.update(forker.next_request(supervisor))
    sys.argv[:] = [child.__file__]
    invalidate_caches()
    child.main()


def _file(path: Path) -> Any:
    """Import a file by its path."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
