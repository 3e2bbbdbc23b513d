"""Results that go to a file of their own beside what is printed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path

from coordinator.errors import Usage


def write_whole(file: Path, text: str) -> None:
    """Write a file so that whoever opens it finds the old one or the new one, and never half of it.

    Raises: Usage `file-unwritable`.
    """
    with _partial(file) as partial:
        partial.write_text(text, "utf-8", errors="backslashreplace")
        partial.replace(file)


def demand_writable(file: Path) -> None:
    """Raise Usage `file-unwritable` before the work whose result would have no place; it stays as it is."""
    with _partial(file) as partial:
        partial.touch()
        if file.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))


@contextmanager
def _partial(file: Path) -> Iterator[Path]:
    """Yield a name beside `file` for what is written first, of which nothing stays."""
    partial = file.parent / f".{file.name}.{os.getpid()}"
    try:
        yield partial
    except OSError as error:
        raise Usage(
            "file-unwritable",
            f"{file} cannot be written: {error.strerror}.",
            next_step="Name a file in a folder that is there and that you may write to.",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
