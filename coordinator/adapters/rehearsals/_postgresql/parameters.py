"""What the parameters of one query could be, and which sets of values are worth a try. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from coordinator.adapters.rehearsals._postgresql.pipeline import Sample

_MOST_PARTS: Final = 24
_EDGES: Final = 3
_MOST_LABELS: Final = 30


@dataclass(frozen=True, slots=True)
class Parameter:
    """What one parameter could be: `rows` of its column, the fullest row first, and values beside them."""

    plain: tuple[str, ...]
    rows: tuple[str | None, ...] = ()
    fresh: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    is_written: bool = False
    is_unique: bool = False
    may_be_null: bool = False
    turn: int = 0
    """How many parameters before it stand for the same column: two new rows of one text must differ."""
    labels: tuple[str, ...] = ()
    """Every value of an enum: a migration may rename any of them."""
    other_case: str | None = None
    is_handed_on: bool = False
    """No column is known for it, in a text that writes: a function gets it, or `unnest`, or MERGE."""
    free: tuple[str, ...] = ()
    """Keys of parents that have no row yet in the table that is written, where the key is unique there."""

    def of_row(self, place: int) -> str:
        """Return the value of a row, or of another where that one has none."""
        value = self.rows[place % len(self.rows)] if self.rows else None
        if value is not None:
            return value
        return next((each for each in self.rows if each is not None), self._new(place))

    def usual(self, place: int) -> str:
        """Return what a client would send: of a row where it reads, new where it must be."""
        return self._new(place) if self.is_written and self.is_unique and self.fresh else self.of_row(place)

    def null(self, place: int) -> str | None:
        """Return NULL where the column takes it."""
        return None if self.may_be_null else self.usual(place)

    def of_one_row(self, place: int) -> str | None:
        """Return what a row has, NULL too: a check may tie the columns of a row to each other."""
        if not self.is_written or not self.rows:
            return self.usual(place)
        value = self.rows[place % len(self.rows)]
        if value is None and self.may_be_null:
            return None
        return self.usual(place) if value is None or self.is_unique else value

    def label(self, place: int) -> str:
        """Return a value of the enum, as far as there are so many."""
        return self.labels[place] if place < len(self.labels) else self.usual(0)

    def edge(self, place: int) -> str:
        """Return a value at an edge of the type that is written, as far as there are any."""
        if self.is_written and len(self.edges) > place:
            return self.edges[place]
        return self.usual(0)

    def in_other_case(self) -> str:
        """Return what a row has in the other case, where a text is written: a unique index may mind."""
        return self.other_case or self.usual(0)

    def _new(self, place: int) -> str:
        values = self.fresh or self.plain
        return values[(place + self.turn) % len(values)]


@dataclass(frozen=True, slots=True)
class Question:
    """A text with what its parameters could be."""

    text: str
    parameters: tuple[Parameter, ...]

    def sets(self) -> list[Sample]:
        """Return the sets to try first, the usual one before all."""
        every = self.parameters
        usual = [tuple(each.usual(place) for each in every) for place in range(3)]
        # The last row is the emptiest, however many rows queries want.
        last = tuple(each.usual(0) if each.is_written or not each.rows else each.of_row(-1) for each in every)
        moved = tuple(each.of_row(1) if each.is_written else each.of_row(0) for each in every)
        repeated = tuple(each.of_row(0) for each in every)
        crossed = tuple(
            each.of_row(place) if each.is_written and each.is_unique else each.usual(0)
            for place, each in enumerate(every)
        )
        keys = [place for place, each in enumerate(every) if each.is_written and each.is_unique]
        alone = [
            tuple(each.of_row(0) if place in some else each.usual(0) for place, each in enumerate(every))
            for key in keys
            for some in ({key}, {*keys} - {key})
        ]
        emptiest = [
            tuple(each.of_row(-1) if place == key else each.usual(0) for place, each in enumerate(every))
            for key in keys
        ]
        cased = tuple(each.in_other_case() for each in every)
        edges = [tuple(each.edge(place) for each in every) for place in range(_EDGES)]
        rows = [tuple(each.of_one_row(place) for each in every) for place in range(2)]
        nulls, nulls_elsewhere = (tuple(each.null(place) for each in every) for place in (0, 2))
        return [
            usual[0],
            moved,
            usual[1],
            last,
            usual[2],
            repeated,
            crossed,
            nulls,
            *emptiest,
            *edges,
            *alone,
            cased,
            *rows,
            nulls_elsewhere,  # the values of one row may meet none: `parent < $1`
            *self.labelled(),
        ]

    def labelled(self) -> list[Sample]:
        """Return sets that name every value of an enum, whether it is read or written."""
        most = max((len(each.labels) for each in self.parameters), default=0)
        return [
            tuple(each.label(place) for each in self.parameters) for place in range(min(most, _MOST_LABELS))
        ]

    def parts_of(self, refused: Iterable[Sample]) -> list[Sample]:
        """Return refused sets again, with one written parameter at a time changed from the usual set."""
        usual = self.sets()[0]
        return [
            (*usual[:place], value, *usual[place + 1 :])
            for sample in refused
            for place, value in enumerate(sample)
            if value != usual[place] and self.parameters[place].is_written
        ][:_MOST_PARTS]

    def handed_on(self, ran: Sample) -> list[Sample]:
        """Return a set that ran with each value that goes on changed, to NULL and to an edge; and with all.

        A row is new to a MERGE where no unique column of it has what is there.
        """
        goes_on = [place for place, each in enumerate(self.parameters) if each.is_handed_on]
        new = {place: self.parameters[place].plain[-1] for place in goes_on}
        alone = [
            (*ran[:place], value, *ran[place + 1 :])
            for place in goes_on
            for value in (None, *self.parameters[place].edges)
        ]
        together = [tuple(new.get(place, value) for place, value in enumerate(ran))] if new else []
        return [*together, *alone[:_MOST_PARTS]]

    def with_free_parents(self) -> Question:
        """Return the question with parents that have no row yet, where it fails with those that have one."""
        return replace(
            self,
            parameters=tuple(
                replace(each, fresh=each.free) if each.free else each for each in self.parameters
            ),
        )

    def plain_sets(self) -> list[Sample]:
        """Return sets with less and less knowledge of columns, and NULLs as the last resort."""
        usual = self.sets()[0]
        mixed = [
            (*usual[:place], value, *usual[place + 1 :])
            for place, each in enumerate(self.parameters)
            for value in (*each.plain, "1")
        ]
        most = max((len(each.plain) for each in self.parameters), default=0)
        plain = [
            tuple(each.plain[min(place, len(each.plain) - 1)] for each in self.parameters)
            for place in range(most)
        ]
        return [*mixed[:_MOST_PARTS], *plain, tuple(None for _ in self.parameters)]
