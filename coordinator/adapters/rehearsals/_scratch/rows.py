"""Rows as texts that can be compared from one run to the next; see rehearsal_ports.Ran."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from coordinator.rehearsal_ports import VOLATILE, Effect, Ran

_LONGEST: Final = 500
"""Characters of a value; a longer one is kept as its beginning and its digest."""

Rows = tuple[tuple[str | None, ...], ...]


def sorted_texts(rows: Sequence[tuple[object, ...]], text_of: Callable[[object], str]) -> Rows:
    """Return rows as sorted texts; NULL, which has none, comes last."""
    texts = [tuple(None if cell is None else shortened(text_of(cell)) for cell in row) for row in rows]
    return sorted_rows(texts)


def sorted_rows(texts: Sequence[tuple[str | None, ...]]) -> Rows:
    """Return rows of texts in an order that says nothing."""
    return tuple(sorted(texts, key=_sortable))


def shortened(text: str) -> str:
    """Return a text that is not long, and differs where the long one does."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… (SHA-256 {hashlib.sha256(text.encode(errors='replace')).hexdigest()})"


def steady(ran: Ran, again: Ran) -> Ran:
    """Return a run with those columns blank that differ when the same is run again."""
    written = ran.written and again.written and steady(ran.written, again.written)
    if ran.rows == again.rows:
        return replace(ran, written=written)
    width = len(ran.rows[0]) if ran.rows else 0
    blank = {
        place
        for place in range(width)
        if Counter(row[place] for row in ran.rows) != Counter(row[place] for row in again.rows)
    } or set(range(width))
    rows = [
        tuple(VOLATILE if at in blank and cell is not None else cell for at, cell in enumerate(row))
        for row in ran.rows
    ]
    return replace(ran, rows=tuple(sorted(rows, key=_sortable)), written=written)


def effects_between(
    before: Mapping[str, Counter[tuple[object, ...]]], after: Mapping[str, Counter[tuple[object, ...]]]
) -> tuple[Effect, ...]:
    """Return what happened to all rows of some tables."""
    return together(
        Effect(table, (before[table] - after[table]).total(), (after[table] - before[table]).total())
        for table in before
    )


def together(effects: Iterable[Effect]) -> tuple[Effect, ...]:
    """Return one effect for each table to which something happened."""
    gone: Counter[str] = Counter()
    new: Counter[str] = Counter()
    for each in effects:
        gone[each.table] += each.gone
        new[each.table] += each.new
    return tuple(
        Effect(table, gone[table], new[table]) for table in sorted(gone) if gone[table] or new[table]
    )


def _sortable(row: tuple[str | None, ...]) -> list[tuple[bool, str]]:
    return [(cell is None, cell or "") for cell in row]
