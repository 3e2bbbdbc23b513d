"""One migration that is code, found by its file alone: the project around it, and the SQL that it would send.

`parse` has a file and no plan. The project is the nearest folder above the file whose configuration names the
file's folder; a plan could say which one it is, and would then be needed to look at a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from coordinator import discovery
from coordinator.app.scripts import spoken_on
from coordinator.diagnostics import Diagnostic, Place, Severity, errors_of
from coordinator.errors import PlanInvalid, Usage
from coordinator.load.migrations import glance, read_migrations
from coordinator.model import DatabaseName, DatabaseSpec, Engine, Migration, MigrationsSpec, Script, SecretRef
from coordinator.ports.migrations import BELOW, MigrationTool
from coordinator.secret import Secret

_NOWHERE = SecretRef("file", "nowhere")
"""No address is needed, and none is put where the project looks for one."""


def script_of(
    file: Path, engine: Engine, *, spec: MigrationsSpec, environment: Mapping[str, str]
) -> tuple[Migration, Script | str]:
    """Return the migration of a file and what it sends; a text says why that is not known.

    The project is found by the file, whatever folder `spec` has. Its program is run, without a database.
    Raises: Usage and PlanInvalid where the project cannot be read, StepFailed where the program cannot start.
    """
    tool = discovery.migration_tool(spec.tool)
    migrations = replace(spec, folder=_project_of(file, tool, spec.section))
    reading = read_migrations(migrations, engine)
    if errors_of(reading.diagnostics):
        raise PlanInvalid(reading.diagnostics)
    [migration] = [
        each for each in reading.migrations if Path(each.files[0].path).resolve() == file.resolve()
    ]
    database = DatabaseSpec(DatabaseName(tool.name), engine, _NOWHERE, migrations, timedelta(), spec.place)
    connect = discovery.runner_of(tool.name)
    runner = connect(database, folder=Path.cwd(), environment=environment, secrets=tuple, connect=_refuse)
    return migration, runner.scripts([migration], url=spoken_on(engine))[migration.version]


def unknown_script(migration: Migration, why: str) -> Diagnostic:
    """Return the warning that there are no statements to show."""
    return Diagnostic(
        "migration-sql-unknown",
        Place(migration.files[0].path),
        f"What `{migration.name}` sends is not known before it runs: {why.rstrip('.')}.",
        "So there are no statements to show.",
        "A rehearsal runs it as a whole, and shows what it leads to: coordinator plan.",
        severity=Severity.WARNING,
    )


def _project_of(file: Path, tool: MigrationTool, section: str | None) -> Path:
    told: Diagnostic | None = None
    for folder in file.resolve().parents:
        for source in tool.sources(partial(_glance, folder), section=section):
            if isinstance(source, Diagnostic):
                told = told or source
            elif _is_in(file.resolve().parent, folder, source):
                return folder
    raise Usage(
        "alembic-config",
        f"No configuration above {file} names its folder as one of revisions.",
        why=told.what if told else "",
        next_step="Call it for a file in the folder of versions of a project.",
    )


def _is_in(parent: Path, project: Path, source: str) -> bool:
    """Tell whether a folder is one that the tool reads for a project."""
    top = (project / source.removesuffix(BELOW)).resolve()
    return parent.is_relative_to(top) if source.endswith(BELOW) else parent == top


def _glance(folder: Path, path: str) -> bytes | None:
    return glance(folder / path)


def _refuse(url: Secret) -> None:
    raise AssertionError(url)  # offline SQL needs no session
