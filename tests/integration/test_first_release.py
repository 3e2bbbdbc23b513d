"""A first release that fails while it serves has nowhere to go back to: it goes on serving, and says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fakes.platform import FilePlatform

from coordinator.adapters.clock import SystemClock
from coordinator.graph import Step, StepId
from coordinator.leases import Claim
from coordinator.model import Colour, ServiceName, Version
from coordinator.ports.platforms import Platform
from coordinator.steps import Context
from coordinator.steps.deploy import STEP as DEPLOY
from coordinator.steps.switch import STEP as SWITCH


class OnePlatform:
    """Ports of which a step asks the platform and the settings alone."""

    clock = SystemClock()

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.plan = type("Plan", (), {"services": {"shop": self}})
        self.name = ServiceName("shop")
        self.drain_deadline = timedelta()
        self.worker = None

    def platform(self, _: ServiceName) -> Platform:
        return self._platform


def undo_both(platform: Platform) -> None:
    context = Context(
        ports=OnePlatform(platform),
        claim=Claim("d", "r"),
        supersede=False,
        since=SystemClock().now(),
        in_doubt=False,
        is_halted=lambda: False,
        note=lambda _: None,
    )
    for kind, step in (("switch", SWITCH), ("deploy", DEPLOY)):
        assert step.undo is not None
        step.undo(
            Step(
                StepId(f"{kind}:shop"),
                kind,
                service=ServiceName("shop"),
                colour=Colour.BLUE,
                version=Version("1"),
            ),
            context,
        )


def test_what_serves_first_is_left_serving(tmp_path: Path) -> None:
    platform = FilePlatform(tmp_path / "shop.json")
    platform.deploy(Colour.BLUE, Version("1"), deadline=timedelta())
    platform.switch(expected=None, to=Colour.BLUE)

    undo_both(platform)

    serving = platform.survey()
    assert serving.live is Colour.BLUE
    assert serving.sides[Colour.BLUE].ready


def test_what_does_not_serve_yet_is_scaled_down(tmp_path: Path) -> None:
    platform = FilePlatform(tmp_path / "shop.json")
    platform.deploy(Colour.BLUE, Version("1"), deadline=timedelta())

    undo_both(platform)

    assert not platform.survey().sides[Colour.BLUE].running
