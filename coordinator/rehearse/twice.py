"""Whether a program that gets a range of rows twice leaves what it left the first time.

It is promised a range at least once, so one that comes again must do no harm. Rows that differ then do so
because the program did it, or because they are new each time, as a time is: so, where they differ, it works
once more on rows that it has not seen, and what differs there too tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from coordinator.model import BackfillSpec, Engine
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.rows import Rows, rows_of, tables_of
from coordinator.wording import counted

Content = Mapping[str, Rows]
"""The rows of each table of a scratch database."""


def content_of(database: RehearsalDatabase, engine: Engine) -> Content:
    """Return the rows of all tables but those in which books are kept."""
    schema = database.catalogue()
    return {
        table: replace(
            rows_of(database, table, columns, engine),
            has_trigger=any(name.startswith(f"trigger {table}.") for name in schema),
        )
        for table, columns in tables_of(schema)
    }


@dataclass(frozen=True, slots=True)
class Repeated:
    """What a second time leaves otherwise."""

    reason: str
    is_certain: bool
    """The rows that the backfill goes over are others, in what a first time always leaves the same, and no
    trigger may have written there."""


def done_twice(
    spec: BackfillSpec, *, once: Content, twice: Content, anew: Callable[[], Content]
) -> Repeated | None:
    """Return what differs where a range came twice; None where all rows are the same.

    `anew` has the program do the rows a first time, on another database that began as this one. It is asked
    last: a clock that stands still from `once` to there stood still for `twice`.
    """
    changed = [table for table in once if once[table].differs(twice[table])]
    if not changed:
        return None
    other = anew()
    own, found = own_table(spec, once), []
    for table in sorted(changed, key=lambda each: each != own):
        new_each_time = once[table].moving(other[table])
        if once[table].differs(other[table], without=new_each_time):
            found.append(Repeated(f"nobody can tell: `{table}` has other rows each time", is_certain=False))
        elif not once[table].differs(twice[table], without=new_each_time):
            names = ", ".join(f"`{table}.{each}`" for each in new_each_time)
            found.append(Repeated(f"nobody can tell: it writes {names} anew each time", is_certain=False))
        else:
            is_certain = table == own and not once[table].has_trigger
            found.append(Repeated(_told(table, once[table], twice[table], new_each_time), is_certain))
    return next((each for each in found if each.is_certain), found[0])


def _told(table: str, once: Rows, twice: Rows, new_each_time: Sequence[str]) -> str:
    if more := len(twice.rows) - len(once.rows):
        rows = counted(abs(more), "row")
        return f"`{table}` has {rows} {'more' if more > 0 else 'fewer'} than after the first time"
    columns = [each for each in once.moving(twice) if each not in new_each_time]
    names = ", ".join(f"`{table}.{each}`" for each in columns)
    return f"{names} is not what the first time left" if names else f"`{table}` has other rows"


def own_table(spec: BackfillSpec, content: Content) -> str | None:
    """Return the backfill's table as the catalogue names it; None where several may be meant."""
    meant = [each for each in content if each.replace('"', "").removeprefix("main.") == spec.table]
    bare = [each for each in content if each.replace('"', "").rpartition(".")[2] == spec.table]
    found = meant or bare
    return found[0] if len(found) == 1 else None
