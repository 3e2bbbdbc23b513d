"""Contract waits for the old version's database sessions, which a Pod that is gone may have left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Timer

import psycopg
import pytest
from builders import Service
from fakes.platform import FilePlatform

from coordinator.adapters.clock import SystemClock
from coordinator.adapters.databases.postgresql import connect
from coordinator.errors import Waiting
from coordinator.graph import Step, StepId
from coordinator.leases import Claim
from coordinator.model import Colour, DatabaseName, Engine, ServiceName, Version
from coordinator.secret import Secret
from coordinator.steps import Context
from coordinator.steps.stop import STEP

STOP = Step(
    StepId("stop:shop"), "stop", service=ServiceName("shop"), colour=Colour.BLUE, version=Version("1.4")
)


class Ports:
    """A database, and a platform in a file."""

    clock = SystemClock()

    def __init__(self, folder: Path, url: str) -> None:
        self._url, self._file = url, folder / "shop.json"
        spec = replace(
            Service(("db",)).spec("shop"), sessions="shop-{version}", drain_deadline=timedelta(seconds=1)
        )
        database = type("Database", (), {"engine": Engine.POSTGRESQL})
        plan = {"services": {"shop": spec}, "databases": {"db": database}}
        self.plan = type("Plan", (), plan)

    def platform(self, _: ServiceName) -> FilePlatform:
        return FilePlatform(self._file)

    def session(self, _: DatabaseName, *, label: str):
        return connect(Secret(self._url), lock_timeout=timedelta(seconds=1)).session(label=label)


@pytest.fixture
def context(tmp_path: Path, database_url: str) -> Context:
    return Context(
        ports=Ports(tmp_path, database_url),  # type: ignore[arg-type]
        claim=Claim("d", "r"),
        supersede=False,
        since=SystemClock().now(),
        in_doubt=False,
        is_halted=lambda: False,
        note=lambda _: None,
    )


def test_a_session_of_the_old_version_makes_the_step_wait_and_is_named(context: Context, database_url: str):
    with psycopg.connect(database_url, application_name="shop-1.4") as left:
        with pytest.raises(Waiting) as waiting:
            STEP.perform(STOP, context)

        assert waiting.value.code == "sessions-left"
        assert f"pg_terminate_backend({left.info.backend_pid})" in waiting.value.next_step


def test_the_step_goes_on_when_the_last_session_has_ended(context: Context, database_url: str):
    services = context.ports.plan.services
    services["shop"] = replace(services["shop"], drain_deadline=timedelta(minutes=1))  # type: ignore[index]
    left = psycopg.connect(database_url, application_name="shop-1.4")
    Timer(0.3, left.close).start()

    assert "no session of `shop-1.4` left" in STEP.perform(STOP, context)


def test_sessions_of_others_are_not_waited_for(context: Context, database_url: str, new_database):
    with (
        psycopg.connect(database_url, application_name="shop-1.5"),
        psycopg.connect(new_database(), application_name="shop-1.4"),
    ):
        assert "no session" in STEP.perform(STOP, context)
