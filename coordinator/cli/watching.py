"""How a run is shown while it runs, on stderr: a table that redraws on a terminal, plain lines elsewhere.

The plain form is the contract with CI logs: a line an event with its time, and in long waits a heartbeat
twice a minute, so that nobody's job is killed for silence. What must not be missed (a failure, a doubt, the
way back) is printed above the table and stays there.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from coordinator.cli.edge import escaped, say, silence
from coordinator.cli.stopping import tell_at_once
from coordinator.engine.run import Audience
from coordinator.graph import StepId
from coordinator.journal import events
from coordinator.journal.events import Event
from coordinator.journal.fold import RunState, Status
from coordinator.report.progress import Row, heartbeat, is_news, line_of, summary, table_of
from coordinator.report.wrapping import columns_of, cut_to, folded, padded

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

HEARTBEAT: Final = timedelta(seconds=30)
_COLOURS: Final = {"✔": "32", "✘": "31", "↶": "33", "?": "33", "▶": "36", "■": "1"}
_STYLES: Final = {"✔": "green", "✘": "red", "↶": "yellow", "?": "yellow", "▶": "bold cyan", "·": "dim"}
_DOUBTFUL: Final = (Status.FAILED, Status.UNKNOWN)
_MOST_NOTES: Final = 3
_BESIDES_ROWS: Final = 1 + _MOST_NOTES + 1 + 1
"""Lines of the drawing that are no steps: the summary, the notes, what a signal said, the cursor's."""
_TOOK: Final = 11
"""The widest elapsed time: `2 h 10 min`, `12 min 05 s`."""
_BESIDES_NAMES: Final = 2 + 2 + _TOOK
"""Columns that a step's name leaves free: its sign and its time."""
_NARROWEST: Final = 8
_PACE: Final = 0.1
"""Seconds between two drawings of what is no news: nobody reads faster."""


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
    from rich.console import Console

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
        if is_news(event):
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
        sign, rest = line[:1], line[1:].replace("\n", "\n" + " " * len("00:00:00 "))
        if self._is_coloured and sign in _COLOURS:
            sign = f"\x1b[{_COLOURS[sign]}m{sign}\x1b[0m"
        say(rest, before=f"{at.astimezone():%H:%M:%S} {sign}")


class Drawn:
    """A line for each step, redrawn in place from the first event on; what busy steps say below them."""

    def __init__(self, console: Console, stack: ExitStack) -> None:
        self._console = console
        self._stack = stack
        self._live: Live | None = None
        self._notes: dict[StepId, str] = {}
        self._lock = threading.Lock()
        self._told = ""
        self._drawn_at = -_PACE
        self._left_out: tuple[RunState, datetime] | None = None
        """What is not drawn yet, because the last drawing is too young: a release may have 1,000 steps."""

    def saw(self, event: Event, state: RunState) -> None:
        if is_notable(event, state):
            self._draw(state, event.at, above=line_of(event, state))
        elif state.outcome is not None:
            self._draw(state, event.at)
        else:
            self.ticked(state, now=event.at)

    def noted(self, step: StepId, text: str) -> None:
        with self._lock:
            self._notes[step] = text

    def ticked(self, state: RunState, *, now: datetime) -> None:
        if time.monotonic() - self._drawn_at >= _PACE:
            self._draw(state, now)
        else:
            self._left_out = (state, now)

    def told(self, text: str) -> None:
        if self._live is None:
            tell_at_once(text)
        self._told = text

    def _draw(self, state: RunState, now: datetime, *, above: str = "") -> None:
        from rich.text import Text

        self._drawn_at, self._left_out = time.monotonic(), None
        try:
            live = self._started()
            if above:
                lines = folded(escaped(above), self._console.width)
                self._console.print(Text("\n".join(lines), _STYLES.get(above[:1], "")))
            live.update(self._drawing(state, now), refresh=True)
        except OSError:
            silence(sys.stderr)  # the terminal is gone; the release is not

    def _started(self) -> Live:
        from rich.live import Live

        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._stack.callback(self._stop, self._live)
            self._live.start()
        return self._live

    def _stop(self, live: Live) -> None:
        try:
            if self._left_out is not None:
                live.update(self._drawing(*self._left_out), refresh=True)
            live.stop()
        except OSError:
            silence(sys.stderr)

    def _drawing(self, state: RunState, now: datetime) -> RenderableType:
        from rich.text import Text

        rows = that_fit(tuple(table_of(state, now=now)), self._console.height)
        widest = max(columns_of(step) for _, step, _, _ in rows)
        width = max(_NARROWEST, min(widest, self._console.width - _BESIDES_NAMES))
        lines = [] if state.outcome else [Text(summary(state, now=now), "bold")]
        for sign, step, took, detail in rows:
            name = padded(cut_to(step, width), width)
            shown = (f"{sign} {name}", _STYLES.get(sign, ""))
            lines.append(Text.assemble(shown, (f"  {took:>{_TOOK}}  {escaped(detail)}", "dim")))
        lines.extend(Text(escaped(note), "yellow") for note in self._footnotes(state))
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)

    def _footnotes(self, state: RunState) -> list[str]:
        """Return the last notes of steps that are busy, and what a signal handler said."""
        if state.outcome is not None:
            return []
        with self._lock:
            notes = dict(self._notes)
        busy = [
            f"{step}: {' '.join(note.split())}"
            for step, note in notes.items()
            if state.status(step) in (Status.STARTED, Status.UNDOING)
        ]
        return [*busy[-_MOST_NOTES:], *filter(None, [self._told])]


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
