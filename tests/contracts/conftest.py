"""One scratch server of each engine that can be rehearsed, and databases on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures.rehearsal_place import ENGINES, SCHEMA, Place, apply

from coordinator import discovery
from coordinator.rehearsal_ports import RehearsalDatabase


@pytest.fixture(scope="module", params=ENGINES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with discovery.rehearsal(request.param).server(url=None, live_version=None) as server:
        yield Place(request.param, server)


@pytest.fixture
def database(place: Place) -> Iterator[RehearsalDatabase]:
    with place.server.database() as database:
        apply(database, *SCHEMA)
        database.take_statements()
        yield database


@pytest.fixture(scope="module")
def filled(place: Place) -> Iterator[RehearsalDatabase]:
    """Yield a database with sample rows that many tests share, because they only ask."""
    with place.server.database() as database:
        apply(database, *SCHEMA)
        database.fill()
        database.take_statements()
        yield database
