"""Live rows that a pending migration does not bear: asked of the live database, before anything runs. Pure.

A rehearsal has sample rows. Whether `SET NOT NULL`, a CHECK, a unique index or a foreign key can be had on
the live ones is a question to those: the engine's own definition of it, turned round. Nothing is asked where
the release itself may change the answer before, by a backfill or as touched.py has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.diagnostics import Place
from coordinator.evidence import Change, Hazard, Rehearsal, StatementEvidence
from coordinator.model import BackfillSpec, Migration
from coordinator.rehearsal_ports import RehearsalEngine, RowQuery
from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.touched import Touched

MOST_ROWS: Final = 1000
"""How many rows are counted; there may be more."""
_SHOWN: Final = 20
_NOT_NULL: Final = re.compile(r" not null\b")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about the rows that a migration does not bear."""

    migration: str
    place: Place
    change: Change
    query: RowQuery


def asked_of_live(
    rehearsal: Rehearsal,
    engine: RehearsalEngine,
    *,
    pending: Sequence[Migration],
    backfills: Sequence[BackfillSpec],
) -> Iterator[Asked]:
    """Yield what the live database is to be asked, once each, in the order of the migrations."""
    others = {bare(each.table) for each in backfills}
    changed: set[tuple[str, str]] = set()
    renewed: set[tuple[str, str]] = set()
    seen: set[RowQuery] = set()
    for migration in pending:
        own = [each for each in rehearsal.statements if each.migration == migration.name]
        touched = Touched.by(own)
        if touched.is_anything or (migration.is_code and not own):
            return  # nobody knows what rows it changes
        others |= touched.words
        renewed |= touched.columns
        net = list(_net(own))
        for each, _ in net:
            if each.kind == "column" and not _is_narrowed(each):
                changed.add((bare(each.relation or ""), bare(each.name)))
        for change, statement in net:
            table, query = bare(change.relation or ""), engine.rows_against(change)
            words = words_of(f"{change.name} {change.after}")  # a parent's name is among them
            other = renewed | (changed - _own(change))
            is_other = not others.isdisjoint({table, *words}) or any((table, word) in other for word in words)
            if query and query not in seen and not is_other and not _makes_fit(statement):
                seen.add(query)
                yield Asked(migration.name, statement.place, change, query)


def hazards_of_live_rows(asked: Sequence[Asked], counts: Mapping[RowQuery, int | None]) -> Iterator[Hazard]:
    """Yield a hazard for each question that found rows; for a table with its partitions one."""
    found: dict[tuple[Place, str, str], Asked] = {}
    for each in sorted(asked, key=lambda one: -(counts.get(one.query) or 0)):
        if counts.get(each.query):
            found.setdefault((each.place, each.change.kind, each.change.name), each)
    for each in asked:
        if each in found.values():
            count = counts[each.query] or 0
            number = f"{count:,} of them" if count < MOST_ROWS else f"{MOST_ROWS:,} of them or more"
            yield Hazard(
                code="live-rows-refused",
                place=each.place,
                migration=each.migration,
                what=f"The live database has {each.query.rows} ({number}), on which this fails.",
                why="Nothing in the release changes them before. Where it waits for contract, there is no way"
                " back by then.",
                rows=f"SELECT {each.query.columns} {each.query.source} LIMIT {_SHOWN};",
                fails=True,
            )


def notes_on_live_rows(asked: Sequence[Asked], counts: Mapping[RowQuery, int | None]) -> Iterator[str]:
    """Yield what was not found out in time, a sentence for each migration."""
    late = [each for each in asked if each.query in counts and counts[each.query] is None]
    for migration in dict.fromkeys(each.migration for each in late):
        first, *others = [each.query.rows for each in late if each.migration == migration]
        more = f", and neither were {len(others)} more such questions" if others else ""
        yield f"whether live has {first}, on which `{migration}` fails, was not found out in time{more}"


def _own(change: Change) -> set[tuple[str, str]]:
    """Return the column that a change is about: a NULL of it is one of its new type, too."""
    return {(bare(change.relation or ""), bare(change.name))} if change.kind == "column" else set()


def _net(statements: Sequence[StatementEvidence]) -> Iterator[tuple[Change, StatementEvidence]]:
    """Yield what a migration changes in all, each with the statement that ends it."""
    found: dict[tuple[str, str | None, str], tuple[Change, StatementEvidence]] = {}
    for statement in statements:
        for each in statement.changes:
            key = (each.kind, each.relation, each.name)
            first = found[key][0] if key in found else each
            found[key] = (Change(*key, first.before, each.after), statement)
    yield from (each for each in found.values() if each[0].before != each[0].after)


def _makes_fit(statement: StatementEvidence) -> bool:
    """Tell whether the server changes what does not fit, or leaves it out, and refuses nothing.

    MySQL and MariaDB do: in their old mode they make 0 of NULL.
    """
    return bool(statement.warnings) or "ignore" in words_of(statement.statement.text)


def _is_narrowed(change: Change) -> bool:
    """Tell whether a column only loses, or gets, its NULL: its values stay what they are."""
    return _NOT_NULL.sub("", change.before or "") == _NOT_NULL.sub("", change.after or "")
