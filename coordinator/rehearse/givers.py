"""Triggers that give a column of the new row a value: what a client sent for it may not stay. Pure.

What they make of sample values is compared. One that makes small letters of large ones, or does so under a
condition, may change none of them, and changes the client's: it says so itself, by `NEW.name := …`. One that
gives a value where there is none (`NEW.name IS NULL`, `coalesce(NEW.name, …)`) leaves what was sent alone,
and changes a row that has NULL there. What an INSERT sends is tried with NULL; a row that is there already
and has it may be none that a sample's value finds. A trigger of SQLite says it by an UPDATE of its own table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from coordinator.rehearse.catalogued import ANY, TRIGGER, Read, bare, called, words_of
from coordinator.rehearse.written import items_of

_GIVEN = re.compile(
    r"\bNEW\.(?P<one>[\w\"`]+)\s*:?=(?!=)(?=(?P<value>[^;]*))|\bINTO\s+NEW\.(?P<other>[\w\"`]+)",
    re.IGNORECASE,
)
_GIVEN_AFTERWARDS = re.compile(
    r"\bUPDATE\s+(?:OR\s+\w+\s+)?(?P<table>[\w\"`.]+)\s+SET\b(?P<set>[^;]*?)(?:\bWHERE\b(?P<where>[^;]*))?;",
    re.IGNORECASE,
)
_OF_THE_ROW = re.compile(r"[\w\"`]+\s*=\s*NEW\s*\.\s*[\w\"`]+", re.IGNORECASE)
_FILLS = re.compile(
    r"(?:(?:COALESCE|IFNULL)\s*\(\s*(?:NEW\s*\.\s*)?(?P<column>[\w\"`]+)\s*,"
    r"|IF\s*\(\s*NEW\.(?P<other>[\w\"`]+)\s+IS\s+NULL\s*,)(?:[^()]|\([^()]*\))*\)\s*(?:END\s*)?",
    re.IGNORECASE,
)
"""What gives the column its own value back, if it has one."""
_BRANCH = re.compile(
    r"\b(?:(?<!END )(?:IF|ELSIF|ELSEIF)\b(?P<asks>.*?)\bTHEN|WHEN\b(?P<when>.*?)\b(?:THEN|EXECUTE|BEGIN)"
    r"|ELSE|END\s+IF)\b",
    re.IGNORECASE | re.DOTALL,
)
_IS_NULL = re.compile(r"(?P<column>[\w\"`]+)\s+IS\s+NULL\b", re.IGNORECASE)
_NOT_NULL = re.compile(r"\bIS\s+NOT\s+NULL\b", re.IGNORECASE)
_OF_NULL_ALONE = re.compile(
    r"(?:[\s()]|\b(?:AND|OR|NOT)\b|(?:\b(?:NEW|OLD)\s*\.\s*)?[\w\"`]+\s+IS\s+(?:NOT\s+)?NULL\b|\bTG_OP\s*=\s*'\w+')*",
    re.IGNORECASE,
)
_COMPARED = re.compile(r"\b(?:IF|ELSIF|ELSEIF|AND|OR|WHEN|NOT)\s+\(*\s*NEW\.[\w\"`]+\s*=", re.IGNORECASE)
"""Where `=` asks and gives nothing."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value that a column of the new row gets."""

    column: str
    value: str
    asks: str
    """What the trigger asks before."""
    fills: bool
    """It is given only where the column is NULL."""

    @property
    def made_of(self) -> frozenset[str]:
        """The words of the value."""
        return words_of(self.value)

    @property
    def depends(self) -> bool:
        """Tell whether some rows keep what they have: it is made of that, or more is asked before."""
        return self.column in self.made_of or _OF_NULL_ALONE.fullmatch(self.asks) is None

    def follows(self, unknown: frozenset[str]) -> bool:
        """Tell whether it is made of a column that the version does not know, and so never changes, and any
        row shows whether it is: nothing is asked, or what was changed or is NULL.
        """
        is_shown = "old" in words_of(self.asks) or _OF_NULL_ALONE.fullmatch(self.asks) is not None
        return is_shown and not unknown.isdisjoint(self.made_of)


@dataclass(frozen=True, slots=True)
class Giver:
    """A trigger, without its name, with what it calls."""

    table: str
    text: str
    gives: tuple[Given, ...] = field(compare=False)
    events: frozenset[str]
    """With the columns of an UPDATE OF."""
    is_conditional: bool
    """It asks for more than NULL, which sample values may not be."""

    @property
    def columns(self) -> frozenset[str]:
        """Those of the new row that it gives a value."""
        return frozenset(each.column for each in self.gives)

    def runs_for(self, events: frozenset[str], columns: frozenset[str] | None) -> bool:
        """Tell whether it runs where that is done to rows and, if that is known, to those columns of them."""
        done = events & self.events
        if "of" in self.events and columns is not None and columns.isdisjoint(self.events):
            done -= {"update"}
        return bool(done) or self.events == ANY


