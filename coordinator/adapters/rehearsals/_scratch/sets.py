"""Further sets of values for a query that runs with a first one, because one set meets too little.

Sets that find other rows; one for each unique index, which repeats what a row has there; one with NULL
wherever that is taken; some at the edges of the types; and one for each value of an enum. Only those with
which the query runs at its own state are kept: what they meet elsewhere is then a migration's doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from coordinator.adapters.rehearsals._scratch.meanings import in_turn
from coordinator.adapters.rehearsals._scratch.rows import sorted_rows, together
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Ran, Values
from coordinator.wanted import WantedRow, wanted_first

MOST_SETS: Final = 10
"""Those for the values of an enum come on top."""
_MOST_TRIES: Final = 40
_MOST_LABELS: Final = 30
_MOST_HOPELESS: Final = 3
"""As many as there are sample rows: where two refer to each other, a query that follows them may never end,
and does from the third."""
_LONGEST: Final = 40
ValueT = TypeVar("ValueT")


def other_case(rows: Sequence[object]) -> str | None:
    """Return the first text among the values of a column, in the other case, if it has one."""
    text = next((each for each in rows if isinstance(each, str) and each), "")
    return text.swapcase() if text.swapcase() != text else None


@dataclass(frozen=True, slots=True)
class Beside(Generic[ValueT]):
    """What one parameter could be beside its value in the first set."""

    rows: Sequence[ValueT | None] = ()
    """What its column has, row by row, in the order of `column_of`."""
    uniques: frozenset[tuple[str | None, ...]] = frozenset()
    """The unique indexes that its column is a part of, if it is written."""
    edges: Sequence[ValueT] = ()
    labels: Sequence[ValueT] = ()
    other_case: ValueT | None = None
    """What a row has, in the other case, for a collation that tells the two apart, or does not.

    A read keeps it where it finds the row: to find more than before breaks nobody."""
    is_written: bool = False
    may_be_null: bool = False


def column_of(rows: Sequence[Mapping[str, ValueT]], name: str, wanted: Sequence[WantedRow]) -> list[ValueT]:
    """Return what whole rows have in one column, as no index has them: the wanted first, then the fullest."""

    def emptiness(row: Mapping[str, ValueT]) -> tuple[int, list[str]]:
        cells = list(row.values())
        return sum(cell is None for cell in cells), list(map(str, cells))

    return [row[name] for row in wanted_first(sorted(rows, key=emptiness), wanted)]


def first_set(
    choices: Sequence[Sequence[ValueT]],
    *,
    run: Callable[[tuple[ValueT, ...]], Ran | Objection],
    is_hopeless: Callable[[Objection], bool],
) -> tuple[ValueT, ...] | Objection | None:
    """Return the first set that meets rows, else the first with which the query runs, else why none does.

    `choices` has values to try for each parameter. `is_hopeless` tells of a refusal that took long, or that
    other values seldom change. None: there was no set to try.
    """
    found: tuple[ValueT, ...] | None = None
    refusal: Objection | None = None
    hopeless = 0
    for values in in_turn(choices):
        ran = run(values)
        if isinstance(ran, Objection):
            refusal = refusal or ran
            hopeless += is_hopeless(ran)
            if hopeless == _MOST_HOPELESS:
                break
        elif ran.count or not choices:
            return values
        else:
            found = values if found is None else found
    return refusal if found is None else found


def with_further(
    first: tuple[ValueT | None, ...],
    parameters: Sequence[Beside[ValueT]],
    *,
    run: Callable[[tuple[ValueT | None, ...]], Ran | Objection],
    is_hopeless: Callable[[Objection], bool],
) -> tuple[Values, ...]:
    """Return the first set and those beside it with which the query runs.

    `is_hopeless` tells of a refusal that says that a further try would take too long.
    """
    found, tried, few = [first], {_key(first)}, 1
    for sample, is_label, must_meet in _sets(first, parameters):
        if (few >= MOST_SETS and not is_label) or len(tried) > _MOST_TRIES + _MOST_LABELS:
            continue
        for each in (sample, *_parts(first, sample)):
            if _key(each) in tried:
                continue
            tried.add(_key(each))
            ended = run(each)
            if isinstance(ended, Objection):
                if is_hopeless(ended):
                    return tuple(found)
                continue
            if must_meet and not ended.count:
                break
            found.append(each)
            few += not is_label
            if each == sample:
                break
    return tuple(found)


def _sets(
    first: tuple[ValueT | None, ...], parameters: Sequence[Beside[ValueT]]
) -> Iterator[tuple[tuple[ValueT | None, ...], bool, bool]]:
    """Yield sets to try, each with whether it is for the value of an enum, and whether it must meet rows."""

    def changed(new: Mapping[int, ValueT | None]) -> tuple[ValueT | None, ...]:
        return tuple(new.get(place, value) for place, value in enumerate(first))

    every = list(enumerate(parameters))
    for index in sorted({index for each in parameters for index in each.uniques}, key=str):
        for row in (0, -1):
            new = {at: each.rows[row] for at, each in every if index in each.uniques and each.rows}
            yield changed(new), False, False
    yield changed({at: None for at, each in every if each.is_written and each.may_be_null}), False, False
    for writes in (False, True):
        cased = {at: each.other_case for at, each in every if each.other_case and each.is_written is writes}
        yield changed(cased), False, not writes
    for turn in range(max((len(each.edges) for each in parameters), default=0)):
        yield changed({at: each.edges[turn] for at, each in every if turn < len(each.edges)}), False, False
    for row in (1, -1, 2):  # the last is the emptiest, however many rows queries want
        reads = ((at, each.rows) for at, each in every if each.rows and not each.is_written)
        read = {at: rows[row] for at, rows in reads if row < len(rows)}
        yield changed(read), False, False
    for turn in range(min(max((len(each.labels) for each in parameters), default=0), _MOST_LABELS)):
        yield changed({at: each.labels[turn] for at, each in every if turn < len(each.labels)}), True, False


def _parts(
    first: tuple[ValueT | None, ...], sample: tuple[ValueT | None, ...]
) -> Iterator[tuple[ValueT | None, ...]]:
    """Yield a refused set again, with one value at a time changed from the first set."""
    for place, value in enumerate(sample):
        if value != first[place]:
            yield (*first[:place], value, *first[place + 1 :])


def _key(sample: tuple[ValueT | None, ...]) -> tuple[tuple[type, ValueT | None], ...]:
    return tuple((type(each), each) for each in sample)


def run_all(sets: Values, run: Callable[[Values], Ran | Objection]) -> Ran | Objection:
    """Run a query with each of its sets; the first refusal ends it, and says with what it was met."""
    runs: list[Ran] = []
    samples = [each for each in sets if isinstance(each, tuple)] or [()]
    for sample in samples:
        ran = run(sample)
        if isinstance(ran, Objection):
            shown = ", ".join(map(_shown, sample))
            return replace(ran, message=f"{ran.message} (with {shown})") if runs else ran
        runs.append(ran)
    return _joined(runs)


def _joined(runs: Sequence[Ran]) -> Ran:
    if any(each.count is None for each in runs):
        return Ran((), None)
    written = [each.written for each in runs if each.written is not None]
    return replace(
        runs[0],
        rows=sorted_rows([row for each in runs for row in each.rows]),
        count=sum(each.count or 0 for each in runs),
        written=_joined(written) if written else None,
        growth=None if any(each.growth is None for each in runs) else sum(each.growth or 0 for each in runs),
        beside=together(effect for each in runs for effect in each.beside),
    )


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text) - 2} characters)"
