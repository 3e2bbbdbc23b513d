"""What a query reads from end to end at a state, and by an index where its version belongs.

It gives the same answer, so no verdict knows of it; on a large table it may take a thousand times as long.
The engine is asked: an index that another one replaces is not missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from coordinator.diagnostics import Place
from coordinator.evidence import Hazard, LostIndex, Rehearsal
from coordinator.model import Migration, Phase, Role
from coordinator.rehearsal_ports import Lookup
from coordinator.rules import Context

_MOST_NAMED: Final = 3
_KEEP: Final = "-- keep the index, or make another one that serves these queries first"
_LATER: Final = (
    "-- coordinator: phase=contract\n-- in a file of its own: it waits until the live version is gone"
)
_SOONER: Final = "-- in a migration before those that wait until the live version is gone"
_WHY: Final = "It gives the same rows, and each time goes through the whole table, however large that is."


def lost(own: Lookup, here: Lookup) -> frozenset[str]:
    """Return the tables that a query reads whole here and by an index at its own state.

    None where it reads no more tables whole than there: a planner may as well begin a join at its other end.
    """
    if len(here.whole) <= len(own.whole):
        return frozenset()
    return (here.whole - own.whole) & own.indexed


def hazards_of_lost_indexes(
    rehearsal: Rehearsal, pending: Sequence[Migration], sizes: Mapping[str, int] | None
) -> Iterator[Hazard]:
    """Yield a hazard for each table that is not known to be small, at states that a version may meet."""
    cut = last_of_live(rehearsal, pending)
    context = Context(statements=(), sizes=sizes)
    met = {
        (each.use, each.migration, each.table, each.is_for_good, each.query): None
        for each in rehearsal.lost_indexes
        if context.is_large(each.table) and (each.is_for_good or _is_met(each, cut))
    }
    for (use, name, table, is_for_good), group in groupby(sorted(met), key=lambda each: each[:4]):
        migration = next(each for each in pending if each.name == name)
        is_live = use[2] is Role.LIVE
        queries = named_queries([query for *_, query in group])
        who = f"{queries} of {use[1]}{'' if is_for_good else f' ({use[2]})'}"
        yield Hazard(
            code="query-loses-index",
            place=_place(rehearsal, migration, table, gone=is_live),
            migration=name,
            what=f"For want of an index, all of {table}{context.told_size(table)} is read by {who}"
            f" {'once this has run' if is_live else f'until `{name}` has run'}.",
            why=f"Both versions ask that. {_WHY}" if is_for_good else _WHY,
            rewrite=_KEEP if is_for_good else _LATER if is_live else _SOONER,
        )


def _is_met(lost: LostIndex, cut: int) -> bool:
    return lost.state <= cut if lost.use[2] is Role.LIVE else lost.state >= cut


def named_queries(queries: Sequence[str]) -> str:
    """Return some queries' names for a sentence, and how many more there are."""
    more = len(queries) - _MOST_NAMED
    named = ", ".join(f"`{each}`" for each in queries[:_MOST_NAMED])
    return f"{named} and {more} more" if more > 0 else named


def last_of_live(rehearsal: Rehearsal, pending: Sequence[Migration]) -> int:
    """Return the last state that live versions meet, at which next ones take over: before contract."""
    declared = (at for at, each in enumerate(pending) if each.declared is Phase.CONTRACT)
    broken = (each.state - 1 for each in rehearsal.breaks if each.use[2] is Role.LIVE)
    return min((*declared, *broken), default=len(pending))


def _place(rehearsal: Rehearsal, migration: Migration, table: str, *, gone: bool) -> Place:
    """Return the line that drops or makes an index of the table, else where the migration begins."""
    for each in rehearsal.statements:
        changes = (
            one for one in each.changes if one.kind in ("index", "constraint") and one.relation == table
        )
        if each.migration == migration.name and any((one.after is None) is gone for one in changes):
            return each.place
    return Place(migration.files[0].path) if migration.files else Place(migration.name)
