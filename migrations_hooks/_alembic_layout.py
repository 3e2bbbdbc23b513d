"""Where an Alembic project keeps its files, as its configuration says.

`dir` of the plan is the folder of alembic.ini (or of a pyproject.toml with [tool.alembic]), or the script
location itself, which holds env.py; then the configuration may stand in it, or in the folder above. What is
relative in it starts at its own folder, from where Alembic is run here. A location inside of a Python package
(`package:folder`) is looked for beside the configuration and in the folders above it, where a project keeps
its packages: nothing is imported to know it. Where Alembic imports another copy of it, that copy is refused.
"""

from __future__ import annotations

import configparser
import posixpath
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from coordinator.diagnostics import Diagnostic, Place
from coordinator.ports.migrations import BELOW

Read = Callable[[str], bytes | None]
"""Return a file's bytes by its path from the plan's `dir`; None where there is none."""
_SECTION: Final = "alembic"
_WITH_SCRIPTS: Final = re.compile(rb"^\[([^]\n]+)\](?=(?:\n(?!\[).*)*\nscript_location\b)", re.MULTILINE)
"""Sections that say where a project's files are."""
_SEPARATORS: Final = {"space": " ", "newline": "\n", "os": ":", ":": ":", ";": ";"}
_IN_PACKAGE: Final = re.compile(r"[A-Za-z_][\w.]*(?::\w[\w./-]*)+")
_FOLDERS_ABOVE: Final = 8
_AS_PATHS: Final = "Write `script_location` and `version_locations` as paths from `%(here)s`."
_LEGACY: Final = re.compile(r", *|(?: +)")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths from the plan's `dir`."""

    env: str
    versions: tuple[str, ...]


def layout_of(read: Read, section: str | None = None) -> Layout | Diagnostic:
    """Return where env.py and the versions are, or why nobody can tell; `section` is that of `alembic -n`."""
    from_ini = partial(_from_ini, section=section or _SECTION)
    for folder in ("", ".."):
        for name, options in (("alembic.ini", from_ini), ("pyproject.toml", _from_toml)):
            path = posixpath.join(folder, name)
            content = read(path)
            try:
                found = None if content is None else options(content.decode(), folder or ".")
            except (UnicodeDecodeError, configparser.Error, tomllib.TOMLDecodeError) as error:
                return _unreadable(path, " ".join(str(error).split()))
            if found is None and section is not None:
                break  # it is a section of alembic.ini alone
            if found is None or (name == "alembic.ini" and _is_said_beside(found, read, folder)):
                continue
            layout = _layout(found, path, read)
            if folder == "" or isinstance(layout, Diagnostic) or _is_same(read, layout):
                return layout
    if section is None and read("env.py") is not None:
        return Layout("env.py", ("versions",))
    ini = read("alembic.ini")
    if ini is not None or section is not None:
        return _without_section(section, ini or b"")
    return Diagnostic(
        "alembic-config",
        Place("env.py"),
        "There is neither an `alembic.ini` nor an `env.py` in the folder of the migrations.",
        "Without them nobody can tell where the revisions are.",
        "Let `dir` be the folder that holds one of them.",
    )


def _without_section(section: str | None, ini: bytes) -> Diagnostic:
    others = [each.decode(errors="replace") for each in _WITH_SCRIPTS.findall(ini)]
    named = f" It has {', '.join(f'`{each}`' for each in others)}." if others else ""
    example = others[0] if others else "NAME"
    return _unreadable(
        "alembic.ini",
        f"it has no section `[{section or _SECTION}]`",
        f"Name the one that `alembic -n` names: `migrations: {{…, section: {example}}}`.{named}",
    )


def _is_said_beside(found: Mapping[str, str], read: Read, folder: str) -> bool:
    """Tell whether an alembic.ini leaves it to the pyproject.toml where the files are (Alembic 1.16)."""
    beside = read(posixpath.join(folder, "pyproject.toml")) or b""
    return not found["script_location"] and b"[tool.alembic]" in beside


