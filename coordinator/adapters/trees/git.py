r"""The files of any commit, read from git's objects: no checkout, no index, no network, no hook.

One `git cat-file --batch` answers everything that is asked by name or by id, trees included, because a
process for each commit or file would be most of a backtest's time. Trees and files are kept by their id:
neighbouring commits share nearly all of them. What has to walk history (tags, merge bases) is a process of
its own, and rare.

Source of the formats: git-cat-file(1), section "BATCH OUTPUT"; a tree object is a row of
`<octal mode> <name>\0<id in binary>`.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from threading import Lock
from types import TracebackType
from typing import IO, Self

from coordinator.adapters.trees import MAX_FILE_BYTES, joined, outside, steps_from, too_large
from coordinator.errors import Usage

_LINK, _FOLDER, _SUBMODULE = 0o120000, 0o40000, 0o160000
_MAX_LINKS = 40
"""As many symbolic links as Linux follows in one path."""
_CHUNK = 1 << 20
_REDIRECTS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"})
"""What git sets for its hooks, and what would lead to another repository than the folder's own."""
_OFFLINE = {
    "LC_ALL": "C",
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
}
_TAG_FORM = (
    "--format=%(refname:strip=2)%00%(objecttype) %(objectname)%00%(*objecttype) %(*objectname)"
    "%00%(creatordate:unix)"
)
_SHORT = 7
_DEFAULT_BRANCHES = tuple(
    f"refs/{place}/{name}" for name in ("main", "master") for place in ("remotes/origin", "heads")
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag; `created` is when an annotated tag was made, and a light one's commit."""

    name: str
    commit: str
    created: datetime


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: int
    object_id: str


class GitRepository:
    """The repository that `folder` is in (bare ones and worktrees too); every tree starts at that folder."""

    def __init__(self, folder: Path) -> None:
        """Find the repository.

        Raises: Usage `not-a-repository`, also where git refuses to read it or is not installed.
        """
        self.folder = folder
        self.base = tuple(self._git("rev-parse", "--show-prefix").strip("\n").split("/")[:-1])
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._trees: dict[str, Mapping[str, _Entry]] = {}
        self._blobs: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End git; the repository may be asked again, and then starts it again."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()  # it only reads
            child.communicate()

    def resolve(self, ref: str) -> str:
        """Return the id of the commit that a tag, a branch or a (short) id names.

        Raises: Usage `unknown-ref`.
        """
        found = None if "\n" in ref or not ref else self._object(f"{ref}^{{commit}}")
        if found is None:
            raise Usage(
                "unknown-ref",
                f"`{ref}` is no commit in the git repository of `{self.folder}`.",
                why="Tried as tag, branch and commit id, without asking any remote.",
                next_step="Fetch it first (`git fetch --tags`; a shallow clone also needs --unshallow).",
            )
        return found[0]

    def tree(self, ref: str) -> GitTree:
        """Return the files at a ref. Raises: Usage `unknown-ref`."""
        commit = self.resolve(ref)
        name = ref.removeprefix("refs/tags/")
        label = f"git {name}" if commit.startswith(name) else f"git {name} ({commit[:_SHORT]})"
        return GitTree(self, commit, label=label, ref=name, base=self.base)

    @contextmanager
    def archive(self, ref: str) -> Iterator[IO[bytes]]:
        """Open a tar stream of all files at a ref, from the repository's root on.

        Raises: Usage `unknown-ref`, and `object-missing` where git stops before its end.
        """
        commit = self.resolve(ref)
        with subprocess.Popen(
            ["git", "-C", self.root, "archive", "--format=tar", commit],  # noqa: S607
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child:
            assert child.stdout is not None
            with suppress(tarfile.ReadError):  # of a git that stops before its end, which is found below
                yield child.stdout
                child.stdout.read()
        if child.returncode:
            raise _missing(self.folder, commit)

    @property
    def root(self) -> Path:
        """Return the folder that has all of a commit: in a subfolder git's commands may see that alone."""
        return self.folder.joinpath(*([".."] * len(self.base)))

    def tags(self) -> tuple[Tag, ...]:
        """Return the tags that lead to commits, oldest first."""
        lines = self._git("for-each-ref", "--sort=creatordate", _TAG_FORM, "refs/tags").splitlines()
        return tuple(tag for line in lines if (tag := self._tag(*line.split("\0"))))

    def _tag(self, name: str, named: str, behind: str, created: str) -> Tag | None:
        kind, _, commit = (behind if named.startswith("tag ") else named).partition(" ")
        if kind == "tag":  # a tag of a tag
            try:
                kind, commit = "commit", self.resolve(f"refs/tags/{name}")
            except Usage:
                return None
        return Tag(name, commit, datetime.fromtimestamp(int(created or 0), UTC)) if kind == "commit" else None

    def merge_base(self, first: str, second: str) -> str:
        """Return the id of the newest commit that both have in their history.

        Raises: Usage `unknown-ref`, or `no-merge-base` where they share none.
        """
        ends = (self.resolve(first), self.resolve(second))
        found = self._run("merge-base", *ends)
        if found.returncode != 0:
            raise Usage(
                "no-merge-base",
                f"`{first}` and `{second}` have no commit in common in `{self.folder}`.",
                next_step="Name the ref to compare with, or fetch the history that a shallow clone lacks.",
            )
        return _text(found.stdout).strip()

    def default_branch(self) -> str | None:
        """Return the branch that others start from: the remote's own, else main, else master."""
        origin = _text(self._run("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD").stdout).strip()
        for ref in (origin, *_DEFAULT_BRANCHES):
            if ref and self._object(f"{ref}^{{commit}}"):
                return ref.removeprefix("refs/remotes/").removeprefix("refs/heads/")
        return None

    # -- objects ----------------------------------------------------------------------------------------

    def entries(self, tree: str) -> Mapping[str, _Entry]:
        """Return what a folder holds; `tree` is the id of a tree or of a commit."""
        if tree not in self._trees:
            _, content = self._present(f"{tree}^{{tree}}")
            self._trees[tree] = dict(_entries_from(content, id_length=len(tree) // 2))
        return self._trees[tree]

    def blob(self, object_id: str, path: str) -> bytes:
        """Return a file's content. Raises: Usage `file-too-large`."""
        if object_id not in self._blobs:
            self._blobs[object_id] = self._present(object_id, path=path)[1]
        return self._blobs[object_id]

    def _present(self, name: str, *, path: str = "") -> tuple[str, bytes]:
        found = self._object(name)
        if found is None:
            raise _missing(self.folder, name)
        if found[1] is None:
            raise too_large(path or name)
        return found[0], found[1]

    def _object(self, name: str) -> tuple[str, bytes | None] | None:
        """Return an object's id and content (None if it is a giant), None if there is no such object."""
        with self._lock:
            child = self._started()
            assert child.stdin is not None
            assert child.stdout is not None
            with suppress(BrokenPipeError):  # what it says then is nothing, which is found below
                child.stdin.write(os.fsencode(name) + b"\n")
                child.stdin.flush()
            line = child.stdout.readline()
            if not line:
                raise _missing(self.folder, name)  # a partial clone's git dies of not being let to fetch
            header = line.split()
            if len(header) != 3 or not header[2].isdigit():  # noqa: PLR2004 - id, type, size
                return None
            content = _content(child.stdout, int(header[2]))
            return header[0].decode(), content

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = subprocess.Popen(
                ["git", "cat-file", "--batch"],  # noqa: S607 - the git of the PATH is the user's
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._child

    def _git(self, *arguments: str) -> str:
        ended = self._run(*arguments)
        if ended.returncode != 0:
            raise _not_a_repository(self.folder, _text(ended.stderr).strip().removeprefix("fatal: "))
        return _text(ended.stdout)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["git", *arguments],  # noqa: S607
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise _not_a_repository(self.folder, f"{error.filename}: {error.strerror}") from error


class GitTree:
    """The files of one commit. Submodules are not in it: their objects are in another repository."""

    def __init__(
        self, repository: GitRepository, commit: str, *, label: str, ref: str, base: tuple[str, ...]
    ) -> None:
        self.label = label
        self.commit = commit
        self._repository = repository
        self.ref = ref
        self._base = base

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if there is no such file."""
        entry = self._entry(path)
        if entry is None or entry.mode == _FOLDER:
            return None
        return self._repository.blob(entry.object_id, path)

    def files(self, folder: str) -> tuple[str, ...]:
        """Return every file below a folder, sorted; links to files count, links to folders do not."""
        entry = self._entry(folder)
        if entry is None or entry.mode != _FOLDER:
            return ()
        return tuple(sorted(joined(folder, each) for each in self._below(entry.object_id, folder)))

    def place(self, path: str) -> str:
        """Return the file as `git show` takes it: `v1.4:queries/orders.sql`, from the repository's root."""
        return f"{self.ref}:{'/'.join(steps_from(self._base, path))}"

    def _below(self, tree: str, folder: str) -> Iterator[str]:
        for name, entry in self._repository.entries(tree).items():
            if entry.mode == _FOLDER:
                below = self._below(entry.object_id, joined(folder, name))
                yield from (f"{name}/{each}" for each in below)
            elif entry.mode == _LINK:
                if self._is_file(joined(folder, name)):
                    yield name
            elif entry.mode != _SUBMODULE:
                yield name

    def _is_file(self, link: str) -> bool:
        """Tell whether `read` has a content for a link: it may lead nowhere, or out of the repository."""
        try:
            target = self._entry(link)
        except Usage:
            return False
        return target is not None and target.mode != _FOLDER

    def _entry(self, path: str) -> _Entry | None:
        """Return what stands at a path, with every link followed.

        Raises: Usage `path-outside` or `submodule`.
        """
        todo = list(reversed(steps_from(self._base, path)))
        reached = [_Entry(_FOLDER, self.commit)]
        names: list[str] = []
        links = 0
        while todo:
            step = todo.pop()
            if step == "..":
                if not names:
                    raise outside(path)
                names.pop()
                reached.pop()
                continue
            if reached[-1].mode != _FOLDER:
                return None
            entry = self._repository.entries(reached[-1].object_id).get(step)
            if entry is None:
                return None
            if entry.mode == _SUBMODULE:
                raise _in_submodule(path, "/".join([*names, step]), self.label)
            if entry.mode != _LINK:
                names.append(step)
                reached.append(entry)
                continue
            links += 1
            target = PurePosixPath(os.fsdecode(self._repository.blob(entry.object_id, path)))
            if links > _MAX_LINKS or target.is_absolute():
                raise outside(path)
            todo.extend(reversed(target.parts))
        return reached[-1]


def _entries_from(content: bytes, *, id_length: int) -> Iterator[tuple[str, _Entry]]:
    position = 0
    while position < len(content):
        blank, end = content.index(b" ", position), content.index(b"\0", position)
        object_id = content[end + 1 : end + 1 + id_length].hex()
        yield os.fsdecode(content[blank + 1 : end]), _Entry(_mode(int(content[position:blank], 8)), object_id)
        position = end + 1 + id_length


def _mode(mode: int) -> int:
    """Return the kind of an entry without its permissions, which old repositories write in many ways."""
    return mode & 0o170000


def _content(stream: IO[bytes], size: int) -> bytes | None:
    """Take an object's content and its line end from the stream; None for a giant, which is thrown away."""
    if size <= MAX_FILE_BYTES:
        return stream.read(size + 1)[:size]
    left = size + 1
    while left:
        left -= len(stream.read(min(left, _CHUNK)))
    return None


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _REDIRECTS}
    return kept | _OFFLINE


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")


def _not_a_repository(folder: Path, why: str) -> Usage:
    return Usage(
        "not-a-repository",
        f"git cannot read a repository at {folder}: {why}.",
        why="The sources of an earlier version are read from git.",
        next_step="Run the command in a clone with the history, or give sources that hold {version}.",
    )


def _missing(folder: Path, name: str) -> Usage:
    return Usage(
        "object-missing",
        f"The git repository of `{folder}` lacks the object {name}.",
        why="A partial clone leaves objects out, and nothing is fetched here.",
        next_step="Fetch them with `git fetch --refetch --no-filter`, or clone anew.",
    )


def _in_submodule(path: str, submodule: str, label: str) -> Usage:
    return Usage(
        "submodule",
        f"`{path}` stands in the submodule `{submodule}` ({label}).",
        why="A submodule's files are in another repository, which is not read.",
        next_step="Name files that stand in this repository.",
    )
