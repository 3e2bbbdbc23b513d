"""The release's graph as inline SVG, drawn by us, because the page loads nothing. Pure.

Migrations of one phase that follow each other are one box where there are many, so that a release of two
hundred migrations is still a picture. All steps, one by one, stand as text below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from coordinator.graph import Graph, Step, StepId
from coordinator.report.page.layout import BOX, Drawing, Point, lay_out
from coordinator.report.page.markup import Html, element, joined
from coordinator.report.wrapping import shortened

_MANY: Final = 4
"""More migrations in a row than these are one box."""
_LETTERS: Final = 34
_MARGIN: Final = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A step, or migrations of one phase that follow each other."""

    steps: tuple[Step, ...]
    after: tuple[int, ...]

    @property
    def title(self) -> str:
        """Return its first line, in full."""
        first = self.steps[0]
        if len(self.steps) == 1:
            return first.id
        return f"{first.phase}:{first.database}: {len(self.steps)} migrations"

    @property
    def detail(self) -> str:
        """Return its second line."""
        first, last = self.steps[0], self.steps[-1]
        if first.no_return:
            return "‼ no way back from here"
        if len(self.steps) > 1:
            return f"s{first.state} to s{last.state}"
        if first.version is not None and first.colour is not None:
            return f"{first.version} on {first.colour}"
        return f"reaches s{first.state}" if first.state is not None else ", ".join(first.approvers)


def boxes(graph: Graph) -> tuple[Box, ...]:
    """Return the graph's steps, each behind all that it comes after, long rows of migrations as one."""
    rows = [
        row for each in _rows(graph) for row in ([each] if len(each) > _MANY else [(step,) for step in each])
    ]
    number = {step.id: at for at, row in enumerate(rows) for step in row}
    return tuple(
        Box(row, tuple(sorted({number[before] for before in row[0].after if number[before] < at})))
        for at, row in enumerate(rows)
    )


def _rows(graph: Graph) -> Iterator[tuple[Step, ...]]:
    """Yield the steps in their order; migrations between which nothing else hangs come together."""
    taken: set[StepId] = set()
    for step in graph:
        if step.id in taken:
            continue
        row = [step]
        while (follower := _only_follower(row[-1], graph)) is not None:
            row.append(follower)
            taken.add(follower.id)
        yield tuple(row)


def _only_follower(step: Step, graph: Graph) -> Step | None:
    """Return the migration that alone comes after this one and after nothing else, if it is of its kind."""
    followers = graph.successors(step.id)
    if step.migration is None or len(followers) != 1:
        return None
    follower = graph.step(followers[0])
    is_alike = (follower.database, follower.phase) == (step.database, step.phase)
    return follower if is_alike and follower.migration is not None and len(follower.after) == 1 else None


def as_svg(graph: Graph) -> Html:
    """Return the picture; its size is its own, and the page scrolls it where that is too wide."""
    drawn = boxes(graph)
    drawing = lay_out([box.after for box in drawn])
    width, height = drawing.width + 2 * _MARGIN, drawing.height + 2 * _MARGIN
    return element(
        "svg",
        element("title", f"The {len(graph)} steps of the release, from top to bottom"),
        _ARROW,
        element("g", *_shapes(drawn, drawing), transform=f"translate({_MARGIN} {_MARGIN})"),
        role="img",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
    )


_ARROW: Final = element(
    "defs",
    element(
        "marker",
        Html('<path d="M0 0 8 4 0 8z"/>'),
        id="arrow",
        viewBox="0 0 8 8",
        refX="7",
        refY="4",
        markerWidth="7",
        markerHeight="7",
        orient="auto",
    ),
)


def _shapes(drawn: tuple[Box, ...], drawing: Drawing) -> Iterator[Html]:
    for points in drawing.edges:
        yield Html(f'<path class="edge" d="{_curve(points)}" marker-end="url(#arrow)"/>')
    for box, centre in zip(drawn, drawing.centres, strict=True):
        yield _box(box, centre)


def _curve(points: tuple[Point, ...]) -> str:
    """Return a path through points that leaves and meets each of them from above."""
    (x, y), *rest = points
    path = [f"M{x:.0f} {y:.0f}"]
    for to_x, to_y in rest:
        middle = (y + to_y) / 2
        same = abs(to_x - x) < 1
        path.append(
            f"V{to_y:.0f}" if same else f"C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}"
        )
        x, y = to_x, to_y
    return "".join(path)


def _box(box: Box, centre: Point) -> Html:
    x, y = centre
    step = box.steps[0]
    kind = "no-return" if step.no_return else step.kind
    lines = [
        element(
            "text", shortened(box.title, _LETTERS), x=f"{x:.0f}", y=f"{y - 3 if box.detail else y + 4:.0f}"
        )
    ]
    if box.detail:
        detail = shortened(box.detail, _LETTERS)
        lines.append(element("text", detail, x=f"{x:.0f}", y=f"{y + 13:.0f}", class_="detail"))
    return element(
        "g",
        element("title", " ".join(part for part in (box.title, box.detail) if part)),
        Html(
            f'<rect x="{x - BOX[0] / 2:.0f}" y="{y - BOX[1] / 2:.0f}"'
            f' width="{BOX[0]:.0f}" height="{BOX[1]:.0f}" rx="6"/>'
        ),
        joined(*lines),
        class_=f"step {kind}",
    )
