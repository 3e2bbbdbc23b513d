"""A survey without a world: what is live is a commit, what comes next is the working tree.

A review happens before anything is deployed, so nothing live is asked. The migrations that the commit holds
count as applied and those that are new as pending; every service of the plan serves at the commit. What the
commit holds may be applied somewhere, so a migration of it that was changed or removed is an error: databases
that have the old one would never see the new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from posixpath import basename, relpath
from typing import Final

from coordinator.adapters.trees.git import GitRepository, GitTree
from coordinator.applied import code_of
from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.errors import Usage
from coordinator.load.migrations import errors_of_folder, project_files, with_faults
from coordinator.model import (
    Colour,
    DatabaseName,
    DatabaseSpec,
    Engine,
    Migration,
    MigrationId,
    Plan,
    ServiceSpec,
    Version,
)
from coordinator.ports import Ports
from coordinator.ports.databases import Target
from coordinator.ports.migrations import Ledger, MigrationTool
from coordinator.ports.platforms import Serving, Side
from coordinator.query_ports import Tree
from coordinator.survey import DatabaseSurvey, Survey, faults_of, service_survey

MERGE_BASE: Final = "merge-base"
"""The word for the commit at which this branch left the default one."""
_SHORT = 7


def tree_at(repository: GitRepository, ref: str) -> GitTree:
    """Return the files at a ref, or at the merge base with the default branch where `ref` says so.

    Raises: Usage `unknown-ref`, `no-merge-base` or `no-default-branch`.
    """
    if ref != MERGE_BASE:
        return repository.tree(ref)
    branch = repository.default_branch()
    if branch is None:
        raise Usage(
            "no-default-branch",
            f"The git repository of `{repository.folder}` has no default branch that could be found.",
            why="Looked for origin/HEAD, main and master.",
            next_step="Name the commit to compare with: --against REF. A pipeline may have to fetch it.",
        )
    return repository.tree(repository.merge_base("HEAD", branch)[:_SHORT])


def survey_against(ports: Ports, tree: GitTree) -> Survey:
    """Return the world as if the services of the plan served at the tree's commit, with its migrations."""
    databases: dict[DatabaseName, DatabaseSurvey] = {}
    diagnostics: list[Diagnostic] = []
    for name, spec in ports.plan.databases.items():
        databases[name], found = _database(
            spec, ports.migrations(name), tool=ports.tool(name), tree=tree, plan=ports.plan
        )
        diagnostics.extend(found)
    services = {
        name: service_survey(spec, _serving_at(tree, spec)) for name, spec in ports.plan.services.items()
    }
    return Survey(databases, services, tuple(diagnostics))


def _serving_at(tree: GitTree, spec: ServiceSpec) -> Serving:
    version = _version_at(tree.ref, spec)
    live = version if version != spec.version else f"{version}@{tree.commit[:_SHORT]}"
    side = Side(Version(live), running=True, ready=True)
    return Serving(Colour.BLUE, {Colour.BLUE: side, Colour.GREEN: Side()})


def _version_at(ref: str, spec: ServiceSpec) -> str:
    """Return the version that a ref is the tag of, as the plan says how versions are tagged; else the ref."""
    pattern = re.escape(spec.ref or "v{version}").replace(re.escape("{version}"), "(.+)", 1)
    tagged = re.fullmatch(pattern, ref)
    return tagged[1] if tagged else ref


def _database(
    spec: DatabaseSpec, here: Sequence[Migration], *, tool: MigrationTool, tree: GitTree, plan: Plan
) -> tuple[DatabaseSurvey, tuple[Diagnostic, ...]]:
    """Return what is applied and pending, and what the tool or the commit has against it."""
    folder = relpath(spec.migrations.folder, plan.folder)
    there, problems = _released(tree, folder, tool, spec)
    kept = tuple(sorted((each.version for each in here if each.version in there), reverse=True))
    pending = tool.pending(here, Ledger(exists=bool(there), applied=kept))
    unapplied = [each for each in here if each.version not in there]
    diagnostics = (
        *problems,
        *([] if there else [_nothing_there(spec, folder, tree)]),
        *_changed(here, there, spec=spec, tree=tree),
        *faults_of(pending.migrations),
        *pending.diagnostics,
        *_never_applied(unapplied, pending.migrations, tool=tool, newest=max(there, default=0)),
    )
    schema = "public" if spec.engine is Engine.POSTGRESQL else None
    target = Target(spec.engine, str(spec.name), schema, spec.migrations.table)
    return DatabaseSurvey(target, len(kept), pending.migrations), diagnostics