def givers(read: Read) -> Iterator[Giver]:
    """Yield those of a schema."""
    for key, definition in read.things.items():
        head = TRIGGER.match(definition) if key.startswith("trigger ") else None
        if head is None:
            continue
        text = " ".join([head["when"], definition[head.end() :], *called(definition, read.functions)])
        table = bare(read.table_of(key.partition(" ")[2], definition))
        own = [each for each in _GIVEN_AFTERWARDS.finditer(text) if bare(each["table"]) == table]
        given = [*_given(text), *(each for update in own for each in _given_by(update, text))]
        if given:
            asks = [each["asks"] or each["when"] or "" for each in _BRANCH.finditer(text)]
            asks += [_OF_THE_ROW.sub("", each["where"] or "") for each in own]
            yield Giver(
                table,
                text,
                gives=tuple(given),
                events=words_of(head["when"]),
                is_conditional=not all(map(_OF_NULL_ALONE.fullmatch, asks)),
            )


def _given(text: str) -> Iterator[Given]:
    """Yield what a trigger's text gives the new row."""
    compared = [range(*each.span()) for each in _COMPARED.finditer(text)]
    for each in _GIVEN.finditer(text):
        if not any(each.start() in span for span in compared):
            asks = _asked_before(text[: each.start()])
            yield _given_value(bare(each["one"] or each["other"]), each["value"] or "", asks)


def _given_by(update: re.Match[str], text: str) -> Iterator[Given]:
    """Yield the same of an UPDATE of the row that is written."""
    asks = f"{_asked_before(text[: update.start()])} {_OF_THE_ROW.sub('', update['where'] or '')}"
    for name, _, value in (each.partition("=") for each in items_of(update["set"])):
        yield _given_value(bare(name.strip()), value, asks)


def _given_value(column: str, value: str, asks: str) -> Given:
    return Given(column, value.strip(), asks, fills=_fills(column, value, asks))


def _fills(column: str, value: str, asks: str) -> bool:
    """Tell whether a value is given where there is none: it says so, or what is asked before does."""
    found = _FILLS.fullmatch(value.strip())
    if found is not None and bare(found["column"] or found["other"]) == column:
        return True
    asks = _NOT_NULL.sub(" ", asks)
    is_one_of_many = not words_of(asks).isdisjoint({"or", "not"})
    return not is_one_of_many and any(bare(each["column"]) == column for each in _IS_NULL.finditer(asks))


def _asked_before(text: str) -> str:
    """Return what is asked in the branch that a text ends in."""
    branches = list(_BRANCH.finditer(text))
    return (branches[-1]["asks"] or branches[-1]["when"] or "") if branches else ""


def given_by(
    givers: Iterable[Giver], *, events: frozenset[str], written: frozenset[str] | None
) -> dict[tuple[str, str], frozenset[str]]:
    """Return by table and column which values triggers give that run where that is done."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for each in givers:
        for one in each.gives if each.runs_for(events, written) else ():
            name = each.table, one.column
            found[name] = found.get(name, frozenset()) | {one.value}
    return found


def replacing(
    lone_ones: Iterable[Giver],
    *,
    columns: frozenset[str],
    unknown: frozenset[str],
    events: frozenset[str],
    written: frozenset[str] | None,
) -> str | None:
    """Return a column, with its table, of which a trigger of one state alone replaces what a client sends.

    What it makes of columns that are `unknown` to one of the states, it makes of what that never writes.
    """
    for each in lone_ones:
        found = {one.column for one in each.gives if not (one.fills or one.follows(unknown))} & columns
        if found and each.runs_for(events, written):
            return f"{each.table}.{min(found)}"
    return None


def altering(
    lone_ones: Iterable[Giver],
    *,
    columns: frozenset[str],
    unknown: frozenset[str],
    written: frozenset[str] | None,
) -> str | None:
    """Return a column, with its table, of which a trigger of one state alone changes what a row has that is
    there, when others of its columns are written; of those that it changes in every row, any row shows it.
    """
    for each in lone_ones:
        found = {
            one.column
            for one in each.gives
            if one.column in columns and one.depends and not (one.fills or one.follows(unknown))
        }
        if found and each.runs_for(frozenset({"update"}), written):
            return f"{each.table}.{min(found)}"
    return None


def filling(
    lone_ones: Iterable[Giver],
    *,
    columns: Collection[tuple[str, str]],
    unknown: frozenset[str],
    events: frozenset[str],
    written: frozenset[str] | None,
    only_conditional: bool = False,
) -> str | None:
    """Return one of `columns`, with its table, that a trigger of one state alone fills where it is NULL."""
    for each in lone_ones:
        found = {
            one.column
            for one in each.gives
            if one.fills and (each.table, one.column) in columns and unknown.isdisjoint(one.made_of)
        }
        if found and each.runs_for(events, written) and (each.is_conditional or not only_conditional):
            return f"{each.table}.{min(found)}"
    return None
