"""The files of commits, written to folders of their own: for code of the past, which runs from files alone.

Nothing is checked out: git writes an archive of the commit, so neither the working tree nor the index moves.
What `.gitattributes` calls `export-ignore` is left out, and so are links that lead out of the archive.
"""

from __future__ import annotations

import tarfile
from contextlib import ExitStack
from pathlib import Path

from coordinator.adapters.own_folder import own_folder
from coordinator.adapters.trees.folder import FolderTree
from coordinator.adapters.trees.git import GitRepository
from coordinator.errors import Usage

_KEPT = 2
"""A release has two tags."""


class ExportedTree(FolderTree):
    """The files of a commit as files on the disk, from the repository's folder on."""

    def __init__(self, folder: Path, *, label: str) -> None:
        super().__init__(folder)
        self.label = label


class Exports:
    """The tags of a repository as folders; those of the last two that were asked for are there."""

    def __init__(self, repository: GitRepository) -> None:
        self._repository = repository
        self._folders: dict[str, tuple[Path, ExitStack]] = {}

    def root(self, ref: str) -> Path:
        """Return the folder that holds all files of a ref. Raises: Usage `unknown-ref`, `file-unwritable`."""
        try:
            made = self._folders.pop(ref, None) or self._written(ref)
        except OSError as error:
            raise Usage(
                "file-unwritable",
                f"The files of {ref} cannot be written to a temporary folder: {error}.",
                next_step="Free space there, or name another place in `TMPDIR`.",
            ) from error
        self._folders[ref] = made
        for older in list(self._folders)[:-_KEPT]:
            self._folders.pop(older)[1].close()
        return made[0]

    def tree(self, ref: str) -> ExportedTree:
        """Return a ref's files from the repository's folder on. Raises: as `root`."""
        folder = self.root(ref).joinpath(*self._repository.base)
        return ExportedTree(folder, label=self._repository.tree(ref).label)

    def close(self) -> None:
        """Remove all folders."""
        while self._folders:
            self._folders.popitem()[1][1].close()

    def _written(self, ref: str) -> tuple[Path, ExitStack]:
        with (
            self._repository.archive(ref) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
            ExitStack() as unless_written,
        ):
            folder = unless_written.enter_context(own_folder("coordinator-past-"))
            for member in archive:
                _write(member, archive, folder.resolve())
            return folder, unless_written.pop_all()


def _write(member: tarfile.TarInfo, archive: tarfile.TarFile, root: Path) -> None:
    """Write a file, a folder or a link of an archive; nothing where it would lead out of the root."""
    place = root / member.name
    target = place.parent / member.linkname if member.issym() else place
    if not (place.parent.resolve().is_relative_to(root) and target.resolve().is_relative_to(root)):
        return
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
    elif member.issym():
        place.symlink_to(member.linkname)
    elif (content := archive.extractfile(member)) is not None:
        place.write_bytes(content.read())
        place.chmod(member.mode & 0o777)
