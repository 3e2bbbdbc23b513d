"""Layers 4 and 5: run queries with sample values, undo them, and keep what they saw.

Values of a query are several sets of parameters, because one set meets too little: a set that finds a row,
one that repeats what is there, one at the edges of its types (choice.py). Each set runs twice, in two
transactions: what differs between the two (times, random numbers, sequences) says nothing about a migration,
and its column is blanked (rehearsal_ports.VOLATILE). So is what depends on the order in which rows lie, which
a migration may change without any fault: `LIMIT` without `ORDER BY`, and the order inside arrays and JSON.
For a write, the rows of its table that were not there before are kept as well: a trigger or a default may
change them without a word to the client.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby
from typing import Final, cast

import psycopg

from coordinator.adapters.rehearsals._postgresql.beside import effects
from coordinator.adapters.rehearsals._postgresql.bindings import last_limit
from coordinator.adapters.rehearsals._postgresql.dangers import refusal
from coordinator.adapters.rehearsals._postgresql.pipeline import (
    Command,
    Reply,
    Row,
    Sample,
    at_ease,
    quoted,
    rolled_back,
)
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import VOLATILE, Column, Effect, Ran, Values
from coordinator.sql import split_statements

_LONGEST: Final = 200
"""Characters of a value that are kept; what is longer is kept as its beginning and a digest."""
_SEEN_BY_VALUES: Final = ("22", "23", "44", "P0")
"""Classes of SQLSTATE that are about the values: wrong data, a constraint, a view's check, a trigger."""
_OF_THE_MOMENT: Final = ("57014", "55P03", "40", "53")
"""Out of time, out of luck with a lock, out of memory: a busy machine, perhaps, so it is tried once more."""
_OF_SERVER: Final = re.compile(
    r"PG_\w+|INFORMATION_SCHEMA|CURRENT_DATABASE|CURRENT_CATALOG|INET_CLIENT_PORT|INET_SERVER_PORT"
    r"|TABLESAMPLE|TXID_CURRENT\w*"
)
"""Words of a query whose rows are about this server, or drawn by lot, and not comparable."""
_CUTS: Final = frozenset({"LIMIT", "FETCH", "OFFSET"})
_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_TARGET: Final = re.compile(
    rf"\b(?:INSERT\s+INTO|MERGE\s+INTO(?:\s+ONLY)?|(?<!FOR\s)(?<!DO\s)(?<!KEY\s)UPDATE(?:\s+ONLY)?)\s+"
    rf"(?P<name>{_NAME}(?:\s*\.\s*{_NAME})?)",
    re.IGNORECASE,
)
_EMPTIED: Final = re.compile(
    rf"\bDELETE\s+FROM(?:\s+ONLY)?\s+(?P<name>{_NAME}(?:\s*\.\s*{_NAME})?)", re.IGNORECASE
)
_TOKEN = re.compile(r"[^\s,{}\[\]()\":]+")
_NOW: Final = "SELECT to_char(now(), 'YYYY-MM-DD'), floor(extract(epoch FROM now()))::int8"
_EPOCHS: Final = (10, 13, 16)
"""Digits of the present time in seconds, milliseconds and microseconds since 1970."""
_NUMERIC: Final = 1700
_PLACES: Final = (26, 27, 28, 29, 5069)
"""Types that say where a row lies or which transaction wrote it: oid, tid, xid, cid, xid8."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The table that a text writes."""

    name: str
    before: Reply
    """The rows before."""
    is_view: bool
    """What is behind it was written is told by the difference alone."""

    @property
    def query(self) -> str:
        """Return what reads the rows that this transaction wrote, also those that it left as they were.

        Which rows an UPDATE changes depends on columns that a state may lack; which it touches does not.
        """
        if self.is_view:
            return f"SELECT * FROM {self.name}"
        return f"SELECT * FROM {self.name} WHERE age(xmin) <= age(pg_current_xact_id()::xid)"


