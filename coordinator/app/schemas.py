"""Do two halves of a migration make what the whole makes, and does each half's way back undo its own?

Asked on scratch databases without rows: a catalogue against a catalogue, after each statement where need be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from coordinator import discovery
from coordinator.app.rehearsing import scratch_url
from coordinator.apply import apply_on_scratch
from coordinator.model import DatabaseName, Migration
from coordinator.pieces import Piece, alone, changing
from coordinator.ports import Ports
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.drift import differences

Halves = tuple[tuple[Piece, ...], tuple[Piece, ...]]
Catalogue = Mapping[str, str]
_OTHER_WORDS: Final = (
    ("in the live database", "with the two halves"),
    ("and in no file", "and not with the whole"),
    ("by the files", "by the whole"),
    ("the files make it", "the whole makes it"),
)
"""In place of those of a live database that differs from its files."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """The schemas that a database's migrations make, in this order or another."""

    ports: Ports
    name: DatabaseName
    is_wrapped: bool

    def compare(
        self, base: Sequence[Migration], whole: Migration, *, after: Sequence[Migration], halves: Halves
    ) -> Iterator[str]:
        """Yield a clause for each thing that the two halves make otherwise than the whole."""
        first, second = (self._alone(whole, each) for each in halves)
        with self._scratch() as one, self._scratch() as other:
            uncut = self._apply(one, (*base, whole, *after))
            cut = self._apply(other, (*base, *first, *after, *second))
        for line in differences(uncut, cut):
            yield _of_halves(line)

    def ways_back(
        self,
        base: Sequence[Migration],
        whole: Migration,
        after: Sequence[Migration],
        *,
        halves: Halves,
        down: tuple[Piece, ...],
    ) -> Halves | None:
        """Return the statements of `down` that undo each half; None where they cannot be told apart surely.

        A statement belongs to the half that made what it changes. The answer was tried: each half's own
        statements lead back to the schema that the half found.
        """
        first, second = (self._alone(whole, each) for each in halves)
        with self._scratch() as scratch:
            found = [self._apply(scratch, base)]
            found += [self._apply(scratch, some) for some in (first, after, second)]
            start, with_first, before_second, end = found
            owns = _changed(start, with_first), _changed(before_second, end)
            owners = self._owners(scratch, whole, down, owns=owns, now=end)
        if owners is None:
            return None
        owned = dict(zip(changing(down), owners, strict=True))
        backs = tuple(
            tuple(piece for piece in down if piece.is_setting or owned[piece] == half) for half in (0, 1)
        )
        with self._scratch() as scratch:
            self._apply(scratch, (*base, *first))
            if self._apply(scratch, self._alone(whole, backs[0])) != start:
                return None
            self._apply(scratch, (*first, *after, *second))
            if self._apply(scratch, self._alone(whole, backs[1])) != before_second:
                return None
        return backs[0], backs[1]

    def _owners(
        self,
        scratch: RehearsalDatabase,
        whole: Migration,
        down: Sequence[Piece],
        *,
        owns: tuple[frozenset[str], frozenset[str]],
        now: Catalogue,
    ) -> list[int] | None:
        """Return for each statement which half it undoes; None if one undoes none of them, or both."""
        owners = []
        for each in self._alone(whole, down):
            before, now = now, self._apply(scratch, (each,))
            changed = _changed(before, now)
            halves = [half for half, own in enumerate(owns) if not own.isdisjoint(changed)]
            if len(halves) != 1:
                return None
            owners += halves
        return owners

    def _alone(self, whole: Migration, pieces: Sequence[Piece]) -> tuple[Migration, ...]:
        return alone(whole, pieces, transaction=self.is_wrapped)

    @contextmanager
    def _scratch(self) -> Iterator[RehearsalDatabase]:
        engine = discovery.rehearsal(self.ports.plan.databases[self.name].engine)
        url = scratch_url(self.ports, self.name)
        with engine.server(url=url, live_version=None) as server, server.database() as database:
            yield database

    def _apply(self, scratch: RehearsalDatabase, migrations: Sequence[Migration]) -> Catalogue:
        """Return the catalogue behind the migrations; what the engine refuses leaves it as it was."""
        table = self.ports.plan.databases[self.name].migrations.table
        for migration in migrations:
            with scratch.session() as session:
                apply_on_scratch(session, self.ports.tool(self.name), migration, table=table)
        return dict(scratch.catalogue())


def _of_halves(line: str) -> str:
    for words, others in _OTHER_WORDS:
        line = line.replace(words, others)
    return line


def _changed(before: Catalogue, now: Catalogue) -> frozenset[str]:
    return frozenset(name for name in {*before, *now} if before.get(name) != now.get(name))
