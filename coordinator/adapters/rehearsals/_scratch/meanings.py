"""Which column a query's parameter belongs to, by the tokens around it, and in which order values are tried.

A wrong guess costs nothing but a better value: candidates are tried until the engine takes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Generic, Protocol, TypeVar

from coordinator.adapters.rehearsals._scratch.tokens import Token, aliases

_TRIES = 120
_NEAR = 6
_WALLS = frozenset({"AND", "OR", "WHERE", "SET", "SELECT", "FROM", "ON", "VALUES", "WHEN", "HAVING"})


class Named(Protocol):
    """A column, as far as its name goes."""

    @property
    def name(self) -> str:
        """Return it as its author wrote it."""
        ...


ColumnT = TypeVar("ColumnT", bound=Named)
ColumnT_co = TypeVar("ColumnT_co", bound=Named, covariant=True)
ValueT = TypeVar("ValueT")


class Columned(Protocol[ColumnT_co]):
    """A table, as far as its columns go."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def columns(self) -> Sequence[ColumnT_co]:
        """Return its columns in their order."""
        ...

    @property
    def writable(self) -> Sequence[ColumnT_co]:
        """Return those that an INSERT without a list of columns fills."""
        ...


TableT = TypeVar("TableT", bound=Columned[Named])


@dataclass(frozen=True, slots=True)
class Meaning(Generic[TableT]):
    """What a parameter is compared with or becomes: a column of a table, by its place."""

    table: TableT
    place: int
    is_written: bool


def meanings(tokens: Sequence[Token], used: Sequence[TableT]) -> dict[int, Meaning[TableT]]:
    """Return what is known of each parameter, by its offset; `used` are the tables that the text names."""
    names = {each.name.lower() for each in used}
    owners = {**dict(aliases(tokens, names)), **{name: name for name in names}}
    found = {
        token.start: meaning
        for place, token in enumerate(tokens)
        if token.kind == "parameter" and (meaning := _neighbour(tokens, place, used, owners)) is not None
    }
    return {**found, **_inserted(tokens, used)}


def _inserted(tokens: Sequence[Token], used: Sequence[TableT]) -> dict[int, Meaning[TableT]]:
    """Return the column of each parameter among the VALUES of an INSERT."""
    words = [token.keyword if token.depth == 0 else "" for token in tokens]
    if "INTO" not in words or "VALUES" not in words:
        return {}
    begin, values = words.index("INTO"), words.index("VALUES")
    written = {token.name for token in tokens[begin:values] if token.depth == 0}
    table = next((each for each in used if each.name.lower() in written), None)
    if table is None:
        return {}
    named = [token.name for token in tokens[begin:values] if token.depth == 1 and token.name is not None]
    places = [at for name in named for at, each in enumerate(table.columns) if each.name.lower() == name]
    places = places or [at for at, each in enumerate(table.columns) if each in table.writable]
    found: dict[int, Meaning[TableT]] = {}
    place, is_looked_up = 0, False
    for token in tokens[values + 1 :]:
        if token.depth == 0 and token.keyword in ("ON", "RETURNING"):
            break
        place = 0 if token.depth == 0 else place + (token.depth == 1 and token.text == ",")
        # What a query among the values looks for belongs to that query's table.
        is_looked_up = token.depth > 1 and (is_looked_up or token.keyword == "SELECT")
        if token.kind == "parameter" and place < len(places) and not is_looked_up:
            found[token.start] = Meaning(table, places[place], is_written=True)
    return found


def _neighbour(
    tokens: Sequence[Token], place: int, used: Sequence[TableT], owners: Mapping[str, str]
) -> Meaning[TableT] | None:
    """Return the column that stands nearest, before the parameter if there is one.

    `owners` has the name of a table for each word that may stand before a column of it.
    """
    is_written = _is_set(tokens, place)
    before = range(place - 1, max(0, place - _NEAR) - 1, -1)
    for near in (before, range(place + 1, min(len(tokens), place + _NEAR))):
        for at in near:
            if tokens[at].keyword in _WALLS:
                break
            for table in _owning(tokens, at, used, owners):
                for column_at, column in enumerate(table.columns):
                    if column.name.lower() == tokens[at].name:
                        return Meaning(table, column_at, is_written)
    return None


def _owning(
    tokens: Sequence[Token], at: int, used: Sequence[TableT], owners: Mapping[str, str]
) -> Sequence[TableT]:
    """Return the table that a name says it belongs to (`u.id`); all of them if it says nothing."""
    if at <= 1 or tokens[at - 1].text != ".":
        return used
    owner = owners.get(tokens[at - 2].name or "")
    return [table for table in used if table.name.lower() == owner] or used


def _is_set(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether a parameter stands in the SET of an UPDATE and not behind it."""
    words = [token.keyword for token in tokens[:place] if token.depth == 0]
    last = next((word for word in reversed(words) if word in ("SET", "WHERE", "FROM", "RETURNING")), "")
    return last == "SET"


def in_turn(choices: Sequence[Sequence[ValueT]]) -> Iterator[tuple[ValueT, ...]]:
    """Yield combinations: the n-th of each, then one parameter changed at a time, then all, up to a limit."""

    def all_of_them() -> Iterator[tuple[ValueT, ...]]:
        for turn in range(max(map(len, choices), default=1)):
            yield tuple(each[turn % len(each)] for each in choices)
        first = tuple(each[0] for each in choices)
        for place, each in enumerate(choices):
            for value in each[1:]:
                yield (*first[:place], value, *first[place + 1 :])
        yield from product(*choices)

    return islice(all_of_them(), _TRIES)