@dataclass(frozen=True, slots=True)
class _Try:
    """One set of parameters of one question."""

    ask: int
    text: str
    sample: Sample
    target: _Target | None

    def commands(self, role: str | None) -> list[Command]:
        """Return what its transaction sends; the query stands at `_query_at`."""
        as_role = [Command(f"SET LOCAL ROLE {quoted(role)}")] if role is not None else []
        commands = [
            *as_role,
            Command(self.text, self.sample),
            Command("SET CONSTRAINTS ALL IMMEDIATE"),  # they would refuse at commit
        ]
        if self.target:
            commands += [Command("SET LOCAL ROLE NONE"), Command(self.target.query)]
        return commands


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one try saw, in one of its two runs."""

    result: Reply
    written: Reply | None


def execute(
    connection: psycopg.Connection, asks: Sequence[tuple[str, Values]], *, role: str | None
) -> list[Ran | Objection]:
    """Run each text with its values, twice, in transactions that are rolled back; see rehearsal_ports.

    The connection is idle and in autocommit mode. Objections that are about values say which they were.
    """
    answers: dict[int, Ran | Objection] = {
        place: objection for place, (text, _) in enumerate(asks) if (objection := refusal(text))
    }
    with at_ease(connection):
        targets = _targets(connection, {text for place, (text, _) in enumerate(asks) if place not in answers})
        tries = [
            _Try(place, text, cast("Sample", sample), targets.get(text))
            for place, (text, values) in enumerate(asks)
            if place not in answers
            for sample in values or ((),)
        ]
        first = _run_patiently(connection, tries, role)
        for each, seen in zip(tries, first, strict=True):
            if isinstance(seen, Objection):
                answers.setdefault(each.ask, seen)
        open_ = [
            (each, cast("_Seen", seen))
            for each, seen in zip(tries, first, strict=True)
            if each.ask not in answers
        ]
        second = _run(connection, [each for each, _ in open_], role)
        done = effects(connection, _by_ask([each for each, _ in open_]), role=role)
        reading = _Reading.of(connection, [seen for _, seen in open_])
    rounds = [(each, seen, again) for (each, seen), again in zip(open_, second, strict=True)]
    for place, group in groupby(rounds, key=lambda each: each[0].ask):
        runs = list(group)
        answers[place] = _moment(again for _, _, again in runs) or _ran(runs, reading, done.get(place, ()))
    return [answers[place] for place in range(len(asks))]


def _by_ask(tries: Sequence[_Try]) -> Mapping[int, tuple[str, list[Sample]]]:
    asks: dict[int, tuple[str, list[Sample]]] = {}
    for each in tries:
        asks.setdefault(each.ask, (each.text, []))[1].append(each.sample)
    return asks


def samples_that_run(
    connection: psycopg.Connection, tries: Sequence[tuple[str, Sample]], *, role: str | None
) -> list[Objection | None]:
    """Run each text once with one set of parameters, rolled back; None where it ran."""
    seen = _run(connection, [_Try(0, text, sample, None) for text, sample in tries], role)
    return [each if isinstance(each, Objection) else None for each in seen]


def _run(connection: psycopg.Connection, tries: Sequence[_Try], role: str | None) -> list[_Seen | Objection]:
    query_at = 0 if role is None else 1
    replies = rolled_back(connection, [each.commands(role) for each in tries])
    return [_seen(each, reply, query_at) for each, reply in zip(tries, replies, strict=True)]


def _run_patiently(
    connection: psycopg.Connection, tries: Sequence[_Try], role: str | None
) -> list[_Seen | Objection]:
    return [
        _run(connection, [each], role)[0]
        if isinstance(seen, Objection) and seen.code.startswith(_OF_THE_MOMENT)
        else seen
        for each, seen in zip(tries, _run(connection, tries, role), strict=True)
    ]


def _seen(each: _Try, replies: list[Reply], query_at: int) -> _Seen | Objection:
    for reply in replies[: query_at + 2]:
        if reply.objection:
            return _with_values(reply.objection, each.sample)
    after = replies[-1] if each.target else None
    return _Seen(
        replies[query_at], None if after is None or after.objection else _new_rows(after, each.target)
    )


def _new_rows(after: Reply, target: _Target | None) -> Reply | None:
    if after.rows is None or target is None:
        return None
    if not target.is_view:
        return replace(after, count=len(after.rows))
    rows = tuple((Counter(after.rows) - Counter(target.before.rows)).elements())
    return Reply(columns=after.columns, rows=rows, count=len(rows))


def _with_values(objection: Objection, sample: Sample) -> Objection:
    if not sample or not objection.code.startswith(_SEEN_BY_VALUES):
        return objection
    shown = ", ".join(f"${place} = {_shown(value)}" for place, value in enumerate(sample, start=1))
    return Objection(objection.code, f"{objection.message} (with {shown})")


def _shown(value: str | None) -> str:
    if value is None:
        return "NULL"
    return f"'{value}'" if len(value) <= 40 else f"'{value[:30]}…' ({len(value)} characters)"  # noqa: PLR2004


# -- the table that a text writes -------------------------------------------------------------------------


def _targets(connection: psycopg.Connection, texts: set[str]) -> Mapping[str, _Target]:
    named = {
        text: match["name"] for text in texts if (match := _TARGET.search(text) or _EMPTIED.search(text))
    }
    names = sorted(set(named.values()))
    if not names:
        return {}
    found = connection.execute(
        "SELECT name, pg_catalog.format('%%I.%%I', nspname, relname), relkind = 'v'"
        " FROM unnest(%s::text[]) AS name JOIN pg_catalog.pg_class c ON c.oid = to_regclass(name)"
        " JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'v')",
        [names],
    ).fetchall()
    relations = [relation for _, relation, _ in found]
    replies = rolled_back(connection, [[Command(f"SELECT * FROM {relation}")] for relation in relations])
    known = {
        name: _Target(relation, reply, is_view)
        for (name, relation, is_view), [reply] in zip(found, replies, strict=True)
        if reply.objection is None and reply.rows is not None
    }
    return {text: known[name] for text, name in named.items() if name in known}


# -- what is comparable -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """How values are read: the types' names, which of them are collections, and what time it is."""

    types: Mapping[int, tuple[str, bool]]
    today: str
    """As a value begins that tells the date."""
    second: str
    """As a number of seconds begins that tells the day. A release may have 100,000 values to compare."""
    orders_nothing: bool = False
    """The text joins rows into one value, in the order in which they lie."""

    @classmethod
    def of(cls, connection: psycopg.Connection, seen: Sequence[_Seen]) -> _Reading:
        """Ask for the types of all columns that were seen."""
        oids = {
            oid
            for each in seen
            for reply in (each.result, each.written)
            if reply is not None
            for _, oid in reply.columns
        }
        rows = connection.execute(
            "SELECT oid::int8, format_type(oid, NULL), typcategory = 'A' OR typname IN ('json', 'jsonb')"
            " FROM pg_catalog.pg_type WHERE oid = ANY(%s::oid[])",
            [sorted(oids)],
        ).fetchall()
        [[today, seconds]] = connection.execute(_NOW).fetchall()
        return cls(
            {oid: (name, is_collection) for oid, name, is_collection in rows}, str(today), str(seconds)[:5]
        )

    def columns(self, reply: Reply) -> tuple[Column, ...]:
        return tuple(Column(name, self.types.get(oid, ("", False))[0]) for name, oid in reply.columns)

    def rows(self, reply: Reply) -> list[Row]:
        return [
            tuple(self._cell(value, oid) for value, (_, oid) in zip(row, reply.columns, strict=True))
            for row in reply.rows or ()
        ]

    def _cell(self, value: str | None, oid: int) -> str | None:
        if value is None:
            return None
        if oid in _PLACES or self._tells_time(value):
            return VOLATILE
        if oid == _NUMERIC and "." in value:
            value = value.rstrip("0").rstrip(".")  # another scale is no other number
        if self.orders_nothing or self.types.get(oid, ("", False))[1]:
            value = " ".join(sorted(_TOKEN.findall(value)))
        if len(value) <= _LONGEST:
            return value
        return f"{value[:_LONGEST]}… {sha256(value.encode()).hexdigest()[:16]}"

    def _tells_time(self, value: str) -> bool:
        """Two runs in one second agree on a time that is kept in seconds; sample rows have no such time."""
        if value.startswith(self.today):
            return True
        return value.isdigit() and len(value) in _EPOCHS and value.startswith(self.second)


