"""Wait for a Deployment: until all its Pods serve, until none is left, or until it is clear that it won't
be.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.objects import (
    Json,
    at,
    available_of,
    is_complete,
    is_of_template,
    is_over,
    is_ready,
    longest_grace,
    name_of,
    restarts_of,
    size_of,
    uid_of,
    version_of,
)
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.errors import StepFailed
from coordinator.model import Colour

_POLL: Final = 0.1
_AFTER_GRACE: Final = timedelta(seconds=30)
"""The kubelet sends SIGKILL when the grace period is over; then the node has to tell."""
_HOPELESS: Final = frozenset({"ErrImageNeverPull", "InvalidImageName"})
"""Reasons for which a container waits that no waiting cures (pkg/kubelet/images and kuberuntime, 1.34)."""
_STUBBORN: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError"}
)
"""Reasons that the kubelet gives also for what passes: a registry that is away, a Secret not read yet."""
_PATIENCE: Final = 30.0
"""Seconds: time for two tries more (the kubelet's backOffPeriod is 10, an image's first delays 10 and 20)."""
_CRASHES: Final = 2
"""A service may end once, because its database was not there yet; twice is a crash loop."""
_LINES: Final = 5


def wait_until_complete(site: Site, colour: Colour, *, until: float, size: int | None = None) -> None:
    """Return when all Pods of a colour serve, for as long as the plan calls stable; `until` is monotonic.

    `size` is how many there must be, if somebody else (an autoscaler) may set another number meanwhile.

    Raises:
        StepFailed: `start-failed` once a container ended twice or surely cannot be made, `not-ready` when
            time is up, `never-deployed` where the Deployment is deleted meanwhile.
    """
    stable, since, before = site.spec.stable.total_seconds(), time.monotonic(), None
    stuck = _Stuck()
    while True:
        deployment = site.api.get(site.deployment(colour))
        if deployment is None:
            raise never_deployed(site, colour)
        pods = [pod for pod in site.pods_of(deployment) if not is_over(pod)]
        mine = [pod for pod in pods if is_of_template(pod, deployment)]
        now = time.monotonic()
        if problem := stuck.first_of(mine, now):
            raise _start_failed(site, colour, deployment, problem)
        state = sorted((uid_of(pod), restarts_of(pod)) for pod in mine)
        is_there = is_complete(deployment) and size in (None, size_of(deployment))
        if not is_there or state != before:
            since = now
        if is_there and now - since >= stable:
            return
        before = state
        if now >= until:
            raise _not_ready(site, colour, deployment, mine)
        time.sleep(_POLL)


def wait_until_gone(site: Site, colour: Colour) -> None:
    """Return when no Pod of a colour is left; each has the grace period that it asked for.

    Raises: StepFailed `not-stopped`.
    """
    until: float | None = None
    while True:
        deployment = site.api.get(site.deployment(colour))
        pods = [pod for pod in site.pods_of(deployment) if not is_over(pod)]
        if not pods:
            return
        if until is None:
            until = time.monotonic() + (longest_grace(pods) + _AFTER_GRACE).total_seconds()
        if time.monotonic() >= until:
            left = ", ".join(f"{name_of(pod)} on node {at(pod, 'spec', 'nodeName')}" for pod in pods)
            raise StepFailed(
                "not-stopped",
                f"Of `{site.service.name}` {colour} there is still: {left}.",
                why="They were told to end, and neither their grace period nor SIGKILL ended them.",
                next_step="Look at the node (`kubectl describe pod`); what runs there may use the database."
                " When it surely does not, delete the Pod by force, and run the command again.",
            )
        time.sleep(_POLL)


def never_deployed(site: Site, colour: Colour) -> StepFailed:
    """Return that a colour has no Deployment."""
    return StepFailed(
        "never-deployed",
        f"There is no Deployment `{site.deployment_name(colour)}` in namespace `{site.namespace}`.",
        why=f"Nothing of `{site.service.name}` was ever deployed as {colour}, or it was deleted.",
        next_step="Release it: a release makes the Deployment.",
    )


def state_of(deployment: Json, pods: Sequence[Json]) -> str:
    """Return in one line what keeps a Deployment from serving; empty where nothing does."""
    wanted, there = size_of(deployment), available_of(deployment)
    parts = [] if there >= wanted and wanted else [f"{there} of {wanted} Pods serve"]
    parts += [words for pod in pods if not is_ready(pod) and (words := _words(pod))][:1]
    for each in at(deployment, "status", "conditions") or ():
        if each.get("type") == "ReplicaFailure" and each.get("status") == "True":
            parts.append(str(each.get("message")))
    return "; ".join(parts)


def _statuses(pod: Json) -> Iterator[dict[str, Any]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        yield from at(pod, "status", kind) or ()


class _Stuck:
    """Which containers will not run without a change; some only after they were given time."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def first_of(self, pods: Sequence[Json], now: float) -> tuple[Json, str, str] | None:
        """Return a Pod that will not serve, its container and why, if there is one; `now` is monotonic."""
        before, self._since = self._since, {}
        found = None
        for pod in pods:
            for each in _statuses(pod):
                waiting, name = at(each, "state", "waiting") or {}, str(each.get("name"))
                reason, key = waiting.get("reason"), (uid_of(pod), name)
                if reason in _STUBBORN:
                    self._since[key] = before.get(key, now)
                if reason in _HOPELESS or now - self._since.get(key, now) >= _PATIENCE:
                    found = found or (pod, name, f"{reason}: {waiting.get('message', '')}")
                elif int(each.get("restartCount") or 0) >= _CRASHES and not each.get("ready"):
                    found = found or (pod, name, _ended(each))
        return found


