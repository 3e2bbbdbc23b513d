"""Sample values of every type, as texts: plain ones, different from each other, and always the same.

The n-th value of a type is the same in every column, so that a foreign key that comes later finds its
parents. Times are of the past and of the far future, never of today. What the engine does not take as the
type (a domain's check, an extension that reads its values in a way of its own) it says itself: `taken`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.hints import literals
from coordinator.adapters.rehearsals._postgresql.pipeline import Command, rolled_back
from coordinator.rehearsal_ports import Texts

_VALUES: Final = 14
"""Of a type of which a table may have many: as many as it gets rows at most, and some that are new."""
_PLAIN: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("int2", "int4", "int8"), tuple(map(str, range(1, _VALUES + 1)))),
    "oid": ("1", "2", "3"),
    "float4": ("1.5", "2.5", "3.5", "4.5"),
    "float8": ("1.5", "2.5", "3.5", "4.5"),
    "money": ("1.50", "2.50", "3.50"),
    "bool": ("true", "false"),
    "text": ("Sample 1", *(f"sample {n}" for n in range(2, _VALUES + 1))),
    "uuid": tuple(f"00000000-0000-4000-8000-{n:012}" for n in range(1, _VALUES + 1)),
    "date": ("2001-01-01", "2002-02-02", "2093-03-03", "2004-04-04"),
    "timestamp": ("2001-01-01 01:01:01", "2002-02-02 02:02:02", "2093-03-03 03:03:03", "2004-04-04 04:04:04"),
    "timestamptz": (
        *("2001-01-01 01:01:01+00", "2002-02-02 02:02:02+00"),
        *("2093-03-03 03:03:03+00", "2004-04-04 04:04:04+00"),
    ),
    "time": ("01:01:01", "02:02:02", "03:03:03"),
    "timetz": ("01:01:01+00", "02:02:02+00", "03:03:03+00"),
    "interval": ("1 hour", "2 days", "3 mons"),
    "bytea": ("\\x01", "\\x0202", "\\x030303"),
    "json": ('{"sample": 1}', '{"sample": 2}', "{}", "[]", '["sample"]', '"sample"', "1"),
    "jsonb": ('{"sample": 1}', '{"sample": 2}', "{}", "[]", '["sample"]', '"sample"', "1"),
    "jsonpath": ("$.sample", "$"),
    "xml": ("<sample>1</sample>", "<sample>2</sample>", "<sample/>"),
    "tsvector": ("'sample':1", "'sample':2", "'other':1"),
    "tsquery": ("'sample'", "'other'"),
    "inet": ("192.0.2.1", "192.0.2.2", "192.0.2.3"),
    "cidr": ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    "macaddr": ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"),
    "macaddr8": ("02:00:00:ff:fe:00:00:01", "02:00:00:ff:fe:00:00:02", "02:00:00:ff:fe:00:00:03"),
    "point": ("(1,1)", "(2,2)", "(3,3)"),
    "line": ("{1,1,1}", "{2,1,2}", "{3,1,3}"),
    "lseg": ("[(1,1),(2,2)]", "[(3,3),(4,4)]", "[(5,5),(6,6)]"),
    "box": ("(2,2),(1,1)", "(4,4),(3,3)", "(6,6),(5,5)"),
    "path": ("[(1,1),(2,2)]", "[(3,3),(4,4)]", "[(5,5),(6,6)]"),
    "polygon": ("((1,1),(2,2),(2,1))", "((3,3),(4,4),(4,3))", "((5,5),(6,6),(6,5))"),
    "circle": ("<(1,1),1>", "<(3,3),1>", "<(5,5),1>"),
    "pg_lsn": ("0/1", "0/2", "0/3"),
    "hstore": ("sample=>1", "sample=>2", "sample=>3"),
    "ltree": ("sample.one", "sample.two", "sample.three"),
}
_STRANGE: Final = ("1", "sample", "{}", "[]", "()", "0", "", "[1,2,3]", "POINT(1 1)", "s", "a=>1")
"""For a type that is not in the table; the engine takes what it can read."""
_AS_TEXT: Final = frozenset(("varchar", "bpchar", "citext", "name", "char"))
_EDGES: Final[dict[str, tuple[str, ...]]] = {
    "int2": ("-1", "32767", "0"),
    "int4": ("-1", "2147483647", "0"),
    "int8": ("-1", "2147483648", "0"),
    "float4": ("-1", "1e10", "0"),
    "float8": ("-1", "1e10", "0"),
    "numeric": ("-1", "123456789.12345", "0"),
    "text": ("", "x" * 20_000),
    "date": ("1901-01-01", "2199-01-01"),
    "timestamp": ("1901-01-01 00:00:00", "2199-01-01 00:00:00.123456"),
    "timestamptz": ("1901-01-01 00:00:00+00", "2199-01-01 00:00:00.123456+00"),
    "json": ("[]", "{}"),
    "jsonb": ("[]", "{}"),
    "bytea": ("\\x",),
    "interval": ("-1 day",),
}
_NUMBERS: Final = tuple(str(n) for n in range(11, 11 + _VALUES))
"""Of two digits each, for so they are hexadecimal too."""
_DOCUMENTS: Final = tuple(f'{{"sample": {n}}}' for n in range(1, _VALUES + 1))
_ARRAYS: Final = dict.fromkeys(("json", "jsonb"), tuple(f'[{{"sample": {n}}}]' for n in (1, 2, 3)))
_DEEPEST: Final = 4
_MODIFIER = re.compile(r"\((\d+)(?:,\s*(-?\d+))?\)")

_TYPES = """
WITH RECURSIVE base(oid, typ, typmod) AS (
  SELECT t.oid, t.oid, -1 FROM pg_catalog.pg_type t WHERE t.oid = ANY(%s::oid[])
  UNION ALL
  SELECT b.oid, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.typmod END
  FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typ WHERE t.typtype = 'd'
)
SELECT b.oid::int8, t.typname, t.typtype::text, format_type(t.oid, b.typmod), t.typcategory = 'A',
       t.typelem::int8,
       coalesce((SELECT rngsubtype FROM pg_catalog.pg_range WHERE rngtypid = t.oid), 0)::int8,
       coalesce((SELECT rngtypid FROM pg_catalog.pg_range WHERE rngmultitypid = t.oid), 0)::int8,
       ARRAY(SELECT enumlabel::text FROM pg_catalog.pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder),
       ARRAY(SELECT a.atttypid::int8 FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       ARRAY(WITH RECURSIVE up(typ) AS (
               SELECT b.oid UNION ALL SELECT d.typbasetype FROM up JOIN pg_catalog.pg_type d ON d.oid = up.typ
               WHERE d.typtype = 'd')
             SELECT pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k JOIN up ON k.contypid = up.typ
             WHERE k.contype = 'c' ORDER BY k.conname)
FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typ WHERE t.typtype <> 'd'
"""


@dataclass(frozen=True, slots=True)
class Type:
    """A type as its values need it: a domain is its base type with the checks of the domain."""

    name: str
    kind: str
    """pg_type.typtype: `b` base, `c` composite, `e` enum, `r` range, `m` multirange, `p` pseudo."""
    written: str
    is_array: bool
    element: int
    subtype: int
    range: int
    labels: tuple[str, ...]
    fields: tuple[int, ...]
    checks: tuple[str, ...]


class Types:
    """The types of one database, asked for once each."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._known: dict[int, Type] = {}

    def learn(self, oids: Sequence[int]) -> None:
        """Ask for types, and for those that they are made of."""
        wanted = sorted({oid for oid in oids if oid and oid not in self._known})
        if not wanted:
            return
        for oid, *rest in self._connection.execute(_TYPES, [wanted]).fetchall():
            name, kind, written, is_array, element, subtype, range_, labels, fields, checks = rest
            self._known[oid] = Type(
                *(name, kind, written, is_array, element, subtype, range_),
                *(tuple(labels), tuple(fields), tuple(checks)),
            )
        found = [self._known[oid] for oid in wanted if oid in self._known]
        self.learn(
            [part for each in found for part in (each.element, each.subtype, each.range, *each.fields)]
        )

    def type(self, oid: int) -> Type:
        """Return a type; one that the catalogue does not have is strange."""
        self.learn([oid])
        return self._known.get(oid) or Type("unknown", "b", "text", False, 0, 0, 0, (), (), ())

    def plain(self, oid: int, *, written: str = "", depth: int = 0) -> tuple[str, ...]:
        """Return values of a type, the most plain first; `written` has the length: `character varying(9)`."""
        each = self.type(oid)
        if depth > _DEEPEST:
            return ()
        hints = tuple(value for check in each.checks for value in literals(check))
        return (*self._of_kind(each, written, depth), *hints)

    def _of_kind(self, each: Type, written: str, depth: int) -> tuple[str, ...]:
        if each.is_array:
            inner = self.plain(each.element, written=written.removesuffix("[]"), depth=depth + 1)
            return (*(f"{{{quoted_in_array(value)}}}" for value in inner), "{}")
        if each.kind == "e":
            return each.labels
        if each.kind == "c":
            columns = [self.plain(field, depth=depth + 1) or ("",) for field in each.fields]
            return tuple(
                "(" + ",".join(_in_record(values[n % len(values)]) for values in columns) + ")"
                for n in range(3)
            )
        if each.kind == "r":
            return _ranges(self.plain(each.subtype, depth=depth + 1))
        if each.kind == "m":
            return (*(f"{{{value}}}" for value in self.plain(each.range, depth=depth + 1)), "{}")
        return _of_base(each.name, written if _MODIFIER.search(written) else each.written)

    def texts(self, oid: int, texts: Texts, *, written: str = "") -> tuple[str, ...]:
        """Return such texts of a type; those that have none of a kind have none."""
        each = self.type(oid)
        if each.name in _ARRAYS and texts is Texts.NUMBERS:
            return _ARRAYS[each.name]
        if each.name != "text" and each.name not in _AS_TEXT:
            return ()
        length = _MODIFIER.search(written if _MODIFIER.search(written) else each.written)
        made = _NUMBERS if texts is Texts.NUMBERS else _DOCUMENTS
        return tuple(value for value in made if length is None or len(value) <= int(length[1]))

    def labels(self, oid: int) -> tuple[str, ...]:
        """Return every value of an enum, or of an array of one; other types have none."""
        each = self.type(oid)
        if each.is_array:
            return tuple(f"{{{quoted_in_array(label)}}}" for label in self.type(each.element).labels)
        return each.labels

    def edges(self, oid: int) -> tuple[str, ...]:
        """Return values at the edges of a type: below zero, empty, long. Some types have none."""
        each = self.type(oid)
        if each.is_array:
            return ("{}", *(f"{{{quoted_in_array(edge)}}}" for edge in self.edges(each.element)))
        return _EDGES.get("text" if each.name in _AS_TEXT else each.name, ())


def taken(
    connection: psycopg.Connection, candidates: Sequence[tuple[str, Sequence[str]]]
) -> list[tuple[str, ...]]:
    """Return of each type's candidates those that the engine takes as the type, domains' checks included."""
    asked = [
        (place, value, type_)
        for place, (type_, values) in enumerate(candidates)
        for value in dict.fromkeys(values)
    ]
    replies = rolled_back(
        connection, [[Command(f"SELECT $1::text::{type_}", (value,))] for _, value, type_ in asked]
    )
    kept: list[list[str]] = [[] for _ in candidates]
    for (place, value, _), [reply] in zip(asked, replies, strict=True):
        if reply.objection is None:
            kept[place].append(value)
    return [tuple(values) for values in kept]


@cache
def _of_base(name: str, written: str) -> tuple[str, ...]:
    modifier = _MODIFIER.search(written)
    first = int(modifier[1]) if modifier else None
    if name == "numeric":
        return _numbers(first, int(modifier[2] or 0) if modifier else 0)
    if name in ("bit", "varbit"):
        width = first or (1 if name == "bit" else 3)
        return tuple(dict.fromkeys(f"{n % 2**width:0{width}b}" for n in (1, 2, 3, 0)))
    if name in _AS_TEXT:
        return _texts(1 if name == "char" else first)
    if name in ("vector", "halfvec") and first:
        return tuple("[" + ",".join([str(n)] * first) + "]" for n in (1, 2, 3))
    return _PLAIN.get(name, _STRANGE)


def _numbers(precision: int | None, scale: int) -> tuple[str, ...]:
    if precision is None:
        return ("1.5", "2.5", "3.5", "4.5")
    if precision <= scale:
        return tuple(f"0.{'0' * (scale - precision)}{n}" for n in (1, 2, 3, 4))
    return tuple(f"{n}.5" if scale > 0 else str(n) for n in (1, 2, 3, 4))


def _texts(length: int | None) -> tuple[str, ...]:
    if length is None or length >= len(_PLAIN["text"][0]):
        return _PLAIN["text"]
    return tuple(("s" * length)[:-1] + end for end in "123456789abcde")


def _ranges(ends: Sequence[str]) -> tuple[str, ...]:
    ordered = list(ends)
    if all(re.fullmatch(r"-?[\d.]+", end) for end in ordered):
        return tuple(f"[{n}0,{n}5)" for n in (1, 2, 3)) if ordered else ()
    ordered.sort()
    pairs = list(pairwise(ordered))
    return tuple(f'["{low}","{high}")' for low, high in pairs[::2] + pairs[1::2])


def quoted_in_array(value: str) -> str:
    """Return a value as it stands in an array's text."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_record(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '""') + '"'
