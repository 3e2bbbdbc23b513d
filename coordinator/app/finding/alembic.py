"""Projects of Alembic: a configuration, or an env.py that none names, and the folders of revisions.

Nothing is imported: which engine it is for is said by the address in the configuration, else guessed from
the dialects that its revisions import and the drivers that the project requires.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from coordinator import discovery
from coordinator.app.finding.files import File
from coordinator.app.finding.migrations import MigrationFolder
from coordinator.diagnostics import Diagnostic
from coordinator.model import Engine
from coordinator.ports.migrations import BELOW
from coordinator.wording import counted

TOOL: Final = "alembic"
_SECTIONS: Final = {
    "alembic.ini": re.compile(rb"^\[alembic\]", re.MULTILINE),
    "pyproject.toml": re.compile(rb"^\[tool\.alembic\]", re.MULTILINE),
}
_OTHER_SECTIONS: Final = re.compile(rb"^\[([^]\n]+)\](?=(?:\n(?!\[).*)*\nscript_location\b)", re.MULTILINE)
"""Those of an alembic.ini that say where revisions are, for `alembic -n NAME`."""
_ADDRESS: Final = re.compile(rb"^[ \t]*sqlalchemy\.url[ \t]*=[ \t]*[\"']?(\w+)(?:\+\w+)?://", re.MULTILINE)
_DIALECT: Final = re.compile(rb"\bsqlalchemy\.dialects(?:\.| import )(\w+)")
_SCHEMES: Final[Mapping[str, str]] = {"postgres": Engine.POSTGRESQL, "driver": ""}
"""What an address or a dialect calls an engine, where that is not its own name; `driver` is a template's."""
_DRIVERS: Final = {
    Engine.POSTGRESQL: re.compile(rb"\b(?:psycopg[23]?|asyncpg|pg8000)\b", re.IGNORECASE),
    Engine.MYSQL: re.compile(
        rb"\b(?:pymysql|mysqlclient|aiomysql|asyncmy|mysql-connector-python)\b", re.IGNORECASE
    ),
    Engine.SQLITE: re.compile(rb"\baiosqlite\b", re.IGNORECASE),
}
_ENVIRONMENT: Final = re.compile(
    rb"^[ \t]*(?:from[ \t]+alembic[ \t]+import\b.*\bcontext\b|import[ \t]+alembic\b)", re.MULTILINE
)
_REVISION: Final = re.compile(rb"^down_revision\b", re.MULTILINE)
_REQUIREMENTS: Final = re.compile(r"pyproject\.toml|setup\.(?:cfg|py)|Pipfile|requirements.*\.(?:txt|in)")
_ENVIRONMENTS: Final = (".venv", "venv")
_SEVERAL: Final = b"upgrade_token"
"""What the env.py of the template `multidb` says, and no other."""


def find_alembic(files: Iterable[File], root: Path) -> tuple[tuple[MigrationFolder, ...], tuple[str, ...]]:
    """Return the projects of Alembic that have revisions, or of which it cannot be told where they are.

    Beside them stands a sentence for each project with revisions that no configuration names. `root` is the
    folder that was looked through.
    """
    by_path = {str(each.path): each for each in files}
    configured = {
        (str(file.path.parent), section) for file in by_path.values() for section in _sections_of(file)
    }
    projects = {each: _sources(*each, by_path) for each in sorted(configured, key=_depth)}
    named = {env: folder for (folder, _), (env, *_) in projects.items() if isinstance(env, str)}
    for file in by_path.values():
        if file.path.name == "env.py" and str(file.path) not in named and _ENVIRONMENT.search(file.head()):
            projects[str(file.path.parent), ""] = _sources(str(file.path.parent), "", by_path)
    # Of two configurations of one env.py the one nearest to it is taken.
    kept = {each: found for each, found in projects.items() if named.get(str(found[0]), each[0]) == each[0]}
    migrations = [_project(each, found, by_path) for each, found in sorted(kept.items())]
    notes = (_unnamed(found, by_path) for _, found in sorted(kept.items()))
    return (
        tuple(replace(each, python=_python_of(each.path, root)) for each in migrations if each is not None),
        tuple(filter(None, notes)),
    )


def _sections_of(file: File) -> Iterator[str]:
    """Yield the sections of a configuration that say where a project is; Alembic's own is the empty one."""
    own = _SECTIONS.get(file.path.name)
    if own is None:
        return
    if own.search(file.head()):
        yield ""
    if file.path.name == "alembic.ini":
        names = (each.decode(errors="replace") for each in _OTHER_SECTIONS.findall(file.head()))
        yield from (each for each in names if each != TOOL)


def _depth(project: tuple[str, str]) -> tuple[int, str, str]:
    return len(PurePosixPath(project[0]).parts), *project


