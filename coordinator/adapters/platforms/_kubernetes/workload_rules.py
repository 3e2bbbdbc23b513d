"""What a Deployment's Pods must be like so that a switch drops nothing: one function a rule, found by RULES.

The rules are those of docs/reference/kubernetes-platform.md, and a test holds the two together. An error is
what would break a release for certain; a warning is what drops requests on a bad day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.objects import COLOUR, Json, at, containers_of
from coordinator.adapters.platforms._kubernetes.spec import OURS
from coordinator.diagnostics import Severity
from coordinator.model import Colour

POD: Final = ("spec", "template", "spec")
_LEAST_DELAY: Final = 3.0
"""Seconds: until every node has heard that a Pod goes, new connections still come to it."""
_MARGIN: Final = 5.0
"""Seconds that a service has after preStop for the requests that it still has."""
_GRACE: Final = 30
_UNAVAILABLE: Final = "25%"
"""Both are the API server's own defaults (apps/v1, core/v1)."""
_PROBES: Final = ("httpGet", "tcpSocket", "grpc", "exec")
_SECONDS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment that shall be one of two colours, and what belongs to it."""

    deployment: Json
    container: Json
    path: tuple[str | int, ...]
    """Where that container stands."""
    has_traffic: bool
    budget: Json | None = None
    least: int = 1
    """How many Pods there are when there are few."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a rule is broken, and what to say about it."""

    path: tuple[str | int, ...]
    what: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `why` is the same wherever it is broken."""

    code: str
    severity: Severity
    why: str
    find: Callable[[Workload], Iterator[Found]]
    is_of_traffic: bool = True
    """A worker need not keep it."""
    is_of_file: bool = False
    """Only the manifest can tell: in a cluster, what it asks for may stand beside."""
    is_of_cluster: bool = False
    """Only what is there already can break it: from a manifest we set it right ourselves."""


def _find_missing_readiness(workload: Workload) -> Iterator[Found]:
    if not at(workload.container, "readinessProbe"):
        yield Found(
            workload.path,
            f"Container `{workload.container.get('name')}` has no readinessProbe.",
            "Add one that asks whether the service can do its work, its database included.",
        )


def _find_same_probes(workload: Workload) -> Iterator[Found]:
    ready, alive = (_asked_by(workload.container.get(key)) for key in ("readinessProbe", "livenessProbe"))
    if ready is not None and ready == alive:
        yield Found(
            (*workload.path, "livenessProbe"),
            f"The livenessProbe of container `{workload.container.get('name')}` asks the same as its"
            " readinessProbe.",
            "Let liveness ask the process alone, or remove it.",
        )


def _find_short_delay(workload: Workload) -> Iterator[Found]:
    hook = at(workload.container, "lifecycle", "preStop")
    name = workload.container.get("name")
    if not hook:
        yield Found(
            workload.path,
            f"Container `{name}` has no preStop delay.",
            "Add `lifecycle: {preStop: {sleep: {seconds: 5}}}`.",
        )
    elif (delay := delay_of(workload.container)) is not None and delay < _LEAST_DELAY:
        yield Found(
            (*workload.path, "lifecycle", "preStop"),
            f"The preStop of container `{name}` waits {delay:g} s, and 3 s is the least that helps.",
            "Let it sleep for 5 s; on a large cluster, or behind a cloud's load balancer, for 15 s.",
        )


def _find_short_grace(workload: Workload) -> Iterator[Found]:
    delay = delay_of(workload.container) or 0.0
    written = at(workload.deployment, *POD, "terminationGracePeriodSeconds")
    grace = _GRACE if written is None else seconds_from(str(written))
    if grace is not None and grace < delay + _MARGIN:
        yield Found(
            (*POD, "terminationGracePeriodSeconds"),
            f"A Pod has {grace:g} s to end, and its preStop alone takes {delay:g} s of them.",
            f"Set terminationGracePeriodSeconds to {delay + _MARGIN:g} at least, better to more than the"
            " longest request takes.",
        )


def _find_unavailable(workload: Workload) -> Iterator[Found]:
    if at(workload.deployment, "spec", "strategy", "type") == "Recreate":
        return
    written = at(workload.deployment, "spec", "strategy", "rollingUpdate", "maxUnavailable")
    lost = _share_of(_UNAVAILABLE if written is None else written, workload.least)
    if lost > 0:
        yield Found(
            ("spec", "strategy", "rollingUpdate", "maxUnavailable"),
            f"A rollout of this Deployment may take {lost} of {workload.least} Pods away before others are"
            " ready.",
            "Write `strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}`.",
        )


def _find_recreate(workload: Workload) -> Iterator[Found]:
    if at(workload.deployment, "spec", "strategy", "type") == "Recreate":
        yield Found(
            ("spec", "strategy", "type"),
            "The strategy is Recreate.",
            "Write `type: RollingUpdate`.",
        )


def _find_missing_budget(workload: Workload) -> Iterator[Found]:
    if workload.budget is None and workload.least > 1:
        yield Found(
            (),
            "The manifest has no PodDisruptionBudget.",
            "Add one with `maxUnavailable: 1` and the Deployment's labels to the same file.",
        )


def _find_single(workload: Workload) -> Iterator[Found]:
    if workload.least == 1:
        yield Found(("spec", "replicas"), "There is one Pod only.", "Let there be two at least.")


def _find_shared_node_ports(workload: Workload) -> Iterator[Found]:
    if at(workload.deployment, *POD, "hostNetwork"):
        yield Found(
            (*POD, "hostNetwork"),
            "The Pods use their node's own network (`hostNetwork`).",
            "Remove it: the Service reaches Pods without. Or have a node for each Pod of both colours.",
        )
    for number, container in enumerate(containers_of(workload.deployment)):
        for index, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                yield Found(
                    (*POD, "containers", number, "ports", index),
                    f"Container `{container.get('name')}` takes port {port['hostPort']} of its node"
                    " (`hostPort`).",
                    "Remove it: the Service reaches Pods without. Or have a node for each Pod of both"
                    " colours.",
                )


def _find_moving_images(workload: Workload) -> Iterator[Found]:
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(at(workload.deployment, *POD, kind) or ()):
            image = str(container.get("image") or "")
            tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
            if container is not workload.container and "@" not in image and tag in ("", "latest"):
                yield Found(
                    (*POD, kind, index),
                    f"Container `{container.get('name')}` runs `{image}`, whose tag moves.",
                    "Give it a tag of its own version, or a digest.",
                )


def _find_version_in_selector(workload: Workload) -> Iterator[Found]:
    selector = at(workload.deployment, "spec", "selector", "matchLabels") or {}
    for key in sorted({"version", "release"} & set(selector)):
        yield Found(
            ("spec", "selector", "matchLabels", key),
            f"The Deployment's selector has the label `{key}`.",
            "Remove it from the selector; as a label of the Pods it may stay. A Deployment that is there"
            " already must be deleted and made anew for this, while the other colour serves.",
        )


def _find_colourless_selector(workload: Workload) -> Iterator[Found]:
    selector = at(workload.deployment, "spec", "selector", "matchLabels") or {}
    if selector.get(COLOUR) not in set(Colour):
        yield Found(
            (),
            f"The selector of this Deployment says nothing of `{COLOUR}`.",
            f"Make a Deployment with `{COLOUR}` in its selector and its Pods' labels beside it, move the"
            " Service there, and delete this one: docs/how-to/existing-cluster.md.",
        )


def _find_own_variables(workload: Workload) -> Iterator[Found]:
    for index, variable in enumerate(workload.container.get("env") or ()):
        if variable.get("name") in OURS:
            yield Found(
                (*workload.path, "env", index),
                f"The manifest sets {variable['name']}, which the release sets itself.",
                "Remove it here, or give it another name.",
            )


RULES: Final = (
    Rule(
        code="no-readiness-probe",
        severity=Severity.ERROR,
        why="Without one every Pod counts as ready, and traffic would move to what does not serve yet.",
        find=_find_missing_readiness,
    ),
    Rule(
        code="probes-are-the-same",
        severity=Severity.WARNING,
        why="When the database is away, Kubernetes restarts every Pod at once instead of waiting for it.",
        find=_find_same_probes,
    ),
    Rule(
        code="no-stop-delay",
        severity=Severity.WARNING,
        why="A Pod that ends at once refuses the connections of nodes that have not heard of it yet.",
        find=_find_short_delay,
    ),
    Rule(
        code="grace-too-short",
        severity=Severity.WARNING,
        why="The grace period holds the preStop too, and at its end requests are cut by SIGKILL.",
        find=_find_short_grace,
    ),
    Rule(
        code="pods-may-be-missing",
        severity=Severity.WARNING,
        why="Whoever changes the serving colour by hand would serve from less than it needs.",
        find=_find_unavailable,
    ),
    Rule(
        code="recreates-pods",
        severity=Severity.WARNING,
        why="Whoever changes the serving colour by hand would stop all of its Pods before one is new.",
        find=_find_recreate,
    ),
    Rule(
        code="no-disruption-budget",
        severity=Severity.WARNING,
        why="A node that is emptied may take every Pod of the serving colour at once.",
        find=_find_missing_budget,
        is_of_file=True,
    ),
    Rule(
        code="single-pod",
        severity=Severity.WARNING,
        why="When it ends, nobody serves until the next one is ready; and a canary's share is coarse.",
        find=_find_single,
    ),
    Rule(
        code="port-of-node",
        severity=Severity.WARNING,
        why="Both colours run at once, and a node has each port once: with fewer nodes than Pods of both,"
        " some of next's wait for a node, and the release fails at its deadline.",
        find=_find_shared_node_ports,
        is_of_traffic=False,
    ),
    Rule(
        code="image-moves",
        severity=Severity.WARNING,
        why="Two Pods of one version may run different code, and a way back may meet other code than it had.",
        find=_find_moving_images,
        is_of_traffic=False,
    ),
    Rule(
        code="version-in-selector",
        severity=Severity.ERROR,
        why="A selector cannot be changed, so the next release could not be applied.",
        find=_find_version_in_selector,
        is_of_traffic=False,
    ),
    Rule(
        code="selector-without-colour",
        severity=Severity.ERROR,
        why="It selects the other colour's Pods too, so nobody could tell which of them are whose.",
        find=_find_colourless_selector,
        is_of_traffic=False,
        is_of_cluster=True,
    ),
    Rule(
        code="sets-our-variable",
        severity=Severity.WARNING,
        why="The manifest's value never reaches the container.",
        find=_find_own_variables,
        is_of_traffic=False,
        is_of_file=True,
    ),
)
"""Every rule, in the order of the reference page."""


# -- what the rules ask --------------------------------------------------------------------------------------


def delay_of(container: Json) -> float | None:
    """Return for how many seconds a container's preStop sleeps; None where there is none, or another one."""
    hook = at(container, "lifecycle", "preStop") or {}
    if (slept := at(hook, "sleep", "seconds")) is not None:
        return seconds_from(str(slept))
    words = at(hook, "exec", "command") or []
    if not isinstance(words, list):
        return None
    text = " ".join(map(str, words))  # `sh -c "sleep 5; nginx -s quit"` sleeps as well
    match = re.search(r"(?:^|[\s/;&])sleep\s+([0-9][0-9a-z.]*)", text)
    return None if match is None else seconds_from(match[1])


def seconds_from(text: str) -> float | None:
    """Return a duration as `sleep` and Go write it: `5`, `3s`, `1m30s`, `500ms`."""
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        return None
    return sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(text))


def _asked_by(probe: object) -> dict[str, Any] | None:
    """Return whom a probe asks what, without how often and how patiently."""
    if not isinstance(probe, Mapping):
        return None
    return {key: probe[key] for key in _PROBES if key in probe} or None


def _share_of(value: object, whole: int) -> int:
    """Return a number or a percentage of Pods, rounded down as the controller does for `maxUnavailable`."""
    text = str(value)
    if text.endswith("%"):
        return whole * int(text[:-1]) // 100 if text[:-1].isdecimal() else 0
    return int(text) if text.isdecimal() else 0
