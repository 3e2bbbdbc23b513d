"""One coordinator at a time on a service, also where the older one wakes up late.

A coordinator that takes the service counts the annotation `coordinator/epoch` up on each of its objects,
and every later patch of its own tests that number in the same request. So a process that was stopped for an
hour between its look and its patch changes nothing: the API server refuses. A Lease with a time to live was
rejected: it trusts clocks, and a patch that is already under way does not ask it.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime
from threading import Lock
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.failures import Changed, Unanswered
from coordinator.adapters.platforms._kubernetes.objects import (
    EPOCH,
    HOLDER,
    RELEASE,
    RUN,
    SELECTOR,
    WORKS_SINCE,
    Json,
    annotate,
    annotation,
    at,
    demand,
    name_of,
    number,
    size_of,
    text_of,
)
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.errors import StepFailed, Waiting

_TRIES: Final = 5


class Fence:
    """What this process may still change; safe to share between threads."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = Lock()
        self._run: str | None = None
        self._epoch = 0

    @property
    def is_held(self) -> bool:
        """Tell whether this process took the service."""
        return self._run is not None

    @property
    def marks(self) -> dict[str, str]:
        """Return the annotations of an object that this process makes."""
        marks = {RELEASE: self._site.release}
        return marks | ({EPOCH: str(self._epoch), RUN: self._run} if self._run else {})

    def take(self, run: str) -> None:
        """Take the service for `run` from whoever has it. Raises: Waiting `fenced-off`."""
        with self._lock:
            if self._run == run:
                return
            found = {path: thing for path in self._site.objects() if (thing := self._site.api.get(path))}
            epoch = 1 + max((number(thing, EPOCH) for thing in found.values()), default=0)
            works = _who_works(found) if self._site.spec.service is None else None
            for path, thing in found.items():
                extra = {WORKS_SINCE: str(epoch)} if path == works else {}
                self._write(path, thing, {EPOCH: str(epoch), RUN: run, HOLDER: _holder(), **extra})
            self._run, self._epoch = run, epoch

    def guard(self) -> list[dict[str, Any]]:
        """Return the operations with which a patch fails if somebody else took the service."""
        return [demand(str(self._epoch), "metadata", "annotations", EPOCH)] if self._run else []

    def check(self, thing: Json) -> None:
        """Raise Waiting `fenced-off` where another coordinator took an object of the service."""
        if self._run is None or annotation(thing, EPOCH) == str(self._epoch):
            return
        if annotation(thing, EPOCH) is None:
            raise Waiting(
                "changed-by-hand",
                f"The annotations of coordinator are gone from {_called(thing)}.",
                why=f"Somebody replaced it whole{_by_whom(thing, 'f:metadata')}.",
                next_step="Make sure that it is as the release left it, then run the command again.",
            )
        raise fenced_off(thing, self._site.service.name)

    def check_selector(self, service: Json) -> None:
        """Raise Waiting `changed-by-hand` where the Service's selector is not what this run last wrote."""
        self.check(service)
        recorded, now = annotation(service, SELECTOR), at(service, "spec", "selector") or {}
        if self._run is None or recorded is None or recorded == text_of(now):
            return
        raise Waiting(
            "changed-by-hand",
            f"The selector of {_called(service)} is {text_of(now)}; this release left it as {recorded}.",
            why=f"Somebody else changed it{_by_whom(service, 'f:spec')}, and it was not overwritten.",
            next_step="Put it back and run the command again; or leave it, and give the release up with"
            " `coordinator abort`.",
        )

    def _write(self, path: str, thing: Json, marks: dict[str, str]) -> None:
        """Mark one object as ours; a number that somebody else wrote meanwhile decides against us."""
        for _ in range(_TRIES):
            selector = at(thing, "spec", "selector")
            is_service = thing.get("kind") == "Service"
            if is_service and annotation(thing, RUN) != marks[RUN]:
                marks = {**marks, SELECTOR: text_of(selector or {})}
            read = demand(at(thing, "metadata", "resourceVersion"), "metadata", "resourceVersion")
            try:
                self._site.api.json_patch(path, [read, *annotate(thing, dict(marks))])
            except (Changed, Unanswered):
                again = self._site.api.get(path)
                if again is None:
                    return
                if annotation(again, HOLDER) == marks[HOLDER] and annotation(again, EPOCH) == marks[EPOCH]:
                    return
                if number(again, EPOCH) >= int(marks[EPOCH]):
                    raise fenced_off(again, self._site.service.name) from None
                thing = again
            else:
                return
        raise StepFailed(
            "cluster-changed",
            f"{_called(thing)} is changed faster than it can be marked.",
            next_step="Look who changes it all the time, then run the command again.",
        )


def fenced_off(thing: Json, service: str) -> Waiting:
    """Return that another coordinator took the service."""
    return Waiting(
        "fenced-off",
        f"Another coordinator took over `{service}`: {annotation(thing, HOLDER) or 'nobody says which'}.",
        why=f"It works on {annotation(thing, RUN) or 'a run of its own'}; this one changed nothing since.",
        next_step="Let it finish, then run the command again.",
    )


def _who_works(found: dict[str, dict[str, Any]]) -> str | None:
    """Return the one Deployment of a worker that runs and was never marked: it does the work."""
    if any(annotation(thing, WORKS_SINCE) for thing in found.values()):
        return None
    running = [path for path, thing in found.items() if size_of(thing)]
    return running[0] if len(running) == 1 else None


def _holder() -> str:
    return f"pid {os.getpid()} on {socket.gethostname()}"


def _called(thing: Json) -> str:
    return f"{thing.get('kind', 'the object')} `{name_of(thing)}`"


def _by_whom(thing: Json, field: str) -> str:
    """Return who changed it last, as the API server recorded it; empty where it does not say."""
    entries = [
        each
        for each in at(thing, "metadata", "managedFields") or ()
        if field in (each.get("fieldsV1") or {}) and each.get("manager") != "coordinator"
    ]
    if not entries:
        return ""
    last = max(entries, key=lambda each: str(each.get("time")))
    when = datetime.fromisoformat(str(last.get("time"))).strftime("%H:%M:%S UTC on %d %b %Y")
    return f" (`{last.get('manager')}`, at {when})"
