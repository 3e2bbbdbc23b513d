"""The revisions of an Alembic folder as a graph: what each needs, its branch labels, and one order for all.

Alembic leaves the order of branches open. Here it is fixed: parents first; where several may come next, a
revision of a branch `expand` before others and one of a branch `contract` last, for that is what the two
branches are made for; then by date and name.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coordinator.diagnostics import Diagnostic, Place
from coordinator.model import Phase
from migrations_hooks._alembic_source import Revision, bad_phase

_RANK: Final = {Phase.EXPAND: 0, Phase.MIGRATE: 1, None: 1, Phase.CONTRACT: 2}


@dataclass(frozen=True, slots=True)
class Placed:
    """A revision with what must be applied before it, and its phase."""

    revision: Revision
    parents: tuple[str, ...]
    """What it follows, then what it depends on."""


def order(revisions: Sequence[Revision]) -> tuple[tuple[Placed, ...], tuple[Diagnostic, ...]]:
    """Return the revisions, each behind its parents, and what keeps Alembic from working with them."""
    known: dict[str, Revision] = {}
    problems: list[Diagnostic] = []
    for each in revisions:
        if each.id in known:
            problems.append(_duplicate(each, known[each.id]))
        known.setdefault(each.id, each)
    labelled = {label: each.id for each in known.values() for label in each.labels}
    placed = {}
    for each in known.values():
        down = [_found(name, each, known) for name in each.down]
        depends = [_found(labelled.get(name, name), each, known) for name in each.depends]
        problems.extend(found for found in (*down, *depends) if isinstance(found, Diagnostic))
        names = dict.fromkeys(found for found in (*down, *depends) if isinstance(found, str))
        placed[each.id] = Placed(each, tuple(names))
    if problems:
        return (), tuple(problems)
    phased = dict(_phased(placed, problems))
    line = tuple(_line(phased))
    if len(line) < len(phased):
        problems.append(_cycle([phased[each] for each in phased if phased[each] not in line]))
    return line, tuple(problems)


def _found(name: str, of: Revision, known: Mapping[str, Revision]) -> str | Diagnostic:
    if name in known:
        return name
    key = "down_revision" if name in of.down else "depends_on"
    return Diagnostic(
        "alembic-parent-missing",
        of.place(key),
        f"No file here is revision `{name}`, which `{of.name}` names as its {key}.",
        "Alembic cannot tell what comes before it, and refuses to work.",
        "Bring the file back, or correct the name; a shortened name is not understood here.",
    )


def _line(placed: Mapping[str, Placed]) -> Iterator[Placed]:
    """Yield the revisions that can be ordered; those of a cycle and behind it are left out."""
    children: dict[str, list[str]] = {}
    waits = {name: len(each.parents) for name, each in placed.items()}
    for name, each in placed.items():
        for parent in each.parents:
            children.setdefault(parent, []).append(name)
    free = [(_key(placed[name]), name) for name, count in waits.items() if not count]
    heapq.heapify(free)
    while free:
        _, name = heapq.heappop(free)
        yield placed[name]
        for child in children.get(name, ()):
            waits[child] -= 1
            if not waits[child]:
                heapq.heappush(free, (_key(placed[child]), child))


def _key(placed: Placed) -> tuple[int, str, str]:
    revision = placed.revision
    return _RANK[revision.phase], revision.date, revision.file.path


def _phased(placed: Mapping[str, Placed], problems: list[Diagnostic]) -> Iterator[tuple[str, Placed]]:
    """Yield the revisions with the phase of their branch, unless a line of their own declares one."""
    labels = _spread(placed)
    for name, each in placed.items():
        phases = [Phase(label) for label in sorted(labels[name]) if label in tuple(Phase)]
        if len(phases) != 1:  # none, or a merge of both
            yield name, each
            continue
        [phase] = phases
        declared = each.revision.phase
        if declared not in (None, phase):
            at = each.revision.phase_at or Place(each.revision.file.path)
            what = f"`{declared}` is declared on the branch `{phase}`, whose label says it already."
            way_out = "Take the line out, or put the revision on a branch without that label."
            problems.append(replace(bad_phase(at, what), next_step=way_out))
        at = each.revision.phase_at or each.revision.place("revision")
        yield name, replace(each, revision=replace(each.revision, phase=phase, phase_at=at))


def _spread(placed: Mapping[str, Placed]) -> dict[str, set[str]]:
    """Return the branch labels of each revision, as Alembic hands them on.

    Down to the head over all that follow, and up to the next point where branches part or meet.
    """
    labels: dict[str, set[str]] = {name: set() for name in placed}
    children: dict[str, list[str]] = {name: [] for name in placed}
    for name, each in placed.items():
        for parent in each.revision.down:
            children[parent].append(name)
    for name, each in placed.items():
        if not each.revision.labels:
            continue
        below, seen = [name], set[str]()
        while below:
            here = below.pop()
            if here not in seen:
                seen.add(here)
                labels[here].update(each.revision.labels)
                below.extend(children[here])
        above = each.revision.down
        while len(above) == 1 and len(children[above[0]]) == 1 and len(placed[above[0]].revision.down) < 2:  # noqa: PLR2004 - two: a merge
            if above[0] in seen:
                break  # a cycle, which is told elsewhere
            seen.add(above[0])
            labels[above[0]].update(each.revision.labels)
            above = placed[above[0]].revision.down
    return labels


def _duplicate(revision: Revision, other: Revision) -> Diagnostic:
    return Diagnostic(
        "duplicate-version",
        revision.place("revision"),
        f"Revision `{revision.id}` is also {other.file.path}.",
        "Alembic warns, and works with one of the two files.",
        "Delete the copy, or give it an identifier of its own.",
    )


def _cycle(left: Sequence[Placed]) -> Diagnostic:
    first = min(left, key=lambda each: each.revision.file.path).revision
    names = ", ".join(sorted(each.revision.id for each in left)[:12])
    return Diagnostic(
        "alembic-cycle",
        first.place("down_revision"),
        f"These revisions wait for each other: {names}.",
        "Alembic refuses to work with a cycle.",
        "Correct `down_revision` and `depends_on`, so that one of them comes first.",
    )
