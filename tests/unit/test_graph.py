from __future__ import annotations

import pytest

from coordinator.graph import Graph, GraphError, Step, StepId


def step(name: str, *after: str) -> Step:
    return Step(StepId(name), "verify", tuple(map(StepId, after)))


def test_orders_steps_after_what_they_wait_for_and_else_as_they_were_defined():
    graph = Graph((step("d", "a", "c"), step("b", "a"), step("a"), step("c", "a"), step("e")))

    assert [each.id for each in graph] == ["a", "b", "c", "d", "e"]


def test_finds_steps_and_what_follows_them():
    graph = Graph((step("a"), step("b", "a"), step("c", "a")))

    assert graph.step(StepId("b")).after == ("a",)
    assert graph.successors(StepId("a")) == ("b", "c")
    assert graph.successors(StepId("c")) == ()
    assert StepId("c") in graph
    assert StepId("x") not in graph
    assert len(graph) == 3


def test_an_empty_graph_is_false():
    assert not Graph(())


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((step("a"), step("a")), "stands twice"),
        ((step("a", "b"),), "a comes after b, which does not exist"),
        ((step("a", "a"),), "wait for each other: a"),
        ((step("x"), step("a", "b"), step("b", "a", "x")), "wait for each other: a, b"),
    ],
)
def test_refuses_what_is_no_graph(steps: tuple[Step, ...], message: str):
    with pytest.raises(GraphError, match=message):
        Graph(steps)


@pytest.mark.parametrize("field", ["its_service", "its_database", "its_colour"])
def test_a_step_that_is_about_something_else_has_no_subject_to_give(field: str):
    with pytest.raises(AssertionError, match="a"):
        getattr(step("a"), field)
