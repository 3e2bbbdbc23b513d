"""Which set of values a query is first run with, where some of them let it run without an end."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.adapters.rehearsals._scratch.sets import first_set
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Ran

ENDLESS, WRONG = Objection("endless", "It was stopped."), Objection("wrong", "No such value.")
VALUES = tuple("abcdefgh")


def tried(ends: dict[str, Ran | Objection], values: Sequence[str] = VALUES) -> tuple[object, int]:
    """Return what was found among the values of one parameter, and how many were tried."""
    tries: list[str] = []

    def run(sample: tuple[str, ...]) -> Ran | Objection:
        tries.append(sample[0])
        return ends.get(sample[0], ENDLESS)

    found = first_set([values], run=run, is_hopeless=lambda refusal: refusal is ENDLESS)
    return found, len(tries)


def test_a_query_that_ends_from_the_third_row_alone_is_run_from_there():
    assert tried({"c": Ran((("x",),), 1)}) == (("c",), 3)


def test_a_query_that_never_ends_is_not_tried_with_every_value():
    assert tried({"d": Ran((("x",),), 1)}) == (ENDLESS, 3)


def test_what_is_refused_at_once_is_tried_with_every_value():
    assert tried({"g": Ran((("x",),), 1)} | dict.fromkeys("abcdef", WRONG)) == (("g",), 7)


def test_what_ran_and_met_nothing_is_taken_where_the_others_do_not_end():
    assert tried({"b": Ran((), 0)}) == (("b",), 4)
