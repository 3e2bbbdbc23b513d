"""What a query names, and what means something else than where its version was made. Pure.

The rows that it returns and writes are compared. Three rows of a sample seldom have what tells the two
meanings apart: a value between two limits, a label that changed places, the last number of a sequence. Each
check looks at one such thing in two states' schemas, and returns a sentence or None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from coordinator.rehearse.bodies import otherwise, shown_otherwise
from coordinator.rehearse.catalogued import Room, bare
from coordinator.rehearse.counters import Numbers
from coordinator.rehearse.labels import goes_by_order, ordered_otherwise
from coordinator.rehearse.met import events_of
from coordinator.rehearse.nullable import denied_by
from coordinator.rehearse.pair import Pair

_NATURAL: Final = re.compile(r"\bNATURAL\b", re.IGNORECASE)
_USED_UP: Final = (
    "`{name}` gives fewer numbers here than where the version was made, or gives them twice: whether they"
    " suffice is not known"
)
_MADE_OTHERWISE: Final = (
    "`{name}` is made of something else here than where the version was made: whether it gives the same for"
    " rows that are no sample is not known"
)
_REORDERED: Final = (
    "the labels of `{column}` have another order here than where the version was made: whether the version"
    " finds the same rows by it is not known"
)
_DENIED: Final = (
    "`{column}` may be NULL here and not where the version was made: a single NULL there makes `NOT IN` find"
    " no row"
)
_JOINED: Final = "a NATURAL JOIN joins by `{column}` too, which more of its tables have than at its own state"


def _used_up(pair: Pair) -> str | None:
    """Numbers of a sequence or a column that counts, of which there are fewer."""
    before, now = pair.own.schema, pair.here.schema
    rooms = now.rooms_of(pair.here.names) if "insert" in events_of(pair.text) else []
    counted = {name: room for name, room in rooms if name in now.counted}
    for name, room in counted.items():
        if _ends_sooner(room, before.columns.get(name)):
            return _USED_UP.format(name=".".join(name))
    less = _ending_sooner(before.sequences, now.sequences)
    if not less:
        return None
    words, used = now.words_behind(pair.text), {now.counted[name] for name in counted}
    found = [name for name in less if name in used or bare(name) in words]
    return _USED_UP.format(name=found[0]) if found else None


def _ending_sooner(before: Mapping[str, Numbers], now: Mapping[str, Numbers]) -> list[str]:
    if before == now:
        return []
    both = sorted(before.keys() & now.keys())
    return [name for name in both if now[name].gives_less_than(before[name])]


def _ends_sooner(room: Room | None, before: Room | None) -> bool:
    return room is not None and before is not None and room[-1] < before[-1]


def _made_otherwise(pair: Pair) -> str | None:
    """A function, an aggregate or a view of another body."""
    before, now = pair.own.schema, pair.here.schema
    if not before.bodies:
        return None
    texts = [pair.text, *_given(pair)] if before.functions else [pair.text]
    behind = before.words_behind(" ".join(texts)) & before.bodies.keys()
    named = [name for name in behind if before.bodies[name] != now.bodies.get(name)]
    if not named:
        return None
    names = before.names | now.names
    found = [
        *otherwise(before.functions, now.functions, named=named, names=names),
        *shown_otherwise(before.views, now.views, named=named, names=names),
    ]
    return _MADE_OTHERWISE.format(name=found[0]) if found else None


def _given(pair: Pair) -> Iterator[str]:
    """Yield what gives values to the rows that a query writes: defaults to new ones, expressions to all."""
    events, schema = events_of(pair.text), pair.own.schema
    for name, _ in schema.rooms_of(pair.own.names):
        text = schema.given.get(name, "")
        if "insert" in events or ("update" in events and text.startswith("generated")):
            yield text


def _reordered(pair: Pair) -> str | None:
    """Labels of an enum that changed places."""
    before, now = pair.own.schema, pair.here.schema
    if not goes_by_order(pair.text) or before.labels == now.labels:
        return None
    for table, column in ordered_otherwise(before.labels, now.labels, columns=now.columns):
        if now.may_name(pair.text, table, column):
            return _REORDERED.format(column=f"{table}.{column}")
    return None


def _denied(pair: Pair) -> str | None:
    """A column that may be NULL newly, of a subquery behind NOT IN."""
    before, now = pair.own.schema, pair.here.schema
    words = denied_by(now.with_views(pair.text))
    if not words:
        return None
    tables = now.words_behind(pair.text)
    new = (before.never_null - now.never_null) & now.columns.keys()
    found = sorted(
        (table, column)
        for table, column in new
        if column in words and table in tables and table not in now.views
    )
    return _DENIED.format(column=".".join(found[0])) if found else None


def _joined(pair: Pair) -> str | None:
    """A column that two tables have newly, where a join names no columns."""
    if not _NATURAL.search(pair.text):
        return None
    words = pair.here.schema.words_behind(pair.text)
    ours, theirs = (_shared(at.schema.columns, words) for at in (pair.own, pair.here))
    return _JOINED.format(column=min(theirs - ours)) if theirs - ours else None


def _shared(columns: Iterable[tuple[str, str]], tables: Collection[str]) -> frozenset[str]:
    """Return the columns that more than one of some tables has."""
    many = Counter(column for table, column in columns if table in tables)
    return frozenset(column for column, times in many.items() if times > 1)


CHECKS: Final[tuple[Callable[[Pair], str | None], ...]] = (
    _used_up,
    _made_otherwise,
    _reordered,
    _denied,
    _joined,
)
