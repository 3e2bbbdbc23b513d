"""Does a query still have the parameters and columns that a client was compiled for? Pure.

A client that was compiled for `integer` and meets `text` fails when it scans. Between some types nothing
changes for it (`varchar(20)` and `text`); between others only for values that do not fit (`bigint`, read into
32 bits), or with some drivers: nobody here can say whether that will be, so it is unproven.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Column, Description

_SAME: Final = (
    frozenset({"text", "character varying", "varchar", "name", "citext"}),
    frozenset({"numeric", "decimal"}),
)
"""Types that every driver reads and writes in the same form."""
_VALUES: Final = "it works while the values fit"
_DRIVERS: Final = "some drivers read the one as the other, and some do not"
_KIN: Final = (
    (frozenset({"smallint", "integer", "bigint"}), _VALUES),
    (frozenset({"real", "double precision"}), _VALUES),
    (frozenset({"timestamp without time zone", "timestamp with time zone", "date"}), _DRIVERS),
    (frozenset({"json", "jsonb"}), _DRIVERS),
)
"""Types that are read into each other under a condition, which nobody here can check (pgx's own timestamp
types refuse each other's values, database/sql's time.Time takes both)."""
_OF_SQLITE: Final = frozenset({"INTEGER", "NUMERIC", "REAL"})
"""Numbers of SQLite, which keeps 2.0 as 2 in a column that is not REAL."""
_MYSQL_INTEGERS: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_OF_MYSQL: Final = frozenset(
    {
        *_MYSQL_INTEGERS, *(f"{each} unsigned" for each in _MYSQL_INTEGERS), "bool", "string", "bytes",
        "bits", "float", "double", "decimal", "date-time", "date", "time-of-day", "year", "json", "geometry",
        "null",
    }
)  # fmt: skip
"""Types of columns as _mysql/fields.py has them. A client of MySQL mostly gets texts and reads them as what
it wants, so between any two of these it depends on the client and on the values."""
_OF_MYSQL_ALONE: Final = _OF_MYSQL - {"smallint", "bigint", "date", "json"}
"""Those that no type of another engine is called."""
_MODIFIER = re.compile(r"\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A parameter or column that is not what the client was compiled for."""

    objection: Objection
    unless: str | None = None
    """The condition under which a client works all the same; None: it fails."""


def mismatch(own: Description, here: Description, *, reads_result: bool) -> Mismatch | None:
    """Return the worst difference, a certain one before one that depends on the values; None without any."""
    found = [
        each
        for position, (ours, theirs) in enumerate(zip_longest(own.parameters, here.parameters), 1)
        if (each := _of_types("parameter-type", f"parameter ${position}", ours, theirs))
    ]
    if reads_result:
        found += _of_columns(own.columns, here.columns)
    return min(found, key=lambda each: each.unless is not None, default=None)


def other_strings(own: Description, here: Description) -> Objection | None:
    """Return an objection where the engine takes other quoted names for text than at the own state."""
    if gone := [word for word in here.strings if word not in own.strings]:
        return Objection("SQLITE_ERROR", f"no such column: {gone[0]} (SQLite takes the name for a text)")
    if new := [word for word in own.strings if word not in here.strings]:
        return Objection("SQLITE_ERROR", f"{new[0]} is a column here; where it was written it was a text")
    if own.strings != here.strings:
        return Objection("SQLITE_ERROR", f"{own.strings[0]} is a column and a text here, in other places")
    return None


def _of_columns(own: tuple[Column, ...] | None, here: tuple[Column, ...] | None) -> list[Mismatch]:
    if (own is None) != (here is None):
        what = "returns rows, and did not" if own is None else "returns no rows, and did"
        return [Mismatch(Objection("result-columns", f"the query {what} where the version was made"))]
    ours, theirs = own or (), here or ()
    if [each.name for each in ours] != [each.name for each in theirs]:
        return [Mismatch(Objection("result-columns", _other_columns(ours, theirs)))]
    return [
        each
        for column, now in zip(ours, theirs, strict=True)
        if (each := _of_types("result-type", f"column `{column.name}`", column.type, now.type))
    ]


def _other_columns(own: tuple[Column, ...], here: tuple[Column, ...]) -> str:
    before, now = [each.name for each in own], [each.name for each in here]
    parts = [
        f"{verb} {', '.join(f'`{name}`' for name in names)}"
        for verb, names in (
            ("has no more", [name for name in before if name not in now]),
            ("has also", [name for name in now if name not in before]),
        )
        if names
    ]
    return f"the result {' and '.join(parts) or 'has its columns in another order'}"


def _of_types(code: str, what: str, own: str | None, here: str | None) -> Mismatch | None:
    if own is None or here is None:
        count = "one more than" if own is None else "not there any more, unlike"
        return Mismatch(Objection(code, f"{what} is {count} where the version was made"))
    ours, theirs = _bare(own), _bare(here)
    if ours == theirs or any({ours, theirs} <= family for family in _SAME):
        return None
    unless = next((condition for family, condition in _KIN if {ours, theirs} <= family), None)
    if {own, here} <= _OF_SQLITE:
        unless = _DRIVERS
    if unless is None and {ours, theirs} <= _OF_MYSQL and {ours, theirs} & _OF_MYSQL_ALONE:
        unless = _VALUES if {ours, theirs} <= _MYSQL_INTEGERS else _DRIVERS
    return Mismatch(Objection(code, f"{what} is {here}, and the version was made for {own}"), unless)


def _bare(name: str) -> str:
    """Return a type without length, precision or scale, which no client is compiled for."""
    return _MODIFIER.sub("", name).strip().lower()
