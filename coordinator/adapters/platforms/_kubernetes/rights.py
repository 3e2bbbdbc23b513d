"""The rights that a plan needs in a cluster, as values, and the YAML of the Roles that grant them.

The text is written and not dumped: every rule carries its reason as a comment, for the person who is asked to
grant it. Every value stands in double quotes as JSON writes it, which is YAML whatever the value is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Final

_API: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who gets the rights."""

    kind: str
    """`ServiceAccount`, `User` or `Group`."""
    name: str
    namespace: str = ""
    """Of a ServiceAccount alone."""


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one kind of resource; `names` empty means any name, `namespace` None the whole cluster.

    A rule with names fits only a request whose path has the name. It grants no POST that creates, and no
    `list`; it does grant the `create` of a server-side apply, which is a PATCH at the object's own path. The
    name is the whole segment of the path: through a proxy `shop:80` is another name than `shop`.
    """

    namespace: str | None
    group: str
    """Empty for the core group."""
    resource: str
    """In the plural, with its subresource if that is meant: `services/proxy`."""
    verbs: tuple[str, ...]
    why: str
    """What cannot be done without it; a line a reason."""
    names: tuple[str, ...] = ()


def merged(rights: Iterable[Right]) -> tuple[Right, ...]:
    """Return the same rights with nothing said twice, in a stable order: the whole cluster's first.

    Two rights become one where they differ in their verbs alone, or in their names alone; where they differ
    in both, a merged one would grant what neither does.
    """
    by_names = [
        replace(group[0], verbs=_all(each.verbs for each in group), why=_reasons(group))
        for group in _grouped(rights, lambda each: (*_kind(each), each.names))
    ]
    by_verbs = [
        replace(group[0], names=_all(each.names for each in group), why=_reasons(group))
        for group in _grouped(by_names, lambda each: (*_kind(each), each.verbs, bool(each.names)))
    ]
    return tuple(sorted(by_verbs, key=lambda each: (*_kind(each), each.names, each.verbs)))


def manifest(rights: Iterable[Right], *, name: str, subject: Subject) -> str:
    """Return YAML that grants exactly `rights`: Roles where they have a namespace, else a ClusterRole."""
    documents = [
        text
        for namespace, group in groupby(merged(rights), key=lambda each: each.namespace)
        for text in (_role(namespace, name, list(group)), _binding(namespace, name, subject))
    ]
    return "---\n".join(documents)


def _role(namespace: str | None, name: str, rights: Sequence[Right]) -> str:
    kind = "ClusterRole" if namespace is None else "Role"
    return _head(kind, namespace, name) + "rules:\n" + "".join(_rule(each) for each in rights)


def _rule(right: Right) -> str:
    lines = [f"  # {reason}" for reason in right.why.splitlines()]
    lines.append(f"  - apiGroups: {_listed((right.group,))}")
    lines.append(f"    resources: {_listed((right.resource,))}")
    if right.names:
        lines.append(f"    resourceNames: {_listed(right.names)}")
    lines.append(f"    verbs: {_listed(right.verbs)}")
    return "\n".join(lines) + "\n"


def _binding(namespace: str | None, name: str, subject: Subject) -> str:
    role = "ClusterRole" if namespace is None else "Role"
    lines = [
        "roleRef:",
        f"  apiGroup: {_quoted(_API)}",
        f"  kind: {_quoted(role)}",
        f"  name: {_quoted(name)}",
        "subjects:",
        f"  - kind: {_quoted(subject.kind)}",
        f"    name: {_quoted(subject.name)}",
        f"    namespace: {_quoted(subject.namespace)}"
        if subject.kind == "ServiceAccount"
        else f"    apiGroup: {_quoted(_API)}",
    ]
    return _head(f"{role}Binding", namespace, name) + "\n".join(lines) + "\n"


def _head(kind: str, namespace: str | None, name: str) -> str:
    lines = [f"apiVersion: {_quoted(_API + '/v1')}", f"kind: {_quoted(kind)}", "metadata:"]
    lines.append(f"  name: {_quoted(name)}")
    if namespace is not None:
        lines.append(f"  namespace: {_quoted(namespace)}")
    return "\n".join(lines) + "\n"


def _grouped(rights: Iterable[Right], key: Callable[[Right], Hashable]) -> list[list[Right]]:
    groups: dict[Hashable, list[Right]] = {}
    for each in rights:
        groups.setdefault(key(each), []).append(each)
    return list(groups.values())


def _kind(right: Right) -> tuple[bool, str, str, str]:
    return (right.namespace is not None, right.namespace or "", right.group, right.resource)


def _all(words: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted(set(chain.from_iterable(words))))


def _reasons(rights: Sequence[Right]) -> str:
    lines = chain.from_iterable(each.why.splitlines() for each in rights)
    return "\n".join(dict.fromkeys(lines))


def _listed(words: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(each) for each in words)}]"


def _quoted(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)
