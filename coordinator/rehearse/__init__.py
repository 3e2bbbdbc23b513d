"""Ask the engine itself, on scratch databases, which version works at which schema state.

    Task ─stage→ base, pair ─walk→ states ─ask→ answers ─findings→ spans, breaks, what was not checked

`walk` is also what a backtest stands on.
"""

from __future__ import annotations

from coordinator.rehearse.key import Circumstances, key_of
from coordinator.rehearse.live_rows import (
    MOST_ROWS,
    asked_of_live,
    hazards_of_live_rows,
    notes_on_live_rows,
)
from coordinator.rehearse.record import Found, found_in, is_lasting, text_from
from coordinator.rehearse.stage import MEND_DOUBT, hazards_of, rehearse_database
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.task import Live, Task
from coordinator.rehearse.walk import Apply

__all__ = [
    "MEND_DOUBT",
    "MOST_ROWS",
    "Apply",
    "Circumstances",
    "Found",
    "Live",
    "Subject",
    "Task",
    "asked_of_live",
    "found_in",
    "hazards_of",
    "hazards_of_live_rows",
    "is_lasting",
    "key_of",
    "notes_on_live_rows",
    "rehearse_database",
    "text_from",
]
