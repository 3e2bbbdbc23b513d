"""The Service that reaches the colour that is tried, before any client does: pointed at one at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.fence import Fence
from coordinator.adapters.platforms._kubernetes.objects import (
    RELEASE,
    Json,
    addressed_in,
    annotation,
    at,
    is_ready,
    selector_of,
    uid_of,
)
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.errors import StepFailed
from coordinator.model import Colour

_POLL: Final = 0.1


class Preview:
    """The preview Service of one service."""

    def __init__(self, site: Site, fence: Fence) -> None:
        self._site = site
        self._fence = fence

    def point_at(self, deployment: Json, port: Mapping[str, Any]) -> None:
        """Let the Service select the Pods of `deployment`; the cluster's controllers follow in a moment.

        The port has no name, so that the Service's own name is all that the API server's proxy is asked for:
        a right can be bound to that.

        Raises: StepFailed `preview-taken` where somebody else made a Service of that name.
        """
        name, selector = self._site.preview_name, dict(selector_of(deployment))
        path = self._site.service_path(name)
        present = self._site.api.get(path)
        if present is not None and annotation(present, RELEASE) is None:
            raise StepFailed(
                "preview-taken",
                f"There is a Service `{name}` that coordinator did not make.",
                why="Whoever uses it would be sent to the version that is tried.",
                next_step="Name a free one as `preview:` in the service's Kubernetes settings.",
            )
        if present is not None and at(present, "spec", "selector") == selector:
            asked = (at(present, "spec", "ports") or [{}])[0]
            if port.items() <= asked.items():
                return
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": self._site.namespace, "annotations": self._fence.marks},
            "spec": {"selector": selector, "ports": [port]},
        }
        self._site.api.apply(path, body, force=True)

    def wait_until_alone(self, colour: Colour, deployment: Json, *, until: float) -> None:
        """Wait until what is asked at the Service is answered by Pods of `deployment`, and by no other.

        The Service's Endpoints follow its selector some time later. Until then a check would be answered by
        the other colour, and say of one version what another one does. Where the Pods are ready and nobody is
        reached yet, that is waited for too, and left to the check to tell.

        Raises: StepFailed `preview-behind` where others are still reached at `until`.
        """
        path = self._site.endpoints(self._site.preview_name)
        while True:
            reached = addressed_in(self._site.api.get(path))
            pods = self._site.pods_of(deployment)
            others = sorted(reached[uid] for uid in reached.keys() - {uid_of(pod) for pod in pods})
            if not others and (reached or not any(map(is_ready, pods))):
                return
            if time.monotonic() >= until:
                break
            time.sleep(_POLL)
        if others:
            name = self._site.preview_name
            raise StepFailed(
                "preview-behind",
                f"Service `{name}` selects {colour}, and its Endpoints still have {', '.join(others)}.",
                why=f"A check would be answered by what is not {colour}, and its result would say nothing.",
                next_step=f"Look with `kubectl get endpoints {name} -o yaml`: the cluster's controllers are"
                " behind. Then run the command again.",
            )
