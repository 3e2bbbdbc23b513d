"""How a run is shown while it runs, on stderr: a table that redraws on a terminal, plain lines elsewhere.

The plain form is the contract with CI logs: a line an event with its time, and in long waits a heartbeat
twice a minute, so that nobody's job is killed for silence.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from coordinator.cli.edge import say
from coordinator.engine.run import Audience
from coordinator.graph import StepId
from coordinator.journal.events import Event
from coordinator.journal.fold import RunState, Status
from coordinator.report.progress import line_of, summary, table_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_HEARTBEAT: Final = timedelta(seconds=30)
_COLOURS: Final = {"✔": "32", "✘": "31", "↶": "33", "?": "33", "▶": "36", "■": "1"}
_STYLES: Final = {"✔": "green", "✘": "red", "↶": "yellow", "?": "yellow", "▶": "bold cyan", "·": "dim"}


def is_live() -> bool:
    """Tell whether stderr is a terminal that can redraw."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


@contextmanager
def watching() -> Iterator[Audience]:
    """Yield the audience for this terminal, and clear up after it."""
    if not is_live():
        yield Plain(is_coloured=bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR"))
        return
    from rich.console import Console  # noqa: PLC0415 - only where something is drawn
    from rich.live import Live  # noqa: PLC0415

    with Live(console=Console(stderr=True), auto_refresh=False, vertical_overflow="visible") as live:
        yield Drawn(live)


class Plain:
    """Timestamped lines, appended."""

    def __init__(self, *, is_coloured: bool) -> None:
        self._is_coloured = is_coloured
        self._last: datetime | None = None

    def saw(self, event: Event, state: RunState) -> None:
        self._last = event.at
        self._say(event.at, line_of(event, state))

    def noted(self, step: StepId, text: str) -> None:
        self._say(datetime.now().astimezone(), f"  {step}: {text}")

    def ticked(self, state: RunState, *, now: datetime) -> None:
        if self._last is not None and now - self._last >= _HEARTBEAT:
            self._last = now
            self._say(now, f"… {summary(state, now=now)}")

    def _say(self, at: datetime, line: str) -> None:
        sign = line[:1]
        if self._is_coloured and sign in _COLOURS:
            line = f"\x1b[{_COLOURS[sign]}m{sign}\x1b[0m{line[1:]}"
        say(f"{at.astimezone():%H:%M:%S} {line}")


class Drawn:
    """One table of all steps, redrawn in place; notes of the last moments below it."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._notes: deque[str] = deque(maxlen=3)
        self._lock = threading.Lock()

    def saw(self, event: Event, state: RunState) -> None:
        if is_notable(state, event):
            with self._lock:
                self._notes.append(line_of(event, state))
        self._draw(state, event.at)

    def noted(self, step: StepId, text: str) -> None:
        with self._lock:
            self._notes.append(f"{step}: {text}")

    def ticked(self, state: RunState, *, now: datetime) -> None:
        self._draw(state, now)

    def _draw(self, state: RunState, now: datetime) -> None:
        self._live.update(self._table(state, now), refresh=True)

    def _table(self, state: RunState, now: datetime) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2))
        for sign, step, took, detail in _that_fit(list(table_of(state, now=now)), self._live.console.height):
            style = _STYLES.get(sign, "")
            table.add_row(Text(sign, style), Text(step, style), Text(took, "dim"), Text(detail, "dim"))
        with self._lock:
            notes = [Text(note, "yellow") for note in self._notes]
        return Group(Text(summary(state, now=now), "bold"), table, *notes)


def is_notable(state: RunState, event: Event) -> bool:
    """Tell whether an event is one that a reader must not miss."""
    step = getattr(event, "step", None)
    return step is None or state.status(step) in (Status.FAILED, Status.UNKNOWN)


def _that_fit(rows: list[tuple[str, str, str, str]], height: int) -> list[tuple[str, str, str, str]]:
    """Return the rows around what is going on, where the terminal cannot show all of them."""
    room = max(5, height - 6)
    if len(rows) <= room:
        return rows
    busy = next((at for at, row in enumerate(rows) if row[0] != "✔"), len(rows))
    first = max(0, min(busy - room // 3, len(rows) - room))
    return rows[first : first + room]
