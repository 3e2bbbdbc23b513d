"""What must hold before traffic moves, and what must be seen after it: one function a question, one answer
each.

A way back asks none of the first kind: it needs a side that serves, and nothing of the other one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.needs import asked_at_service
from coordinator.adapters.platforms._kubernetes.objects import (
    COLOUR,
    Json,
    addressed_in,
    at,
    available_of,
    colour_of,
    containers_of,
    image_of,
    is_complete,
    is_over,
    is_ready,
    name_of,
    reachable_in,
    restarts_of,
    selector_of,
    size_of,
    text_of,
    uid_of,
)
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.adapters.web import NoReply, get
from coordinator.model import Colour
from coordinator.ports.checks import Answer

_ASK: Final = timedelta(seconds=2)
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Sight:
    """One reading of everything that the questions are about."""

    to: Colour
    service: Json
    deployments: Mapping[Colour, Json | None]
    pods: tuple[Json, ...]
    """Those of the colour that traffic shall reach, without the ones that have ended."""
    previewed: tuple[Json, ...]
    """The EndpointSlices of the preview Service."""
    routed: tuple[Json, ...]
    """The EndpointSlices of the Service that clients use."""
    addressed: Json | None
    """Its Endpoints, where a check of the plan is asked there through the API server."""


def look(site: Site, service: Json, deployments: Mapping[Colour, Json | None], to: Colour) -> Sight:
    """Read what the questions need."""
    pods = tuple(pod for pod in site.pods_of(deployments[to]) if not is_over(pod))
    assert site.spec.service is not None
    return Sight(
        to,
        service,
        deployments,
        pods,
        previewed=site.slices(site.preview_name),
        routed=site.slices(site.spec.service),
        addressed=site.api.get(site.endpoints(site.spec.service)) if asked_at_service(site.service) else None,
    )


# -- before ------------------------------------------------------------------------------------------------


def before(site: Site, sight: Sight) -> tuple[Answer, ...]:
    """Return the answers to every question that a switch asks first."""
    deployment = sight.deployments[sight.to]
    if deployment is None:
        return (Answer(ok=False, detail=f"there is no Deployment `{site.deployment_name(sight.to)}`"),)
    return tuple(question(site, sight, deployment) for question in _BEFORE)


def _is_rolled_out(_: Site, sight: Sight, deployment: Json) -> Answer:
    size = size_of(deployment)
    said = f"{available_of(deployment)} of {size} Pods of {sight.to} serve"
    return Answer(ok=is_complete(deployment) and size > 0, detail=said)


def _is_large_enough(_: Site, sight: Sight, deployment: Json) -> Answer:
    live = sight.deployments[sight.to.other]
    least = 0 if live is None else size_of(live)
    size = size_of(deployment)
    return Answer(ok=size >= least, detail=f"{sight.to} has {size} Pods, {sight.to.other} has {least}")


def _runs_the_image(site: Site, sight: Sight, deployment: Json) -> Answer:
    """The tag that the plan names, and on every Pod the same digest: a tag can be pushed anew."""
    wanted, said = site.spec.image, image_of(deployment, site.spec.container)
    if said != wanted:
        return Answer(ok=False, detail=f"{sight.to} runs {said}, and the plan says {wanted}")
    name = site.spec.container or str(containers_of(deployment)[0].get("name"))
    digests = {
        str(each.get("imageID"))
        for pod in sight.pods
        for each in at(pod, "status", "containerStatuses") or ()
        if each.get("name") == name
    }
    if len(digests) > 1:
        return Answer(ok=False, detail=f"the Pods run {len(digests)} different images of the tag {wanted}")
    return Answer(ok=True, detail=f"every Pod runs {wanted}")


def _has_not_restarted(_: Site, sight: Sight, __: Json) -> Answer:
    restarted = [f"{name_of(pod)} ({restarts_of(pod)} times)" for pod in sight.pods if restarts_of(pod) > 1]
    if restarted:
        return Answer(ok=False, detail=f"containers were restarted: {_few(restarted)}")
    return Answer(ok=True, detail="no container was restarted again and again")


def _is_reachable(site: Site, sight: Sight, _: Json) -> Answer:
    """Through a Service of its own, so that readiness and ports are known before anybody needs them."""
    ready = {uid_of(pod): name_of(pod) for pod in sight.pods if is_ready(pod)}
    reached = reachable_in(sight.previewed)
    if missing := [name for uid, name in ready.items() if uid not in reached]:
        return Answer(ok=False, detail=f"Service `{site.preview_name}` does not reach {_few(missing)}")
    return Answer(ok=bool(ready), detail=f"Service `{site.preview_name}` reaches {len(ready)} Pods")


def _resolves_the_ports(site: Site, sight: Sight, deployment: Json) -> Answer:
    """A targetPort by name that the Pods do not have makes endpoints without a port, and nobody says so."""
    named = {str(port.get("name")) for each in containers_of(deployment) for port in each.get("ports") or ()}
    targets = [port.get("targetPort") for port in at(sight.service, "spec", "ports") or ()]
    unknown = [str(port) for port in targets if isinstance(port, str) and port not in named]
    if unknown:
        return Answer(ok=False, detail=f"the Pods have no port named {_few(unknown)}")
    return Answer(ok=True, detail=f"the ports of Service `{site.spec.service}` lead to the Pods")


def _is_selected(site: Site, sight: Sight, deployment: Json) -> Answer:
    """The selector with the new colour must be met by the Pods, or the switch would lead nowhere."""
    selector = {**(at(sight.service, "spec", "selector") or {}), COLOUR: sight.to.value}
    labels = at(deployment, "spec", "template", "metadata", "labels") or {}
    if not selector.items() <= labels.items():
        return Answer(ok=False, detail=f"the Pods do not have the labels {text_of(selector)}")
    other = sight.deployments[sight.to.other]
    if other is not None and selector_of(other).items() <= labels.items():
        return Answer(ok=False, detail=f"the Deployment of {sight.to.other} selects these Pods too")
    return Answer(ok=True, detail=f"Service `{site.spec.service}` will select them, and only them")


def _may_switch(site: Site, _: Sight, __: Json) -> Answer:
    assert site.spec.service is not None
    may = site.api.may("patch", "", "services", name=site.spec.service, namespace=site.namespace)
    return Answer(ok=may, detail=f"we may {'' if may else 'not '}patch Service `{site.spec.service}`")


def _leaves_a_way_back(_: Site, sight: Sight, __: Json) -> Answer:
    """Only told: a sick live version is a reason to leave it."""
    live = sight.deployments[sight.to.other]
    if live is None or not size_of(live):
        return Answer(ok=True, detail="nothing serves that one could go back to")
    there = available_of(live)
    whole = there >= size_of(live)
    return Answer(
        ok=True,
        detail=f"{there} of {size_of(live)} Pods of {sight.to.other} serve"
        + ("" if whole else ": a way back would meet less than it had"),
    )


_BEFORE: Final[tuple[Callable[[Site, Sight, Json], Answer], ...]] = (
    _is_rolled_out,
    _is_large_enough,
    _runs_the_image,
    _has_not_restarted,
    _is_reachable,
    _resolves_the_ports,
    _is_selected,
    _may_switch,
    _leaves_a_way_back,
)


# -- after -------------------------------------------------------------------------------------------------


def after(site: Site, sight: Sight) -> tuple[Answer, ...]:
    """Return whether the Service and its EndpointSlices show the new colour and nothing else."""
    return (_is_switched(site, sight), *_endpoints(sight))


def _is_switched(site: Site, sight: Sight) -> Answer:
    said = at(sight.service, "spec", "selector", COLOUR)
    return Answer(ok=said == sight.to, detail=f"Service `{site.spec.service}` selects {said}")


def _endpoints(sight: Sight) -> Iterator[Answer]:
    ready = {uid_of(pod): name_of(pod) for pod in sight.pods if is_ready(pod)}
    reached = reachable_in(sight.routed)
    pods = {uid_of(pod) for pod in sight.pods}
    strangers = [name for uid, name in reached.items() if uid not in pods]
    missing = [name for uid, name in ready.items() if uid not in reached]
    yield Answer(
        ok=not strangers,
        detail=f"EndpointSlices still send to {_few(strangers)}"
        if strangers
        else f"EndpointSlices send to no Pod but those of {sight.to}",
    )
    if sight.addressed is not None:
        late = [name for uid, name in addressed_in(sight.addressed).items() if uid not in pods]
        yield Answer(
            ok=not late,
            detail=f"Endpoints still send to {_few(late)}: checks would be asked there"
            if late
            else f"checks are asked at no Pod but those of {sight.to}",
        )
    yield Answer(
        ok=bool(ready) and not missing,
        detail=f"EndpointSlices do not send to {_few(missing) or 'any Pod'} yet"
        if missing or not ready
        else f"EndpointSlices send to all {len(ready)} ready Pods of {sight.to}",
    )


def confirm(site: Site, address: str, version: str) -> Answer:
    """Ask at the clients' address until so many answers in a row are the version's; one other begins anew.

    Each is asked on a connection of its own: a kept one stays with the Pod that it has.
    """
    asked = site.spec.confirm
    assert asked is not None
    wanted = asked.contains.replace("{version}", version).encode()
    for count in range(asked.times):
        try:
            reply = get(address + asked.path, timeout=_ASK)
        except NoReply as error:
            return Answer(ok=False, detail=f"GET {asked.path} at the clients' address: {error}")
        if reply.status != 200 or wanted not in reply.body:  # noqa: PLR2004 - OK
            said = f"answer {count + 1} of {asked.times} is {reply.status}, or without {wanted.decode()!r}"
            return Answer(ok=False, detail=f"GET {asked.path} at the clients' address: {said}")
    return Answer(ok=True, detail=f"{asked.times} answers in a row at the clients' address are {version}'s")


def strangers_among(pods: Sequence[dict[str, Any]], deployments: Mapping[Colour, Json | None]) -> list[str]:
    """Return the Pods that a selector without a colour would reach and that are of neither Deployment."""
    mine = [selector_of(each).items() for each in deployments.values() if each is not None]
    return [
        name_of(pod)
        for pod in pods
        if not is_over(pod)
        and (
            colour_of(pod) is None
            or not any(wanted <= (at(pod, "metadata", "labels") or {}).items() for wanted in mine)
        )
    ]


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
