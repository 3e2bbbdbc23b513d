"""A question that two versions have in common is put once, and everybody gets what it would get alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from properties.test_recalled_evidence import tasks, timeless

from coordinator.adapters.rehearsals.postgresql import REHEARSAL as POSTGRESQL
from coordinator.adapters.rehearsals.sqlite import REHEARSAL as SQLITE
from coordinator.evidence import Objection
from coordinator.model import Engine, Role, ServiceName
from coordinator.queries import Catalogue
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.rehearse import Found, Subject, Task, rehearse_database, state
from coordinator.rehearse.state import _once

FEW = settings(max_examples=15)


def in_common(task: Task, engine: Engine) -> Task:
    """Return the task with the same queries in both versions."""
    name, service = task.spec.name, ServiceName("app")
    catalogue = task.subjects[0].catalogue if task.subjects else Catalogue("a test", ())
    subjects = tuple(Subject((name, service, role), catalogue) for role in Role)
    return replace(task, spec=replace(task.spec, engine=engine), subjects=subjects)


def asked_anew(task: Task, server: RehearsalServer) -> Found:
    """Rehearse with every question put for each version that has it."""

    def each_time(_known: object, questions: Sequence[Any], ask: Callable[[list[Any]], Any]) -> list[Any]:
        return list(ask(list(questions))) if questions else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "_once", each_time)
        return rehearse_database(server, task)


@FEW
@given(tasks())
def test_sqlite_says_the_same_of_questions_that_are_put_once(task):
    task = in_common(task, Engine.SQLITE)
    with SQLITE.server(url=None, live_version=None) as server:
        assert timeless(rehearse_database(server, task)) == timeless(asked_anew(task, server))


@pytest.fixture(scope="module")
def postgresql() -> Iterator[RehearsalServer]:
    with POSTGRESQL.server(url=None, live_version=None) as server:
        yield server


@FEW
@given(task=tasks())
def test_postgresql_says_the_same_of_questions_that_are_put_once(postgresql, task):
    task = in_common(task, Engine.POSTGRESQL)

    assert timeless(rehearse_database(postgresql, task)) == timeless(asked_anew(task, postgresql))


def test_equal_values_of_other_types_are_other_questions():
    asked: list[tuple[str, tuple[object, ...]]] = []

    def ask(new: list[tuple[str, tuple[object, ...]]]) -> list[str]:
        asked.extend(new)
        return [repr(each) for each in new]

    questions = [("q", (1,)), ("q", (1.0,)), ("q", (True,)), ("q", (1,))]
    answers = _once({}, questions, ask)

    assert asked == questions[:3]
    assert answers == [repr(each) for each in questions]


def test_a_refusal_of_the_moment_is_asked_again_and_another_one_is_kept():
    known: dict[str, Objection | None] = {}
    busy, gone = Objection("55P03", "locked"), Objection("42P01", "no such table")
    _once(known, ["a", "b"], lambda _: [busy, gone])

    answers = _once(known, ["a", "b"], lambda new: [None for _ in new])

    assert answers == [None, gone]
