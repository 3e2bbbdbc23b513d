"""A tree that remembers what was asked of it, so that the same question to another commit need not be put.

What was read from one commit is what would be read from another one in which every file and folder that was
asked for is the same. Neighbouring releases often share all of their queries.
"""

from __future__ import annotations

from coordinator.query_ports import Tree


class RecordedTree:
    """The files of another tree; remembers every answer."""

    def __init__(self, tree: Tree) -> None:
        self.label = tree.label
        self._tree = tree
        self._contents: dict[str, bytes | None] = {}
        self._folders: dict[str, tuple[str, ...]] = {}

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if there is no such file."""
        self._contents[path] = self._tree.read(path)
        return self._contents[path]

    def files(self, folder: str) -> tuple[str, ...]:
        """Return every file below a folder."""
        self._folders[folder] = self._tree.files(folder)
        return self._folders[folder]

    def place(self, path: str) -> str:
        """Return what a person calls the file."""
        return self._tree.place(path)

    def is_same_in(self, other: Tree) -> bool:
        """Tell whether another tree gives the same answer to all that was asked."""
        return all(other.files(folder) == files for folder, files in self._folders.items()) and all(
            other.read(path) == content for path, content in self._contents.items()
        )
