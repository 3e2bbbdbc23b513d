from __future__ import annotations

from builders import Release, Service

from coordinator.graph import Graph, Step, StepId
from coordinator.report.drawing import as_chains, as_dot, as_mermaid

RELEASE = Release(
    {"app": Service(("db",)), "jobs": Service(("db",))}, {"db": "expand contract"}, approve=("dba",)
)


def step(name: str, *after: str) -> Step:
    return Step(StepId(name), "verify", tuple(map(StepId, after)))


def test_a_chain_is_a_list():
    assert list(as_chains(Graph((step("a"), step("b", "a"), step("c", "b"))))) == ["1  a", "2  b", "3  c"]


def test_a_branch_says_where_it_begins_and_where_branches_meet():
    graph = Graph((step("a"), step("b", "a"), step("c", "a"), step("d", "b"), step("e", "c", "d")))

    assert list(as_chains(graph)) == ["1  a", "2  b", "3  d", "4  c  (after 1)", "5  e  (after 3, 4)"]


def test_two_beginnings_are_two_lists():
    assert list(as_chains(Graph((step("a"), step("b"), step("c", "b"))))) == [
        "1  a",
        "2  b  (at any time)",
        "3  c",
    ]


def test_shows_each_step_once_and_after_what_it_waits_for():
    graph = RELEASE.graph()

    lines = list(as_chains(graph))

    shown = [line.split()[1] for line in lines]
    assert sorted(shown) == sorted(step.id for step in graph)
    assert all(shown.index(before) < shown.index(step.id) for step in graph for before in step.after)


def test_tells_versions_approvers_and_the_point_of_no_return():
    text = "\n".join(as_chains(RELEASE.graph()))

    assert "deploy:app  2 on green\n" in text
    assert "approve:contract  by dba  (after 6, 7, 11, 12)\n" in text
    assert "contract:db:00002_m2  (after 14, 15)  ‼ no way back from here\n" in text


def test_nothing_to_draw_is_nothing_to_read():
    assert list(as_chains(Graph(()))) == []


HOSTILE = Graph((step('a"]; }\\'), step("b", 'a"]; }\\')))


def test_dot_quotes_what_could_end_a_name():
    assert '  "a\\"]; }\\\\" -> "b";' in list(as_dot(HOSTILE))


def test_mermaid_numbers_its_nodes_and_quotes_their_names():
    assert list(as_mermaid(HOSTILE)) == [
        "flowchart LR",
        '  s0["a#quot;]; }\\"]',
        '  s1["b"]',
        "  s0 --> s1",
        "  classDef noreturn stroke:#c00,stroke-width:3px",
    ]


def test_drawings_mark_the_point_of_no_return():
    graph = RELEASE.graph()

    assert any("contract:db" in line and 'color="red"' in line for line in as_dot(graph))
    assert any("contract:db" in line and ":::noreturn" in line for line in as_mermaid(graph))
