"""A graph's form in the journal. A run goes on with the graph that it began with: by then the world that
the graph was compiled from (what is pending, who is live) has changed, by this very run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from coordinator.graph import Graph, Step
from coordinator.model import Colour, Phase, Role

_FROM_WIRE = {"after": tuple, "approvers": tuple, "phase": Phase, "role": Role, "colour": Colour}
_DEFAULTS = Step(id="", kind="")  # type: ignore[arg-type]  # never leaves this module


def wire_from(graph: Graph) -> tuple[Mapping[str, object], ...]:
    """Return the graph's steps as JSON objects, without what has its default."""
    return tuple(
        {
            each.name: getattr(step, each.name)
            for each in fields(step)
            if getattr(step, each.name) != getattr(_DEFAULTS, each.name)
        }
        for step in graph
    )


def graph_from(wire: Sequence[Mapping[str, object]]) -> Graph:
    """Read a graph back. Raises: TypeError, ValueError where it is none."""
    return Graph(
        tuple(
            Step(**{key: _FROM_WIRE.get(key, _as_it_is)(value) for key, value in step.items()})  # type: ignore[arg-type]
            for step in wire
        )
    )


def _as_it_is(value: object) -> object:
    return value
