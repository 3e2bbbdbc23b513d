"""Columns that a migration gives a type which keeps less of each value, or compares values otherwise. Pure.

`numeric(10,2)` that becomes `numeric(10,1)` has 1.2 where 1.25 was; as a text, 9 is larger than 10. Sample
rows are few, and hide it from a query that only compares (`WHERE price > '9'`). So who names the column is
told. Of a type that keeps each value, who divides (7 / 2 is 3 of an integer, and 3.5 of a `numeric`) or makes
a text of it (`7`, `7.00`) is. A type that has place for less of a number before its point is none of them:
the engine refuses what does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, log2
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import SQLITE, bare
from coordinator.rehearse.recomputed import Concerns, Recomputed
from coordinator.rehearse.renewed import changed_columns

_SIZES: Final = r"(?:\((?P<size>-?\d+)(?:,(?P<scale>-?\d+))?\))?"
_TYPE: Final = re.compile(
    r"(?:(?P<whole>tinyint|smallint|mediumint|integer|int|bigint)"
    r"|(?P<exact>numeric|decimal)"
    r"|(?P<single>real|float)"
    r"|(?P<double>double(?: precision)?)"
    r"|(?P<moment>timestamp|datetime)"
    r"|(?P<day>date)"
    r"|(?P<hour>time)"
    r"|(?P<text>text|character varying)"
    r"|(?P<padded>character))"
    rf"(?![^ (]){_SIZES}(?!\[)(?P<of_postgresql> with(?:out)? time zone)?"
)
_BITS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 24, "integer": 32, "int": 32, "bigint": 64}
_SINGLE: Final = (24, 6)
_DOUBLE: Final = (53, 15)
"""Bits of a whole number, and decimal digits of any number, that come back as they were."""
_KINDS: Final = (
    (
        "number",
        re.compile(r"(?:tiny|small|medium|big)?int\b|integer\b|numeric\b|decimal\b|real\b|float\b|double\b"),
    ),
    ("bits of any length", re.compile(r"bit varying\b")),
    ("bits", re.compile(r"bit\b")),
    ("year", re.compile(r"year\b")),
    ("zoned", re.compile(r"timestamp(?:\(\d+\))?(?: with time zone|(?! with|\())")),
    ("moment", re.compile(r"timestamp\b|datetime\b|date\b")),
    ("hour", re.compile(r"time\b")),
    ("padded", re.compile(r"character\b(?! varying)")),
    ("text", re.compile(r"(?:tiny|medium|long)?text\b|character varying\b|varchar\b|char\b|enum\b|set\b")),
    ("bytes", re.compile(r"bytea\b|(?:tiny|medium|long)?blob\b|(?:var)?binary\b")),
    ("json", re.compile(r"jsonb?\b")),
    ("citext", re.compile(r"(?:\w+\.)?citext\b")),
    ("uuid", re.compile(r"uuid\b")),
    ("interval", re.compile(r"interval\b")),
    ("address", re.compile(r"inet\b")),
    ("network", re.compile(r"cidr\b")),
    ("money", re.compile(r"money\b")),
    ("boolean", re.compile(r"boolean\b")),
)
"""Of PostgreSQL, MySQL and MariaDB; types of one kind compare their values alike. What a `zoned` one
holds is a point of time, whose hour depends on the session's time zone: MySQL's `timestamp` is one."""
_AFFINITIES: Final = (
    (None, re.compile(r"date|time")),
    ("bytes", re.compile(r"any\b")),
    ("number", re.compile(r"\w*int")),
    ("text", re.compile(r"\w*(?:char|clob|text)")),
    ("bytes", re.compile(r"\w*blob")),
    ("number", re.compile(r"\w")),
)
"""SQLite's (datatype3.html); what is declared a date is mostly a text, which is kept as one."""
_KEEPS_ALL: Final = "any"
"""SQLite's type of a column that has none, or says so: each value stays what it was."""
_OTHER: Final = (
    "makes a `{after}` of `{{table}}.{{column}}`, a `{before}`, which compares and orders otherwise"
)
_DIVIDED: Final = (
    "makes a `{after}` of `{{table}}.{{column}}`, a `{before}`, which divides otherwise and makes other texts"
)
_SPELLED: Final = "makes a `{after}` of `{{table}}.{{column}}`, a `{before}`, which makes other texts"
_INTERVAL: Final = re.compile(r"interval(?P<keeps>[ \w]*(?:\(\d\))?)")
"""PostgreSQL's, and of which fields it keeps how much; all of each where nothing is said."""
_BLANKS: Final = re.compile(r"varchar\b|(?:tiny|medium|long)?text\b"), re.compile(r"char\b")
"""MySQL's types of a text that keeps the blanks at its end, and of one that does not."""
_FRACTION: Final = re.compile(r"(?!\w*int)\w*(?:real|floa|doub)")
_Told = tuple[str, Concerns]
"""What is said, and to whom."""
_CUT: Final = "rounds or cuts off values of `{{table}}.{{column}}`: `{before}` becomes `{after}`"


@dataclass(frozen=True, slots=True)
class _Grain:
    """What a type keeps of a value."""

    kind: str
    scale: float
    """Digits behind the point, or of a second; of a text its length."""
    bits: float = inf
    """Of a number that is not exact, or is a whole one."""
    digits: float = inf
    is_exact: bool = True