def _moment(again: Iterable[_Seen | Objection]) -> Objection | None:
    """Return what kept a second run from its end and says nothing of the query: then nothing is known."""
    return next(
        (each for each in again if isinstance(each, Objection) and each.code.startswith(_OF_THE_MOMENT)),
        None,
    )


def _ran(
    rounds: list[tuple[_Try, _Seen, _Seen | Objection]], reading: _Reading, beside: tuple[Effect, ...]
) -> Ran:
    """Join what the sets of one question saw."""
    words = split_statements(rounds[0][0].text)[0].words
    pairs = [(seen, again) for _, seen, again in rounds if isinstance(again, _Seen)]
    if len(pairs) < len(rounds) or any(_OF_SERVER.fullmatch(word) for word in words):
        return Ran((), None)
    reading = replace(reading, orders_nothing=any(word.endswith("_AGG") for word in words))
    result = _joined([(seen.result, again.result) for seen, again in pairs], reading)
    if _is_cut(rounds[0][0].text, words, most=max((each.result.count for each, _ in pairs), default=0)):
        result = replace(result, rows=tuple(tuple(VOLATILE for _ in row) for row in result.rows))
    result = replace(result, beside=beside)
    written = [(a.written, b.written) for a, b in pairs if a.written is not None and b.written is not None]
    target = rounds[0][0].target
    if not written or target is None:
        return result
    new = replace(
        _joined(written, reading),
        table=target.name,
        only_changed=target.is_view,
        present=tuple(reading.rows(target.before)),
    )
    return replace(result, written=new)


