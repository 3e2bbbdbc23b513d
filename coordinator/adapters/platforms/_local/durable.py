"""Small JSON files that are either the old or the new text, whoever is killed and wherever the power goes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.errors import StepFailed


def write(path: Path, value: object) -> None:
    """Replace the file at `path`; on return the new text survives a power cut."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with usable(path):
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
        with usable(path):
            return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Tell rights that are wrong, or a full disk, as what they are; a file that is not there is neither."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StepFailed(
            "local-unusable",
            f"{path}, where the local platform keeps what it started, cannot be used: {error.strerror}.",
            why="It belongs to the user who started the service, and to nobody else.",
            next_step="Work as that user, mend the folder's rights or free space on the disk, and run the"
            " command again.",
        ) from error
