"""Foreign keys that are new, refer to something else, or are asked sooner, at another state. Pure.

Sample rows of two parents have the same keys, so what refers to the one has a row in the other as well. And
each query is a transaction of its own in a rehearsal: a row that is written before its parent, as a deferred
key allows, is never met. Nor may be a row that others refer to, where a query takes some away by a literal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from coordinator.rehearse.catalogued import words_of
from coordinator.rehearse.met import events_of
from coordinator.rehearse.pair import Pair
from coordinator.rehearse.references import Reference
from coordinator.rehearse.written import changed_by

_ELSEWHERE: Final = (
    "a foreign key of `{table}` refers to `{parent}` ({keys}) here, and where the version was made to another"
    " one, which is there still: whether what the version writes has a row there is not known"
)
_HASTIER: Final = (
    "a foreign key of `{table}` is asked at each statement here, and where the version was made a transaction"
    " could put it off (DEFERRABLE): whether the version writes a row before its parent is not known"
)
_HELD: Final = (
    "rows of `{table}` refer to those of `{parent}` here by a foreign key that is not there where the version"
    " was made, and none was met: whether the version takes away or changes a row that has such is not known"
)
_OF_CHILD: Final = frozenset({"insert", "update"})


def _refers_elsewhere(pair: Pair) -> str | None:
    """A foreign key to another table or key, where the one that it referred to is not gone or renamed."""
    for each in _other(pair):
        ours = [one for one in pair.own.schema.references if _is_of_same(one, each)]
        is_there = any((one.parent, key) in pair.here.schema.columns for one in ours for key in one.keys)
        is_same = any((one.parent, one.keys) == (each.parent, each.keys) for one in ours)
        if is_there and not is_same and _writes_child(pair, each):
            keys = ", ".join(sorted(each.keys))
            return _ELSEWHERE.format(table=each.table, parent=each.parent, keys=keys)
    return None


def _hastier(pair: Pair) -> str | None:
    """A foreign key that a transaction cannot put off any more, or has to put off itself."""
    for each in _other(pair):
        ours = [one for one in pair.own.schema.references if _is_of_same(one, each)]
        is_hastier = bool(ours) and each.patience < min(one.patience for one in ours)
        if is_hastier and (_writes_child(pair, each) or _writes_parent(pair, each)):
            return _HASTIER.format(table=each.table)
    return None


def _held(pair: Pair) -> str | None:
    """A foreign key that keeps a row to which another one refers: to those that were met, none does.

    One of the same columns, or to the same key, that is gone instead has another name here.
    """
    new = pair.here.schema.refusing - pair.own.schema.refusing
    if not new:
        return None
    gone = pair.own.schema.references - pair.here.schema.references
    for each in _other(pair):
        is_renamed = any(
            _is_of_same(one, each) or (one.parent, one.keys) == (each.parent, each.keys) for one in gone
        )
        # An upsert names the key, and changes what stands behind its SET.
        is_kept = changed_by(pair.text).isdisjoint(each.keys)
        done = events_of(pair.text) - ({"update"} if is_kept else set())
        is_new = any(((event, each.parent), each.table) in new for event in done)
        if is_new and not is_renamed and _writes_parent(pair, each) and each.table not in words_of(pair.text):
            return _HELD.format(table=each.table, parent=each.parent)
    return None


def _other(pair: Pair) -> Iterator[Reference]:
    """Yield the foreign keys that are others here."""
    ours, theirs = pair.own.schema.references, pair.here.schema.references
    yield from sorted(theirs - ours, key=str) if ours != theirs else ()


def _is_of_same(one: Reference, other: Reference) -> bool:
    return (one.table, one.columns) == (other.table, other.columns)


def _writes_child(pair: Pair, reference: Reference) -> bool:
    """Tell whether a text writes the columns that refer."""
    is_named = pair.columns is None or not pair.columns.isdisjoint(reference.columns)
    return reference.table in pair.here.names and is_named and not _OF_CHILD.isdisjoint(events_of(pair.text))


def _writes_parent(pair: Pair, reference: Reference) -> bool:
    """Tell whether a text takes away or changes what is referred to."""
    is_named = pair.columns is None or not pair.columns.isdisjoint(reference.keys)
    events = events_of(pair.text)
    return reference.parent in pair.here.names and ("delete" in events or ("update" in events and is_named))


CHECKS: Final[tuple[Callable[[Pair], str | None], ...]] = (_refers_elsewhere, _hastier, _held)
