"""Where a plan keeps what outlives a command: `.coordinator/runs/<plan's name>/` beside the plan file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from coordinator.adapters.journals.sqlite import SqliteJournal
from coordinator.adapters.leases.file import FileLease
from coordinator.errors import Usage
from coordinator.journal.events import Event, from_wire
from coordinator.journal.fold import RunState, fold
from coordinator.ports.machine import Journal, Lease


@dataclass(frozen=True, slots=True)
class Place:
    """A plan's journal and its process lease."""

    plan_file: Path

    @property
    def folder(self) -> Path:
        """Return the folder of the state; it need not exist."""
        return self._root / "runs" / self.plan_file.stem

    @property
    def _root(self) -> Path:
        return self.plan_file.parent / ".coordinator"

    @property
    def journal(self) -> Journal:
        """Return the journal, made on its first append."""
        return SqliteJournal(self.folder / "journal.sqlite3")

    def lease(self) -> AbstractContextManager[None]:
        """Hold the right to act on this plan. Raises: Waiting `lease-held`."""
        holder = f"pid {os.getpid()} on {socket.gethostname()}"
        self._keep_out_of_git()
        lease: Lease = FileLease(self.folder)
        return lease.held("plan", holder=holder)

    def _keep_out_of_git(self) -> None:
        """Let `git add` leave a checkout's runs alone: another one must not take them for its own."""
        ignored = self._root / ".gitignore"
        with suppress(OSError):  # whoever takes the lease then says what is wrong with the folder
            self._root.mkdir(parents=True, exist_ok=True)
            if not ignored.exists():
                ignored.write_text(
                    "# Written by coordinator: this folder belongs to this checkout alone.\n*\n"
                )

    def holder(self, *, behind: RunState | None = None) -> str | None:
        """Return which process acts on this plan at this instant, None if none does.

        Where the run `behind` has ended, only one that began after that: whoever ended it may still be there.
        """
        since = None if behind is None else from_wire(self.journal.records(behind.run)[-1]).at
        return FileLease(self.folder).holder_of("plan", since=since)


def run_state(journal: Journal, run: str) -> RunState:
    """Return where a run is."""
    return fold(run, (from_wire(record) for record in journal.records(run)))


def catch_up(journal: Journal, state: RunState, saw: Callable[[Event, RunState], None]) -> RunState:
    """Return the state after what another coordinator wrote since; `saw` gets each event with its state."""
    for record in journal.records(state.run)[state.sequence :]:
        event = from_wire(record)
        state = state.with_event(event)
        saw(event, state)
    return state


def newest_first(journal: Journal) -> Iterator[RunState]:
    """Yield the runs of a plan, the newest first."""
    return (run_state(journal, run) for run in reversed(journal.runs()))


def open_run(journal: Journal) -> RunState | None:
    """Return the run that has not ended, if there is one; only the newest can be open."""
    newest = next(newest_first(journal), None)
    return newest if newest is not None and newest.outcome is None else None


def the_open_run(place: Place, *, otherwise: str = "") -> RunState:
    """Return the open run. Raises: Usage `no-open-run`, with what else to do `otherwise`."""
    state = open_run(place.journal)
    if state is None:
        raise Usage(
            "no-open-run",
            f"{place.plan_file} has no run under way.",
            next_step=f"`coordinator history` lists what was run. {otherwise}".rstrip(),
        )
    return state
