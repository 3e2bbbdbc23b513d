"""Constraints of a state that the version's own state lacks, and that no set of values met. Pure.

A new CHECK, UNIQUE or FOREIGN KEY that refuses a sample is a break. One that refuses none may still refuse
what a client sends: three rows that are alike in no column cannot show that two rows of the client's are
alike in two. The engine has no answer to that, so the query is unproven. Only what a query writes counts, as
far as its text names it: a word too many costs a proof and no truth.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

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
_WRITES = re.compile(r"\b(?:INSERT|REPLACE|MERGE|UPDATE)\b", re.IGNORECASE)


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


@dataclass(frozen=True, slots=True)
class Constraints:
    """Those of a state, and what its views are made of."""

    every: tuple[Constraint, ...]
    views: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, catalogue: Mapping[str, str]) -> Constraints:
        """Read them from a schema; see rehearsal_ports.RehearsalDatabase.catalogue."""
        views = {
            _bare(key): _words(text) for key, text in catalogue.items() if key.partition(" ")[0] == "view"
        }
        return cls(tuple(_constraints(catalogue)), views)

    def unmet(self, text: str, here: Ran, *, own: Constraints, own_ran: Ran) -> str | None:
        """Return what may refuse a write here and did not at its own state, where it ran in both."""
        if not _WRITES.search(text):
            return None
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
        return frozenset(each for each in self.every if each.table in tables)


def _differing(
    having: Collection[Constraint], lacking: Collection[Constraint], text: str
) -> Iterator[Constraint]:
    """Yield those that only one state has, as far as a text may write what they are about."""
    written, inserts = _written(text), bool(_INSERTS.search(text))
    for each in sorted({*having} - {*lacking}, key=lambda one: one.text):
        may_meet = (each.is_unique and inserts) or written is None or bool((written | _ANY) & each.words)
        if may_meet and not _asks_for_null(each) and not _is_implied(each, lacking, inserts=inserts):
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
