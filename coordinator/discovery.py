"""From a name in a plan to the one module of that name, imported when a plan names it and not before.

The file's name is the key: nothing is registered twice, and `coordinator --help` imports none of them.
Import time decides this (an eager import of all adapters costs a second), not taste.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module, util
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordinator.model import Engine
    from coordinator.ports.checks import CheckKind
    from coordinator.ports.migrations import MigrationTool
    from coordinator.ports.platforms import PlatformKind
    from coordinator.ports.programs import MigrationRunner
    from coordinator.query_ports import QuerySource
    from coordinator.rehearsal_ports import RehearsalEngine

MIGRATION_TOOLS = "migrations_hooks"
PLATFORMS = "coordinator.adapters.platforms"
CHECKS = "coordinator.adapters.signals"
STEPS = "coordinator.steps"
DATABASES = "coordinator.adapters.databases"
QUERIES = "coordinator.adapters.queries"
REHEARSALS = "coordinator.adapters.rehearsals"
RUNNERS = "coordinator.adapters.runners"


@cache
def names(package: str) -> tuple[str, ...]:
    """Return the plan keys that `package` offers, sorted; imports none of them.

    A module whose name starts with an underscore is a part of another one and no key.
    """
    spec = util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return ()
    found = (module.name for module in pkgutil.iter_modules(spec.submodule_search_locations))
    return tuple(sorted(name.replace("_", "-") for name in found if not name.startswith("_")))


def member(package: str, key: str, name: str) -> object:
    """Return what a module of `package` registers as `name`; its type is known to the caller."""
    return getattr(import_module(f"{package}.{key.replace('-', '_')}"), name)


def migration_tool(key: str) -> MigrationTool:
    """Return the hook of a migration tool that `names` lists."""
    return cast("MigrationTool", member(MIGRATION_TOOLS, key, "TOOL"))


def runner_of(key: str) -> Callable[..., MigrationRunner]:
    """Return what connects the runner of a migration tool whose migrations are code."""
    return cast("Callable[..., MigrationRunner]", member(RUNNERS, key, "connect"))


def platform(key: str) -> PlatformKind:
    """Return the adapter of a platform that `names` lists."""
    return cast("PlatformKind", member(PLATFORMS, key, "PLATFORM"))


def check(key: str) -> CheckKind:
    """Return a kind of check that `names` lists."""
    return cast("CheckKind", member(CHECKS, key, "CHECK"))


def query_source(key: str) -> QuerySource:
    """Return a source of queries that `names` lists."""
    return cast("QuerySource", member(QUERIES, key, "QUERIES"))


def rehearsal(engine: Engine) -> RehearsalEngine:
    """Return the rehearsal of an engine."""
    return cast("RehearsalEngine", member(REHEARSALS, engine, "REHEARSAL"))
