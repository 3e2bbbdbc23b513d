"""The team's manifest as it stands in a file: read with places, and checked for what a release rests on.

Every problem is a value with its line, so that `validate` shows all at once. Nothing of the file is passed
over: what a release would not apply is an error, never a document that nobody looks at. Whether the Pods are
fit to be blue and green is another question (lint.py); whether Kubernetes takes every field, it says itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.objects import Json, at, containers_of
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.diagnostics import Diagnostic, Place, did_you_mean
from coordinator.load.foreign import Document, NotReadable, read_placed_documents
from coordinator.load.source import read_bytes, shown

VERSIONS: Final = {
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
}
"""What a colour is made of: each kind with the version that is understood here."""
_LIMIT: Final = 1 << 20
_OF_SERVER: Final = (
    *(("metadata", key) for key in ("uid", "resourceVersion", "generation", "creationTimestamp")),
    *(("metadata", key) for key in ("managedFields", "selfLink", "deletionTimestamp", "ownerReferences")),
    ("metadata", "annotations", "deployment.kubernetes.io/revision"),
    ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"),
    ("status",),
)
"""What only a cluster writes; empty, as `kubectl create --dry-run` prints them, they say nothing."""
_POD: Final = ("spec", "template", "spec")
_MAPPINGS: Final = (
    *(("metadata", key) for key in ("labels", "annotations")),
    ("spec", "template", "metadata"),
    *(("spec", "template", "metadata", key) for key in ("labels", "annotations")),
    ("spec", "selector"),
    ("spec", "selector", "matchLabels"),
    ("spec", "strategy"),
    ("spec", "strategy", "rollingUpdate"),
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The team's objects, as they were read, and where everything of the Deployment stands."""

    file: str
    deployment: Json
    autoscaler: Json | None = None
    budget: Json | None = None
    source: Document | None = field(default=None, repr=False, compare=False)

    def place(self, *path: str | int) -> Place:
        """Return where a part of the Deployment stands, or the nearest above it."""
        return Place(self.file) if self.source is None else self.source.place(self.file, *path)


@dataclass(frozen=True, slots=True)
class Reading:
    """A manifest, None exactly if a diagnostic is an error."""

    manifest: Manifest | None
    diagnostics: tuple[Diagnostic, ...] = ()


def read(path: Path, *, spec: KubernetesSpec, place: Place) -> Reading:
    """Read a manifest; `place` is the plan's, for a file that is not there."""
    content = read_bytes(path, limit=_LIMIT, place=place)
    if isinstance(content, Diagnostic):
        return Reading(None, (content,))
    return manifest_from(content, file=shown(path), spec=spec)


def manifest_from(content: bytes, *, file: str, spec: KubernetesSpec) -> Reading:
    """Return the manifest of a file's bytes, or all that is wrong with it."""
    try:
        documents = read_placed_documents(content)
    except NotReadable as error:
        return Reading(None, (_unreadable(file, error, content),))
    found: dict[str, _Object] = {}
    problems: list[Diagnostic] = []
    for document in documents:
        each = _Object(file, document)
        if problem := _is_wanted(each, found):
            problems.append(problem)
        else:
            found[each.kind] = each
    if not problems and "Deployment" not in found:
        problems.append(_no_deployment(file))
    for each in found.values():
        problems += _problems_of_any(each, spec)
    if not problems:
        problems += _problems_of_deployment(found["Deployment"], spec)
    if not problems:
        problems += _problems_of_rest(found)
    if problems:
        return Reading(None, tuple(sorted(problems, key=lambda each: each.place)))
    values = {kind: each.value for kind, each in found.items()}
    return Reading(
        Manifest(
            file,
            values["Deployment"],
            values.get("HorizontalPodAutoscaler"),
            values.get("PodDisruptionBudget"),
            found["Deployment"].document,
        )
    )


def index_of_container(deployment: Json, wanted: str | None) -> int | Sequence[str]:
    """Return the position of the container that the plan means, or the names of all where none is meant."""
    names = [str(each.get("name")) for each in containers_of(deployment)]
    if wanted in names:
        return names.index(wanted)
    return 0 if wanted is None and len(names) == 1 else names


@dataclass(frozen=True, slots=True)
class _Object:
    """One document of the file."""

    file: str
    document: Document

    @property
    def value(self) -> Json:
        return self.document.value if isinstance(self.document.value, Mapping) else {}

    @property
    def kind(self) -> str:
        return str(self.value.get("kind", ""))

    def place(self, *path: str | int) -> Place:
        return self.document.place(self.file, *path)

    def bad(self, path: Sequence[str | int], what: str, *, next_step: str, why: str = "") -> Diagnostic:
        return Diagnostic(
            code="bad-manifest", place=self.place(*path), what=what, why=why, next_step=next_step
        )


# -- which objects -------------------------------------------------------------------------------------------


