"""`coordinator local up`, `status` and `down` over real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE

import pytest
from fixtures.local import ask, kill_router, kill_side, local_platform, processes_of, taken_down

from coordinator.model import Colour, Version

BLUE, GREEN = Colour
V14, V15 = Version("1.4"), Version("1.5")
SOON = timedelta(seconds=60)
GRACE = timedelta(seconds=5)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Path]:
    command = json.dumps(["python3", str(Path(__file__).parents[1] / "fixtures" / "service.py")])
    file = tmp_path / "plan.yaml"
    file.write_text(
        "version: 1\nrelease: shop-${VERSION}\nservices:\n  shop:\n    version: ${VERSION}\n"
        f"    platform:\n      local: {{command: {command}, grace: 5s}}\n"
    )
    with taken_down(local_platform(tmp_path), tmp_path):
        yield file


def local_command(command: str, plan: Path, *more: str, **keywords) -> subprocess.Popen:
    argv = [sys.executable, "-m", "coordinator", "local", command, str(plan), "--set", "VERSION=1.4", *more]
    return subprocess.Popen(argv, stdout=PIPE, stderr=PIPE, text=True, **keywords)


def output_of(started: subprocess.Popen) -> str:
    with started:
        out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    return out


def test_two_commands_that_bring_a_service_up_at_once_make_one(plan: Path, tmp_path: Path):
    started = [local_command("up", plan) for _ in range(2)]

    printed = {output_of(each) for each in started}

    assert len(printed) == 1
    assert printed.pop().startswith("shop 1.4 (blue): http://127.0.0.1:")
    assert len(processes_of(tmp_path)) == 2


def test_what_is_brought_up_keeps_no_descriptor_of_its_caller(plan: Path):
    reading, writing = os.pipe()
    output_of(local_command("up", plan, pass_fds=(writing,)))
    os.close(writing)

    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""


def test_up_repairs_what_died_and_leaves_down_what_was_stopped(plan: Path, tmp_path: Path):
    platform = local_platform(tmp_path)
    platform.bring_up(V14, deadline=SOON)
    platform.deploy(GREEN, V15, deadline=SOON)
    platform.switch(expected=BLUE, to=GREEN)
    platform.stop(BLUE, grace=GRACE)
    address = platform.public_address()
    kill_router(platform)
    kill_side(platform, GREEN)

    output_of(local_command("up", plan))

    assert ask(address) == "1.5 green"
    assert not platform.survey().sides[BLUE].running


def test_status_tells_router_port_and_both_sides(plan: Path, tmp_path: Path):
    platform = local_platform(tmp_path)
    platform.bring_up(V14, deadline=SOON)

    shown = json.loads(output_of(local_command("status", plan, "--output", "json")))
    kill_router(platform)
    text = output_of(local_command("status", plan))

    shop = shown["services"]["shop"]
    assert shown["schema"] == "coordinator/local-status/1"
    assert (shop["live"], shop["sides"]["blue"]["ready"], shop["sides"]["green"]["version"]) == (
        "blue",
        True,
        None,
    )
    assert (shop["router"]["running"], shop["router"]["address"]) == (True, platform.public_address())
    assert "is down; `coordinator local up` starts it again" in text


def test_down_ends_everything_and_may_be_repeated(plan: Path, tmp_path: Path):
    local_platform(tmp_path).bring_up(V14, deadline=SOON)

    printed = [output_of(local_command("down", plan)) for _ in range(2)]

    assert printed == ["shop: taken down\n", "shop: was not up\n"]
    assert processes_of(tmp_path) == {}
    assert not (tmp_path / ".coordinator" / "local").exists()
