"""A schema state, and what was asked there: the same question has one answer, whoever asks it.

Most queries are the same in both versions of a service, and often have the same sample values. Asking changes
nothing of what stands at a state, but for the numbers that are drawn from sequences, and they count for
nothing in an answer (rehearsal_ports.VOLATILE). A refusal of the moment is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from coordinator.evidence import Objection
from coordinator.model import Layer
from coordinator.rehearsal_ports import Description, Lookup, Ran, RehearsalDatabase, Values
from coordinator.rehearse.changed_along import changed_along
from coordinator.rehearse.moment import is_no_answer
from coordinator.rehearse.recomputed import Recomputed
from coordinator.rehearse.schema import Schema

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")

Described = dict[str, Description | Objection]
"""Answers of layers 1 and 2 at one state, by text: they are the same for every version that sends it."""


@dataclass(frozen=True)
class State:
    """A scratch database that stands at a state, and what was asked there already.

    `described` is of the schema alone, the rest also of the rows: a copy of the state with another database
    has none of it.
    """

    database: RehearsalDatabase
    layers: Collection[Layer]
    described: Described = field(default_factory=dict)
    _planned: dict[str | None, dict[str, Objection | None]] = field(default_factory=dict, init=False)
    _ran: dict[str | None, dict[str, Ran | Objection]] = field(default_factory=dict, init=False)
    _looked_up: dict[str, Lookup | None] = field(default_factory=dict, init=False)
    _along: dict[Recomputed, tuple[Recomputed, ...]] = field(default_factory=dict, init=False)

    @cached_property
    def schema(self) -> Schema:
        """What its catalogue says."""
        return Schema.of(self.database.catalogue())

    def along(self, each: Recomputed) -> tuple[Recomputed, ...]:
        """Return what a migration does to rows, and what follows of that here."""
        if each not in self._along:
            self._along[each] = tuple(changed_along(each, self.schema))
        return self._along[each]

    def describe(self, texts: Sequence[str]) -> list[Description | Objection]:
        """Ask layers 1 and 2, each text once."""
        new = [text for text in dict.fromkeys(texts) if text not in self.described]
        if new:
            self.described.update(zip(new, self.database.prepare(new), strict=True))
        return [self.described[text] for text in texts]

    def plan(self, texts: Sequence[str], *, role: str | None) -> list[Objection | None]:
        """Ask layer 3 for a role, each text once."""
        known = self._planned.setdefault(role, {})
        return _once(known, texts, lambda new: self.database.plan(new, role=role))

    def execute(self, asks: Sequence[tuple[str, Values]], *, role: str | None) -> list[Ran | Objection]:
        """Ask layers 4 and 5 for a role, each text once with the same values."""
        known = self._ran.setdefault(role, {})
        return _once(known, asks, lambda new: self.database.execute(new, role=role))

    def look_up(self, asks: Sequence[tuple[str, Values]]) -> list[Lookup | None]:
        """Ask how each text finds its rows, each once with the same values."""
        return _once(self._looked_up, asks, self.database.look_up)


def _once(
    known: dict[str, _Answer],
    questions: Sequence[_Question],
    ask: Callable[[list[_Question]], Sequence[_Answer]],
) -> list[_Answer]:
    """Return the answers; ask what is not known, and keep what is no refusal of the moment."""
    keys = [repr(each) for each in questions]  # 1, 1.0 and True are equal, and no engine's same value
    new = {key: each for key, each in zip(keys, questions, strict=True) if key not in known}
    found = dict(zip(new, ask(list(new.values())), strict=True)) if new else {}
    known.update(
        (key, answer)
        for key, answer in found.items()
        if not (isinstance(answer, Objection) and is_no_answer(answer.code))
    )
    return [found[key] if key in found else known[key] for key in keys]
