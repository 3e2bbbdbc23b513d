"""The breaks of a rehearsal, each told once: a query that fails alike at many states is one failure. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from coordinator.diagnostics import Place
from coordinator.evidence import Break, Phased, StatementEvidence, Use
from coordinator.prove import Proof
from coordinator.report.matrix import states


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that a layer refuses in the same words at the states `first` to `last`."""

    broken: Break
    """The one at the first of these states, whose migration is the one to blame."""
    first: int
    last: int

    @property
    def label(self) -> str:
        """Return the states' names."""
        return states(self.first, self.last)


def failures(breaks: Iterable[Break]) -> tuple[Failure, ...]:
    """Return the breaks in the order of their states, neighbours with the same answer as one."""
    stretches: dict[object, list[Failure]] = {}
    for each in sorted(breaks, key=attrgetter("state")):
        same = (each.use, each.query, each.place, each.layer, each.objection)
        found = stretches.setdefault(same, [])
        if found and each.state <= found[-1].last + 1:
            found[-1] = Failure(found[-1].broken, found[-1].first, each.state)
        else:
            found.append(Failure(each, each.state, each.state))
    return tuple(sorted(_flat(stretches.values()), key=attrgetter("first", "last")))


def _flat(stretches: Iterable[list[Failure]]) -> Iterator[Failure]:
    for found in stretches:
        yield from found


def meets(failure: Failure, proof: Proof) -> bool:
    """Tell whether the version may run at one of the states: then the failure refuses the release."""
    return any(
        span.first <= failure.last and failure.first <= span.last
        for span in proof.met.get(failure.broken.use, ())
    )


def of_use(found: Iterable[Failure], use: Use) -> tuple[Failure, ...]:
    """Return the failures of one version."""
    return tuple(each for each in found if each.broken.use == use)


def place_of_blame(
    broken: Break, phased: Iterable[Phased], statements: Iterable[StatementEvidence]
) -> Place | None:
    """Return where the migration to blame stands: the statement if it is plain which one, else the file."""
    made = [each for each in statements if each.migration == broken.migration and each.changes]
    words = set(re.findall(r"\w+", broken.objection.message))
    named = [each for each in made if any(change.name in words for change in each.changes)]
    for found in (made, named):
        if len(found) == 1:
            return found[0].place
    return next((each.place for each in phased if each.migration.name == broken.migration), None)
