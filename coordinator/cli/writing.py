"""Results that go to a file of their own beside what is printed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from coordinator.errors import Usage


def write_whole(file: Path, text: str) -> None:
    """Write a file so that whoever opens it finds the old one or the new one, and never half of it.

    Raises: Usage `file-unwritable`.
    """
    partial = file.parent / f".{file.name}.{os.getpid()}"
    try:
        partial.write_text(text, "utf-8", errors="backslashreplace")
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise Usage(
            "file-unwritable",
            f"{file} cannot be written: {error.strerror}.",
            next_step="Name a file in a folder that is there and that you may write to.",
        ) from error
