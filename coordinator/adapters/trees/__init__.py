"""Where the sources of a version are read: the working folder, or one commit of a git repository.

Both kinds of tree follow the same rule for paths, which stands here: `..` and symbolic links lead anywhere
inside the repository and nowhere else, so that a version's queries are those that its commit holds.
"""

from __future__ import annotations

from coordinator.errors import Usage

MAX_FILE_BYTES = 16 << 20
"""What people write by hand, and what generators write from it, is far smaller."""


def steps_from(base: tuple[str, ...], path: str) -> tuple[str, ...]:
    """Return the names that lead from the repository's root to `path`, which starts at the folder `base`.

    Raises: Usage `path-outside` where the path leaves the repository.
    """
    if path.startswith("/"):
        raise outside(path)
    steps = list(base)
    for step in path.split("/"):
        if step == ".." and not steps:
            raise outside(path)
        if step == "..":
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return tuple(steps)


def outside(path: str) -> Usage:
    """Return the problem of a path that leaves the repository."""
    return Usage(
        "path-outside",
        f"`{path}` is absolute or leads out of the repository.",
        why="A version's sources are read from one commit, which holds nothing outside.",
        next_step="Write a path that stays in the repository.",
    )


def too_large(path: str) -> Usage:
    """Return the problem of a file that is larger than any source."""
    return Usage(
        "file-too-large",
        f"`{path}` has more than {MAX_FILE_BYTES >> 20} MiB.",
        why="A file of this size is hardly the one that was meant.",
        next_step="Check the path.",
    )


def joined(folder: str, name: str) -> str:
    """Return the path of a file below `folder`, written as the folder was written."""
    trimmed = folder.rstrip("/").removeprefix("./")
    return name if trimmed in ("", ".") else f"{trimmed}/{name}"