def _python_of(folder: str, root: Path) -> str | None:
    """Return the interpreter of an environment with Alembic, in a project's folder or in one above it."""
    for above in (folder, *map(str, PurePosixPath(folder).parents)):
        for name in _ENVIRONMENTS:
            environment = PurePosixPath(above, name)
            has_alembic = any((root / environment).glob("lib/python*/site-packages/alembic/__init__.py"))
            if has_alembic and (root / environment / "bin" / "python").is_file():
                return str(environment / "bin" / "python")
    return None


def _sources(folder: str, section: str, files: Mapping[str, File]) -> tuple[str | Diagnostic, ...]:
    """Return env.py and the folders of revisions of a project, from the folder that was looked through."""

    def read(path: str) -> bytes | None:
        file = files.get(posixpath.normpath(posixpath.join(folder, path)))
        return None if file is None else file.head()

    return tuple(
        posixpath.normpath(posixpath.join(folder, each)) if isinstance(each, str) else each
        for each in discovery.migration_tool(TOOL).sources(read, section=section or None)
    )


def _project(
    project: tuple[str, str], told: Sequence[str | Diagnostic], files: Mapping[str, File]
) -> MigrationFolder | None:
    folder, section = project
    tool = discovery.migration_tool(TOOL)
    sources = [each for each in told if isinstance(each, str)]
    revisions = [
        each for each in files.values() if _is_named(each, sources) and tool.is_migration(each.path.name)
    ]
    if not revisions and len(sources) == len(told):
        return None
    engine, reason = _engine_of(folder, revisions, files)
    supported = next((each for each in Engine if each == engine), None)
    is_several = any(_SEVERAL in files[each].head() for each in sources if each in files)
    unsupported = "several databases at once" if is_several else None if supported else engine
    return MigrationFolder(
        folder,
        TOOL,
        len(revisions),
        supported or Engine.POSTGRESQL,
        reason,
        unsupported=unsupported,
        section=section or None,
    )


def _is_named(file: File, sources: Iterable[str]) -> bool:
    """Tell whether a file is in one of the folders that a project reads."""
    return any(
        file.path.is_relative_to(each.removesuffix(BELOW))
        if each.endswith(BELOW)
        else str(file.path.parent) == each
        for each in sources
    )


def _unnamed(told: Sequence[str | Diagnostic], files: Mapping[str, File]) -> str | None:
    """Return what to know of revisions in folders below the named ones, which Alembic does not look into."""
    sources = [each for each in told if isinstance(each, str)]
    places = {PurePosixPath(each) for each in sources}
    below = [
        each
        for each in files.values()
        if each.path.suffix == ".py"
        and not _is_named(each, sources)
        and not places.isdisjoint(each.path.parents)
        and _REVISION.search(each.head())
    ]
    if not below:
        return None
    first, *others = sorted({str(each.path.parent) for each in below})
    more = f" and {counted(len(others), 'folder')} more" if others else ""
    return (
        f"{first}{more}: {counted(len(below), 'revision')} of alembic that no configuration names, so that"
        " Alembic sees them only where a program says so. An alembic.ini of your own may name their folders"
        " (`version_locations`); let `dir` be its folder then."
    )


def _engine_of(folder: str, revisions: Iterable[File], files: Mapping[str, File]) -> tuple[str, str]:
    """Return the engine's name and why: the address, the revisions' dialects, the drivers of the project."""
    for name in _SECTIONS:
        file = files.get(posixpath.normpath(posixpath.join(folder, name)))
        match = _ADDRESS.search(file.head()) if file else None
        if file and match and (engine := _named(match[1])):
            return engine, f"{file.path} has an address of it"
    for revision in revisions:
        if match := _DIALECT.search(revision.head()):
            return _named(match[1]), f"{revision.path} uses its dialect"
    for file in _requirements(folder, files):
        found = {engine: match[0] for engine, sign in _DRIVERS.items() if (match := sign.search(file.head()))}
        if found:
            names = b" and ".join(found.values()).decode()
            return next(
                iter(found)
            ), f"{file.path} names {names}{', so this is a guess' if len(found) > 1 else ''}"
    return Engine.POSTGRESQL, "nothing says which, so this is a guess"


def _named(found: bytes) -> str:
    scheme = found.decode()
    return _SCHEMES.get(scheme, scheme)


def _requirements(folder: str, files: Mapping[str, File]) -> Iterator[File]:
    """Yield what lists a project's packages, in its folder and in those above it."""
    above = {folder, *map(str, PurePosixPath(folder).parents)}
    for file in files.values():
        if str(file.path.parent) in above and _REQUIREMENTS.fullmatch(file.path.name):
            yield file
