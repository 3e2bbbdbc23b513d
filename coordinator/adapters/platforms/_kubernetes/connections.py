"""How many client connections a colour's Pods still have: a gauge of their own, asked through the API server.

Nothing outside of a Pod knows: conntrack lives on the nodes, and a Service has no counters. So a service that
exports a gauge is drained by evidence, and one that does not is given the whole deadline.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from coordinator.adapters.platforms._kubernetes.objects import Json, is_over, name_of
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.errors import StepFailed


def count_connections(site: Site, pods: Sequence[Json]) -> int | None:
    """Return the sum of the gauge over Pods; None where the plan names none, or a Pod does not tell."""
    asked = site.spec.connections
    if asked is None:
        return None
    total = 0.0
    for pod in pods:
        if is_over(pod):
            continue
        target = f"{name_of(pod)}:{asked.port}"
        path = f"/api/v1/namespaces/{site.namespace}/pods/{target}/proxy{asked.path}"
        try:
            found = gauge_from(site.api.text(path), asked.gauge)
        except StepFailed as error:
            if error.code == "cluster-forbidden":
                raise
            return None  # it is on its way out, or its node does not answer: nobody knows
        if found is None:
            return None
        total += found
    return math.ceil(total)


def gauge_from(text: str, name: str) -> float | None:
    """Return the sum of a metric's samples in Prometheus' text format 0.0.4; None where it has none."""
    line = re.compile(rf"^{re.escape(name)}(?:\{{.*\}})?[ \t]+(\S+)", re.MULTILINE)
    try:
        samples = [float(each) for each in line.findall(text)]
    except ValueError:
        return None
    return sum(samples) if samples and all(map(math.isfinite, samples)) else None
