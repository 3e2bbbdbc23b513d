"""Where this program keeps what it can do without: below XDG_CACHE_HOME, else ~/.cache."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return our folder in the user's cache; it may not be there, and it may be impossible to make."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        cache = Path(named) if named else Path.home() / ".cache"
    except RuntimeError:  # a user without a home, as in a container: nothing can be made below a device
        cache = Path(os.devnull)
    return cache / "coordinator"
