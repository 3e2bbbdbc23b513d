"""Send new connections to the next version; the way back asks only whether the other side is ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coordinator.errors import StepFailed
from coordinator.graph import Step
from coordinator.model import Colour, Role
from coordinator.ports.checks import Answer
from coordinator.ports.platforms import Platform, Serving
from coordinator.steps import Context, Observation, StepKind
from coordinator.world import Effect, Seen, TrafficMoves

_PATIENCE: Final = timedelta(seconds=30)
"""How long the way back waits for a side that runs: its database may have restarted this moment."""
_POLL: Final = timedelta(milliseconds=200)

_SEEN: Final = timedelta(seconds=30)
"""How long a platform may take until everybody has heard of a switch."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What it means that an answer is not ok."""

    code: str
    why: str
    next_step: str


_REFUSED: Final = _Refusal(
    code="switch-refused",
    why="This must hold before traffic moves. It did not move.",
    next_step="Look at its log, and release again.",
)
_UNCONFIRMED: Final = _Refusal(
    code="switch-unconfirmed",
    why="Traffic was moved, and this must be seen afterwards.",
    next_step="Look where clients are sent now. The traffic goes back if the plan says so.",
)


class Switch:
    """One compare-and-set at the platform's router."""

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """Traffic is at next."""
        return (TrafficMoves(step.its_service, Role.NEXT),)

    def observe(self, step: Step, context: Context) -> Observation:
        """The router says who serves; a switch that nobody saw confirmed is not done."""
        platform = context.ports.platform(step.its_service)
        live = platform.survey().live
        if live is not step.colour:
            return Observation(Seen.NOT_DONE, f"{live or 'nobody'} serves")
        wrong = [
            each.detail
            for each in platform.after_switch(step.its_colour, deadline=timedelta())
            if not each.ok
        ]
        if wrong:
            return Observation(Seen.NOT_DONE, f"{live} has the traffic, unconfirmed: {'; '.join(wrong)}")
        return Observation(Seen.DONE, f"{live} serves")

    def perform(self, step: Step, context: Context) -> str:
        """Switch, if all holds that must hold before, and make sure that it is seen everywhere.

        A switch of ours that was cut off before it was confirmed is not made again, and is confirmed now.
        """
        spec = context.ports.plan.services[step.its_service]
        platform = context.ports.platform(spec.name)
        live = platform.survey().live
        if live is not step.colour:
            if spec.canary is not None:  # it may be as small as its share was
                platform.deploy(step.its_colour, spec.version, deadline=spec.deploy_deadline)
            _demand(step, platform.before_switch(step.its_colour), context, refused=_REFUSED)
            platform.switch(expected=live and step.its_colour.other, to=step.its_colour)
        _demand(step, platform.after_switch(step.its_colour, deadline=_SEEN), context, refused=_UNCONFIRMED)
        return f"{step.colour} serves" if live is step.colour else f"{live or 'nobody'} → {step.colour}"

    def undo(self, step: Step, context: Context) -> str:
        """Switch back, if the side that served before is proven healthy; else stay and say so.

        Where it ended, or was scaled to nothing by hand, it is started again: it is kept to go back to.
        """
        platform = context.ports.platform(step.its_service)
        back: Colour = step.its_colour.other
        serving = _patient_survey(platform, back, context)
        if serving.live is not step.colour:
            return f"{serving.live or 'nobody'} serves"
        if serving.sides[back].version is None:
            return f"{step.colour} goes on serving: nothing served before it"
        if not serving.sides[back].running:
            _start_again(platform, step, back, context)
        elif not serving.sides[back].ready:
            raise _blocked(step, back, serving.sides[back].detail)
        platform.switch(expected=step.its_colour, to=back)
        _demand(step, platform.after_switch(back, deadline=_SEEN), context, refused=_UNCONFIRMED)
        return f"{step.colour} → {back}"


def _start_again(platform: Platform, step: Step, back: Colour, context: Context) -> None:
    """Start what is to be served again. Raises: StepFailed `rollback-blocked`."""
    context.note(f"{back} does not run any more. Starting it again.")
    spec = context.ports.plan.services[step.its_service]
    try:
        platform.restore(back, deadline=spec.deploy_deadline)
    except StepFailed as error:
        raise _blocked(step, back, str(error)) from error


def _blocked(step: Step, back: Colour, why: str) -> StepFailed:
    return StepFailed(
        "rollback-blocked",
        f"`{step.service}` stays on {step.colour}: {back} is not ready to take the traffic back.",
        why=why,
        next_step=f"Bring {back} back and run `coordinator rollback` again.",
    )


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


def _demand(step: Step, answers: Sequence[Answer], context: Context, *, refused: _Refusal) -> None:
    """Show every answer. Raises: StepFailed with all that are not ok."""
    for answer in answers:
        context.note(answer.detail)
    wrong = [answer.detail for answer in answers if not answer.ok]
    if wrong:
        raise StepFailed(
            refused.code,
            f"`{step.service}` {step.version} on {step.colour}: {'; '.join(wrong)}.",
            why=refused.why,
            next_step=refused.next_step,
        )


STEP: Final[StepKind] = Switch()
