"""Which rows queries look for, as far as their own text tells: `WHERE state = 'paid' AND gone_at IS NULL`.

Made-up values never meet such a query, and what met no row proves little. So each literal that a column is
compared with becomes a part of a row to be made. Texts are read by patterns, and a wrong reading costs a row
that nobody asked for: which rows a query meets is always asked of the engine. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeVar

from coordinator.model import Engine
from coordinator.sql import tokens


class Some(Enum):
    """A value that is wanted, whatever it is."""

    VALUE = auto()


WantedValue = str | int | float | bool | Some | None
Wanted = Mapping[str, WantedValue]
"""Column, in lower case → what it has; other columns may have anything."""


@dataclass(frozen=True, slots=True)
class WantedRow:
    """A row that a query looks for, and in which company."""

    values: Wanted
    beside: Mapping[str, Wanted]
    """Other tables that the query names → what it wants of their rows, to which this one should refer."""

    @property
    def says(self) -> int:
        """Return of how many columns it is said what they have, the other tables' among them."""
        told = [*self.values.values(), *(value for each in self.beside.values() for value in each.values())]
        return sum(value is not Some.VALUE for value in told)


@dataclass(frozen=True, slots=True)
class Link:
    """Rows of a parent that a row should refer to: the columns of its foreign key, and what they may have."""

    columns: Sequence[str]
    values: Sequence[tuple[object, ...]]


WantedRows = Mapping[str, Sequence[WantedRow]]
"""Table, in lower case and without schema → rows."""
Told = Mapping[str, Sequence[object]]
"""Column, in lower case → values that it may have in a row that is to be made."""
NOTHING_TOLD: Final[Told] = MappingProxyType({})
NOTHING: Final[WantedRows] = MappingProxyType({})
MOST_WANTED: Final = 4
"""What a table gets of what queries want, beside the rows that every table gets: of each a full row, and one
with NULL wherever that may be."""
_RowT = TypeVar("_RowT", bound=Mapping[str, object])

