"""The graph as a tree for people, and as DOT and Mermaid for their tools. Pure, and linear in the graph."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.graph import Graph, Step, StepId

_SHAPES = {"apply": "box3d", "switch": "diamond", "approve": "octagon"}


def as_tree(graph: Graph) -> Iterator[str]:
    """Yield one line a step, in order, each under the last of its predecessors; others are named."""
    depth: dict[StepId, int] = {}
    position = {step.id: at for at, step in enumerate(graph)}
    previous: StepId | None = None
    for step in graph:
        parents = sorted(step.after, key=lambda parent: position[parent])
        under = parents[-1] if parents else None
        is_chain = under == previous and under is not None and len(graph.successors(under)) == 1
        depth[step.id] = 0 if under is None else depth[under] + (0 if is_chain else 1)
        also = [parent for parent in parents if parent not in (under, previous)]
        rest = f"   after {', '.join(also)}" if also else ""
        mark = "  ‼ no way back from here" if step.no_return else ""
        yield f"{'  ' * depth[step.id]}{_label(step)}{rest}{mark}"
        previous = step.id


def _label(step: Step) -> str:
    match step:
        case Step(version=str(version), colour=str(colour)):
            return f"{step.id}  {version} on {colour}"
        case Step(approvers=(_, *_)):
            return f"{step.id}  by {', '.join(step.approvers)}"
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