def _is_wanted(each: _Object, found: Mapping[str, _Object]) -> Diagnostic | None:
    """Return why an object has no business in the file, None where it has."""
    if not each.kind:
        return each.bad((), "This is no object of Kubernetes: it has no `kind`.", next_step="Remove it.")
    if each.kind not in VERSIONS:
        return Diagnostic(
            code="manifest-other-object",
            place=each.place("kind"),
            what=f"The manifest holds a {each.kind}.",
            why="A release makes a Deployment for each colour, with its autoscaler and its disruption budget,"
            " and would not apply this.",
            next_step="Keep it in another file, and apply that one yourself before the release.",
        )
    if each.value.get("apiVersion") != VERSIONS[each.kind]:
        return each.bad(
            ("apiVersion",),
            f"This {each.kind} is not of version `{VERSIONS[each.kind]}`.",
            why="Other versions have other fields, and what they mean is not known here.",
            next_step=f"Write `apiVersion: {VERSIONS[each.kind]}`, and its fields as that version has them.",
        )
    if each.kind in found:
        first = found[each.kind].place("kind").line
        return each.bad(
            ("kind",),
            f"This is the second {each.kind}; the first stands in line {first}.",
            why="Each colour is made of one.",
            next_step="Keep the others in files of their own.",
        )
    return None


def _no_deployment(file: str) -> Diagnostic:
    return Diagnostic(
        code="bad-manifest",
        place=Place(file),
        what="The manifest holds no Deployment.",
        why="Both colours are made from it.",
        next_step="Name the file that holds the service's Deployment as `deployment:`.",
    )


def _unreadable(file: str, error: NotReadable, content: bytes) -> Diagnostic:
    is_template = b"{{" in content
    return Diagnostic(
        code="bad-manifest",
        place=Place(file, error.line, error.column),
        what=f"The manifest cannot be read: {error}.",
        next_step="It looks like a template: render it first, for example with `helm template`."
        if is_template
        else "Compare it with what `kubectl apply --dry-run=client -f` says.",
    )


# -- of any object -------------------------------------------------------------------------------------------


def _problems_of_any(each: _Object, spec: KubernetesSpec) -> Iterator[Diagnostic]:
    metadata, body = each.value.get("metadata"), each.value.get("spec")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        yield each.bad(
            ("metadata",), f"This {each.kind} has no name.", next_step="Write `metadata: {name: …}`."
        )
        return
    if not isinstance(body, Mapping):
        yield each.bad(("spec",), f"This {each.kind} has no `spec`.", next_step="Write one.")
        return
    namespace = metadata.get("namespace")
    if namespace not in (None, spec.namespace):
        yield each.bad(
            ("metadata", "namespace"),
            f"This {each.kind} is of namespace `{namespace}`, and the plan says `{spec.namespace}`.",
            next_step="Make them the same, or leave it to the plan and remove it here.",
        )
    for path in _OF_SERVER:
        if at(each.value, *path):
            yield Diagnostic(
                code="manifest-exported",
                place=each.place(*path),
                what=f"`{'.'.join(path)}` is what a cluster writes.",
                why="This was exported from one, and a release cannot apply it.",
                next_step="Remove it, and whatever else no person wrote.",
            )


# -- of the Deployment ---------------------------------------------------------------------------------------


def _problems_of_deployment(each: _Object, spec: KubernetesSpec) -> Iterator[Diagnostic]:
    wrong = list(_wrong_shapes(each))
    yield from wrong
    if wrong:
        return
    yield from _selector_problems(each)
    index = index_of_container(each.value, spec.container)
    if not isinstance(index, int):
        yield _no_such_container(each, spec.container, index)
    replicas = at(each.value, "spec", "replicas")
    if replicas is not None and (not _is_count(replicas) or replicas < 1):
        yield each.bad(
            ("spec", "replicas"),
            "`spec.replicas` must be a whole number, 1 at least.",
            why="A colour without Pods serves nobody.",
            next_step="Write how many Pods a colour has.",
        )


def _wrong_shapes(each: _Object) -> Iterator[Diagnostic]:
    """Yield what has another shape than the rest of coordinator takes for granted."""
    for path in _MAPPINGS:
        if not isinstance(at(each.value, *path) or {}, Mapping):
            yield each.bad(
                path, f"`{'.'.join(path)}` must be a mapping.", next_step="Write `key: value` pairs."
            )
    if not at(each.value, *_POD, "containers"):
        yield each.bad(
            (*_POD, "containers"), "This Deployment has no containers.", next_step="List one at least."
        )
    for kind in ("containers", "initContainers"):
        path, containers = (*_POD, kind), at(each.value, *_POD, kind) or []
        if not isinstance(containers, list):
            yield each.bad(path, f"`{kind}` must be a list.", next_step="Write each with `- name: …`.")
            continue
        for index, container in enumerate(containers):
            if not isinstance(container, Mapping) or not isinstance(container.get("name"), str):
                yield each.bad((*path, index), "This container has no name.", next_step="Write `name: …`.")
            else:
                yield from _wrong_container(each, (*path, index), container)


