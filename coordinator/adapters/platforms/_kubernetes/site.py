"""Where one service's objects are, and what all parts of the adapter share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.adapters.platforms._kubernetes.api import Api
from coordinator.adapters.platforms._kubernetes.objects import labels_text, selector_of
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.model import Colour, ServiceSpec


@dataclass(frozen=True, slots=True)
class Site:
    """One service of the plan in its cluster; everything here is a name, and only `api` contacts anybody."""

    api: Api
    service: ServiceSpec
    spec: KubernetesSpec
    release: str

    @property
    def namespace(self) -> str:
        """Return the namespace that all objects of the service are in."""
        return self.spec.namespace

    def deployment_name(self, colour: Colour) -> str:
        """Return the name of a colour's Deployment, its autoscaler and its budget."""
        return self.spec.deployment_name(self.service.name, colour)

    @property
    def preview_name(self) -> str:
        """Return the name of the Service that reaches the colour that is asked."""
        return self.spec.preview_name(self.service.name)

    def deployment(self, colour: Colour) -> str:
        """Return the path of a colour's Deployment."""
        return f"{self.deployments}/{self.deployment_name(colour)}"

    @property
    def deployments(self) -> str:
        """Return the path of all Deployments."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments"

    def autoscaler(self, colour: Colour) -> str:
        """Return the path of a colour's HorizontalPodAutoscaler."""
        kind = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers"
        return f"{kind}/{self.deployment_name(colour)}"

    def budget(self, colour: Colour) -> str:
        """Return the path of a colour's PodDisruptionBudget."""
        kind = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
        return f"{kind}/{self.deployment_name(colour)}"

    def service_path(self, name: str) -> str:
        """Return the path of a Service."""
        return f"/api/v1/namespaces/{self.namespace}/services/{name}"

    @property
    def traffic(self) -> str:
        """Return the path of the Service that is switched; a worker has none."""
        assert self.spec.service is not None
        return self.service_path(self.spec.service)

    def objects(self) -> tuple[str, ...]:
        """Return the paths of what a release changes, the Service first."""
        mine = tuple(self.deployment(colour) for colour in Colour)
        return mine if self.spec.service is None else (self.traffic, *mine)

    def pods_of(self, deployment: Mapping[str, Any] | None) -> tuple[dict[str, Any], ...]:
        """Return every Pod of a Deployment, also those that are ending."""
        if deployment is None:
            return ()
        return self.pods(selector_of(deployment))

    def pods(self, labels: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
        """Return the Pods with these labels."""
        return self.api.list(f"/api/v1/namespaces/{self.namespace}/pods", labels=labels_text(labels))

    def endpoints(self, service: str) -> str:
        """Return the path of the Endpoints of a Service."""
        return f"/api/v1/namespaces/{self.namespace}/endpoints/{service}"

    def slices(self, service: str) -> tuple[dict[str, Any], ...]:
        """Return the EndpointSlices of a Service."""
        return self.api.list(
            f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices",
            labels=f"kubernetes.io/service-name={service}",
        )
