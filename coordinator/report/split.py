"""What `coordinator split` shows: each statement's phase and its reason, then the files. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model import Phase
from coordinator.splits import Placed, Split
from coordinator.wording import counted


def as_text(found: Split, *, is_written: bool) -> str:
    """Return the statements with their phases, the new files whole, and what to do with them."""
    return "\n".join(_lines(found, is_written=is_written))


def _lines(found: Split, *, is_written: bool) -> Iterator[str]:
    path = found.migration.files[0].path
    yield f"{path} has {counted(len(found.statements), 'statement')}:"
    for each in found.statements:
        yield f"  {each.phase:<9} line {each.piece.line}: {_first_line(each)}"
        if each.reason:
            yield f"            {each.reason}"
    if not found.files:
        phase = found.statements[0].phase
        if found.verdict is None:
            yield f"\nAll of them are of one phase ({phase}): it may stay as it is."
            return
        if phase is Phase.CONTRACT:
            yield f"\nAll of them wait; whether that is early enough for the new version, is {found.verdict}."
        else:
            unproven = f"whether it may stay as it is, is {found.verdict}."
            yield f"\nNone of them was seen to break the old version; {unproven}"
        yield from found.notes
        return
    for file in found.files:
        yield f"\n--- {file.path}\n{file.content.decode().rstrip()}"
    yield f"\nWith these files the release is {found.verdict}."
    yield from found.notes
    yield (
        "Both are written. Look at them, then run `coordinator plan`."
        if is_written
        else "Nothing was written: `coordinator split --write` puts them in place of the one."
    )


def _first_line(placed: Placed) -> str:
    first, *more = placed.piece.text.splitlines()
    return f"{first} …" if more else first


def as_json(found: Split, *, is_written: bool) -> dict[str, object]:
    """Return the same for programs."""
    return {
        "migration": found.migration.name,
        "statements": [
            {
                "line": each.piece.line,
                "text": each.piece.text,
                "phase": each.phase.value,
                "reason": each.reason or None,
            }
            for each in found.statements
        ],
        "files": [{"path": file.path, "text": file.content.decode()} for file in found.files],
        "replaced": list(found.replaced),
        "verdict": found.verdict and found.verdict.value,
        "notes": list(found.notes),
        "written": is_written and bool(found.files),
    }
