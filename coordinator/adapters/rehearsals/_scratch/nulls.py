"""Where a sample row has NULL: nowhere in a full row, and wherever it may be in the sparse one.

A check may want it otherwise: one of two columns and not both (`(a IS NULL) <> (b IS NULL)`). Such rows are
tried when no other was taken.
"""

from __future__ import annotations

from collections.abc import Sequence

_Choices = Sequence[Sequence[object]]


def in_turn_with_null(
    full: _Choices, *, nullable: Sequence[bool], checked: Sequence[bool], is_sparse: bool
) -> list[_Choices]:
    """Return what to choose from for each column, first without the checks' wishes, then with them.

    `full` has values for each column; `nullable` tells which may be NULL, and `checked` which a check names.
    """
    usual = [(None,) if is_sparse and may else each for each, may in zip(full, nullable, strict=True)]
    free = [may and is_named for may, is_named in zip(nullable, checked, strict=True)]
    if not any(free):
        return [usual]
    freed = [
        ([None, *each] if is_sparse else [*each, None]) if is_free else one
        for each, one, is_free in zip(full, usual, free, strict=True)
    ]
    return [usual, freed]
