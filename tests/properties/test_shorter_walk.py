"""A rehearsal that leaves out what nobody asks finds what one finds that leaves out nothing.

Random releases in which no version has a query, rehearsed on one scratch database that goes ahead and on the
pair that walks through every state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from properties.test_recalled_evidence import tasks, timeless

from coordinator.adapters.rehearsals.postgresql import REHEARSAL as POSTGRESQL
from coordinator.adapters.rehearsals.sqlite import REHEARSAL as SQLITE
from coordinator.model import Engine
from coordinator.queries import Catalogue
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.rehearse import Found, Task, rehearse_database, stage

NOTHING = Catalogue("a test", ())
FEW = settings(max_examples=25)


@dataclass
class Counting:
    """A scratch server that counts the databases that are cloned from its own."""

    inner: RehearsalServer
    clones: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @contextmanager
    def database(self, dump: str | None = None) -> Iterator[Any]:
        with self.inner.database(dump) as database:
            clone = database.clone

            def counted() -> Any:
                self.clones += 1
                return clone()

            database.clone = counted  # type: ignore[method-assign]  # a watch on the real one
            yield database


def without_queries(task: Task, engine: Engine) -> Task:
    subjects = tuple(replace(each, catalogue=NOTHING) for each in task.subjects)
    return replace(task, spec=replace(task.spec, engine=engine), subjects=subjects)


def walked_whole(server: RehearsalServer, task: Task) -> Found:
    """Rehearse on a pair, as if there was something to ask at each state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "_asks", lambda _: True)
        return rehearse_database(server, task)


@FEW
@given(tasks())
def test_without_a_query_sqlite_says_the_same_on_one_database_as_on_two(task):
    task = without_queries(task, Engine.SQLITE)
    with SQLITE.server(url=None, live_version=None) as server:
        assert timeless(rehearse_database(server, task)) == timeless(walked_whole(server, task))


@pytest.fixture(scope="module")
def postgresql() -> Iterator[RehearsalServer]:
    with POSTGRESQL.server(url=None, live_version=None) as server:
        yield server


@FEW
@given(task=tasks())
def test_without_a_query_postgresql_says_the_same_on_one_database_as_on_two(postgresql, task):
    task = without_queries(task, Engine.POSTGRESQL)

    assert timeless(rehearse_database(postgresql, task)) == timeless(walked_whole(postgresql, task))


@FEW
@given(tasks())
def test_without_a_query_no_second_database_is_made(task):
    with SQLITE.server(url=None, live_version=None) as inner:
        server = Counting(inner)
        rehearse_database(server, without_queries(task, Engine.SQLITE))

    assert server.clones == 0
