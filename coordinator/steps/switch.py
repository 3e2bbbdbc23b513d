"""Send new connections to the next version; the way back asks only whether the other side is ready."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from coordinator.errors import StepFailed
from coordinator.graph import Step
from coordinator.model import Colour, Role
from coordinator.ports import Platform, Serving, Side
from coordinator.steps import Context, Observation, StepKind
from coordinator.world import Effect, Seen, TrafficMoves

_PATIENCE: Final = timedelta(seconds=30)
"""How long the way back waits for a side that runs: its database may have restarted this moment."""
_POLL: Final = timedelta(milliseconds=200)


class Switch:
    """One compare-and-set at the platform's router."""

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """Traffic is at next."""
        return (TrafficMoves(step.its_service, Role.NEXT),)

    def observe(self, step: Step, context: Context) -> Observation:
        """The router says who serves."""
        serving = context.ports.platform(step.its_service).survey()
        if serving.live is step.colour:
            return Observation(Seen.DONE, f"{step.colour} serves")
        return Observation(Seen.NOT_DONE, f"{serving.live or 'nobody'} serves")

    def perform(self, step: Step, context: Context) -> str:
        """Switch, if next is still ready and nobody else moved the traffic since."""
        platform = context.ports.platform(step.its_service)
        serving = platform.survey()
        _demand_ready(step, serving.sides[step.its_colour])
        platform.switch(expected=serving.live and step.its_colour.other, to=step.its_colour)
        return f"{serving.live or 'nobody'} → {step.colour}"

    def undo(self, step: Step, context: Context) -> str:
        """Switch back, if the side that served before is proven healthy; else stay and say so."""
        platform = context.ports.platform(step.its_service)
        back: Colour = step.its_colour.other
        serving = _patient_survey(platform, back, context)
        if serving.live is not step.colour:
            return f"{serving.live or 'nobody'} serves"
        if serving.sides[back].version is None:
            return f"{step.colour} goes on serving: nothing served before it"
        if not serving.sides[back].ready:
            raise StepFailed(
                "rollback-blocked",
                f"`{step.service}` stays on {step.colour}: {back} is not ready to take the traffic back.",
                why=serving.sides[back].detail,
                next_step=f"Bring {back} back and run `coordinator rollback` again.",
            )
        platform.switch(expected=step.its_colour, to=back)
        return f"{step.colour} → {back}"


def _patient_survey(platform: Platform, back: Colour, context: Context) -> Serving:
    """Survey, and while `back` runs without being ready, again for a while."""
    end = context.ports.clock.now() + _PATIENCE
    while True:
        serving = platform.survey()
        side = serving.sides[back]
        if serving.live is back or side.ready or not side.running or context.ports.clock.now() >= end:
            return serving
        context.note(f"{back} is not ready to take the traffic back: {side.detail}. Asking again.")
        context.wait(_POLL)


def _demand_ready(step: Step, side: Side) -> None:
    if not side.ready:
        raise StepFailed(
            "next-not-ready",
            f"`{step.service}` {step.version} on {step.colour} was ready and is not any more.",
            why=side.detail,
            next_step="Traffic did not move. Look at its log, and release again.",
        )


STEP: Final[StepKind] = Switch()
