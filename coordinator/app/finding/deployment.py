"""How the service runs: Kubernetes manifests, a Procfile, a Dockerfile."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coordinator.app.finding.files import File
from coordinator.load.foreign import NotReadable, read_yaml_documents

_KINDS = frozenset({"Deployment", "StatefulSet", "Service"})
_MANIFEST_BYTES = 1 << 20
_PLAIN_WORD = re.compile(r"[\w./:@+-]*[\w./-]")
"""A word of a command that means the same without a shell, and in which no secret can stand."""
_PORT = re.compile(r"\$(?:PORT\b|\{PORT\})")
"""The one variable that a service of this machine is given in the same way."""


@dataclass(frozen=True, slots=True)
class Workload:
    """An object of a Kubernetes manifest."""

    path: str
    kind: str
    name: str
    images: tuple[str, ...]
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """How a file says that the service is started."""

    path: str
    command: tuple[str, ...]
    """Empty where a shell, a variable but the port's, or something that may be a secret stands in it."""


def find_workloads(files: Iterable[File]) -> tuple[Workload, ...]:
    """Return the Deployments, StatefulSets and Services of all manifests; templates are no YAML."""
    found: list[Workload] = []
    for file in files:
        if file.path.suffix in {".yaml", ".yml"}:
            content = file.head(_MANIFEST_BYTES)
            if b"kind:" in content and b"apiVersion:" in content:
                try:
                    found.extend(_workloads(str(file.path), read_yaml_documents(content)))
                except NotReadable:
                    continue
    return tuple(found)


def _workloads(path: str, documents: Iterable[object]) -> Iterator[Workload]:
    for document in documents:
        kind, name = _at(document, "kind"), _at(document, "metadata", "name")
        if kind in _KINDS and isinstance(name, str):
            spec = _at(document, "spec")
            containers = _items(_at(spec, "template", "spec", "containers"))
            ports = [
                *(_at(each, "containerPort") for one in containers for each in _items(_at(one, "ports"))),
                *(_at(each, "port") for each in _items(_at(spec, "ports"))),
            ]
            yield Workload(
                path,
                str(kind),
                name,
                tuple(str(image) for each in containers if (image := _at(each, "image"))),
                tuple(str(each) for each in ports if each),
            )


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def find_programs(files: Iterable[File]) -> tuple[Program, ...]:
    """Return what each Procfile and Dockerfile starts, the nearest to the root first."""
    found = [
        Program(str(file.path), command)
        for file in files
        for command in (_from_procfile(file), _from_dockerfile(file))
        if command is not None
    ]
    return tuple(sorted(found, key=lambda each: (each.path.count("/"), each.path)))


def _from_procfile(file: File) -> tuple[str, ...] | None:
    if file.path.name != "Procfile":
        return None
    match = re.search(r"^web:[ \t]*(\S.*)$", file.head().decode("utf-8", "replace"), re.MULTILINE)
    if match is None:
        return None
    line = match[1].strip()
    try:
        words = shlex.split(_PORT.sub("0", line))
    except ValueError:
        return ()
    return (
        ("sh", "-c", f"exec {line}")
        if _PORT.search(line) and _without_shell(words)
        else _without_shell(words)
    )


def _from_dockerfile(file: File) -> tuple[str, ...] | None:
    """Return the last stage's command; only its exec form says what is started without a shell."""
    if file.path.name != "Dockerfile":
        return None
    text = re.split(r"^FROM\b", file.head().decode("utf-8", "replace"), flags=re.MULTILINE | re.IGNORECASE)[
        -1
    ]
    started = {
        word: next(iter(re.findall(rf"^{word}[ \t]+(.+)$", text, re.MULTILINE)[-1:]), None)
        for word in ("ENTRYPOINT", "CMD")
    }
    words: list[str] = []
    for form in filter(None, started.values()):
        try:
            parsed = json.loads(form)
        except ValueError:
            return ()
        if not isinstance(parsed, list):
            return ()
        words.extend(map(str, parsed))
    return _without_shell(words) if words else None


def _without_shell(words: list[str]) -> tuple[str, ...]:
    return tuple(words) if all(_PLAIN_WORD.fullmatch(each) for each in words) else ()