def _released(
    tree: Tree, folder: str, tool: MigrationTool, spec: DatabaseSpec
) -> tuple[Mapping[MigrationId, Migration], tuple[Diagnostic, ...]]:
    files, wrong = project_files(tree, folder, tool, section=spec.migrations.section)
    reading = tool.read(files, spec.engine)
    problems = () if not files else errors_of_folder(with_faults(tool, reading, wrong))
    return {each.version: each for each in reading.migrations}, problems


def _changed(
    here: Sequence[Migration], there: Mapping[MigrationId, Migration], *, spec: DatabaseSpec, tree: Tree
) -> Iterator[Diagnostic]:
    folder, engine = spec.migrations.folder.as_posix(), spec.engine
    found = {each.version: each for each in here}
    for version, old in there.items():
        new = found.get(version)
        if new is None:
            file = f"{folder}/{basename(old.files[0].path)}" if old.files else folder
            yield Diagnostic(
                "migration-removed",
                Place(file),
                f"`{old.name}` is in {tree.label} and not in the working tree.",
                "Databases that have it keep what it did, and new ones never get it.",
                "Put the file back, and undo what it does in a new migration.",
            )
        elif code_of(new.up, engine) != code_of(old.up, engine):
            yield _edited(new, tree, is_up=True)
        elif code_of(new.down, engine) != code_of(old.down, engine):
            yield _edited(new, tree, is_up=False)
        elif new.is_code and new.digest != old.digest:
            yield _edited_code(new, tree)


def _edited(new: Migration, tree: Tree, *, is_up: bool) -> Diagnostic:
    return Diagnostic(
        "migration-edited",
        Place(new.files[0].path),
        f"The {'up' if is_up else 'down'} side of `{new.name}` is not what it is in {tree.label}.",
        "Databases that have it already never see the change, so they would differ from new ones."
        if is_up
        else "A database that has it is taken back by what stands here now.",
        "Put the file back as it was, and write the change as a new migration."
        if is_up
        else "Make sure that it still undoes what the up side did.",
        severity=Severity.ERROR if is_up else Severity.WARNING,
    )


def _edited_code(new: Migration, tree: Tree) -> Diagnostic:
    return Diagnostic(
        "migration-edited",
        Place(new.files[0].path),
        f"The code of `{new.name}` is not what it is in {tree.label}.",
        "Databases that have it already never see the change; nobody can tell from here whether it does the"
        " same.",
        "If it does something else, put the file back and write the change as a new migration.",
        severity=Severity.WARNING,
    )


def _never_applied(
    unapplied: Sequence[Migration], pending: Sequence[Migration], *, tool: MigrationTool, newest: MigrationId
) -> Iterator[Diagnostic]:
    """Yield the new migrations that the tool would pass over because of their number."""
    for each in unapplied:
        if each not in pending:
            yield Diagnostic(
                "out-of-order",
                Place(each.files[0].path),
                f"`{each.name}` is new, and the later version {newest} is released already.",
                f"{tool.name} never looks below the newest version that a database has.",
                f"Rename it to a version above {newest}.",
            )


def _nothing_there(spec: DatabaseSpec, folder: str, tree: Tree) -> Diagnostic:
    return Diagnostic(
        "nothing-released",
        spec.migrations.place,
        f"{tree.label} has no migration of `{spec.name}` in {folder}.",
        "So every migration counts as new, and the live version as one that works on an empty database.",
        "If the folder was moved, compare with the commit that moved it.",
        severity=Severity.WARNING,
    )
