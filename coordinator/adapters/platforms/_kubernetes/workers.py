"""Which colour of a worker does the work: a mark on its Deployments, for there is no Service to ask.

The mark is a number, and the larger one works; so that taking over is one patch of one object, and a kill
between two patches cannot leave a worker with two live colours or none.
"""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.adapters.platforms._kubernetes.deployments import Deployments
from coordinator.adapters.platforms._kubernetes.objects import WORKS_SINCE, Json, number, size_of
from coordinator.errors import StepFailed
from coordinator.model import Colour


def working(found: Mapping[Colour, Json | None], *, name: str) -> Colour | None:
    """Return the colour that does the work, None where nothing was ever deployed.

    Raises: StepFailed `worker-ambiguous` where both run and neither is marked.
    """
    marked = {colour: number(each, WORKS_SINCE) for colour, each in found.items() if each is not None}
    if any(marked.values()):
        return max(marked, key=marked.__getitem__)
    running = [colour for colour, each in found.items() if each is not None and size_of(each)]
    if len(running) > 1:
        raise StepFailed(
            "worker-ambiguous",
            f"Both colours of worker `{name}` run, and nothing says which of them does the work.",
            next_step="Scale the one to 0 that shall go, then run the command again.",
        )
    return running[0] if running else None


def take_over(deployments: Deployments, to: Colour) -> None:
    """Mark `to` as the colour that works; harmless where it does already."""
    found = {colour: deployments.read(colour) for colour in Colour}
    marks = {colour: number(each, WORKS_SINCE) for colour, each in found.items() if each is not None}
    if marks.get(to, 0) <= marks.get(to.other, 0):
        deployments.annotate(to, {WORKS_SINCE: str(marks.get(to.other, 0) + 1)})
