"""What a plan says of a service on Kubernetes; checking it must not load what talks to a cluster.

Names and images are checked as the API server would, so that a plan that cannot be released is refused before
anything happens. Secrets have no key here: the manifest takes them from Kubernetes Secrets, and a value that
passed through the plan would be readable in the Deployment by everybody who may read that.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from coordinator.fields import Duration, HttpPath, Spec
from coordinator.model import Colour

OURS: Final = ("COLOR", "VERSION", "RELEASE")
"""The environment variables that each container of a release gets."""
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_LENGTH: Final = 253
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_LENGTH: Final = 63
_HASH_LENGTH: Final = 8
_IMAGE: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+|[a-z0-9]+([._-]+[a-z0-9]+)*)"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)
"""The grammar of github.com/distribution/reference; an upper-case letter may stand in a host's name alone."""
_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:(?!//).+")


def label_value(text: str) -> str:
    """Return `text` as a label may hold it: as it is where it fits, else what fits of it and a short hash."""
    if _LABEL_VALUE.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[: _LABEL_LENGTH - _HASH_LENGTH - 1]
    return "-".join(part for part in (kept.rstrip("._-"), digest) if part)


def _is_label(value: str) -> str:
    if not _LABEL.fullmatch(value):
        raise PydanticCustomError(
            "bad-kubernetes-name",
            "Kubernetes takes no such name here. Write at most 63 lower-case letters, digits or hyphens, "
            "with no hyphen at either end.",
        )
    return value


def _is_service(value: str) -> str:
    if not _SERVICE.fullmatch(value):
        raise PydanticCustomError(
            "bad-kubernetes-name",
            "Kubernetes takes no such name for a Service. Write at most 63 lower-case letters, digits or "
            "hyphens, with a letter first and no hyphen at the end.",
        )
    return value


def _is_subdomain(value: str) -> str:
    if len(value) > _SUBDOMAIN_LENGTH or not _SUBDOMAIN.fullmatch(value):
        raise PydanticCustomError(
            "bad-kubernetes-name",
            "Kubernetes takes no such name here. Write at most 253 lower-case letters, digits, hyphens or "
            "dots, with a letter or a digit at either end and beside each dot.",
        )
    return value


def _is_image(value: str) -> str:
    match = _IMAGE.fullmatch(value)
    if match is None:
        raise PydanticCustomError(
            "bad-image",
            "This is no reference to an image. Write its name in lower case and its tag, without blanks: "
            "registry.example/shop:1.5.",
        )
    if match["digest"] is None and match["tag"] in (None, "latest"):
        raise PydanticCustomError(
            "image-not-pinned",
            "This image has no tag of its own version, so nobody could tell what runs. "
            "Write a tag that is never pushed again, for example shop:1.5, or a digest.",
        )
    return value


def _is_literal(value: str) -> str:
    if _REFERENCE.fullmatch(value):
        raise PydanticCustomError(
            "secret-for-container",
            "This is a reference to a secret, and here the container gets the text as it stands. "
            "Take the secret from a Kubernetes Secret in the manifest: valueFrom: {secretKeyRef: …}.",
        )
    return value


def _is_free(value: str) -> str:
    if value in OURS:
        raise PydanticCustomError(
            "variable-is-set",
            "The release sets this variable itself, from the colour, the version and its own name. "
            "Remove it, or give it another name.",
        )
    return value


def _is_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half a bracket of an IPv6 address
        is_fit, parts = False, urlsplit("")
    if not is_fit or "@" in parts.netloc or parts.query or parts.fragment or not value.isprintable():
        raise PydanticCustomError(
            "bad-url",
            "This is no address of a service. Write http:// or https://, the host and, if need be, the port, "
            "without a user, a password or a query: https://shop.example.",
        )
    return value


def _names_version(value: str) -> str:
    if "{version}" not in value:
        raise PydanticCustomError(
            "confirm-without-version",
            "Every version would answer this. Write {version} where the answer has the version, "
            'for example \'"version":"{version}"\'.',
        )
    return value


def _form(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


LabelName = Annotated[str, AfterValidator(_is_label), _form(f"^{_LABEL.pattern}$")]
ServiceObject = Annotated[str, AfterValidator(_is_service), _form(f"^{_SERVICE.pattern}$")]
ObjectName = Annotated[str, AfterValidator(_is_subdomain), _form(f"^{_SUBDOMAIN.pattern}$")]
Image = Annotated[str, AfterValidator(_is_image), _form(r"^\S+$")]
"""JSON Schema has only a loose form: an editor must let `${VERSION}` pass."""
_Line = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
_VariableName = Annotated[str, Field(pattern="^[-._A-Za-z][-._A-Za-z0-9]*$"), AfterValidator(_is_free)]
_Literal = Annotated[str, AfterValidator(_is_literal), _form(r"^[^\x00]*$")]
_Address = Annotated[str, AfterValidator(_is_address), _form("^https?://")]


class Names(Spec):
    """The names of the two Deployments, and of what belongs to each."""

    blue: ObjectName = Field(description="The Deployment of blue, its autoscaler and its disruption budget.")
    green: ObjectName = Field(description="The same of green.")

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.blue == self.green:
            raise PydanticCustomError(
                "repeated-value", "Both colours have the same name here. Give each a name of its own."
            )
        return self


class Confirm(Spec):
    """What clients must be answered after the switch."""

    path: HttpPath
    contains: Annotated[str, AfterValidator(_names_version)] = Field(
        description="A text that the answer must contain, with `{version}` for the new version."
    )
    times: int = Field(
        default=5, ge=1, le=1000, description="How many answers in a row must be the new version's."
    )


class Connections(Spec):
    """Where each Pod says how many client connections it has, in Prometheus' text format."""

    port: int = Field(ge=1, le=65535, description="The port of the Pod, whether a Service names it or not.")
    path: HttpPath = Field(default="/metrics", description="The path of the metrics.")
    gauge: str = Field(
        pattern="^[A-Za-z_:][A-Za-z0-9_:]*$", description="The gauge that counts open client connections."
    )


class KubernetesSpec(Spec):
    """The plan's `platform: {kubernetes: …}`."""

    context: _Line = Field(
        description="The context of the kubeconfig, or `in-cluster` for the ServiceAccount of the Pod that "
        "coordinator runs in. There is no default: a release goes to the cluster that its plan names.",
        examples=["prod"],
    )
    namespace: LabelName = Field(description="The namespace of the service.")
    service: ServiceObject | None = Field(
        default=None,
        description="The Service whose selector is switched. Without it the service is a worker and needs "
        "`worker:`.",
    )
    deployment: _Line | None = Field(
        default=None,
        description="The team's manifest, relative to the plan file: one Deployment, and if wanted its "
        "HorizontalPodAutoscaler and PodDisruptionBudget. Without it both Deployments must be there already, "
        "and only image, version and environment are changed.",
        examples=["deploy/shop.yaml"],
    )
    image: Image = Field(
        description="The image of the new version, with a tag or a digest that is never pushed again.",
        examples=["registry.example/shop:${VERSION}"],
    )
    container: LabelName | None = Field(
        default=None,
        description="The container that gets the image and the environment. Without it: the only one.",
    )
    names: Names | None = Field(
        default=None,
        description="The names of the two Deployments. Without it: the service's name in this plan, with "
        "`-blue` and `-green`.",
    )
    env: dict[_VariableName, _Literal] = Field(
        default_factory=dict,
        description="More environment for the container, besides COLOR, VERSION and RELEASE: texts as they "
        "stand. Secrets come from Kubernetes Secrets, by the manifest.",
    )
    url: _Address | None = Field(
        default=None,
        description="Where clients reach the Service. Without it: through the API server.",
        examples=["https://shop.example"],
    )
    preview: ServiceObject | None = Field(
        default=None,
        description="The Service that reaches the colour that is tried, which coordinator makes. Without it: "
        "`<service>-preview`.",
    )
    confirm: Confirm | None = Field(
        default=None,
        description="After the switch, what must be answered at the address that clients use. Recommended, "
        "with `url`: EndpointSlices are right before the nodes are that follow them.",
    )
    connections: Connections | None = Field(
        default=None,
        description="How a Pod tells its open connections. Without it the old version gets the whole drain "
        "deadline.",
    )
    stable: Duration = Field(
        default=timedelta(),
        description="For how long all new Pods must have been ready, without a restart, before traffic may "
        "move.",
    )

    def deployment_name(self, service: str, colour: Colour) -> str:
        """Return the name of a colour's Deployment and of what belongs to it; `service` is the plan's."""
        if self.names is None:
            return f"{service}-{colour}"
        return self.names.blue if colour is Colour.BLUE else self.names.green

    def preview_name(self, service: str) -> str:
        """Return the name of the Service that reaches the colour that is tried."""
        return self.preview or f"{self.service or service}-preview"

    @model_validator(mode="after")
    def _has_one_service_to_switch(self) -> Self:
        if self.service is None and self.confirm is not None:
            raise PydanticCustomError(
                "confirm-without-service",
                "`confirm` asks what clients are answered after the switch, and there is no `service` to "
                "switch. Add `service`, or remove `confirm`.",
            )
        if self.service is not None and self.preview == self.service:
            raise PydanticCustomError(
                "repeated-value",
                "The preview Service is the one that clients use. Give it a name of its own.",
            )
        return self


def preview_problem(name: str) -> str | None:
    """Return why a preview Service cannot have its default name, None where it can."""
    if _SERVICE.fullmatch(name):
        return None
    return f"Kubernetes takes no Service `{name}`. Add `preview:` with a name of at most 63 characters."
