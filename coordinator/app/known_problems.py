"""Problems of migration files that a git commit has as well: who changes others need not mend them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from os.path import normpath, relpath

from coordinator import discovery
from coordinator.adapters.trees.git import GitRepository, GitTree
from coordinator.app.against import tree_at
from coordinator.diagnostics import Diagnostic, Place
from coordinator.load.migrations import project_files
from coordinator.model import DatabaseSpec, Plan


def without_known(
    diagnostics: Sequence[Diagnostic], plan: Plan, ref: str
) -> tuple[tuple[Diagnostic, ...], str]:
    """Return those that a commit's files of migrations do not have in the same way, and its name.

    A problem counts as another one where it stands at another line.
    Raises: Usage where there is no repository or no such commit.
    """
    with GitRepository(plan.folder) as repository:
        tree = tree_at(repository, ref)
        known = {each for spec in plan.databases.values() for each in _found_in(tree, spec, plan)}
        return tuple(each for each in diagnostics if _located(each, each.place.file) not in known), tree.label


def _found_in(tree: GitTree, spec: DatabaseSpec, plan: Plan) -> Iterator[Diagnostic]:
    tool = discovery.migration_tool(spec.migrations.tool)
    folder = relpath(spec.migrations.folder, plan.folder)
    files, _ = project_files(tree, folder, tool, section=spec.migrations.section)
    for each in tool.read(files, spec.engine).diagnostics:
        yield _located(each, str(plan.folder / each.place.file.partition(":")[2]))


def _located(problem: Diagnostic, file: str) -> Diagnostic:
    return replace(problem, place=Place(normpath(file), problem.place.line, problem.place.column))
