"""Expressions that say the same in other blanks, capitals or quotes, or by other names of the same. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from coordinator.evidence import Change
from coordinator.rehearse.catalogued import bare
from coordinator.sql import tokens

_SILENT: Final = frozenset({"space", "comment", "block"})
_RENAMED: Final = ("domain", "function", "type")


def is_alike(
    ours: str, theirs: str, *, columns: Collection[str], renamed: Collection[tuple[str, str]]
) -> bool:
    """Tell whether two are the same, but for names of columns that came and went, and what is `renamed`."""
    mine, others = _lexemes(ours), _lexemes(theirs)
    return len(mine) == len(others) and all(
        pair[0] == pair[1] or set(pair) <= set(columns) or pair in renamed
        for pair in zip(mine, others, strict=True)
    )


def _lexemes(text: str) -> Sequence[str]:
    """Return what a text is made of, without the schemas of names."""
    found: list[str] = []
    for kind, start, end, _ in tokens(text):
        lexeme = text[start:end]
        if kind in _SILENT or lexeme == "`":
            continue
        if found[-1:] == ["."] and len(found) > 1 and not found[-2][-1:].isdigit():
            del found[-2:]
        found.append(lexeme if lexeme.startswith("'") else lexeme.strip('"').lower())
    return found


def renamed_by(changes: Iterable[Change]) -> Iterator[tuple[str, str]]:
    """Yield the names that functions and types had, with those that they have now."""
    known = [each for each in changes if each.kind in _RENAMED]
    gone = [(each.kind, _name(each), each.before) for each in known if each.after is None]
    came = [(each.kind, _name(each), each.after) for each in known if each.before is None]
    for kind, old, before in gone:
        for other, new, after in came:
            if kind == other and before is not None and before.replace(f".{old}(", f".{new}(") == after:
                yield old, new


def _name(change: Change) -> str:
    return bare(change.name.partition("(")[0])
