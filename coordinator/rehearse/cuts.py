"""Whether it matters where the batches of a backfill end.

The rehearsal does the few sample rows in one batch. A release has thousands of batches, and where each ends
is a matter of the server's speed. So the rows are done once more, a few at a time. A statement that changes
rows outside its range does them in each batch; one that gives rows a place behind the cursor meets them
again, and may never end; one that reads what earlier batches wrote leaves something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from coordinator.model import BackfillSpec, DatabaseSpec
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.hurried import do_rows
from coordinator.rehearse.twice import Content, content_of, own_table

_NO_ROW: Final = "(1 = 0)"
_BATCHES: Final = 10
"""At least so many, where there are as many rows."""
_OUTSIDE: Final = (
    "it changes rows of `{}` that are not in its batch. Join `{{range}}` to all else by AND, with parentheses"
    " around an OR, and not in a comment or a string"
)
_ENDS: Final = "what it leaves in {} depends on where its batches end, which nobody knows beforehand"


@dataclass(frozen=True, slots=True)
class Cut:
    """What speaks against batches; one that is certain is so with all rows."""

    reason: str
    is_certain: bool


def met_in_batches(
    scratch: RehearsalDatabase, database: DatabaseSpec, spec: BackfillSpec, *, whole: Content, rows: int
) -> Cut | None:
    """Return what several batches by SQL leave otherwise than one, which left `whole`; None if nothing.

    The table has so many `rows`. Raises: NeverEnds, and what a release would meet.
    """
    table = own_table(spec, whole)

    def anew() -> Content:
        with scratch.clone() as copy:
            do_rows(copy, database, spec)
            return content_of(copy, database.engine)

    with scratch.clone() as copy:
        before = content_of(copy, database.engine)
        with copy.session() as session:
            session.execute(Batch((spec.statement(_NO_ROW),), transaction=True))
        if table and before[table].differs(content_of(copy, database.engine)[table]):
            return Cut(_OUTSIDE.format(table), is_certain=True)
        do_rows(copy, database, spec, there=rows, in_batches_of=max(1, rows // _BATCHES))
        return depends_on_ends(table, whole=whole, parts=content_of(copy, database.engine), anew=anew)


def depends_on_ends(
    own: str | None, *, whole: Content, parts: Content, anew: Callable[[], Content]
) -> Cut | None:
    """Return what differs where the rows were done in several batches.

    What comes out otherwise each time (a time, a number that is drawn) tells nothing. `anew` does them in one
    batch once more, and is asked last. Of other tables the number of rows counts alone: those that are
    numbered as they come in get other numbers.
    """
    longer = [each for each in whole if len(parts[each].rows) != len(whole[each].rows)]
    is_other = own is not None and whole[own].differs(parts[own])
    if not longer and not is_other:
        return None
    again = anew()
    if own is not None and is_other:
        new_each_time = whole[own].moving(again[own])
        columns = [each for each in whole[own].moving(parts[own]) if each not in new_each_time]
        if columns and not whole[own].differs(again[own], without=new_each_time):
            return Cut(_ENDS.format(", ".join(f"`{own}.{each}`" for each in columns)), is_certain=False)
    steady = [each for each in longer if len(again[each].rows) == len(whole[each].rows)]
    return Cut(_ENDS.format(f"`{steady[0]}`"), is_certain=False) if steady else None