def rounded_by(statements: Sequence[StatementEvidence]) -> Iterator[Recomputed]:
    """Yield the columns whose new type keeps less of each value than the old one, or is of another kind."""
    is_cast = any("USING" in each.statement.text.upper() for each in statements)
    for (table, column), definitions in changed_columns(statements).items():
        first, last = definitions[0][0], definitions[-1][1]
        if first is None or last is None or _type(last) == _KEEPS_ALL:
            continue
        if _type(first).endswith("[]") and _type(last).endswith("[]"):
            first, last = (each.replace("[]", "", 1) for each in (first, last))
        kinds = _AFFINITIES if table.startswith(SQLITE) else _KINDS
        before, after = _kind(first, kinds), _kind(last, kinds)
        if kinds is _AFFINITIES and before == "text":
            after = after or "number"  # a date's affinity is NUMERIC: of `007` it makes 7
        told: _Told | None = None
        if before != after and before is not None and after is not None:
            told = _OTHER, Concerns.NAMING
        elif kinds is _KINDS and _is_cut(first, last, is_cast=is_cast):
            told = _CUT, Concerns.NAMING
        elif before == after:
            told = _used_otherwise(first, last, kinds)
        if told is not None:
            clause = told[0].format(before=_type(first), after=_type(last))
            yield Recomputed(bare(table), column, clause, told[1])


def _kind(definition: str, kinds: Iterable[tuple[str | None, re.Pattern[str]]]) -> str | None:
    """Return which values a type compares alike with; None of a type that is not known."""
    if "[]" in _type(definition):
        return None
    return next((kind for kind, types in kinds if types.match(definition)), None)


def _type(definition: str) -> str:
    return re.split(r" (?:not null|default|collate|generated|primary key)\b", definition)[0]


def _is_cut(first: str, last: str, *, is_cast: bool) -> bool:
    before, after = _INTERVAL.match(first), _INTERVAL.match(last)
    if before and after:
        return bool(after["keeps"].strip()) and after["keeps"] != before["keeps"]
    before, after = _TYPE.match(first), _TYPE.match(last)
    return (
        before is not None
        and after is not None
        and _keeps_less(_grain(after), _grain(before), is_cast=is_cast)
    )


def _used_otherwise(
    first: str, last: str, kinds: Sequence[tuple[str | None, re.Pattern[str]]]
) -> _Told | None:
    """Return what is said of a type of the same kind that keeps each value."""
    if kinds is _AFFINITIES:
        is_other = _kind(first, kinds) == "number" and _is_fraction(first) != _is_fraction(last)
        return (_DIVIDED, Concerns.DIVIDING) if is_other else None
    if _BLANKS[0].match(first) and _BLANKS[1].match(last):
        return _SPELLED, Concerns.SPELLING
    before, after = _TYPE.match(first), _TYPE.match(last)
    if before and after and not (after["text"] or after["padded"]):
        if before["whole"] and not after["whole"]:
            return _DIVIDED, Concerns.DIVIDING
        if before["day"] and not after["day"]:
            return _OTHER, Concerns.COMPARING
        ours, theirs = ((_grain(each).scale, each["single"], each["double"]) for each in (before, after))
        return (_SPELLED, Concerns.SPELLING) if ours != theirs else _filled_up(first, last)
    return (_SPELLED, Concerns.SPELLING) if first.startswith("jsonb") != last.startswith("jsonb") else None


def _filled_up(first: str, last: str) -> _Told | None:
    """Return what is said of a number of MySQL that gets zeros before it, or had them."""
    return (_SPELLED, Concerns.SPELLING) if ("zerofill" in first) != ("zerofill" in last) else None


def _is_fraction(definition: str) -> bool:
    """Tell whether a type of SQLite has digits behind the point of each number (REAL)."""
    return _FRACTION.match(definition) is not None


def _keeps_less(after: _Grain, before: _Grain, *, is_cast: bool) -> bool:
    if after.kind == "text" and not is_cast:
        return False  # only a cast that is written out cuts off what does not fit
    if after.scale < before.scale:
        return True
    if after.is_exact:
        return not before.is_exact
    return before.digits > after.digits if before.scale or not before.is_exact else before.bits > after.bits


def _grain(found: re.Match[str]) -> _Grain:
    size = found["size"]
    if found["text"]:
        return _Grain("text", int(size) if size else inf)
    if found["padded"]:
        return _Grain("text", int(size or 1))
    if found["day"]:
        return _Grain("moment", -1)
    if found["moment"] or found["hour"]:
        default = 6 if found["of_postgresql"] else 0
        return _Grain("moment" if found["moment"] else "hour", default if size is None else int(size))
    return _of_number(found)


def _of_number(found: re.Match[str]) -> _Grain:
    size, scale = found["size"], int(found["scale"] or 0)
    if found["whole"]:
        return _Grain("number", 0, bits=_BITS[found["whole"]] - 1)
    if found["exact"]:
        digits = inf if size is None else int(size)
        return _Grain("number", inf if size is None else scale, bits=digits * log2(10), digits=digits)
    bits, digits = _SINGLE if found["single"] else _DOUBLE
    return _Grain("number", scale if found["scale"] else inf, bits=bits, digits=digits, is_exact=False)
