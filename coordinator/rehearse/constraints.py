"""Constraints of a state that the version's own state lacks, and that no set of values met. Pure.

A new CHECK, UNIQUE or FOREIGN KEY that refuses a sample is a break. One that refuses none may still refuse
what a client sends: three rows that are alike in no column cannot show that two rows of the client's are
alike in two. The engine has no answer to that, so the query is unproven. Only what a query writes counts, as
far as its text names it: a word too many costs a proof and no truth. A trigger that refuses or leaves out
rows is such a constraint as well, whatever it asks for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from coordinator.rehearsal_ports import Ran

_WORD = re.compile(r"[^\W\d][\w$]*")
_RULE = re.compile(
    r"(?P<unique>(?:CREATE |a )?UNIQUE (?:INDEX )?|PRIMARY KEY |EXCLUDE )|CHECK |FOREIGN KEY ", re.IGNORECASE
)
_FOREIGN_KEY = re.compile(r"FOREIGN KEY \([^)]*\)", re.IGNORECASE)
"""What is kept of one: what it refers to may be renamed, and what it does to other rows is seen there."""
_KEYS = re.compile(r"\((?P<keys>[\w$\s,\"`]+)\)")
_OF_NULL = re.compile(r"CHECK (?:[\s()\"`]|\w+\"? IS (?:NOT )?NULL|AND)+", re.IGNORECASE)
_GENERATED = re.compile(r"generated (?:always as \(|stored|virtual)", re.IGNORECASE)
_NOT_VALID = re.compile(r" NOT VALID$")
_INDEX = re.compile(r"INDEX .*? ON (?:[^\s(]+)(?: USING \w+)?", re.IGNORECASE | re.DOTALL)
_SET = re.compile(r"\bSET\b(?P<set>.*?)(?:\bWHERE\b|\bFROM\b|\bRETURNING\b|$)", re.IGNORECASE | re.DOTALL)
_INTO = re.compile(r"\bINTO\s+(?:[^\s(]+)(?:\s+AS\s+\w+)?\s*\((?P<columns>[^)]*)\)", re.IGNORECASE)
_IGNORES = re.compile(r"\bCONFLICT\b|\bIGNORE\b|\bREPLACE\b|\bDUPLICATE\b", re.IGNORECASE)
_LONGEST = 80
"""Characters of a definition in a sentence."""
_REFUSES = (
    "no sample value meets `{text}`, which `{table}` has here and not where the version was made: whether it"
    " refuses what a client writes is not known"
)
_IGNORED = (
    "no sample value meets `{text}`, which `{table}` has where the version was made and not here: whether a"
    " row is written that was left out is not known"
)
_ANY = frozenset({"*"})
"""In the place of words: it may be about any column."""
_INSERTS = re.compile(r"\b(?:INSERT|REPLACE|MERGE)\b", re.IGNORECASE)
_EVENTS = {
    "insert": _INSERTS,
    "update": re.compile(r"\b(?:UPDATE|MERGE)\b", re.IGNORECASE),
    "delete": re.compile(r"\b(?:DELETE|REPLACE|MERGE)\b", re.IGNORECASE),
}
"""By what a trigger may wait for, the words of texts that do it."""
_NEW_ROWS = frozenset({"insert", "update"})
_OF_PARENTS = frozenset({"update", "delete"})
_TRIGGER = re.compile(
    r"(?:CREATE .*?TRIGGER (?:IF NOT EXISTS )?\S+ )?(?P<when>.*?)(?: ON \S+| \d+)(?= )",
    re.IGNORECASE | re.DOTALL,
)
"""What comes before a trigger's own text; MySQL and MariaDB say when it runs, and a number."""
_RUNS = re.compile(r"EXECUTE (?:FUNCTION|PROCEDURE) (?P<name>[^(]+)\(")
_MAY_REFUSE = re.compile(
    r"\bRAISE\b(?!\s+(?:DEBUG|LOG|INFO|NOTICE|WARNING)\b)|\bASSERT\b|\bSIGNAL\b|BEFORE .*\bRETURN\s+NULL\b",
    re.IGNORECASE | re.DOTALL,
)
_ACTION = re.compile(r"REFERENCES (?P<parent>[^\s(]+).*(?:CASCADE|SET NULL|SET DEFAULT)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the rows of a table have to meet; without its name, which says nothing."""

    table: str = field(compare=False)
    """Its name without a schema; at another state it may have another one."""
    text: str
    is_unique: bool
    keys: frozenset[str] | None = field(compare=False)
    """Of a UNIQUE of plain columns, which ones."""
    words: frozenset[str] = field(compare=False)
    """The words of its definition, and of what its generated columns are made of: columns are among them."""
    events: frozenset[str] = field(compare=False, default=_NEW_ROWS)
    """What has to be done to a row for it to be met."""
    is_trigger: bool = field(compare=False, default=False)


@dataclass(frozen=True, slots=True)
class Constraints:
    """Those of a state, and what its views are made of."""

    every: tuple[Constraint, ...]
    views: Mapping[str, frozenset[str]]
    children: Collection[tuple[str, str]]
    """Tables, each with one whose rows change when its own do: a foreign key has an action."""

    @classmethod
    def of(cls, catalogue: Mapping[str, str]) -> Constraints:
        """Read them from a schema; see rehearsal_ports.RehearsalDatabase.catalogue."""
        views = {
            _bare(key): _words(text) for key, text in catalogue.items() if key.partition(" ")[0] == "view"
        }
        return cls((*_constraints(catalogue), *_triggers(catalogue)), views, frozenset(_children(catalogue)))

    def unmet(self, text: str, here: Ran, *, own: Constraints, own_ran: Ran) -> str | None:
        """Return what may refuse a write here and did not at its own state, where it ran in both."""
        ours, theirs = own.behind(own_ran.written), self.behind(here.written)
        for each in _differing(theirs, ours, text):
            return _REFUSES.format(text=_shown(each.text), table=each.table)
        for each in _differing(ours, theirs, text) if _IGNORES.search(text) else ():
            if each.is_unique:
                return _IGNORED.format(text=_shown(each.text), table=each.table)
        return None

    def behind(self, written: Ran | None) -> frozenset[Constraint]:
        """Return those of the table that was written, or of the tables of its view."""
        if written is None or written.table is None:
            return frozenset()
        name = _bare(written.table)
        tables = {name} | self.views.get(name, frozenset())
        own = (each for each in self.every if each.table in tables)
        below = self._below(tables)
        return frozenset(own) | {
            replace(each, events=_OF_PARENTS)
            for each in self.every
            if each.is_trigger and each.table in below
        }

    def _below(self, tables: Collection[str]) -> frozenset[str]:
        """Return the tables whose rows actions of foreign keys change with those of some tables."""
        below: frozenset[str] = frozenset()
        while more := {child for parent, child in self.children if parent in below.union(tables)} - below:
            below |= more
        return below


def _differing(
    having: Collection[Constraint], lacking: Collection[Constraint], text: str
) -> Iterator[Constraint]:
    """Yield those that only one state has, as far as a text may write what they are about."""
    written, inserts = _written(text), bool(_INSERTS.search(text))
    events = {event for event, words in _EVENTS.items() if words.search(text)}
    for each in sorted({*having} - {*lacking}, key=lambda one: one.text):
        may_meet = (each.is_unique and inserts) or written is None or bool((written | _ANY) & each.words)
        if (
            not events.isdisjoint(each.events)
            and may_meet
            and not _asks_for_null(each)
            and not _is_implied(each, lacking, inserts=inserts)
        ):
            yield each


def _asks_for_null(constraint: Constraint) -> bool:
    """Tell whether a CHECK asks for NULL alone: a set of values has NULL wherever that was taken.

    Of one column or another it does not: what the other one has in the row decides as well.
    """
    return not constraint.is_unique and _OF_NULL.fullmatch(constraint.text) is not None


def _constraints(catalogue: Mapping[str, str]) -> Iterator[Constraint]:
    tables = {key.partition(" ")[2] for key in catalogue if key.startswith("table ")}
    made_of = {
        _bare(key): _words(text) if "(" in text else _ANY  # SQLite does not say of what
        for key, text in catalogue.items()
        if key.startswith("column ") and _GENERATED.search(text)
    }
    for key, definition in catalogue.items():
        kind, _, name = key.partition(" ")
        if kind not in ("constraint", "index"):
            continue
        # SQLite has no names for these: the key says which columns they are of.
        shown = name.partition(".unique ")[2] if definition == "unique" else ""
        text = _NOT_VALID.sub("", f"UNIQUE {shown}" if shown else definition)
        refers = _FOREIGN_KEY.search(f"{name} {text}")
        text = refers[0] if refers else text
        rule = _RULE.match(text)
        if rule is None:
            continue
        text = _INDEX.sub("INDEX", text)
        keys = _KEYS.search(text) if rule["unique"] else None
        words = _words(text)
        yield Constraint(
            _bare(_table_of(name, definition, tables)),
            text,
            is_unique=rule["unique"] is not None,
            keys=_words(keys["keys"]) if keys else None,
            words=words.union(*(made_of.get(word, ()) for word in words)),
        )


def _triggers(catalogue: Mapping[str, str]) -> Iterator[Constraint]:
    """Yield those that may refuse a row or leave it out, with the function that one runs."""
    tables = {key.partition(" ")[2] for key in catalogue if key.startswith("table ")}
    for key, definition in catalogue.items():
        kind, _, name = key.partition(" ")
        head = _TRIGGER.match(definition) if kind == "trigger" else None
        if head is None:
            continue
        runs = _RUNS.search(definition)
        body = catalogue.get(f"function {runs['name']}()", "") if runs else ""
        text = f"TRIGGER {head['when']}{definition[head.end() :]}"
        if _MAY_REFUSE.search(f"{text} {body}"):
            yield Constraint(
                _bare(_table_of(name, definition, tables)),
                f"{text} {body}".strip(),
                is_unique=False,
                keys=None,
                words=_ANY,
                events=_words(head["when"]),
                is_trigger=True,
            )


def _children(catalogue: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    tables = {key.partition(" ")[2] for key in catalogue if key.startswith("table ")}
    for key, definition in catalogue.items():
        kind, _, name = key.partition(" ")
        if kind == "constraint" and (found := _ACTION.search(definition)):
            yield _bare(found["parent"]), _bare(_table_of(name, definition, tables))


def _table_of(name: str, definition: str, tables: set[str]) -> str:
    """Return the table of a constraint or index; PostgreSQL's indexes stand beside their tables."""
    found = [each for each in tables if name.startswith(f"{each}.")]
    if found:
        return max(found, key=len)
    on = re.search(r" ON (?:ONLY )?(\S+)", definition)
    return on[1] if on else name


def _is_implied(constraint: Constraint, others: Collection[Constraint], *, inserts: bool) -> bool:
    """Tell whether rows that are unique already cannot be alike.

    Where that is checked at the end only, an INSERT of rows meets it all the same, and an UPDATE may pass.
    """
    if constraint.keys is None or "distinct" in constraint.words:
        return False
    return any(
        each.keys is not None
        and each.keys <= constraint.keys
        and "where" not in each.words
        and (inserts or "deferrable" not in each.words or "deferrable" in constraint.words)
        for each in others
        if each.is_unique
    )


def _written(text: str) -> frozenset[str] | None:
    """Return the words among which the written columns are; None if it may be any column."""
    into = _INTO.search(text)
    if _INSERTS.search(text) and into is None:
        return None
    found = [into["columns"]] if into else []
    return _words(" ".join([*found, *(each["set"] for each in _SET.finditer(text))]))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(text))


def _bare(name: str) -> str:
    return name.rpartition(" ")[2].rpartition(".")[2].strip('"`').lower()


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
