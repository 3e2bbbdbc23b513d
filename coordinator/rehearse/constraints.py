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
from typing import TypeVar

from coordinator.rehearsal_ports import Ran

_T = TypeVar("_T")
_Done = tuple[str, str]
"""`update` or `delete`, and the table to whose rows it is done."""
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
_INDEX = re.compile(r"INDEX .*? ON (?:ONLY )?(?:[^\s(]+)(?: USING \w+)?", re.IGNORECASE | re.DOTALL)
_SET = re.compile(
    r"\b(?:SET|KEY UPDATE)\b(?P<set>.*?)(?:\bWHERE\b|\bFROM\b|\bRETURNING\b|$)", re.IGNORECASE | re.DOTALL
)
_INTO = re.compile(r"\bINTO\s+(?:[^\s(]+)(?:\s+AS\s+\w+)?\s*\((?P<columns>[^)]*)\)", re.IGNORECASE)
_TARGETS = re.compile(
    r"\b(?:INTO|DELETE\s+FROM)\s+(?:ONLY\s+)?(?P<one>[^\s(]+)|\bUPDATE\b(?P<some>.*?)\bSET\b",
    re.IGNORECASE | re.DOTALL,
)
"""A text may write several tables: MySQL's UPDATE of a join, PostgreSQL's WITH."""
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
_NO_PARTITION = (
    "no sample value meets the partition `{text}`, which is there where the version was made and not here:"
    " whether every row still has a partition is not known"
)
_LEFT_ALONE = (
    "no sample value meets the foreign key of `{table}` that takes or changes its rows with the ones that go,"
    " where the version was made and not here: whether the version counts on it is not known"
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
_NEW = re.compile(r"\b(?:INSERT|UPDATE|MERGE)\b", re.IGNORECASE)
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
_CHECK_OPTION = re.compile(r"check_option=|with check option (?:cascaded|local)", re.IGNORECASE)
_PARENT = re.compile(r"REFERENCES (?P<parent>[^\s(]+)", re.IGNORECASE)
_ACTION = re.compile(r"ON (?P<event>DELETE|UPDATE) (?P<does>CASCADE|SET NULL|SET DEFAULT)", re.IGNORECASE)


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
    children: frozenset[tuple[_Done, _Done]]
    """What is done to rows of one table, and what a foreign key's action then does to those of another."""
    parts: Collection[tuple[str, str]]
    """Tables, each with one that has some of its rows: a partition, or a table that inherits."""
    bounds: frozenset[tuple[str, str]]
    """Partitioned tables, each with the bounds of one of its partitions."""

    @classmethod
    def of(cls, catalogue: Mapping[str, str]) -> Constraints:
        """Read them from a schema; see rehearsal_ports.RehearsalDatabase.catalogue."""
        views = {
            _bare(key): _words(text) for key, text in catalogue.items() if key.partition(" ")[0] == "view"
        }
        parts = [key.split(" ")[1:] for key in catalogue if key.startswith(("partition ", "inheritance "))]
        return cls(
            (*_constraints(catalogue), *_of_domains(catalogue), *_triggers(catalogue)),
            views,
            frozenset(_children(catalogue)),
            frozenset((_bare(table), _bare(part)) for table, *_, part in parts),
            frozenset(_bounds(catalogue)),
        )

    def unmet(self, text: str, here: Ran, *, own: Constraints, own_ran: Ran) -> str | None:
        """Return what may refuse a write here and did not at its own state, where it ran in both."""
        before, now = own.written(text, own_ran.written), self.written(text, here.written)
        ours, theirs = own.behind(before), self.behind(now)
        gone, left = own.bounds_of(before) - self.bounds_of(now), self.bounds_of(now)
        if gone and "DEFAULT" not in left and _NEW.search(text):
            return _NO_PARTITION.format(text=min(gone))
        followed = {
            child
            for (event, parent), (_, child) in own.children - self.children
            if event == "delete" and parent in before
        }
        followed &= {each.table for each in self.every}
        if followed and _EVENTS["delete"].search(text):
            return _LEFT_ALONE.format(table=min(followed))
        for each in _differing(theirs, ours, text):
            return _REFUSES.format(text=_shown(each.text), table=each.table)
        for each in _differing(ours, theirs, text) if _IGNORES.search(text) else ():
            if each.is_unique:
                return _IGNORED.format(text=_shown(each.text), table=each.table)
        return None

    def written(self, text: str, written: Ran | None) -> frozenset[str]:
        """Return the tables that a text writes, also behind views, and those that hold rows of them."""
        if written is None or written.table is None:
            return frozenset()
        names = frozenset({_bare(written.table)})
        for each in _TARGETS.finditer(text):
            names |= frozenset({_bare(each["one"])}) if each["one"] else _words(each["some"])
        found = names.union(*(self.views.get(name, ()) for name in names))
        return found | _below(found, self.parts)

    def bounds_of(self, tables: Collection[str]) -> frozenset[str]:
        """Return the bounds of the partitions of some tables."""
        return frozenset(text for table, text in self.bounds if table in tables)

    def behind(self, tables: frozenset[str]) -> frozenset[Constraint]:
        """Return those of some tables, and the triggers of what their foreign keys' actions change."""
        reached = {event: _below([(event, each) for each in tables], self.children) for event in _OF_PARENTS}
        found = {each for each in self.every if each.table in tables}
        for each in self.every if self.children else ():
            met = {(event, each.table) for event in each.events}
            events = frozenset(event for event, rows in reached.items() if not met.isdisjoint(rows))
            if each.is_trigger and events and each not in found:
                found.add(replace(each, events=events))
        return frozenset(found)


def _below(tables: Collection[_T], pairs: Collection[tuple[_T, _T]]) -> frozenset[_T]:
    """Return all that pairs lead to from some tables."""
    below: frozenset[_T] = frozenset()
    reached = frozenset(tables)
    while more := {child for parent, child in pairs if parent in reached} - below:
        below |= more
        reached |= more
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


def _of_domains(catalogue: Mapping[str, str]) -> Iterator[Constraint]:
    """Yield the checks of the domains that columns are of."""
    tables = {key.partition(" ")[2] for key in catalogue if key.startswith("table ")}
    domains = {key.partition(" ")[2]: text for key, text in catalogue.items() if key.startswith("domain ")}
    checks = [(key, text) for key, text in catalogue.items() if key.startswith("constraint ")]
    for key, definition in catalogue.items() if domains else ():
        kind, _, name = key.partition(" ")
        of = definition.partition(" ")[0].removesuffix("[]") if kind == "column" else ""
        while of in domains:
            for check, text in checks:
                if check.startswith(f"constraint {of}."):
                    table, words = _bare(_table_of(name, definition, tables)), frozenset({_bare(name)})
                    shown = f"{_NOT_VALID.sub('', text)} of {of}"
                    yield Constraint(table, shown, is_unique=False, keys=None, words=words)
            of = domains[of].partition(" ")[0]


def _bounds(catalogue: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, definition in catalogue.items():
        if key.startswith("partition "):
            yield _bare(key.split(" ")[1]), definition.partition(" check (")[0]


def _triggers(catalogue: Mapping[str, str]) -> Iterator[Constraint]:
    """Yield those that may refuse a row or leave it out, with the function that one runs, and such views."""
    tables = {key.partition(" ")[2] for key in catalogue if key.startswith("table ")}
    for key, definition in catalogue.items():
        kind, _, name = key.partition(" ")
        if kind == "view" and _CHECK_OPTION.search(definition):
            yield Constraint(_bare(name), definition, is_unique=False, keys=None, words=_ANY)
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


def _children(catalogue: Mapping[str, str]) -> Iterator[tuple[_Done, _Done]]:
    tables = {key.partition(" ")[2] for key in catalogue if key.startswith("table ")}
    for key, definition in catalogue.items():
        parent = _PARENT.search(definition)
        if parent is None or not key.startswith("constraint "):
            continue
        child = _table_of(key.partition(" ")[2], definition, tables)
        for action in _ACTION.finditer(definition):
            event = action["event"].lower()
            does = event if action["does"].upper() == "CASCADE" else "update"
            yield (event, _bare(parent["parent"])), (does, _bare(child))


def _table_of(name: str, definition: str, tables: set[str]) -> str:
    """Return the table of a constraint or index; PostgreSQL's indexes stand beside their tables."""
    end = len(name)
    while (end := name.rfind(".", 0, end)) >= 0:  # a table's own name may have dots
        if name[:end] in tables:
            return name[:end]
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
    found = [each["columns"] for each in _INTO.finditer(text)]
    if len(found) < len(_INSERTS.findall(text)):
        return None
    return _words(" ".join([*found, *(each["set"] for each in _SET.finditer(text))]))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(text))


def _bare(name: str) -> str:
    return name.rpartition(" ")[2].rpartition(".")[2].strip('"`').lower()


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
