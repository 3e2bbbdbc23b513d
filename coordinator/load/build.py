"""From a checked document to the plan that the rest of the program sees."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Final

from coordinator.diagnostics import Place
from coordinator.fields import QuerySettings
from coordinator.load.backfills import backfills_from
from coordinator.load.choice import Chosen
from coordinator.load.command import URL
from coordinator.load.document import Database, Migrations, PlanDocument, Service
from coordinator.load.tree import Node, find
from coordinator.load.tree import Path as TreePath
from coordinator.model import (
    CanarySpec,
    CheckSpec,
    CommandSpec,
    DatabaseName,
    DatabaseSpec,
    LocksSpec,
    MigrationsSpec,
    MonitorSpec,
    Plan,
    QueriesSpec,
    RehearsalSpec,
    ServiceName,
    ServiceSpec,
    Version,
)

_UNNOTICED: Final = timedelta(seconds=2)
"""How long a statement waits for a lock where nobody waits behind it."""


def build(document: PlanDocument, *, file: Path, root: Node) -> Plan:
    """Return the plan; `root` is the tree that `document` was read from and gives the places."""
    databases = [
        _database(name, each, folder=file.parent, root=root) for name, each in document.databases.items()
    ]
    services = [_service(name, each, root=root) for name, each in document.services.items()]
    return Plan(
        file=file,
        release=document.release,
        databases={each.name: each for each in databases},
        services={each.name: each for each in services},
        approve_contract=document.gates.contract.approve,
        on_failure=document.on_failure,
        digest=digest_of(document),
    )


def digest_of(document: PlanDocument) -> str:
    """Return SHA-256, in hex, over the document as JSON with sorted keys and every default."""
    values = document.model_dump(mode="json", by_alias=True)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _database(name: str, database: Database, *, folder: Path, root: Node) -> DatabaseSpec:
    path = ("databases", name)
    migrations = MigrationsSpec(
        tool=database.migrations.tool,
        folder=folder / database.migrations.dir,
        table=database.migrations.table,
        python=database.migrations.python,
        section=database.migrations.section,
        x_arguments=database.migrations.x_arguments,
        deadline=database.migrations.deadline,
        place=find(root, (*path, "migrations", "dir")).value_place,
        command=_command(
            database.migrations,
            folder=folder,
            place=find(root, (*path, "migrations", "command")).value_place,
        ),
    )
    return DatabaseSpec(
        name=DatabaseName(name),
        engine=database.engine,
        url=database.url,
        migrations=migrations,
        lock_timeout=_lock_timeout(database),
        place=find(root, path).key_place,
        rehearsal=RehearsalSpec(
            url=database.rehearsal.url, base=database.rehearsal.base, layers=database.rehearsal.layers
        ),
        locks=LocksSpec(
            database.locks.attempt or LocksSpec().attempt, database.locks.budget, database.locks.deadline
        ),
        backfills=backfills_from(
            database.backfills, (*path, "backfills"), root, engine=database.engine, folder=folder
        ),
        server_version=database.server_version,
        server_version_at=find(root, (*path, "server_version")).value_place
        if database.server_version is not None
        else None,
    )


def _command(migrations: Migrations, *, folder: Path, place: Place) -> CommandSpec | None:
    if migrations.command is None:
        return None
    told_where = any(URL in each for each in migrations.command)
    return CommandSpec(
        argv=migrations.command,
        folder=folder,
        deadline=migrations.deadline,
        is_repeatable=migrations.repeatable,
        rehearses=told_where if migrations.rehearse is None else migrations.rehearse,
        place=place,
    )


def _lock_timeout(database: Database) -> timedelta:
    """Return how long a statement waits behind which nobody queues; every one where no session is patient."""
    if database.engine.speaks_mysql and database.locks.attempt is not None:
        return database.locks.attempt
    return _UNNOTICED


def _service(name: str, service: Service, *, root: Node) -> ServiceSpec:
    path = ("services", name)
    monitor = MonitorSpec(
        duration=service.monitor.duration,
        every=service.monitor.every,
        failures=service.monitor.failures,
        checks=_checks(service.monitor.checks, (*path, "monitor", "checks"), root),
    )
    return ServiceSpec(
        name=ServiceName(name),
        version=Version(service.version),
        uses=tuple(DatabaseName(each) for each in service.uses),
        platform=service.platform.kind,
        platform_spec=service.platform.spec,
        verify=_checks(service.verify, (*path, "verify"), root),
        monitor=monitor,
        deploy_deadline=service.deploy.deadline,
        drain_deadline=service.drain.deadline,
        keep_blue=service.keep_blue,
        place=find(root, path).key_place,
        queries=_queries(service, (*path, "queries"), root),
        ref=service.ref,
        database_role=service.database_role,
        canary=CanarySpec(each.percent, each.duration) if (each := service.canary) else None,
        worker=service.worker,
        sessions=service.sessions,
    )


def _queries(service: Service, path: TreePath, root: Node) -> tuple[QueriesSpec, ...]:
    # A single source is no list in the file; a position that the file does not have is passed over.
    return tuple(
        QueriesSpec(
            each.kind,
            each.spec,
            DatabaseName(_database_of(each, service)),
            find(root, (*path, position, each.kind)).key_place,
        )
        for position, each in enumerate(service.queries)
    )


def _database_of(chosen: Chosen, service: Service) -> str:
    assert isinstance(chosen.spec, QuerySettings)
    return chosen.spec.database or service.uses[0]


def _checks(chosen: tuple[Chosen, ...], path: TreePath, root: Node) -> tuple[CheckSpec, ...]:
    return tuple(
        CheckSpec(each.kind, each.spec, find(root, (*path, position)).key_place)
        for position, each in enumerate(chosen)
    )