def _ended(status: Json) -> str:
    last = at(status, "lastState", "terminated") or at(status, "state", "terminated") or {}
    return f"ended with exit code {last.get('exitCode', 'unknown')}"


def _words(pod: Json) -> str:
    """Return why a Pod is not ready."""
    for each in _statuses(pod):
        waiting = at(each, "state", "waiting") or {}
        if waiting:
            ended = f" ({_ended(each)})" if at(each, "lastState", "terminated") else ""
            return f"{name_of(pod)} waits: {waiting.get('reason')}{ended}"
        if at(each, "state", "terminated"):
            return f"{name_of(pod)} {_ended(each)}"
    for each in at(pod, "status", "conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return f"{name_of(pod)} has no node: {each.get('message')}"
    return f"{name_of(pod)} runs and does not pass its readiness probe"


def _start_failed(site: Site, colour: Colour, deployment: Json, problem: tuple[Json, str, str]) -> StepFailed:
    pod, container, why = problem
    log = _log_of(site, pod, container)
    tail = "\n  ".join(["Its last lines:", *log]) if log else f"Container `{container}` wrote nothing."
    return StepFailed(
        "start-failed",
        f"`{site.service.name}` {version_of(deployment, site.spec.container)} ({colour}) does not start:"
        f" {name_of(pod)} {why.strip().rstrip('.')}.",
        why=tail,
        next_step=f"{chr(10) if log else ''}Mend it and release it again; it was scaled down.",
    )


def _log_of(site: Site, pod: Json, container: str) -> list[str]:
    try:
        text = site.api.logs(
            site.namespace, name_of(pod), container, lines=_LINES, previous=True
        ) or site.api.logs(site.namespace, name_of(pod), container, lines=_LINES)
    except StepFailed:
        return []  # a right that we lack, or a node that is away: the cause is told all the same
    return [line for line in text.splitlines() if line.strip()][-_LINES:]


def _not_ready(site: Site, colour: Colour, deployment: Json, pods: Sequence[Json]) -> StepFailed:
    version = version_of(deployment, site.spec.container)
    return StepFailed(
        "not-ready",
        f"`{site.service.name}` {version} ({colour}) was not ready in time.",
        why=f"At the end: {state_of(deployment, pods) or 'ready, and not yet for long enough'}.",
        next_step="Look with `kubectl describe deployment,pods`, or give it a longer `deploy.deadline`.",
    )
