"""From a plan file to a Plan, with every problem of the file at once, each at its line and column.

    text ─events→ tree ─variables→ tree ─leaks, validation→ document ─build→ Plan

Each arrow is a file and knows nothing of the next. Nothing here contacts a database, a platform or the net;
the environment and the settings are arguments, so a test or a server can load a plan as somebody else would.
The only package that imports yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.diagnostics import Diagnostic, errors_of
from coordinator.errors import PlanInvalid
from coordinator.load.build import build
from coordinator.load.events import parse
from coordinator.load.leaks import find_leaks
from coordinator.load.source import read_text, shown
from coordinator.load.validation import validate
from coordinator.load.variables import resolve, settings_from
from coordinator.model import Plan

__all__ = ["Loaded", "load", "load_plan", "load_text", "settings_from"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a plan file holds; `plan` is None exactly if a diagnostic is an error."""

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]


def load(path: Path, *, settings: Mapping[str, str], environment: Mapping[str, str]) -> Loaded:
    """Read a plan file with the settings of the command line and an environment for its variables.

    Every problem of the file is a diagnostic, in the order of their places; nothing is raised for one.
    """
    source = read_text(path)
    if source.text is None:
        return Loaded(None, source.diagnostics)
    return load_text(source.text, path, settings=settings, environment=environment)


def load_text(
    text: str, path: Path, *, settings: Mapping[str, str], environment: Mapping[str, str]
) -> Loaded:
    """Read a plan's text as if it stood in the file `path`, from whose folder its paths start."""
    parsed = parse(text, file=shown(path))
    if parsed.root is None:
        return Loaded(None, parsed.diagnostics)
    resolved = resolve(parsed.root, settings=settings, environment=environment)
    found = (*find_leaks(resolved.root), *parsed.diagnostics, *resolved.diagnostics)
    validated = validate(resolved.root)
    # A value that is already known to be wrong has no second problem, and a message must not quote a secret.
    places = {each.place for each in found}
    found += tuple(each for each in validated.diagnostics if each.place not in places)
    diagnostics = tuple(sorted(found, key=lambda each: each.place))
    if validated.document is None or errors_of(diagnostics):
        return Loaded(None, diagnostics)
    return Loaded(build(validated.document, file=path, root=resolved.root), diagnostics)


def load_plan(path: Path, *, settings: Mapping[str, str], environment: Mapping[str, str]) -> Plan:
    """Return the plan of a file.

    Raises: PlanInvalid, with all that is wrong.
    """
    loaded = load(path, settings=settings, environment=environment)
    if loaded.plan is None:
        raise PlanInvalid(loaded.diagnostics)
    return loaded.plan