_MOST_OF_A_QUERY: Final = 6
_PAST: Final = "2001-01-01 01:01:01"
_FUTURE: Final = "2093-03-03 03:03:03"
# No pattern goes back over blanks, parentheses or casts: a generated text has thousands of them.
_NAME: Final = r"""(?:"[^"]+"|`[^`]+`|\[\w+\]|[^\W\d][\w$]*)"""
_STRING: Final = r"'(?:[^'\\]|''|\\.)*'"
_NUMBER: Final = r"-?\d{1,18}(?:\.\d{1,18})?(?![\w.])"
"""One that a driver of any engine takes; of others nobody makes a row."""
_VALUE: Final = rf"(?:{_STRING}|{_NUMBER}|\b(?:true|false)\b)"
_CAST: Final = r"(?:\s*+::\s*+[\w.\"]++(?:\([\d,\s]*+\))?(?:\[\])?)"
_NOW: Final = (
    r"(?:now|current_timestamp|current_date|clock_timestamp|transaction_timestamp|utc_timestamp|curdate"
    r"|datetime|date|localtimestamp)\b"
)
_COLUMN: Final = rf"(?:(?P<owner>{_NAME})\s*+\.\s*+)?(?P<column>{_NAME})\s*+\)?{_CAST}*+"
_COMPARED: Final = re.compile(
    rf"""(?<![\w."`:]){_COLUMN}\s*+(?:
        \bIS\s+(?P<some>NOT\s+)?NULL(?P<null>)
      | \bIS\s+(?P<not>NOT\s+)?(?P<truth>TRUE|FALSE)\b
      | (?P<sign>=|<>|!=|<=|>=|<|>|@>)\s*(?:(?P<value>{_VALUE})|(?P<now>{_NOW}))
      | \b(?P<like>I?LIKE)\s+(?P<pattern>{_STRING})
      | \bBETWEEN\s+(?P<least>{_VALUE})
      | (?:\bIN\s*\(|=\s*ANY\s*\(\s*ARRAY\s*\[)
        \s*(?P<listed>{_VALUE}{_CAST}*(?:\s*,\s*{_VALUE}{_CAST}*)*)\s*[\])]
      | =\s*ANY\s*\(\s*(?P<array>'\{{[^']*\}}')
      | (?:=|<=|>=|<|>|@>|\b(?:I?LIKE|IN|BETWEEN)\b)\s*\(?\s*(?P<other>[$?:@%]|ANY\b|{_NAME}\s*[.(])
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_FLAG: Final = re.compile(
    rf"\b(?:WHERE|AND|OR|ON|WHEN|HAVING)\s++\(*+\s*+(?P<not>NOT\s+)?\(*+\s*+"
    rf"(?:(?P<owner>{_NAME})\s*\.\s*)?(?!(?:true|false|null|not)\b)(?P<column>{_NAME})"
    r"\s*(?=\)|;|\Z|\b(?:AND|OR|ORDER|GROUP|LIMIT|RETURNING|FOR|UNION|THEN|FROM)\b)",
    re.IGNORECASE,
)
_NO_FILTER: Final = re.compile(
    r"\bSET\b.*?(?=\bWHERE\b|\bFROM\b|\bRETURNING\b|\Z)|\bWHEN\b.*?\bTHEN\b", re.IGNORECASE | re.DOTALL
)
"""What is written, and what an expression tells apart: rows are found without it."""
_NO_ALIAS: Final = (
    r"(?!(?:WHERE|ON|USING|SET|JOIN|INNER|LEFT|RIGHT|FULL|CROSS|NATURAL|GROUP|ORDER|LIMIT|OFFSET|FETCH|FOR"
    r"|UNION|EXCEPT|INTERSECT|HAVING|WINDOW|RETURNING|VALUES|SELECT|DEFAULT|WITH|FROM|AS|FORCE|USE"
    r"|TABLESAMPLE)\b)"
)
_TABLE: Final = re.compile(
    r"(?:\b(?:(?P<into>INTO)|FROM|JOIN|UPDATE|USING)\s+(?:(?:ONLY|LATERAL)\s+)?|,\s*)"
    rf"(?:{_NAME}\s*\.\s*)?(?P<table>{_NAME})(?:\s+(?:AS\s+)?{_NO_ALIAS}(?P<alias>{_NAME}))?",
    re.IGNORECASE,
)
_DIVIDES: Final = re.compile(
    rf"(?:[\w)\"`\]]\s*+[/%]|\bMOD\s*+\([^(),]*+,)\s*+(?:{_NAME}\s*\.\s*)?(?P<column>{_NAME})(?!\w|\s*[(.])",
    re.IGNORECASE,
)
_ONE_VALUE: Final = re.compile(
    rf"(?:[=<>,(*/+-]|\b(?:SELECT|THEN|ELSE|AND|OR|NOT|BETWEEN))\s*+\(\s*+SELECT\s++(?:{_NAME}\s*\.\s*)?{_NAME}"
    rf"\s++FROM\s++(?:{_NAME}\s*\.\s*)?(?P<table>{_NAME})(?:\s++(?:AS\s++)?{_NO_ALIAS}{_NAME})?\s*+\)",
    re.IGNORECASE,
)
_TRUE: Final = frozenset({"true", "t", "1", "on", "yes"})


def wanted_by(texts: Iterable[str], engine: Engine) -> WantedRows:
    """Return the rows that queries look for, those first of which most is said; of equal ones, one.

    None has 0 where another query divides by it: that one would not run any more.
    """
    found: dict[str, list[WantedRow]] = {}
    texts = list(texts)
    divides = frozenset[str]().union(*(_divisors(_without_comments(text, engine)) for text in texts))
    for text in texts:
        for table, rows in wanted_rows(text, engine).items():
            known = found.setdefault(table, [])
            known += [
                row
                for row in rows
                if row.says and row not in known and not any(row.values.get(each) == 0 for each in divides)
            ]
    return {table: sorted(rows, key=lambda row: -row.says) for table, rows in found.items()}


def read_as_one(texts: Iterable[str], engine: Engine) -> frozenset[str]:
    """Return the tables of which a text takes the only row for a value: `(SELECT id FROM tenant)`."""
    found = (each for text in texts for each in _ONE_VALUE.finditer(_without_comments(text, engine)))
    return frozenset(_bare(each["table"]) for each in found)


def _divisors(text: str) -> Iterator[str]:
    """Yield the columns by which a text divides without a look at whether they are 0."""
    for each in _DIVIDES.finditer(re.sub(_STRING, "''", text)):
        column = _bare(each["column"])
        if not re.search(rf"\b{re.escape(column)}[\"`]?\s*(?:=|<>|!=|>)\s*0\b", text, re.IGNORECASE):
            yield column


@lru_cache(maxsize=4_096)  # a query's text is read for the rows, and again for its values
def wanted_rows(text: str, engine: Engine) -> WantedRows:
    """Return the rows that a query looks for, by the tables that it names: one for each value of a list."""
    shown = _NO_FILTER.sub(" ", _without_comments(text, engine))
    names = tables_by_name(shown)
    read = {_bare(each["table"]) for each in _TABLE.finditer(shown) if not each["into"]}
    only_filled = set(names.values()) - read
    found: dict[str, list[Wanted]] = {}
    for owner, column, values in _comparisons(shown):
        owners = [names.get(owner, owner)] if owner else sorted(set(names.values()) - only_filled)
        for table in owners:
            rows = found.setdefault(table, [{}])
            found[table] = list(islice(_extended(rows, column, values), _MOST_OF_A_QUERY))
    return {
        table: [
            WantedRow(row, {other: first for other, [first, *_] in found.items() if other != table})
            for row in rows
        ]
        for table, rows in found.items()
    }


def is_wanted(row: Mapping[str, object], wanted: Wanted) -> bool:
    """Tell whether a row, by the names of its columns, has what is wanted of those that it has."""
    return all(
        _is_alike(value, wanted[name.lower()]) for name, value in row.items() if name.lower() in wanted
    )


def link(
    columns: Sequence[str],
    parent_columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    wanted: Wanted,
) -> Link | None:
    """Return what a foreign key may have, to refer to a wanted one of its parent's `rows`, the last first."""
    fitting = [
        {name.lower(): value for name, value in row.items()}
        for row in reversed(rows)
        if is_wanted(row, wanted)
    ]
    values = [tuple(row.get(name.lower()) for name in parent_columns) for row in fitting]
    return Link(columns, values) if values else None


def is_met(row: Mapping[str, object], wanted: WantedRow, links: Sequence[Link]) -> bool:
    """Tell whether a row is wanted, and refers to rows that are."""
    values = {name.lower(): value for name, value in row.items()}
    return is_wanted(row, wanted.values) and all(
        tuple(values[name.lower()] for name in each.columns) in each.values for each in links
    )


def choices_for(wanted: WantedRow, links: Sequence[Link]) -> Told:
    """Return what the columns may have of which something is said."""
    told = {
        name.lower(): [values[place] for values in each.values]
        for each in links
        for place, name in enumerate(each.columns)
    }
    return told | {name: [value] for name, value in wanted.values.items() if value is not Some.VALUE}


def nulls_beside(wanted: WantedRow, told: Told, nullable: Iterable[str]) -> Told:
    """Return NULL for the columns that may have it and of which nothing is said."""
    free = {name.lower() for name in nullable} - wanted.values.keys() - told.keys()
    return {name: [None] for name in free}


def wanted_first(rows: Sequence[_RowT], wanted: Sequence[WantedRow]) -> Sequence[_RowT]:
    """Return rows, the fullest first, with those ahead that a query looks for: two, and then the emptiest.

    Few are tried; what only a row with NULL shows would be missed.
    """
    fitting = [row for row in rows if any(is_wanted(row, each.values) for each in wanted)]
    others = [row for row in rows if row not in fitting]
    return [*fitting[:2], *reversed(fitting[2:]), *others] if fitting and others else rows


def as_text(value: object) -> str | None:
    """Return a value as PostgreSQL writes it; NULL has no text."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _extended(rows: Sequence[Wanted], column: str, values: Sequence[WantedValue]) -> Iterator[Wanted]:
    """Yield rows that want more: a column that was there already is on the other side of an OR."""
    if rows[0].get(column, Some.VALUE) is Some.VALUE:
        yield from ({**row, column: value} for row in rows for value in values)
    else:
        yield from rows
        yield from ({**rows[0], column: value} for value in values if value is not Some.VALUE)


def _comparisons(text: str) -> Iterator[tuple[str | None, str, Sequence[WantedValue]]]:
    """Yield each column that is compared, its table's name or alias, and what it would be equal to."""
    found = [(each.start("column"), each, _values(each)) for each in _COMPARED.finditer(text)]
    found += [(each.start("column"), each, (not each["not"],)) for each in _FLAG.finditer(text)]
    for _, each, values in sorted(found, key=lambda one: one[0]):
        if values:
            yield each["owner"] and _bare(each["owner"]), _bare(each["column"]), values


def _values(found: re.Match[str]) -> Sequence[WantedValue]:
    if found["other"] or found["some"]:
        return (Some.VALUE,)
    if found["null"] is not None:
        return (None,)
    if found["array"] or found["listed"]:
        return _list(found)
    if found["truth"]:
        return ((found["truth"].upper() == "TRUE") is not bool(found["not"]),)
    return _of_value(found)


def _of_value(found: re.Match[str]) -> Sequence[WantedValue]:
    if found["now"]:
        return (_PAST if "<" in found["sign"] else _FUTURE,)
    if found["like"]:
        return (str(_read(found["pattern"])).replace("%", "").replace("_", "a"),)
    return _near(_read(found["value"] or found["least"]), found["sign"] or "=")


def _list(found: re.Match[str]) -> Sequence[WantedValue]:
    if found["array"]:
        return [each.strip().strip('"') for each in found["array"][2:-2].split(",")]
    return [_read(each) for each in re.findall(_VALUE, found["listed"], re.IGNORECASE)]


def _near(value: WantedValue, sign: str) -> Sequence[WantedValue]:
    """Return what stands on the right side of a value; of texts nobody knows which does."""
    if sign in ("=", ">=", "<=", "@>"):
        return (value,)
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int | float):
        return (value - 1 if sign == "<" else value + 1,)
    return (Some.VALUE,)


def _read(literal: str) -> WantedValue:
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
    if literal.upper() in ("TRUE", "FALSE"):
        return literal.upper() == "TRUE"
    return float(literal) if "." in literal else int(literal)


def tables_by_name(text: str) -> dict[str, str]:
    """Return the names and aliases of tables in a text without comments, each with its table."""
    found: dict[str, str] = {}
    for each in _TABLE.finditer(re.sub(_STRING, "''", text)):
        table = _bare(each["table"])
        found.setdefault(table, table)
        if each["alias"]:
            found.setdefault(_bare(each["alias"]), table)
    return found


def _without_comments(text: str, engine: Engine) -> str:
    kinds = ("comment", "block")
    return "".join(" " if kind in kinds else text[start:end] for kind, start, end, _ in tokens(text, engine))


def _bare(name: str) -> str:
    return (name[1:-1] if name[0] in '"`[' else name).lower()


def _is_alike(found: object, wanted: WantedValue) -> bool:
    """Compare what an engine's driver or its text of a value says with what is wanted."""
    if found is None or wanted is None:
        return found is wanted
    if isinstance(wanted, bool):
        return (str(found).lower() in _TRUE) is wanted
    return wanted is Some.VALUE or str(found) == str(wanted)
