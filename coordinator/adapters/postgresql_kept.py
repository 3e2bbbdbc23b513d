"""Texts of ours that come again and again with other values, which the server keeps prepared for a session.

A guard and the records of a small migration cost the server more to read and to plan than to run, and from
one migration to the next a few literals differ. So a text that comes for the second time is prepared, with
what differs as its parameters: no hook has to say which of its literals are values. Only what goes in one
trip with others is prepared, and only texts of ours. Whatever is refused there is sent again by itself as it
stands, so a prepared statement that is gone (DEALLOCATE ALL in a function) costs one trip and no more.

A prepared statement stays with the table that it found, where a text finds one of the same name that was made
since, further in front in the search_path. So a file that names one of these tables goes by itself
(`names_own_table`), and nothing that was kept before it is used after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from coordinator.adapters.postgresql_pipeline import Filled, Item, Prepared

_PLANNED: Final = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ")
_VALUE: Final = re.compile(
    r"(['0-9](?:(?<=')[^']*+(?:''[^']*+)*+'|(?<=[0-9])(?<![\w$.][0-9])[0-9]*+(?![\w$.])))"
)
"""A literal; the set of characters that begins it lets `re` search fast. Where it takes a part of a quoted
name for one, either that part never differs, or what it takes for no literal does, and the text is sent as it
stands."""
_INTO: Final = "INSERT INTO "


@dataclass(frozen=True, slots=True)
class _Kept:
    """A statement that the server keeps: the places of its parameters, and the literals in all others."""

    name: bytes
    varying: tuple[int, ...]
    constant: tuple[str, ...]


def in_one(settings: Iterable[str]) -> str:
    """Return a query that does what several `SET name = value` do: it can be kept, and they cannot."""
    return f"SELECT {', '.join(map(_as_call, settings))}"


def _as_call(setting: str) -> str:
    words, _, value = setting.partition(" = ")
    *scope, name = words.removeprefix("SET ").split()
    quoted = value if value.startswith(("'", "E'")) else f"'{value}'"
    return f"pg_catalog.set_config('{name}', {quoted}, {scope == ['LOCAL']})"


class KeptTexts:
    """What one session keeps. A new one where anything may have ended what an earlier one kept."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], list[str]] = {}
        """What stood between the literals of a text that came once, and its literals."""
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._prefix = f"coordinator {token_hex(4)} "  # a pooler may hand a session on with what it keeps

    def items(self, text: str) -> tuple[Item, ...]:
        """Return what does what the text does, where it stands in a pipeline."""
        if not text.startswith(_PLANNED) or "\\" in text:
            return (text,)
        parts = _VALUE.split(text)
        between, literals = tuple(parts[::2]), parts[1::2]
        kept = self._kept.get(between)
        if kept is not None:
            is_same = _without(literals, kept.varying) == kept.constant
            return (_filled(kept, literals),) if is_same else (text,)
        earlier = self._seen.setdefault(between, literals)
        if earlier is literals:
            return (text,)
        varying = tuple(at for at, each in enumerate(literals) if each != earlier[at])
        name = f"{self._prefix}{len(self._kept)}".encode()
        kept = self._kept[between] = _Kept(name, varying, _without(literals, varying))
        return Prepared(name, _with_parameters(between, literals, varying)), _filled(kept, literals)


def _without(literals: Sequence[str], varying: Sequence[int]) -> tuple[str, ...]:
    return tuple(each for at, each in enumerate(literals) if at not in varying)


def _with_parameters(between: Sequence[str], literals: Sequence[str], varying: Sequence[int]) -> str:
    filled = [f"${varying.index(at) + 1}" if at in varying else each for at, each in enumerate(literals)]
    return "".join(f"{before}{each}" for before, each in zip(between, (*filled, ""), strict=True))


def _filled(kept: _Kept, literals: Sequence[str]) -> Filled:
    return Filled(kept.name, tuple(_value_of(literals[at]).encode() for at in kept.varying))


def _value_of(literal: str) -> str:
    return literal[1:-1].replace("''", "'") if literal.startswith("'") else literal


def names_own_table(texts_of_file: Sequence[str], records: Sequence[str]) -> bool:
    """Tell whether a file names a table that the records go to: it may make another one of that name."""
    tables = [_table_of(each) for each in records if each.startswith(_INTO)]
    return any(table in text.lower() for text in texts_of_file for table in tables)


def _table_of(record: str) -> str:
    return record.removeprefix(_INTO).partition(" (")[0].rpartition(".")[2].strip('"').lower()