def _wrong_container(each: _Object, path: Sequence[str | int], container: Json) -> Iterator[Diagnostic]:
    for key in ("env", "ports"):
        listed = container.get(key) or []
        if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
            yield each.bad((*path, key), f"`{key}` must be a list of mappings.", next_step="Write it as one.")
        elif key == "env":
            yield from _repeated_variables(each, (*path, key), listed)


def _repeated_variables(
    each: _Object, path: Sequence[str | int], variables: Sequence[Json]
) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name = variable.get("name")
        if not isinstance(name, str):
            yield each.bad((*path, index), "This variable has no name.", next_step="Write `name: …`.")
        elif name in seen:
            yield each.bad(
                (*path, index),
                f"The variable `{name}` stands in `env` twice.",
                why="Server-side apply knows a variable by its name, and refuses both.",
                next_step="Remove one.",
            )
        else:
            seen.add(name)


def _selector_problems(each: _Object) -> Iterator[Diagnostic]:
    wanted = at(each.value, "spec", "selector", "matchLabels")
    labels = at(each.value, "spec", "template", "metadata", "labels") or {}
    if not wanted:
        yield each.bad(
            ("spec", "selector"),
            "The Deployment selects no labels.",
            why="It would not know its Pods.",
            next_step="Write `selector: {matchLabels: {app: …}}`, with a label of the Pod template.",
        )
        return
    missing = [f"{key}: {value}" for key, value in wanted.items() if labels.get(key) != value]
    if missing:
        yield each.bad(
            ("spec", "selector"),
            f"The Deployment selects `{', '.join(missing)}`, which its Pod template does not have.",
            why="Kubernetes refuses it: it would not know its own Pods.",
            next_step="Add the label to `spec.template.metadata.labels`, or correct the selector.",
        )


def _no_such_container(each: _Object, wanted: str | None, names: Sequence[str]) -> Diagnostic:
    listed = ", ".join(f"`{name}`" for name in names)
    return Diagnostic(
        code="container-unknown",
        place=each.place("spec", "template", "spec", "containers"),
        what=f"The plan names no container, and the Deployment has {len(names)}: {listed}."
        if wanted is None
        else f"The Deployment has no container `{wanted}`, which the plan names.",
        why="Nobody can tell which of them gets the new image.",
        next_step="Name one of them as `container:` in the plan."
        if wanted is None
        else did_you_mean(wanted, names),
    )


# -- of what belongs to it -----------------------------------------------------------------------------------


def _problems_of_rest(found: Mapping[str, _Object]) -> Iterator[Diagnostic]:
    deployment = found["Deployment"].value
    if (autoscaler := found.get("HorizontalPodAutoscaler")) is not None:
        yield from _problems_of_autoscaler(autoscaler, str(deployment["metadata"]["name"]))
    if (budget := found.get("PodDisruptionBudget")) is not None:
        yield from _problems_of_budget(budget, at(deployment, "spec", "template", "metadata", "labels") or {})


def _problems_of_autoscaler(each: _Object, deployment: str) -> Iterator[Diagnostic]:
    target = at(each.value, "spec", "scaleTargetRef") or {}
    if at(target, "kind") != "Deployment" or at(target, "name") != deployment:
        yield each.bad(
            ("spec", "scaleTargetRef"),
            f"The autoscaler does not scale Deployment `{deployment}`.",
            why="Each colour gets an autoscaler of its own, made from this one.",
            next_step="Write `apiVersion: apps/v1`, `kind: Deployment` and that name as its target.",
        )
    least, most = (at(each.value, "spec", key) for key in ("minReplicas", "maxReplicas"))
    least = 1 if least is None else least
    if not (_is_count(least) and _is_count(most)) or not 1 <= least <= most:
        yield each.bad(
            ("spec", "maxReplicas"),
            "`minReplicas` and `maxReplicas` must be whole numbers from 1, the second not below the first.",
            next_step="Write between how many Pods the autoscaler may choose.",
        )


def _problems_of_budget(each: _Object, labels: Json) -> Iterator[Diagnostic]:
    wanted = at(each.value, "spec", "selector", "matchLabels")
    if (
        at(each.value, "spec", "selector", "matchExpressions")
        or not isinstance(wanted, Mapping)
        or not wanted
    ):
        yield each.bad(
            ("spec", "selector"),
            "The disruption budget must select by `matchLabels` alone.",
            why="Each colour gets a budget of its own, which selects that colour's Pods.",
            next_step="Write `selector: {matchLabels: {app: …}}`, as the Deployment has it.",
        )
    elif not wanted.items() <= labels.items():
        yield each.bad(
            ("spec", "selector"),
            "The disruption budget does not select the Deployment's Pods.",
            why="Each colour gets a budget of its own, made from this one.",
            next_step="Write the labels that the Deployment's Pod template has.",
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
