"""Where the boxes of a drawn graph stand: each step below all that it comes after. Pure geometry.

A layer is a step's longest path from the beginning, so that no edge goes up. An edge over several layers
keeps a narrow lane free in each, so that it runs beside boxes and not through them. Within a layer, boxes
stand in the order of what they come from, and below it where there is room. One pass, linear in boxes and
lanes; crossings that a better method would avoid are rare in a release, which is mostly parallel chains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

BOX: Final = (240.0, 44.0)
"""Width and height of a box, in CSS pixels."""
_LANE: Final = 14.0
_GAP: Final = (18.0, 30.0)
_LONGEST: Final = 40
"""An edge over more layers keeps no lanes free: hundreds of them would cost more than they show."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The centre of each box, the corners of each edge from top to bottom, and the size of all."""

    centres: tuple[Point, ...]
    edges: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def lay_out(after: Sequence[Sequence[int]]) -> Drawing:
    """Return the drawing of a graph: `after` has, for each box, the earlier boxes that it comes after."""
    boxes = len(after)
    layers = _layers(after)
    paths = list(_paths(after, layers))
    x = _middles(layers, paths, boxes=boxes)
    step = BOX[1] + _GAP[1]
    y = [layer * step + BOX[1] / 2 for layer in layers]

    def corner(node: int, edge_of_box: float) -> Point:
        return x[node], y[node] + (edge_of_box if node < boxes else 0.0)

    return Drawing(
        tuple(zip(x[:boxes], y[:boxes], strict=True)),
        tuple(
            (*(corner(each, BOX[1] / 2) for each in path), corner(end, -BOX[1] / 2)) for *path, end in paths
        ),
        max((middle + _width(is_box=node < boxes) / 2 for node, middle in enumerate(x)), default=0.0),
        max(y, default=-BOX[1] / 2) + BOX[1] / 2,
    )


def _layers(after: Sequence[Sequence[int]]) -> list[int]:
    layers: list[int] = []
    for before in after:
        layers.append(max((layers[each] for each in before), default=-1) + 1)
    return layers


def _paths(after: Sequence[Sequence[int]], layers: list[int]) -> Iterator[list[int]]:
    """Yield each edge as nodes: a box, the lanes that it runs in, a box. A lane is appended to `layers`."""
    lanes: dict[tuple[int, int], int] = {}
    for end, before in enumerate(after):
        for start in before:
            between = range(layers[start] + 1, layers[end])
            path = [start]
            for layer in between if len(between) < _LONGEST else ():
                lane = lanes.setdefault((start, layer), len(layers))  # the edges that leave a box share lanes
                if lane == len(layers):
                    layers.append(layer)
                path.append(lane)
            yield [*path, end]


def _middles(layers: Sequence[int], paths: Sequence[Sequence[int]], *, boxes: int) -> list[float]:
    """Return the middle of each node, layer by layer: below what it comes from, or right of its neighbour."""
    above: list[set[int]] = [set() for _ in layers]
    for path in paths:
        for upper, lower in pairwise(path):
            above[lower].add(upper)
    rows: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for node, layer in enumerate(layers):
        rows[layer].append(node)
    x = [0.0] * len(layers)
    for row in rows:
        free = 0.0
        for node in sorted(
            row, key=lambda node: sum(x[each] for each in above[node]) / max(len(above[node]), 1)
        ):
            half = _width(is_box=node < boxes) / 2
            # Below the leftmost: the main line stays where a narrow window shows it.
            x[node] = max(free + half, min((x[each] for each in above[node]), default=0.0))
            free = x[node] + half + _GAP[0]
    return x


def _width(*, is_box: bool) -> float:
    return BOX[0] if is_box else _LANE
