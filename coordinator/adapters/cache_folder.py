"""Where this program keeps what it can do without: below XDG_CACHE_HOME, else ~/.cache."""

from __future__ import annotations

import os
from pathlib import Path

_NOWHERE = Path(os.devnull) / "coordinator"
"""Nothing can be made below a device."""


def cache_folder() -> Path:
    """Return our folder in the user's cache; it may not be there, and it may be impossible to make.

    A relative path would be a folder of the project, and is ignored (XDG Base Directory Specification 0.8).
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        cache = named if named.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home, as in a container
        return _NOWHERE
    return cache / "coordinator" if cache.is_absolute() else _NOWHERE
