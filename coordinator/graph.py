"""The release as an immutable graph of steps: what is to be done, and after what.

A step is a value that names its subject; the plan, which the run's digest pins, holds the settings. The
graph knows nothing of what a kind of step does. It is linear in steps plus edges throughout: a release of
a hundred thousand steps is compiled in seconds, so nothing here computes a closure or a reduction.

networkx was measured and left out: its import costs more than all of this module's work on a usual plan.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NewType

from coordinator.model import Colour, DatabaseName, MigrationId, Phase, Role, ServiceName, Version

StepId = NewType("StepId", str)
"""What a person types and reads: `expand:shop:00002_add_email`, `switch:orders`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `kind` names its file under coordinator/steps; the rest says to what it is done."""

    id: StepId
    kind: str
    after: tuple[StepId, ...] = ()
    database: DatabaseName | None = None
    service: ServiceName | None = None
    phase: Phase | None = None
    migration: MigrationId | None = None
    """The tool's version of the migration that is applied."""
    state: int | None = None
    """The schema state that is reached: k after the k-th pending migration."""
    role: Role | None = None
    colour: Colour | None = None
    version: Version | None = None
    backfill: str | None = None
    """The plan's name of the backfill that is run, or whose completeness is asked."""
    percent: int | None = None
    """The share of the traffic that a canary asks for."""
    approvers: tuple[str, ...] = ()
    no_return: bool = False
    """From its start on, the live version is not promised to work any more: no rollback."""

    @property
    def its_service(self) -> ServiceName:
        """Return the service of a step that is about one."""
        assert self.service is not None, self.id
        return self.service

    @property
    def its_database(self) -> DatabaseName:
        """Return the database of a step that is about one."""
        assert self.database is not None, self.id
        return self.database

    @property
    def its_backfill(self) -> str:
        """Return the backfill of a step that is about one."""
        assert self.backfill is not None, self.id
        return self.backfill

    @property
    def its_percent(self) -> int:
        """Return the share of a step that is about one."""
        assert self.percent is not None, self.id
        return self.percent

    @property
    def its_colour(self) -> Colour:
        """Return the colour of a step that is about one."""
        assert self.colour is not None, self.id
        return self.colour


class GraphError(ValueError):
    """The steps are no graph: an id twice, an unknown predecessor, or a cycle. A bug of the compiler."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps in an order that respects `after`; of several possible ones, that of their definition."""

    steps: tuple[Step, ...]
    _by_id: Mapping[StepId, Step] = field(init=False, repr=False, compare=False)
    _successors: Mapping[StepId, tuple[StepId, ...]] = field(init=False, repr=False, compare=False)
    _rank: Mapping[StepId, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id = {step.id: step for step in self.steps}
        if len(by_id) != len(self.steps):
            raise GraphError("a step's id stands twice")
        successors: dict[StepId, list[StepId]] = {step.id: [] for step in self.steps}
        for step in self.steps:
            for before in step.after:
                if before not in by_id:
                    raise GraphError(f"{step.id} comes after {before}, which does not exist")
                successors[before].append(step.id)
        ordered = _in_order(self.steps, successors)
        object.__setattr__(self, "steps", ordered)
        object.__setattr__(self, "_by_id", by_id)
        object.__setattr__(self, "_rank", {step.id: rank for rank, step in enumerate(ordered)})
        object.__setattr__(self, "_successors", {key: tuple(value) for key, value in successors.items()})

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __contains__(self, step: object) -> bool:
        return step in self._by_id

    def step(self, step: StepId) -> Step:
        """Return the step of that id; KeyError if there is none."""
        return self._by_id[step]

    def in_order(self, steps: Iterable[StepId]) -> list[Step]:
        """Return some of the steps in the graph's order, at the price of those alone."""
        return [self._by_id[step] for step in sorted(steps, key=self._rank.__getitem__)]

    def successors(self, step: StepId) -> tuple[StepId, ...]:
        """Return the steps that come directly after this one."""
        return self._successors[step]


def _in_order(steps: Iterable[Step], successors: Mapping[StepId, list[StepId]]) -> tuple[Step, ...]:
    """Return the steps so that each follows all of its `after`; ties go by the order of definition."""
    defined = list(steps)
    rank = {step.id: position for position, step in enumerate(defined)}
    missing = {step.id: len(step.after) for step in defined}
    ready = [rank[step.id] for step in defined if not step.after]
    ordered: list[Step] = []
    while ready:
        step = defined[heapq.heappop(ready)]
        ordered.append(step)
        for follower in successors[step.id]:
            missing[follower] -= 1
            if not missing[follower]:
                heapq.heappush(ready, rank[follower])
    if len(ordered) != len(defined):
        stuck = ", ".join(step.id for step in defined if missing[step.id])
        raise GraphError(f"these steps wait for each other: {stuck}")
    return tuple(ordered)
