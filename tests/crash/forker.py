"""A warm parent for processes that are killed: one JSON line in, one fork, one JSON line out.

A Python that starts anew for each of some hundred kills would take minutes. This parent has imported
everything and has one thread, so that a fork is a clean copy; what it forks is a real process, and it dies
of a real SIGKILL at the boundary that it was told.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place, the_open_run
from coordinator.app.requests import leave
from coordinator.app.running import Ended, Runner
from coordinator.errors import CoordinatorError, ExitCode
from coordinator.graph import StepId
from coordinator.journal.events import Event, Outcome, RollbackStarted, from_wire, name_of
from coordinator.journal.fold import RunState
from coordinator.load import load_plan
from coordinator.model import CheckSpec, DatabaseName, ServiceName
from coordinator.ports.checks import Answer, Subject
from coordinator.ports.databases import Session
from coordinator.ports.machine import Journal
from coordinator.ports.platforms import Platform
from coordinator.steps import Observation, StepKind
from coordinator.world import Seen

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes.platform import FilePlatform


class Boundary:
    """Counts the instants just before and just after each durable change, and dies at one of them.

    `kill_at` is its number, or its name, or names of which it is the last, met one after the other: a number
    is not the same instant in each run, as two steps may be at work and what a worker brings back is written
    down when it comes.
    """

    def __init__(self, kill_at: int | str | list[str] | None) -> None:
        self.passed: list[str] = []
        self._number = kill_at if isinstance(kill_at, int) else None
        self._names = [kill_at] if isinstance(kill_at, str) else kill_at if isinstance(kill_at, list) else []
        self._lock = Lock()

    def point(self, name: str) -> None:
        with self._lock:  # workers and the loop pass at once
            self.passed.append(name)
            is_met = self._names[:1] == [name]
            if is_met:
                self._names = self._names[1:]
            if (is_met and not self._names) or len(self.passed) == self._number:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Have a boundary on either side of what is done within."""
        self.point(f"before {name}")
        yield
        self.point(f"after {name}")


