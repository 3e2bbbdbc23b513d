"""A rehearsal that was made before is not made again: under the same key is the same evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date

from coordinator.adapters.evidence_cache import program
from coordinator.ports.machine import Clock
from coordinator.rehearsal_ports import EvidenceCache, RehearsalEngine
from coordinator.rehearse import (
    Circumstances,
    Found,
    Task,
    found_in,
    hazards_of,
    is_lasting,
    key_of,
    text_from,
)


@dataclass(frozen=True, slots=True)
class Recall:
    """The evidence of earlier commands, and what decides whether it is still of use."""

    cache: EvidenceCache
    clock: Clock

    def or_rehearse(
        self,
        task: Task,
        engine: RehearsalEngine,
        *,
        live_version: str | None,
        rehearse: Callable[[], Found],
    ) -> Found:
        """Return what an earlier rehearsal of the very same found, else rehearse and keep what that finds.

        Only for a server of our own: what another one holds is not known before it is asked.
        """
        identity = engine.identity(live_version=live_version)
        if identity is None:
            return rehearse()
        day = self._day()
        key = key_of(task, Circumstances(program(), identity, live_version, day))
        kept = self.cache.get(key)
        found = found_in(kept, task.pending) if kept is not None else None
        if found is not None:
            rehearsal, spans = found
            return replace(rehearsal, hazards=hazards_of(rehearsal, task)), spans
        found = rehearse()
        if is_lasting(found) and self._day() == day:
            self.cache.put(key, text_from(found))
        return found

    def _day(self) -> date:
        return self.clock.now().astimezone(UTC).date()
