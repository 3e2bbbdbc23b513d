"""The symbolic world: which schema state, which versions alive, where traffic goes. Pure.

A step says what it will do as effects on this world; the proof reasons over them, and a test holds them
against what the step's `observe` sees in the real one. Effects are values and not functions on a world,
because the proof needs more than one order: steps that run side by side may end in any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from coordinator.model import DatabaseName, Role, ServiceName


class Seen(StrEnum):
    """What an observation of a step's effect in the world says."""

    DONE = "done"
    NOT_DONE = "not-done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SchemaMoves:
    """The database leaves state `to - 1` for state `to`; while it happens, either may be seen."""

    database: DatabaseName
    to: int


@dataclass(frozen=True, slots=True)
class Starts:
    """A version begins to run: from now on it may use its databases."""

    service: ServiceName
    role: Role


@dataclass(frozen=True, slots=True)
class Stops:
    """A version is gone: it uses no database from now on."""

    service: ServiceName
    role: Role


@dataclass(frozen=True, slots=True)
class TrafficMoves:
    """New connections reach this version from now on."""

    service: ServiceName
    to: Role


Effect = SchemaMoves | Starts | Stops | TrafficMoves


@dataclass(frozen=True, slots=True)
class World:
    """One instant of a release."""

    schema: Mapping[DatabaseName, int]
    alive: frozenset[tuple[ServiceName, Role]]
    traffic: Mapping[ServiceName, Role]

    def with_effect(self, effect: Effect) -> World:
        """Return the world after `effect`."""
        match effect:
            case SchemaMoves(database, to):
                return replace(self, schema={**self.schema, database: to})
            case Starts(service, role):
                return replace(self, alive=self.alive | {(service, role)})
            case Stops(service, role):
                return replace(self, alive=self.alive - {(service, role)})
            case TrafficMoves(service, to):
                return replace(self, traffic={**self.traffic, service: to})
