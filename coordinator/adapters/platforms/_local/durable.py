"""Small JSON files that are either the old or the new text, whoever is killed and wherever the power goes."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write(path: Path, value: object) -> None:
    """Replace the file at `path`; on return the new text survives a power cut."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> object:
    """Return what was written last, None if nothing was."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