class Cut:
    """Another object, with boundaries around some of its methods."""

    def __init__(self, inner: Any, boundary: Boundary, *methods: str) -> None:
        self._inner = inner
        for name in methods:
            setattr(self, name, self._cut(getattr(inner, name), boundary))

    @staticmethod
    def _cut(effect: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
        def cut(*args: Any, **kwargs: Any) -> Any:
            with boundary.around(effect.__name__):
                return effect(*args, **kwargs)

        return cut

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Remembering(FilePlatform):
    """A platform in a file: each change of it lies between two boundaries and is written down."""

    def __init__(self, file: Path, boundary: Boundary, *, is_worker: bool) -> None:
        super().__init__(file, is_worker=is_worker)
        self._folder = file.parent
        self._boundary = boundary

    @contextmanager
    def _world(self) -> Iterator[dict[str, Any]]:
        with self._boundary.around("change"):
            with super()._world() as world:
                yield world
            remember(self._folder, world)


def remember(folder: Path, happened: dict[str, Any]) -> None:
    """Write down what the world was like at an instant, or what was asked and answered."""
    with (folder / "history").open("a") as history:
        history.write(json.dumps(happened) + "\n")


_EFFECTS = ("deploy", "switch", "stop", "restore")


class CutPorts(ConnectedPorts):
    """The real databases and a platform in a file, each effect between two boundaries."""

    def __init__(self, folder: Path, boundary: Boundary) -> None:
        environment = json.loads((folder / "environment.json").read_text())
        plan = load_plan(folder / "plan.yaml", settings={}, environment=environment)
        super().__init__(plan, environment=environment)
        self._folder = folder
        self._boundary = boundary
        self._in_files = {
            name: Remembering(folder / f"{name}.json", boundary, is_worker=spec.worker is not None)
            for name, spec in plan.services.items()
            if (folder / f"{name}.json").exists()
        }

    @contextmanager
    def session(self, database: DatabaseName, *, label: str) -> Iterator[Session]:
        with super().session(database, label=label) as session:
            yield Cut(session, self._boundary, "execute", "execute_all")  # type: ignore[misc]

    def platform(self, service: ServiceName) -> Platform:
        if service not in self._in_files:
            return Cut(super().platform(service), self._boundary, *_EFFECTS)  # type: ignore[return-value]
        return self._in_files[service]

    def ask(self, check: CheckSpec, subject: Subject) -> Answer:
        """Fail verification (it asks a colour), monitoring (it asks at the public address) or a canary."""
        service = ServiceName(subject.service)
        is_public = subject.address == self.platform(service).public_address()
        in_file = self._in_files.get(service)
        asked = "canary" if in_file and in_file.canary_out() else "monitor" if is_public else "verify"
        if (self._folder / f"fail-{asked}").exists():
            return Answer(ok=False, detail=f"{asked} was told to fail")
        if in_file is None:
            return super().ask(check, subject)
        remember(self._folder, {"passed": asked})
        return Answer(ok=True, detail=asked)


class CutJournal:
    """The real journal, each event and each request between two boundaries, named by the event."""

    def __init__(self, inner: Journal, boundary: Boundary) -> None:
        self._inner = inner
        self._boundary = boundary

    def append(self, run: str, sequence: int, *records: str) -> None:
        # Which events are written together is a matter of time, and their number is none.
        with ExitStack() as stack:
            for event in map(from_wire, records):
                name = f"{name_of(event)} {getattr(event, 'step', 'run')}"
                stack.enter_context(self._boundary.around(name))
            self._inner.append(run, sequence, *records)

    def ask(self, run: str, request: str) -> None:
        with self._boundary.around("request"):
            self._inner.ask(run, request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class CutPlace(Place):
    """The place of the plan, with the cut journal."""

    boundary: Boundary

    @property
    def journal(self) -> Journal:
        return CutJournal(super().journal, self.boundary)  # type: ignore[return-value]


class Blind:
    """A kind of step with its observation switched off: it never sees that something is done."""

    def __init__(self, inner: StepKind) -> None:
        self._inner = inner

    def observe(self, *_: object) -> Observation:
        return Observation(Seen.NOT_DONE)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Nobody:
    """An audience that looks away."""

    def saw(self, event: Event, state: RunState) -> None: ...
    def noted(self, step: StepId, text: str) -> None: ...
    def ticked(self, state: RunState, *, now: datetime) -> None: ...


def release(folder: Path, boundary: Boundary, *, command: str, blind: bool) -> int:
    """Do what `coordinator run` or `rollback` does, and return its exit code."""
    ports = CutPorts(folder, boundary)
    place = CutPlace(folder / "plan.yaml")
    object.__setattr__(place, "boundary", boundary)
    kinds: Mapping[str, Any] = step_kinds()
    if blind:
        kinds = {name: Blind(kind) for name, kind in kinds.items()}
    runner = Runner(
        place=place,
        ports=ports,
        settings={},
        kinds=kinds,
        audience=Nobody(),
        is_stopping=lambda: False,
    )
    try:
        ended = COMMANDS[command](runner)
    except CoordinatorError as error:
        (folder / "error").write_text(f"{error.code}: {error}")
        return error.exit_code
    (folder / "error").write_text("\n".join(str(each) for each in ended.problems))
    return ended.exit_code(wanted=Outcome.RELEASED if command == "run" else Outcome.ROLLED_BACK)


def run(runner: Runner) -> Ended:
    return runner.run_release(supersede=False, show=lambda *_: None)


def rollback(runner: Runner) -> Ended:
    state = the_open_run(runner.place)
    leave(
        runner.place.journal,
        state,
        RollbackStarted(datetime.now(UTC), "asked for", automatic=False),
        holder=None,
    )
    return runner.resume_or_follow(state)


COMMANDS: Mapping[str, Callable[[Runner], Ended]] = {"run": run, "rollback": rollback}


def child(order: dict[str, Any], reply: int) -> int:
    boundary = Boundary(order["kill_at"])
    Path(order["folder"], "pid").write_text(str(os.getpid()))
    code = release(Path(order["folder"]), boundary, command=order["command"], blind=order["blind"])
    os.write(reply, json.dumps(boundary.passed).encode())
    return code


def fork(order: dict[str, Any]) -> dict[str, Any]:
    """Run the order in a child; report its exit code, or that it was killed, and the boundaries it passed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        code: int = ExitCode.BUG
        try:
            os.close(reading)
            code = child(order, writing)
        except BaseException as error:  # noqa: BLE001 - the parent must hear of it, and nothing may return
            found = [str(each) for each in getattr(error, "diagnostics", ())]
            Path(order["folder"], "error").write_text("\n".join([repr(error), *found]))
        finally:
            os._exit(code)
    os.close(writing)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reading) as answer:
        passed = answer.read()
    killed = os.WIFSIGNALED(status)
    return {
        "killed": killed,
        "code": None if killed else os.WEXITSTATUS(status),
        "passed": json.loads(passed or "[]"),
    }


def main() -> None:
    import coordinator.engine.run as loop  # noqa: PLC0415
    from coordinator.adapters import sqlite_session  # noqa: PLC0415
    from coordinator.backfills import work  # noqa: PLC0415
    from coordinator.engine import ahead, jobs  # noqa: PLC0415

    # Which boundaries a run has is the same on a busy machine: groups as large, committed whole, and
    # progress told once.
    ahead._QUICK = timedelta(minutes=1)  # type: ignore[misc]
    sqlite_session._LONGEST = 60.0
    work._SAY = timedelta(days=1)  # type: ignore[misc]
    loop._TICK = 0.005  # type: ignore[misc]  # a test waits for results, not for people
    jobs._BRING = timedelta(milliseconds=5)  # type: ignore[misc]
    jobs._PAUSES = (0.01,)  # type: ignore[misc,assignment]
    for name in ("deploy", "drain"):
        sys.modules[f"coordinator.steps.{name}"]._POLL = timedelta(milliseconds=1)  # type: ignore[attr-defined]
    sys.modules["coordinator.app.planning"].lint_services = (  # type: ignore[attr-defined]
        lambda _: ()  # the file stands for a platform that has canaries and workers
    )
    write = partial(print, flush=True)
    for line in sys.stdin:
        write(json.dumps(fork(json.loads(line))))


if __name__ == "__main__":
    step_kinds()
    for engine in ("sqlite", "postgresql"):
        __import__(f"coordinator.adapters.databases.{engine}")
    for tool in ("goose", "golang_migrate"):
        __import__(f"migrations_hooks.{tool}")
    main()
