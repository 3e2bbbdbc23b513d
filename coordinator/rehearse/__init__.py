"""Ask the engine itself, on scratch databases, which version works at which schema state.

    Task ─stage→ base, pair ─walk→ states ─ask→ answers ─findings→ spans, breaks, what was not checked

`walk` is also what a backtest stands on.
"""

from __future__ import annotations

from coordinator.rehearse.stage import Live, Task, rehearse_database
from coordinator.rehearse.subject import Subject

__all__ = ["Live", "Subject", "Task", "rehearse_database"]