def _is_same(read: Read, layout: Layout) -> bool:
    """Tell whether a configuration above is about this folder, and not about another one beside it."""
    here = read("env.py")
    return here is not None and here == read(layout.env)


def _from_ini(text: str, here: str, *, section: str) -> Mapping[str, str] | None:
    parser = configparser.ConfigParser({"here": here})
    parser.read_string(text)
    if not parser.has_section(section):
        return None
    names = ("script_location", "version_locations", "path_separator", "version_path_separator")
    found = {name: parser.get(section, name, fallback="") for name in names}
    if parser.get(section, "recursive_version_locations", fallback="").lower() in (
        "true",
        "1",
        "yes",
        "on",
    ):
        found["recursive"] = "yes"
    return found


def _from_toml(text: str, here: str) -> Mapping[str, str] | None:
    section = tomllib.loads(text).get("tool", {}).get("alembic")
    if not isinstance(section, dict):
        return None
    locations = section.get("version_locations") or ()
    found = {"script_location": str(section.get("script_location", "")), "path_separator": "newline"}
    found["version_locations"] = "\n".join(map(str, locations))
    if section.get("recursive_version_locations"):
        found["recursive"] = "yes"
    return {name: value.replace("%(here)s", here) for name, value in found.items()}


def _layout(found: Mapping[str, str], path: str, read: Read) -> Layout | Diagnostic:
    script = found["script_location"].strip() or "."
    listed = found["version_locations"].strip()
    # Where nothing is separated Alembic does not look: its templates had a comment in this line for years.
    separator = listed and (found["path_separator"] or found.get("version_path_separator", ""))
    if separator and separator not in _SEPARATORS:
        known = ", ".join(f"`{each}`" for each in _SEPARATORS)
        return _unreadable(
            path, f"`{separator}` is no path separator", f"Write one of {known}, and no comment."
        )
    split = listed.split(_SEPARATORS[separator]) if separator else _LEGACY.split(listed)
    versions = [each.strip() for each in split if each.strip()]
    paths: list[str] = []
    for each in (script, *versions):
        place = _place(each, posixpath.dirname(path), read)
        if place is None:
            return _unreadable(
                path, f"`{each}` is no path from the file's own folder, and in no package here"
            )
        paths.append(place)
    here, *others = paths
    env, own = (posixpath.normpath(posixpath.join(here, each)) for each in ("env.py", "versions"))
    below = BELOW if "recursive" in found else ""
    return Layout(env, tuple(f"{each}{below}" for each in others or [own]))


def _place(location: str, folder: str, read: Read) -> str | None:
    """Return where a location of a configuration in `folder` is, from `dir`; None where nobody can tell."""
    if _IN_PACKAGE.fullmatch(location):
        return _in_package(location, folder, read)
    if posixpath.isabs(location) or re.match(r"[\w.]+:", location):
        return None
    return _joined(folder, location)


def _in_package(location: str, folder: str, read: Read) -> str | None:
    """Return where a location inside of a package is; the nearest package of that name is meant."""
    package, *parts = location.split(":")
    inside = posixpath.join(*package.split("."), *parts)
    marks = (posixpath.join(inside, "env.py"), posixpath.join(*package.split("."), "__init__.py"))
    above = (posixpath.join(folder, *[".."] * up) for up in range(_FOLDERS_ABOVE))
    for base in (posixpath.join(each, sources) for each in above for sources in ("", "src")):
        if any(read(posixpath.normpath(posixpath.join(base, each))) is not None for each in marks):
            return posixpath.normpath(posixpath.join(base, inside))
    return None


def _joined(folder: str, path: str) -> str:
    """Return a path from `dir`; `%(here)s` has put the folder in front of it already."""
    is_there = folder and posixpath.normpath(path).startswith(f"{folder}/")
    return posixpath.normpath(path if is_there else posixpath.join(folder, path))


def _unreadable(path: str, why: str, next_step: str = _AS_PATHS) -> Diagnostic:
    return Diagnostic(
        "alembic-config",
        Place(path),
        f"This configuration does not say where the revisions are: {why}.",
        "They are read from the files, and nothing is imported for that.",
        next_step,
    )
