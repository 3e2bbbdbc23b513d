"""Whom the rehearsal asks about, and what it knows of a query before it asks elsewhere. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.evidence import Objection, Use
from coordinator.model import Layer, Role
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import Description, Lookup, Ran, Values
from coordinator.rehearse.schema import Schema


@dataclass(frozen=True, slots=True)
class Subject:
    """A version of a service on one database, with its queries."""

    use: Use
    catalogue: Catalogue
    database_role: str | None = None

    @property
    def role(self) -> Role:
        """Return whether it is the live or the next version: its own state is the first or the last."""
        return self.use[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out for one query at one state; it works there if nothing is broken and nothing unchecked."""

    broken: tuple[Layer, Objection] | None = None
    unchecked: tuple[tuple[Layer, str], ...] = ()
    lost: frozenset[str] = frozenset()
    """Tables that it reads from end to end there, and finds its rows in by an index at the own state."""

    @property
    def works(self) -> bool:
        """Every layer that was asked for gave an answer, and none was a refusal."""
        return self.broken is None and not self.unchecked


WORKS = Answer()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A query as the version's client has it: made, compiled and tried at the version's own state."""

    query: Query
    text: str
    """What the client sends: the query's text, its `*` written out where the client froze them."""
    description: Description | None = None
    values: Values | None = None
    ran: Ran | None = None
    lookup: Lookup | None = None
    schema: Schema | None = None
    """That of the own state, where it ran."""
    own: Answer = WORKS
    """What came out at the version's own state; a broken one is a query that fails already."""
