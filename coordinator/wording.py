"""How a number is said together with what it counts, in one way for every message.

It stands at the bottom, because whoever tells a person something counts: a step, a batch, an error.
"""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 query`, `3 queries`, `10,000 rows`, `1 more table`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"
