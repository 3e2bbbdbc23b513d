"""A platform whose whole world is one JSON file: fast, without processes, and it survives kill -9.

Held to the same contract as the real ones (tests/contracts/test_every_platform.py). A version's last part
says how it behaves, as in tests/fixtures/service.py: `1.5-dies` ends at start, `1.5-unready` never answers.
Nothing is waited for: what a real platform would say at the deadline is said at once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from coordinator.errors import StepFailed, Waiting
from coordinator.model import Colour, Version
from coordinator.ports.checks import Answer
from coordinator.ports.platforms import Serving, Side

_NOTHING = {"version": None, "running": False, "ready": False, "connections": 0}


class FilePlatform:
    """One service in `file`; with `is_worker` it has no traffic, and live is the colour that works."""

    def __init__(self, file: Path, *, is_worker: bool = False) -> None:
        self._file = file
        self._is_worker = is_worker
        self._run: str | None = None
        self._epoch = 0

    def identity(self) -> str:
        return f"file:{self._file.resolve()}"

    def fence(self, run: str) -> None:
        if run == self._run:
            return
        with self._world() as world:
            world["epoch"] = self._epoch = world.get("epoch", 0) + 1
            if world.get("run") != run:
                world["run"], world["recorded"] = run, world["live"]
        self._run = run

    def survey(self) -> Serving:
        world = self._read()
        self._check(world)
        sides = {
            colour: Side(
                version=world[colour]["version"],
                running=world[colour]["running"],
                ready=world[colour]["ready"],
            )
            for colour in Colour
        }
        return Serving(live=Colour(world["live"]) if world["live"] else None, sides=sides)

    def deploy(self, colour: Colour, version: Version, *, deadline: timedelta) -> None:  # noqa: ARG002
        behaviour = version.rpartition("-")[2]
        with self._world() as world:
            self._check(world)
            side = world[colour]
            if world["live"] == colour and side["version"] != version:
                raise StepFailed("colour-serves", f"{colour} serves {side['version']}.")
            side["version"] = version
            side["running"] = behaviour != "dies"
            side["ready"] = behaviour not in ("dies", "unready")
        if behaviour == "dies":
            raise StepFailed("start-failed", f"{version} ended with exit code 3.")
        if behaviour == "unready":
            raise StepFailed("not-ready", f"{version} is not ready.")
        if self._is_worker and not self._read()[colour.other]["running"]:
            with self._world() as world:  # nothing else tells who works after a handover
                self._check(world)
                world["live"] = world["recorded"] = colour

    def restore(self, colour: Colour, *, deadline: timedelta) -> None:
        self.deploy(colour, self._deployed(colour), deadline=deadline)

    def address(self, colour: Colour) -> str:
        self._deployed(colour)
        return f"http://{colour}.invalid"

    def public_address(self) -> str:
        return "http://public.invalid"

    def log_of(self, colour: Colour) -> str:
        return f"the log of {colour}"

    def let_clients_in(self) -> None:
        pass

    def version_at(self, address: str) -> str:
        """Be the client that asks at an address."""
        return str(self._deployed(Colour(address.removeprefix("http://").removesuffix(".invalid"))))

    def canary(self, colour: Colour, percent: int, *, deadline: timedelta) -> float:  # noqa: ARG002
        with self._world() as world:
            self._check(world)
            if world["live"] != colour.other:
                raise StepFailed(
                    "switch-conflict", f"Traffic goes to {world['live']}, not to {colour.other}."
                )
            world["canary"] = {"colour": colour, "percent": percent}
        return float(percent)

    def end_canary(self) -> None:
        seen = self._read()
        self._check(seen)
        if "canary" not in seen:
            return
        with self._world() as world:
            self._check(world)
            world.pop("canary", None)

    def before_switch(self, to: Colour) -> tuple[Answer, ...]:
        side = self._read()[to]
        return (Answer(ok=side["ready"], detail=f"{to} is {'ready' if side['ready'] else 'not ready'}"),)

    def switch(self, *, expected: Colour | None, to: Colour) -> None:
        with self._world() as world:
            self._check(world)
            if world["live"] != expected:
                raise StepFailed("switch-conflict", f"Traffic goes to {world['live']}, not to {expected}.")
            world["live"] = world["recorded"] = to
            world.pop("canary", None)

    def after_switch(self, to: Colour, *, deadline: timedelta) -> tuple[Answer, ...]:  # noqa: ARG002
        world = self._read()
        is_seen = world["live"] == to and not str(world[to]["version"]).endswith("-unconfirmed")
        return (Answer(ok=is_seen, detail=f"{to} {'answers' if is_seen else 'does not answer'}"),)

    def open_connections(self, colour: Colour) -> int | None:
        return int(self._read()[colour]["connections"])

    def missing_rights(self) -> tuple[str, ...]:
        return ()

    def stop(self, colour: Colour, *, grace: timedelta) -> None:  # noqa: ARG002
        with self._world() as world:
            self._check(world)
            reached = (world["live"], world.get("canary", {}).get("colour"))
            if colour in reached and not self._is_worker:
                raise StepFailed("colour-serves", f"{colour} serves.")
            world[colour] |= {"running": False, "ready": False, "connections": 0}

    # -- what a test does to it -----------------------------------------------------------------------

    @contextmanager
    def client(self) -> Iterator[None]:
        """Be a client with an open connection to whoever serves now."""
        with self._world() as world:
            colour = world["live"]
            world[colour]["connections"] += 1
        yield
        with self._world() as world:
            world[colour]["connections"] = max(0, world[colour]["connections"] - 1)

    def move_by_hand(self, colour: Colour) -> None:
        """Be the person who sends the traffic elsewhere behind the back of a release."""
        with self._world() as world:
            world["live"] = colour

    def canary_out(self) -> tuple[str, int] | None:
        """Return the colour that shares the traffic, and the percent that was asked for."""
        found = self._read().get("canary")
        return None if found is None else (found["colour"], found["percent"])

    def kill(self, colour: Colour) -> None:
        """Let what runs as `colour` die."""
        with self._world() as world:
            world[colour] |= {"running": False, "ready": False, "connections": 0}

    # -- the file -------------------------------------------------------------------------------------

    def _check(self, world: dict[str, Any]) -> None:
        if self._run is None:
            return
        if world.get("epoch") != self._epoch:
            raise Waiting("fenced-off", "Another coordinator took over.")
        if world["live"] != world.get("recorded"):
            raise Waiting("changed-by-hand", f"Traffic was moved to {world['live']} by hand.")

    def _deployed(self, colour: Colour) -> Version:
        version = self._read()[colour]["version"]
        if version is None:
            raise StepFailed("never-deployed", f"Nothing was ever deployed as {colour}.")
        return Version(version)

    def _read(self) -> dict[str, Any]:
        if not self._file.exists():
            return {"live": None, **{colour: dict(_NOTHING) for colour in Colour}}
        return json.loads(self._file.read_text())

    @contextmanager
    def _world(self) -> Iterator[dict[str, Any]]:
        """Change the world: all of the block, or nothing if it raises or is killed."""
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            world = self._read()
            yield world
            draft = self._file.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(world))
            draft.rename(self._file)
