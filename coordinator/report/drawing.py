"""The graph as text for people, and as DOT and Mermaid for their tools. Pure, and linear in the graph."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.graph import Graph, Step, StepId

_SHAPES = {"apply": "box3d", "switch": "diamond", "approve": "octagon"}


def as_chains(graph: Graph) -> Iterator[str]:
    """Yield the steps, numbered, one a line: a step follows the line above, or says what it follows.

    Chains stay together, so that the branches of several services can be read one after the other.
    """
    number: dict[StepId, int] = {}
    width = len(str(len(graph)))
    for step in _along_chains(graph):
        after = sorted(number[before] for before in step.after)
        order = ""
        if after != [len(number)][: len(number)]:
            order = f"  (after {', '.join(map(str, after))})" if after else "  (at any time)"
        number[step.id] = len(number) + 1
        mark = "  ‼ no way back from here" if step.no_return else ""
        yield f"{len(number):{width}}  {_label(step)}{order}{mark}"


def _along_chains(graph: Graph) -> Iterator[Step]:
    """Yield the steps in an order that respects the graph and goes on with the step just shown if it can."""
    missing = {step.id: len(step.after) for step in graph}
    ready = [step.id for step in reversed(graph.steps) if not step.after]
    while ready:
        step = graph.step(ready.pop())
        yield step
        for follower in reversed(graph.successors(step.id)):
            missing[follower] -= 1
            if not missing[follower]:
                ready.append(follower)


def _label(step: Step) -> str:
    match step:
        case Step(version=str(version), colour=str(colour)):
            return f"{step.id}  {version} on {colour}"
        case Step(approvers=(_, *_)):
            return f"{step.id}  by {', '.join(step.approvers)}"
        case Step(kind="approve"):
            return f"{step.id}  by nobody; it waits for all before it"
        case _:
            return step.id


def as_dot(graph: Graph) -> Iterator[str]:
    """Yield Graphviz DOT."""
    yield "digraph release {"
    yield '  rankdir="LR"; node [shape="box", fontname="sans-serif"];'
    for step in graph:
        colour = ', color="red", penwidth="2"' if step.no_return else ""
        yield f'  {_quoted(step.id)} [label={_quoted(_label(step))}, shape="{_shape(step)}"{colour}];'
    for step in graph:
        for before in step.after:
            yield f"  {_quoted(before)} -> {_quoted(step.id)};"
    yield "}"


def _shape(step: Step) -> str:
    return _SHAPES.get(step.kind, "box")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_mermaid(graph: Graph) -> Iterator[str]:
    """Yield a Mermaid flowchart; nodes are numbered, because an id may hold what Mermaid reads as syntax."""
    number = {step.id: at for at, step in enumerate(graph)}
    yield "flowchart LR"
    for step in graph:
        label = _label(step).replace('"', "#quot;")
        yield f'  s{number[step.id]}["{label}"]{":::noreturn" if step.no_return else ""}'
    for step in graph:
        for before in step.after:
            yield f"  s{number[before]} --> s{number[step.id]}"
    yield "  classDef noreturn stroke:#c00,stroke-width:3px"
