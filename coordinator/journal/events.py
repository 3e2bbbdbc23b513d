"""What a run writes down: the events, and their form on the wire.

An event is a fact about the past and is never changed. On the wire it is one JSON object with `v` (the
version of this form), `type` and `at`; a reader of a newer coordinator reads all older forms, and one that
meets a newer form stops instead of guessing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from coordinator.errors import InDoubt
from coordinator.graph import StepId
from coordinator.world import Seen

WIRE_VERSION: Final = 1


class Outcome(StrEnum):
    """How a run ended for good. A run without an outcome is open: `run` goes on with it."""

    RELEASED = "released"
    ROLLED_BACK = "rolled-back"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run's inputs, for good: its graph, and digests of all that it was made from."""

    at: datetime
    release: str
    plan: str
    """The plan file's name."""
    inputs: Mapping[str, str]
    """What the graph was made from (the plan, each migration) to its digest."""
    graph: tuple[Mapping[str, object], ...]
    supersedes: bool
    coordinator: str
    """The version of this program."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What `--set` said, so that whoever goes on with the run need not say it again."""
    accepted: tuple[str, ...] = ()
    """What nobody could prove, and whoever started the run took upon themselves: a sentence each."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The intent: from now on the effect may have happened."""

    at: datetime
    step: StepId


@dataclass(frozen=True, slots=True)
class StepProgressed:
    """How far a step is that takes long: rows done, about how many there are (0: unknown), rows a second."""

    at: datetime
    step: StepId
    passed: int
    total: int
    per_second: float


@dataclass(frozen=True, slots=True)
class StepFinished:
    """The effect is in the world."""

    at: datetime
    step: StepId
    detail: str


@dataclass(frozen=True, slots=True)
class StepFailed:
    """The effect is not in the world, or no more, and why."""

    at: datetime
    step: StepId
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepObserved:
    """A step in doubt was looked for in the world."""

    at: datetime
    step: StepId
    seen: Seen
    detail: str
    code: str = ""
    """Unknown: of the problem by which the step itself said so, if it did."""


@dataclass(frozen=True, slots=True)
class StepSettled:
    """A person said what a step in doubt came to."""

    at: datetime
    step: StepId
    seen: Seen
    who: str
    from_line: int = 0
    """Not done: the line of its file at which a migration is to go on; 0: at the beginning."""


@dataclass(frozen=True, slots=True)
class UndoStarted:
    """The intent to take a step back."""

    at: datetime
    step: StepId


@dataclass(frozen=True, slots=True)
class UndoFinished:
    """The step's effect is gone."""

    at: datetime
    step: StepId
    detail: str


@dataclass(frozen=True, slots=True)
class UndoFailed:
    """The step's effect could not be taken back; the next command tries again."""

    at: datetime
    step: StepId
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Approved:
    """A person allowed a step."""

    at: datetime
    step: StepId
    who: str


@dataclass(frozen=True, slots=True)
class RollbackStarted:
    """From now on the run goes back; it never turns forward again."""

    at: datetime
    reason: str
    automatic: bool


@dataclass(frozen=True, slots=True)
class AbortRequested:
    """A person gives the run up where it stands."""

    at: datetime
    who: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Nothing more is written for this run."""

    at: datetime
    outcome: Outcome


Event = (
    RunStarted
    | StepStarted
    | StepProgressed
    | StepFinished
    | StepFailed
    | StepObserved
    | StepSettled
    | UndoStarted
    | UndoFinished
    | UndoFailed
    | Approved
    | RollbackStarted
    | AbortRequested
    | RunFinished
)

TYPES: Final[Mapping[str, type[Event]]] = MappingProxyType(
    {
        "run-started": RunStarted,
        "step-started": StepStarted,
        "step-progressed": StepProgressed,
        "step-finished": StepFinished,
        "step-failed": StepFailed,
        "step-observed": StepObserved,
        "step-settled": StepSettled,
        "undo-started": UndoStarted,
        "undo-finished": UndoFinished,
        "undo-failed": UndoFailed,
        "approved": Approved,
        "rollback-started": RollbackStarted,
        "abort-requested": AbortRequested,
        "run-finished": RunFinished,
    }
)
_NAMES: Final = {kind: name for name, kind in TYPES.items()}
_FROM_WIRE: Final[Mapping[str, type]] = MappingProxyType({"seen": Seen, "outcome": Outcome})


def name_of(event: Event) -> str:
    """Return the event's type as the wire and the docs call it."""
    return _NAMES[type(event)]


def to_wire(event: Event) -> str:
    """Return the event as one line of JSON."""
    body = {each.name: getattr(event, each.name) for each in fields(event)}
    wire = {"v": WIRE_VERSION, "type": name_of(event), **body, "at": event.at.isoformat()}
    return json.dumps(wire, separators=(",", ":"), ensure_ascii=False, default=dict)


MOVE_IT_AWAY: Final = (
    "move it away (`.coordinator/runs/`): the next `coordinator run` finds out what is applied and who"
    " serves, and goes on from there"
)
"""What is left to do with a journal that cannot be trusted: the truth is in the world as well."""


def from_wire(record: str) -> Event:
    """Read an event back.

    Raises: InDoubt where the record is of a newer coordinator or is no event: guessing would be worse.
    """
    try:
        wire: dict[str, object] = dict(json.loads(record))
        kind = {WIRE_VERSION: TYPES}[wire.pop("v")][wire.pop("type")]  # type: ignore[index]  # KeyError is caught
        wire["at"] = datetime.fromisoformat(str(wire["at"]))
        wire |= {key: read(wire[key]) for key, read in _FROM_WIRE.items() if key in wire}
        for name in wire.keys() & {"graph", "accepted"}:
            wire[name] = tuple(wire[name])  # type: ignore[arg-type]  # a list, as to_wire wrote it
        return kind(**wire)  # type: ignore[arg-type]  # a wrong key is a TypeError, caught below
    except (KeyError, TypeError, ValueError) as error:
        raise InDoubt(
            "journal-unreadable",
            f"The journal has a record that this coordinator cannot read: {record[:120]}",
            why="It was written by a newer version, or something else wrote to the journal.",
            next_step="Use the version of coordinator that began the run. If the journal was damaged, put a"
            f" whole copy back, or {MOVE_IT_AWAY}.",
        ) from error
