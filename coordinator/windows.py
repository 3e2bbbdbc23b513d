"""How far a live version bears the migrations, and from where on a next one works: off the matrix. Pure."""

from __future__ import annotations

from coordinator.evidence import Evidence, Use, Verdict
from coordinator.model import DatabaseName, Phase


def works_until(use: Use, evidence: Evidence) -> int:
    """Return the last state before the version's first break, -1 where it breaks at once."""
    end = len(evidence.phased.get(use[0], ()))
    broken = (span.first for span in evidence.between(use, 0, end) if span.finding.verdict is Verdict.BROKEN)
    return next((first - 1 for first in broken), end)


def bears_until(use: Use, evidence: Evidence) -> int:
    """Return the last state that a live version may meet: it works there, and its authors do not say wait."""
    return min(works_until(use, evidence), declared_until(use[0], evidence))


def declared_until(database: DatabaseName, evidence: Evidence) -> int:
    """Return the last state before the first migration whose author declared that it waits for live to go."""
    phased = evidence.phased.get(database, ())
    waiting = (at for at, each in enumerate(phased) if each.migration.declared is Phase.CONTRACT)
    return next(waiting, len(phased))


def works_from(use: Use, evidence: Evidence) -> int:
    """Return the first state after the version's last break, one beyond the last state if it breaks there."""
    end = len(evidence.phased.get(use[0], ()))
    broken = (span.last for span in evidence.between(use, 0, end) if span.finding.verdict is Verdict.BROKEN)
    return max((last + 1 for last in broken), default=0)
