"""What a migration's tries may cost others: never more than the plan says, and never for longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.lock_budget import LockBudget
from coordinator.model import LocksSpec

milliseconds = st.integers(1, 1_000).map(lambda each: timedelta(milliseconds=each))
PLAN = LocksSpec(timedelta(milliseconds=100), timedelta(milliseconds=500), timedelta(minutes=2))


@pytest.mark.parametrize(
    ("is_known", "expected"), [(False, [20, 20, 20, 100, 100, 100, 100, 40]), (True, [100] * 5)]
)
def test_tries_are_brief_until_it_is_known_what_is_wanted(is_known: bool, expected: list[float]) -> None:
    budget, allowed = LockBudget(PLAN), []
    while wait := budget.allowed(is_known=is_known):
        allowed.append(wait / timedelta(milliseconds=1))
        budget.charge(wait.total_seconds(), now=0.0)

    assert allowed == expected


@given(attempt=milliseconds, limit=milliseconds)
def test_the_tries_together_never_cost_more_than_the_budget(attempt: timedelta, limit: timedelta) -> None:
    budget, cost = LockBudget(LocksSpec(attempt, limit)), timedelta()
    while wait := budget.allowed():
        assert wait <= attempt
        cost += wait
        budget.charge(wait.total_seconds(), now=0.0)

    assert timedelta() < cost <= limit


def test_a_statement_that_nobody_may_repeat_has_all_of_the_budget() -> None:
    assert LockBudget(PLAN).allowed(once=True) == PLAN.budget


def test_the_deadline_begins_with_the_first_failure_and_no_pause_goes_beyond_it() -> None:
    budget = LockBudget(PLAN)
    assert budget.left(now=1000.0) == PLAN.deadline

    budget.charge(0.1, now=1000.0)
    budget.charge(0.1, now=1010.0)

    assert budget.left(now=1119.9) == timedelta(milliseconds=100)
    assert budget.pause(now=1011.0) == timedelta(milliseconds=500)
    assert budget.pause(now=1119.9) == timedelta(milliseconds=100)
    assert not budget.left(now=1121.0)
