"""What is said in one way by every message: a number together with what it counts, and that all is done.

It stands at the bottom, because whoever tells a person something counts: a step, a batch, an error.
"""

from __future__ import annotations

from typing import Final

NOTHING_TO_DO: Final = "Nothing to do: the wanted versions serve and no migration is pending."


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 query`, `3 queries`, `10,000 rows`, `1 more table`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"
