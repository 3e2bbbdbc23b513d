"""What a branch does to the version that its users have: the release's proof, from a commit and a checkout.

The same stages as for a release, over a survey that no world was asked for. Without a plan file one is made
from what the command line says and what the repository shows; it is never written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import normpath

from coordinator.adapters.trees.git import GitRepository
from coordinator.app.against import survey_against, tree_at
from coordinator.app.catalogues import read_catalogues
from coordinator.app.connected import ConnectedPorts
from coordinator.app.draft import Draft, as_yaml, draft_from
from coordinator.app.finding import Found, MigrationFolder, QueryFolder, SqlcEntry, find
from coordinator.app.planning import demand_sound, missing_programs_of, work_out
from coordinator.app.scripts import with_scripts
from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.errors import PlanInvalid, Usage
from coordinator.load import load_text
from coordinator.model import Engine, Plan, Version
from coordinator.prove import Proof
from coordinator.rehearsal_ports import EvidenceCache, Tell
from coordinator.steps import StepKind

_FROM_NO_FILE = "(the command line)"
_NEXT = "working-tree"


@dataclass(frozen=True, slots=True)
class Told:
    """What the command line says in place of a plan file; paths start at the current folder."""

    migrations: str | None = None
    tool: str | None = None
    engine: Engine | None = None
    queries: tuple[str, ...] = ()
    sqlc: str | None = None
    server_version: str | None = None


def review(
    ports: ConnectedPorts,
    ref: str,
    kinds: Mapping[str, StepKind],
    *,
    cache: EvidenceCache | None = None,
    tell: Tell = lambda _: None,
) -> tuple[Proof, tuple[Diagnostic, ...]]:
    """Work out the release from `ref` to the working tree; contacts nothing that is live.

    Raises: PlanInvalid where the branch changes what is released, Usage where git or a source of queries
    cannot be read.
    """
    with GitRepository(ports.plan.folder) as repository:
        tree = tree_at(repository, ref)
        seen = survey_against(ports, tree)
        demand_sound(seen.diagnostics)
        missing = tuple(
            replace(each, severity=Severity.WARNING) for each in missing_programs_of(ports.plan, seen)
        )
        seen = with_scripts(ports, seen)
        catalogues, problems = read_catalogues(ports, seen, live=tree)
        demand_sound(problems)
    proof, warnings = work_out(
        ports,
        seen,
        catalogues,
        kinds=kinds,
        of_queries=problems,
        reads_live=False,
        watches_statements=True,
        cache=cache,
        tell=tell,
    )
    return proof, (*seen.diagnostics, *missing, *problems, *warnings)


def plan_without_file(told: Told, folder: Path) -> tuple[Plan, Draft]:
    """Return a plan for a review, and what it was made from.

    Raises: Usage where there are no migrations, PlanInvalid where what was said fits no plan.
    """
    draft = replace(
        draft_from(_as_told(find(folder), told), name=folder.resolve().name, folder="."), service="app"
    )
    draft = replace(
        draft,
        databases=tuple(replace(each, server_version=told.server_version) for each in draft.databases),
    )
    if not draft.databases:
        raise Usage(
            "nothing-found",
            "There is no plan file, and no migrations of goose, golang-migrate or Alembic were found here.",
            next_step="Name the plan file, or the folder: --migrations DIR --tool TOOL.",
        )
    if told.sqlc is not None and not any(each.kind == "sqlc" for each in draft.sources):
        raise Usage(
            "nothing-found",
            f"{told.sqlc} has no queries for {' or '.join(each.engine for each in draft.databases)}.",
            next_step="Name the engine with --engine, or the folder of the queries with --queries.",
        )
    loaded = load_text("\n".join(as_yaml(draft)), folder / _FROM_NO_FILE, settings={}, environment={})
    if loaded.plan is None:
        raise PlanInvalid(loaded.diagnostics)
    return _without_file(loaded.plan, draft), draft


def _as_told(found: Found, told: Told) -> Found:
    """Return the finds with what the command line says in their place; it is right, they are guesses."""
    migrations = found.migrations
    if told.migrations is not None:
        migrations = (_migrations(found, told, normpath(told.migrations)),)
    sqlc, folders = found.sqlc, found.query_folders
    if told.queries or told.sqlc is not None:
        sqlc = tuple(_sqlc(found, told))
        folders = tuple(QueryFolder(normpath(each), 0) for each in told.queries)
    return replace(
        found,
        migrations=tuple(
            replace(each, engine=told.engine or each.engine, tool=told.tool or each.tool, unsupported=None)
            if told.engine or told.tool
            else each
            for each in migrations
        ),
        sqlc=sqlc,
        query_folders=folders,
    )


def _migrations(found: Found, told: Told, path: str) -> MigrationFolder:
    for each in found.migrations:
        if each.path == path:
            return each
    if told.tool is None:
        raise Usage(
            "nothing-found",
            f"No migration of goose, golang-migrate or Alembic was found in {path}.",
            next_step="Correct --migrations, or say whose they are: --tool goose or --tool golang-migrate.",
        )
    engine = told.engine or Engine.POSTGRESQL
    return MigrationFolder(path, told.tool, 0, engine, "the command line says so")


def _sqlc(found: Found, told: Told) -> Iterator[SqlcEntry]:
    """Yield what is known of the configuration that was named, which may have a name of its own."""
    if told.sqlc is not None:
        config = normpath(told.sqlc)
        known = [each for each in found.sqlc if each.config == config]
        yield from known or [SqlcEntry(config, told.engine or Engine.POSTGRESQL, (), None)]


def _without_file(plan: Plan, draft: Draft) -> Plan:
    """Return the plan with places that exist (what it is made from) and versions that are none."""
    folders = {name: Place(spec.migrations.folder.as_posix()) for name, spec in plan.databases.items()}
    sources = [Place(each.path) for each in draft.sources]
    first = next(iter((*sources, *folders.values())))
    return replace(
        plan,
        release=_NEXT,
        databases={
            name: replace(spec, place=folders[name], migrations=replace(spec.migrations, place=folders[name]))
            for name, spec in plan.databases.items()
        },
        services={
            name: replace(
                spec,
                version=Version(_NEXT),
                place=first,
                queries=tuple(
                    replace(each, place=place) for each, place in zip(spec.queries, sources, strict=True)
                ),
            )
            for name, spec in plan.services.items()
        },
    )