def _is_cut(text: str, words: Sequence[str], *, most: int) -> bool:
    """Tell whether the order in which the engine reads rows may have decided which ones come out.

    A LIMIT that ends a text and lets more through than came out, `most` of them, has cut nothing off.
    """
    cuts = [word for word in words if word in _CUTS]
    if not cuts or "ORDER" in words:
        return False
    limit = last_limit(text) if cuts == ["LIMIT"] else None
    return limit is None or most >= limit


def _joined(pairs: Sequence[tuple[Reply, Reply]], reading: _Reading) -> Ran:
    rows: list[Row] = []
    for first, second in pairs:
        if first.count != second.count:
            return Ran((), None)  # drawn by lot: nothing of it can be compared
        rows += _steady(reading.rows(first), reading.rows(second))
    return Ran(
        tuple(sorted(rows, key=lambda row: [(cell is None, cell or "") for cell in row])),
        sum(first.count for first, _ in pairs),
        reading.columns(pairs[0][0]),
    )


def _steady(first: list[Row], second: list[Row]) -> list[Row]:
    """Blank the columns that hold other values in the second run."""
    volatile = {
        place
        for place, (ours, theirs) in enumerate(
            zip(zip(*first, strict=True), zip(*second, strict=True), strict=True)
        )
        if Counter(ours) != Counter(theirs)
    }
    return [
        tuple(VOLATILE if place in volatile and cell is not None else cell for place, cell in enumerate(row))
        for row in first
    ]
