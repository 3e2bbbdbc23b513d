"""How a run is shown while it runs, on stderr: a table that redraws on a terminal, plain lines elsewhere.

The plain form is the contract with CI logs: a line an event with its time, and in long waits a heartbeat
twice a minute, so that nobody's job is killed for silence. What must not be missed (a failure, a doubt, the
way back) is printed above the table and stays there.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from coordinator.cli.edge import say, silence
from coordinator.cli.stopping import tell_at_once
from coordinator.engine.run import Audience
from coordinator.graph import StepId
from coordinator.journal import events
from coordinator.journal.events import Event
from coordinator.journal.fold import RunState, Status
from coordinator.report.progress import Row, heartbeat, line_of, summary, table_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

HEARTBEAT: Final = timedelta(seconds=30)
_COLOURS: Final = {"✔": "32", "✘": "31", "↶": "33", "?": "33", "▶": "36", "■": "1"}
_STYLES: Final = {"✔": "green", "✘": "red", "↶": "yellow", "?": "yellow", "▶": "bold cyan", "·": "dim"}
_DOUBTFUL: Final = (Status.FAILED, Status.UNKNOWN)
_BESIDES_ROWS: Final = 6
"""Lines of the drawing that are no steps: the summary, what was left out, the notes, the prompt."""


class TerminalAudience(Audience, Protocol):
    """An audience that can also be told something by a signal handler."""

    def told(self, text: str) -> None:
        """Show a line; takes no lock."""
        ...


def is_live() -> bool:
    """Tell whether stderr is a terminal that can redraw."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def is_coloured() -> bool:
    """Tell whether plain lines have colours: only where somebody asked for them (no-color.org)."""
    return bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")


@contextmanager
def watching() -> Iterator[TerminalAudience]:
    """Yield the audience for this terminal, and clear up after it."""
    if not is_live():
        yield Plain(is_coloured=is_coloured(), heartbeat=HEARTBEAT)
        return
    from rich.console import Console  # noqa: PLC0415 - only where something is drawn

    with ExitStack() as stack:
        yield Drawn(Console(stderr=True, highlight=False), stack)


class Plain:
    """Timestamped lines, appended; `heartbeat` is the longest silence."""

    def __init__(self, *, is_coloured: bool, heartbeat: timedelta) -> None:
        self._is_coloured = is_coloured
        self._heartbeat = heartbeat
        self._last: datetime | None = None

    def saw(self, event: Event, state: RunState) -> None:
        self._last = event.at
        self._say(event.at, line_of(event, state))

    def noted(self, step: StepId, text: str) -> None:
        self._say(datetime.now().astimezone(), f"  {step}: {text}")

    def ticked(self, state: RunState, *, now: datetime) -> None:
        self._last = self._last or now
        if now - self._last >= self._heartbeat:
            self._last = now
            self._say(now, heartbeat(state, now=now))

    def told(self, text: str) -> None:
        tell_at_once(text)

    def _say(self, at: datetime, line: str) -> None:
        sign = line[:1]
        line = line.replace("\n", "\n" + " " * len("00:00:00 "))
        if self._is_coloured and sign in _COLOURS:
            line = f"\x1b[{_COLOURS[sign]}m{sign}\x1b[0m{line[1:]}"
        say(f"{at.astimezone():%H:%M:%S} {line}")


class Drawn:
    """One table of all steps, redrawn in place from the first event on; the last notes below it."""

    def __init__(self, console: Console, stack: ExitStack) -> None:
        self._console = console
        self._stack = stack
        self._live: Live | None = None
        self._notes: deque[str] = deque(maxlen=2)
        self._lock = threading.Lock()
        self._told = ""

    def saw(self, event: Event, state: RunState) -> None:
        if is_notable(event, state):
            self._draw(state, event.at, above=line_of(event, state))
        else:
            self._draw(state, event.at)

    def noted(self, step: StepId, text: str) -> None:
        with self._lock:
            self._notes.append(f"{step}: {text}")

    def ticked(self, state: RunState, *, now: datetime) -> None:
        self._draw(state, now)

    def told(self, text: str) -> None:
        if self._live is None:
            tell_at_once(text)
        self._told = text

    def _draw(self, state: RunState, now: datetime, *, above: str = "") -> None:
        from rich.text import Text  # noqa: PLC0415

        try:
            live = self._started()
            if above:
                self._console.print(Text(above, _STYLES.get(above[:1], "")))
            live.update(self._drawing(state, now), refresh=True)
        except OSError:
            silence(sys.stderr)  # the terminal is gone; the release is not

    def _started(self) -> Live:
        from rich.live import Live  # noqa: PLC0415

        if self._live is None:
            self._live = self._stack.enter_context(Live(console=self._console, auto_refresh=False))
        return self._live

    def _drawing(self, state: RunState, now: datetime) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for sign, step, took, detail in that_fit(tuple(table_of(state, now=now)), self._console.height):
            style = _STYLES.get(sign, "")
            table.add_row(Text(sign, style), Text(step, style), Text(took, "dim"), Text(detail, "dim"))
        lines = [] if state.outcome else [summary(state, now=now)]
        with self._lock:
            notes = [] if state.outcome else [*self._notes, *filter(None, [self._told])]
        return Group(
            *(Text(line, "bold", no_wrap=True, overflow="ellipsis") for line in lines),
            table,
            *(Text(" ".join(note.split()), "yellow", no_wrap=True, overflow="ellipsis") for note in notes),
        )


def is_notable(event: Event, state: RunState) -> bool:
    """Tell whether an event must not be missed: it failed, is in doubt, or a person or the plan turned."""
    if isinstance(event, events.Approved | events.RollbackStarted | events.AbortRequested):
        return True
    step = getattr(event, "step", None)
    return isinstance(event, events.UndoFailed) or (step is not None and state.status(step) in _DOUBTFUL)


def that_fit(rows: tuple[Row, ...], height: int) -> tuple[Row, ...]:
    """Return the rows around what is going on, where a terminal of `height` lines cannot show all of them."""
    room = max(3, height - _BESIDES_ROWS)
    if len(rows) <= room:
        return rows
    busy = next((at for at, row in enumerate(rows) if row[0] != "✔"), len(rows))
    room -= 2  # the lines that say what was left out
    first = max(0, min(busy - room // 3, len(rows) - room))
    return (
        *_left_out(first, "before"),
        *rows[first : first + room],
        *_left_out(len(rows) - first - room, "after"),
    )


def _left_out(count: int, where: str) -> tuple[Row, ...]:
    return (("·", f"{count} more {where}", "", ""),) if count else ()
