"""From a reference to a secret's value, read at the moment of use and never kept.

A file is read with a limit and must be a regular file: the plan's author names it, and a device or a pipe
would hang the release or fill the memory.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from coordinator.errors import Usage
from coordinator.model import SecretRef
from coordinator.secret import Secret

_MAX_BYTES = 1 << 16


def resolve(reference: SecretRef, *, folder: Path, environment: Mapping[str, str]) -> Secret:
    """Return the value that `reference` names; a relative `file:` starts at `folder`, the plan's.

    One newline at the end of a file is not part of the secret: editors and `echo` leave it there.

    Raises: Usage `secret-missing`, `secret-unreadable`.
    """
    value = (
        _from_environment(reference, environment) if reference.scheme == "env" else _read(reference, folder)
    )
    if not value:
        raise Usage("secret-missing", f"{reference} is empty.", next_step="Put the value there.")
    return Secret(value)


def _from_environment(reference: SecretRef, environment: Mapping[str, str]) -> str:
    try:
        return environment[reference.name]
    except KeyError:
        raise Usage(
            "secret-missing",
            f"{reference} is missing: the environment variable {reference.name} is not set.",
            next_step=f"Set {reference.name} for this command.",
        ) from None


def _read(reference: SecretRef, folder: Path) -> str:
    path = folder / reference.name
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unreadable(reference, "it is no file")
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise Usage(
            "secret-missing",
            f"{reference} is missing: there is no file {path}.",
            next_step="Make it, readable by its owner only; a relative path starts at the plan's folder.",
        ) from None
    except OSError as error:
        raise _unreadable(reference, str(error.strerror)) from error
    if len(content) > _MAX_BYTES:
        raise _unreadable(reference, f"it has more than {_MAX_BYTES >> 10} KiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # `from None`: the error carries the bytes, and a traceback with locals would show them.
        raise _unreadable(reference, "it is not UTF-8") from None
    return text.removesuffix("\n")


def _unreadable(reference: SecretRef, why: str) -> Usage:
    return Usage(
        "secret-unreadable",
        f"{reference} cannot be read: {why}.",
        next_step="Check the path and the permissions of the file.",
    )
