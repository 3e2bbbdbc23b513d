"""Where the boxes of a drawn graph stand: each step below all that it comes after. Pure geometry.

A layer is a step's longest path from the beginning, so that no edge goes up. An edge over several layers
keeps a narrow lane free in each, so that it runs beside boxes and not through them. Within a layer, boxes
stand in the order of what they come from, and below it where there is room. One pass, linear in boxes and
lanes; crossings that a better method would avoid are rare in a release, which is mostly parallel chains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    layers = _layers(after)
    lanes = _lanes(after, layers)
    rows: list[list[_Item]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for box, layer in enumerate(layers):
        rows[layer].append((box, layer))
    for lane in lanes:
        rows[lane[1]].append(lane)
    above = {
        (box, layers[box]): [_end(each, layers[box] - 1, lanes, layers) for each in before]
        for box, before in enumerate(after)
    }
    above |= {lane: [_end(lane[0], lane[1] - 1, lanes, layers)] for lane in lanes}
    x = _place(rows, above, lanes)
    height = BOX[1] + _GAP[1]

    def corner(item: _Item, *, below: bool) -> Point:
        shift = 0.0 if item in lanes else BOX[1] / 2
        return x[item], item[1] * height + BOX[1] / 2 + (shift if below else -shift)

    edges = []
    for box, before in enumerate(after):
        for each in before:
            path = [(each, layers[each])]
            path += [
                (each, layer) for layer in range(layers[each] + 1, layers[box]) if (each, layer) in lanes
            ]
            points = [corner(item, below=True) for item in path]
            edges.append((*points, corner((box, layers[box]), below=False)))
    return Drawing(
        tuple((x[box, layer], layer * height + BOX[1] / 2) for box, layer in enumerate(layers)),
        tuple(edges),
        max((x[item] + _width(item, lanes) / 2 for item in x), default=0.0),
        max(len(rows) * height - _GAP[1], 0.0),
    )


_Item = tuple[int, int]
"""A box in its layer, or, in a layer further down, the lane of the edges that leave it."""


def _layers(after: Sequence[Sequence[int]]) -> list[int]:
    layers: list[int] = []
    for before in after:
        layers.append(max((layers[each] for each in before), default=-1) + 1)
    return layers


def _lanes(after: Sequence[Sequence[int]], layers: Sequence[int]) -> Mapping[_Item, None]:
    """Return the lanes; the edges that leave one box share them."""
    return {
        (each, layer): None
        for box, before in enumerate(after)
        for each in before
        if layers[box] - layers[each] <= _LONGEST
        for layer in range(layers[each] + 1, layers[box])
    }


def _end(box: int, layer: int, lanes: Mapping[_Item, None], layers: Sequence[int]) -> _Item:
    """Return where an edge that leaves `box` stands in a layer, or the box itself."""
    return (box, layer) if (box, layer) in lanes else (box, layers[box])


def _width(item: _Item, lanes: Mapping[_Item, None]) -> float:
    return _LANE if item in lanes else BOX[0]


def _place(
    rows: Sequence[Sequence[_Item]], above: Mapping[_Item, Sequence[_Item]], lanes: Mapping[_Item, None]
) -> dict[_Item, float]:
    """Return the middle of each item, row by row: below what it comes from, or right of its neighbour."""
    x: dict[_Item, float] = {}

    def middle(item: _Item) -> float:
        return sum(x[each] for each in above[item]) / max(len(above[item]), 1)

    for row in rows:
        free = 0.0
        for item in sorted(row, key=middle):
            half = _width(item, lanes) / 2
            # Below the leftmost: the main line stays where a narrow window shows it.
            x[item] = max(free + half, min((x[each] for each in above[item]), default=0.0))
            free = x[item] + half + _GAP[0]
    return x
