"""One service on Kubernetes: two Deployments, one Service, and the rules between them.

The Service's selector is the one truth about who serves, the Deployments are the one truth about what runs.
This file says what a release may do and in which order it looks; how each part is read and written stands
beside it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes import checks
from coordinator.adapters.platforms._kubernetes.access import connect
from coordinator.adapters.platforms._kubernetes.api import Api
from coordinator.adapters.platforms._kubernetes.connections import count_connections
from coordinator.adapters.platforms._kubernetes.deployments import Deployments, until_from
from coordinator.adapters.platforms._kubernetes.fence import Fence
from coordinator.adapters.platforms._kubernetes.lint import lint_live
from coordinator.adapters.platforms._kubernetes.needs import (
    asked_at_preview,
    asked_at_service,
    needs_of,
)
from coordinator.adapters.platforms._kubernetes.objects import (
    COLOUR,
    REPLICAS,
    at,
    available_of,
    containers_of,
    is_ready,
    number,
    reachable_in,
    size_of,
    uid_of,
    version_of,
)
from coordinator.adapters.platforms._kubernetes.preview import Preview
from coordinator.adapters.platforms._kubernetes.relay import Relays
from coordinator.adapters.platforms._kubernetes.routing import Routing, Seen, switch_conflict
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.adapters.platforms._kubernetes.workers import take_over, working
from coordinator.errors import StepFailed
from coordinator.model import Colour, ServiceSpec, Version
from coordinator.ports.checks import Answer
from coordinator.ports.platforms import Serving

_POLL: Final = 0.1
_PATIENCE: Final = timedelta(seconds=10)
"""How long a check before a switch may take to become right: EndpointSlices follow their Pods in a moment."""
_NOWHERE: Final = "http://worker.invalid"
"""What a worker without a port answers at: nothing (RFC 6761, 6.4)."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One reading of a service; whoever changed something looks again."""

    live: Colour | None
    """Who serves, or of a worker who works; a colour without a Deployment does neither."""
    deployments: Mapping[Colour, dict[str, Any] | None]
    seen: Seen | None
    """The Service; a worker has none."""


