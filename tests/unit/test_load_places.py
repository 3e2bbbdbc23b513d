"""Two services of a plan are not reached at one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.load import load_plan
from coordinator.load.platforms import lint_services

CLUSTER = "context: prod, namespace: shop, image: 'shop:1'"
LOCAL = "local: {{command: [./shop], port: {}}}"
SERVICE = f"kubernetes: {{{{{CLUSTER}, service: {{}}}}}}"
WORKER = f"kubernetes: {{{CLUSTER}}}"


def codes(folder: Path, *platforms: str, more: str = "") -> list[str]:
    services = "".join(
        f'  {name}: {{version: "1", platform: {{{each}}}{more}}}\n'
        for name, each in zip("abc", platforms, strict=False)
    )
    (folder / "plan.yaml").write_text(f"version: 1\nrelease: shop-1\nservices:\n{services}")
    plan = load_plan(folder / "plan.yaml", settings={}, environment={})
    return [f"{each.place.line} {each.code}" for each in lint_services(plan) if "place" in each.code]


@pytest.mark.parametrize(
    ("platforms", "second"),
    [
        ([LOCAL.format(8080), LOCAL.format(8081), LOCAL.format(8080)], ["6 place-taken-twice"]),
        ([SERVICE.format("web"), SERVICE.format("web")], ["5 place-taken-twice"]),
        ([LOCAL.format(0), LOCAL.format(0)], []),
        ([SERVICE.format("web"), SERVICE.format("api")], []),
    ],
    ids=["one port", "one Service", "any port", "two Services"],
)
def test_a_place_that_two_services_have_is_told_at_the_second(
    tmp_path: Path, platforms: list[str], second: list[str]
):
    assert codes(tmp_path, *platforms) == second


def test_workers_are_reached_nowhere(tmp_path: Path):
    assert codes(tmp_path, WORKER, WORKER, more=", worker: overlap") == []