class Kubernetes:
    """One service in its cluster; safe to share between threads."""

    def __init__(self, api: Api, *, service: ServiceSpec, release: str, folder: Path) -> None:
        assert isinstance(service.platform_spec, KubernetesSpec)
        self._site = Site(api, service, service.platform_spec, release)
        self._fence = Fence(self._site)
        self._routing = Routing(self._site, self._fence)
        self._deployments = Deployments(self._site, self._fence, folder)
        self._folder = folder
        self._preview = Preview(self._site, self._fence)
        self._relays = Relays(api, self._site.namespace)

    @property
    def _is_worker(self) -> bool:
        return self._site.spec.service is None

    def identity(self) -> str:
        """Name the cluster by the UID of its kube-system, which lives as long as the cluster does."""
        spec = self._site.spec
        name = spec.service or self._site.service.name
        return f"kubernetes:{self._site.api.cluster_uid()}:{spec.namespace}:{name}"

    def fence(self, run: str) -> None:
        """Take the service for `run` from whoever had it."""
        self._fence.take(run)

    def survey(self) -> Serving:
        """Observe the service; changes nothing."""
        look = self._look()
        sides = {colour: self._deployments.side_of(each) for colour, each in look.deployments.items()}
        return Serving(look.live, sides, lint_live(self._site.service, look.deployments))

    def deploy(self, colour: Colour, version: Version, *, deadline: timedelta) -> None:
        """Make `colour` run `version`, at least as large as what serves, and wait until all of it serves.

        What serves already is only waited for, also where the manifest says something new by now.
        """
        until = until_from(deadline)
        look = self._look()
        deployed = look.deployments[colour]
        if look.live is colour and deployed is not None and not self._is_worker:
            runs = version_of(deployed, self._site.spec.container)
            if runs != version:
                raise self._serves(colour, f"deploying {version} there would replace {runs}")
            self._deployments.restore(colour, least=0, until=until)
            return
        if look.live is None and look.seen is not None and look.seen.routed is colour:
            self._routing.park(look.seen)
        least = self._least_beside(look.deployments[colour.other])
        self._deployments.deploy(colour, version, least=least, until=until)
        self._work_if_alone(colour)
        self._point_preview(colour, self._look())

    def restore(self, colour: Colour, *, deadline: timedelta) -> None:
        """Scale `colour` to the size that it had, and wait until all serve."""
        look = self._look()
        other = look.deployments[colour.other]
        least = size_of(other) if other and look.live is colour.other else 0
        self._deployments.restore(colour, least=least, until=until_from(deadline))
        self._work_if_alone(colour)

    def address(self, colour: Colour) -> str:
        """Return where `colour` and nobody else answers, on this machine: the preview by the API server."""
        look = self._look()
        deployment = look.deployments[colour]
        if deployment is None:
            raise StepFailed(
                "never-deployed",
                f"Nothing of `{self._site.service.name}` was ever deployed as {colour}.",
                next_step="Deploy it first: a release does.",
            )
        if not self._point_preview(colour, look):
            return _NOWHERE
        is_asked = bool(asked_at_preview(self._site.service))
        address = self._relays.address_of(self._site.preview_name, is_asked=is_asked)
        if is_asked:
            self._preview.wait_until_alone(colour, deployment, until=until_from(_PATIENCE))
        return address

    def log_of(self, colour: Colour) -> str:
        """Name the command that shows it as long as the Pods are there."""
        spec, name = self._site.spec, self._site.deployment_name(colour)
        where = "" if spec.context == "in-cluster" else f"--context {spec.context} "
        return f"`kubectl {where}-n {spec.namespace} logs deployment/{name}`"

    def public_address(self) -> str:
        """Return where clients reach the Service: the plan's url, else the Service through the API server."""
        if self._site.spec.url is not None:
            return self._site.spec.url.rstrip("/")
        if self._is_worker:
            return self.address(self._look().live or Colour.BLUE)
        assert self._site.spec.service is not None
        port = at(self._routing.look().service, "spec", "ports")[0]["port"]
        is_asked = bool(asked_at_service(self._site.service))
        return self._relays.address_of(f"{self._site.spec.service}:{port}", is_asked=is_asked)

    def let_clients_in(self) -> None:
        """Do nothing: the cluster routes by itself."""

    def canary(self, colour: Colour, percent: int, *, deadline: timedelta) -> float:
        """Scale `colour` so that it has the wanted share of all Pods, then let the Service select both."""
        until = until_from(deadline)
        look = self._look()
        serving = look.deployments[colour.other]
        if look.live is not colour.other or serving is None:
            raise self._conflict()
        self._point_preview(colour, look)
        beside = available_of(serving)
        size = nearest_size(beside, percent)
        self._deployments.bound_autoscaler(colour, least=size, most=size)
        self._deployments.scale(colour, size)
        self._wait_for_size(colour, size, until=until)
        seen = self._routing.look()
        if seen.canary is None:
            self._demand_only_ours(seen, look.deployments)
            self._routing.widen(seen, colour)
        return 100 * size / (size + beside)

    def end_canary(self) -> None:
        """Narrow the selector to live again, if live serves."""
        seen = self._routing.look()
        if seen.canary is None or seen.routed is None:
            return
        if not self._deployments.observe(seen.routed).ready:
            raise StepFailed(
                "rollback-blocked",
                f"`{self._site.service.name}` goes on serving from both colours:"
                f" {seen.routed} is not ready alone.",
                next_step=f"Bring {seen.routed} back and run `coordinator rollback` again.",
            )
        self._routing.move(seen, seen.routed)

    def before_switch(self, to: Colour) -> tuple[Answer, ...]:
        """Ask the questions of checks.py, for a moment again where one is not content yet."""
        if self._is_worker:
            side = self._deployments.observe(to)
            return (Answer(ok=side.ready, detail=side.detail or f"{to} runs"),)
        self._point_preview(to, self._look())
        if self._site.spec.confirm is not None:
            self.public_address()  # where we may not ask there, traffic does not move
        until = until_from(_PATIENCE)
        while True:
            answers = checks.before(self._site, self._sight(to))
            if all(answer.ok for answer in answers) or time.monotonic() >= until:
                return answers
            time.sleep(_POLL)

    def switch(self, *, expected: Colour | None, to: Colour) -> None:
        """Move the selector (a worker: the mark) to `to`, if it is where the caller believes."""
        look = self._look()
        if look.live is not expected:
            raise self._conflict()
        if look.seen is None:
            take_over(self._deployments, to)
        else:
            self._routing.move(look.seen, to)

    def after_switch(self, to: Colour, *, deadline: timedelta) -> tuple[Answer, ...]:
        """Wait until EndpointSlices, and answers at the clients' address, are those of `to` alone."""
        if self._is_worker:
            live = self._look().live
            return (Answer(ok=live is to, detail=f"{live} is marked as the one that works"),)
        until = until_from(deadline)
        while True:
            answers = checks.after(self._site, self._sight(to))
            if all(answer.ok for answer in answers) and self._site.spec.confirm is not None:
                deployment = self._deployments.read(to)
                version = deployment and version_of(deployment, self._site.spec.container)
                answers += (checks.confirm(self._site, self.public_address(), version or ""),)
            if all(answer.ok for answer in answers) or time.monotonic() >= until:
                return answers
            time.sleep(_POLL)

    def open_connections(self, colour: Colour) -> int | None:
        """Return what the Pods' own gauge says; None where the plan names none."""
        deployment = self._deployments.read(colour)
        return count_connections(self._site, self._site.pods_of(deployment))

    def stop(self, colour: Colour, *, grace: timedelta) -> None:  # noqa: ARG002 - a Pod brings its own grace
        """Scale `colour` to nothing and wait until its last Pod is gone."""
        if not self._is_worker:
            if self._look().live is colour:
                raise self._serves(colour, "stopping it would refuse every client")
            self._demand_unreached(colour)
        self._deployments.stop(colour)
        self._deployments.bound_autoscaler(colour.other, least=1)

    def missing_rights(self) -> tuple[str, ...]:
        """Ask the cluster about each right that the plan needs."""
        missing: list[str] = []
        for right in needs_of(self._site.service, folder=self._folder):
            resource, _, subresource = right.resource.partition("/")
            for name, verb in product(right.names or ("",), right.verbs):
                where = right.namespace or ""
                if not self._site.api.may(
                    verb, right.group, resource, name=name, namespace=where, subresource=subresource
                ):
                    missing.append(
                        f"may not {verb} {'/'.join(filter(None, (right.resource, name)))}: {right.why}"
                    )
        return tuple(missing)

    # -- inside --------------------------------------------------------------------------------------------

    def _look(self) -> _Look:
        """Read the service. Raises: StepFailed `selector-open`, and what its parts raise."""
        found = {colour: self._deployments.read(colour) for colour in Colour}
        if self._is_worker:
            return _Look(working(found, name=self._site.service.name), found, seen=None)
        seen = self._routing.look()
        if seen.is_open:
            raise StepFailed(
                "selector-open",
                f"The selector of Service `{self._site.spec.service}` names no `{COLOUR}`:"
                " it reaches both colours.",
                why="Nobody can say which version serves, and a switch would have nothing to replace.",
                next_step="Add the colour of the Deployment that serves to its selector, or `color: none`"
                " where nobody serves yet.",
            )
        return _Look(seen.routed if seen.routed and found[seen.routed] is not None else None, found, seen)

    def _sight(self, to: Colour) -> checks.Sight:
        found = {colour: self._deployments.read(colour) for colour in Colour}
        return checks.look(self._site, self._routing.look().service, found, to)

    def _work_if_alone(self, colour: Colour) -> None:
        """Mark a worker that works alone: after a handover nothing else tells who is live."""
        if self._is_worker and not self._deployments.observe(colour.other).running:
            take_over(self._deployments, colour)

    def _least_beside(self, other: dict[str, Any] | None) -> int:
        """Return how large a colour must be that takes over from `other`, which a handover has stopped."""
        if other is None:
            return 0
        return size_of(other) or (number(other, REPLICAS) if self._is_worker else 0)

    def _wait_for_size(self, colour: Colour, size: int, *, until: float) -> None:
        """Wait until a colour has exactly so many ready Pods; those that end must be out of the Service."""
        self._deployments.wait(colour, until=until, size=size)
        while len(reachable_in(self._site.slices(self._site.preview_name))) != size:
            if time.monotonic() >= until:
                raise StepFailed(
                    "not-ready",
                    f"`{self._site.service.name}` {colour} does not get to {size} reachable Pods.",
                    next_step="Look with `kubectl get endpointslices`, then run the command again.",
                )
            time.sleep(_POLL)

    def _demand_only_ours(self, seen: Seen, found: Mapping[Colour, dict[str, Any] | None]) -> None:
        wide = {key: value for key, value in seen.selector.items() if key != COLOUR}
        strangers = checks.strangers_among(self._site.pods(wide), found) if wide else ["every Pod"]
        if strangers:
            raise StepFailed(
                "canary-too-wide",
                f"Without a colour, Service `{self._site.spec.service}` would select other Pods too:"
                f" {', '.join(strangers[:3])}.",
                why="A canary widens the selector to both colours, and clients would reach what is neither.",
                next_step="Give the Pods of this service a label of their own and the Service that label.",
            )

    def _demand_unreached(self, colour: Colour) -> None:
        """Wait until no EndpointSlice of the Service sends to `colour`: nodes may still follow an old one."""
        assert self._site.spec.service is not None
        until = until_from(_PATIENCE)
        while True:
            pods = {
                uid_of(pod) for pod in self._site.pods_of(self._deployments.read(colour)) if is_ready(pod)
            }
            if pods.isdisjoint(reachable_in(self._site.slices(self._site.spec.service))):
                return
            if time.monotonic() >= until:
                raise self._serves(colour, "EndpointSlices still send clients there")
            time.sleep(_POLL)

    def _ports(self, colour: Colour, look: _Look) -> dict[str, Any] | None:
        """Return by what port the preview Service asks a colour; None for a worker that listens nowhere."""
        if look.seen is not None:
            first = at(look.seen.service, "spec", "ports")[0]
            return {"port": int(first["port"]), "targetPort": first["targetPort"]}
        for each in containers_of(look.deployments[colour] or {}):
            for port in each.get("ports") or ():
                return {"port": int(port["containerPort"])}
        return None

    def _point_preview(self, colour: Colour, look: _Look) -> bool:
        """Let the preview Service select `colour`, by the first port of the Service that clients use.

        Returns False where nothing could be asked.
        """
        deployment, port = look.deployments[colour], self._ports(colour, look)
        if port is None or deployment is None:
            return False
        self._preview.point_at(deployment, port)
        return True

    def _conflict(self) -> StepFailed:
        if self._is_worker:
            return StepFailed(
                "switch-conflict",
                f"Another colour of worker `{self._site.service.name}` works than this release expected.",
                why="Somebody moved it meanwhile.",
                next_step="Look at the Deployments, then run the command again.",
            )
        return switch_conflict(self._site, now=dict(self._routing.look().selector))

    def _serves(self, colour: Colour, why: str) -> StepFailed:
        return StepFailed(
            "colour-serves",
            f"`{self._site.service.name}` {colour} serves the traffic, and {why}.",
            next_step=f"Switch to {colour.other} first.",
        )


def nearest_size(beside: int, percent: int) -> int:
    """Return how many Pods beside `beside` others come nearest to a share of `percent`; one at least."""
    exact = beside * percent / (100 - percent)
    sizes = {max(1, int(exact)), max(1, int(exact) + 1)}
    return min(sorted(sizes), key=lambda size: abs(100 * size / (size + beside) - percent))


def service_at(folder: Path, *, service: ServiceSpec, release: str) -> Kubernetes:
    """Return the service of the plan in `folder`; reads the kubeconfig and contacts nobody yet."""
    assert isinstance(service.platform_spec, KubernetesSpec)
    return Kubernetes(connect(service.platform_spec.context), service=service, release=release, folder=folder)
