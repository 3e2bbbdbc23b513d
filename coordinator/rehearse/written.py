"""What a text says that it writes: tables, columns, and the columns that get a literal. Pure.

Read by words, for three engines: a word too many costs a proof and no truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from coordinator.rehearse.catalogued import bare, words_of
from coordinator.sql import split_statements, tokens

_SET = re.compile(
    r"\b(?:SET|KEY UPDATE)\b(?P<set>.*?)(?:\bWHERE\b|\bFROM\b|\bRETURNING\b|;?\s*$)",
    re.IGNORECASE | re.DOTALL,
)
_INTO = re.compile(
    r"\b(?:INTO\s+(?:[^\s(]+)(?:\s+AS\s+\w+)?|THEN\s+INSERT)\s*\((?P<columns>[^)]*)\)", re.IGNORECASE
)
_ROWS = re.compile(r"\b(?:INSERT|REPLACE)\b", re.IGNORECASE)
_TARGETS = re.compile(
    r"\b(?:INTO|DELETE\s+FROM)\s+(?:ONLY\s+)?(?P<one>[^\s(]+)|\bUPDATE\b(?P<some>.*?)\bSET\b",
    re.IGNORECASE | re.DOTALL,
)
"""A text may write several tables: MySQL's UPDATE of a join, PostgreSQL's WITH."""
_VALUES = re.compile(r"\bVALUES\s*\((?P<values>.*)\)\s*(?:\bRETURNING\b.*)?;?\s*$", re.IGNORECASE | re.DOTALL)
_LITERAL: Final = r"(?:'(?:[^'\\]|'')*'(?:\s*::\s*\w+)?|-?\d+(?:\.\d+)?|TRUE|FALSE|NULL)"
_IS_LITERAL = re.compile(rf"\s*{_LITERAL}\s*", re.IGNORECASE)
_COALESCE = re.compile(r"\s*(?:COALESCE|IFNULL)\s*\((?P<arguments>.*)\)\s*", re.IGNORECASE | re.DOTALL)
_SETS_LITERAL = re.compile(
    rf"\s*(?:\w+\s*\.\s*)?[\"`]?(?P<column>\w+)[\"`]?\s*=\s*(?P<value>{_LITERAL})\s*", re.IGNORECASE
)
_SETS_PARAMETER = re.compile(
    r"\s*(?:\w+\s*\.\s*)?[\"`]?(?P<column>\w+)[\"`]?\s*=\s*(?:\$\d+|\?\d*|[:@]\w+|%s)(?:::\s*\w+)?\s*",
    re.IGNORECASE,
)
_OTHER_ROWS: Final = frozenset({"CONFLICT", "DUPLICATE", "SELECT", "SET"})
"""Words of an INSERT that writes more than its VALUES."""
_MANY: Final = 4_096
"""Texts of a release's queries, each of which is read at every state."""


@lru_cache(maxsize=_MANY)
def targets_of(text: str) -> frozenset[str]:
    """Return the words among which the tables are that a text says it writes."""
    found = frozenset[str]()
    for each in _TARGETS.finditer(text):
        found |= frozenset({bare(each["one"])}) if each["one"] else words_of(each["some"])
    return found


@lru_cache(maxsize=_MANY)
def columns_by(text: str) -> frozenset[str] | None:
    """Return the words among which the written columns are; None if it may be any column."""
    found = [each["columns"] for each in _INTO.finditer(text)]
    if len(found) < len(_ROWS.findall(text)):
        return None
    return words_of(" ".join([*found, *(each["set"] for each in _SET.finditer(text))]))


@lru_cache(maxsize=_MANY)
def literals_by(text: str) -> frozenset[str]:
    """Return the columns that have the same value in each row that a text writes, whoever sends it."""
    return frozenset(literal_values(text))


@lru_cache(maxsize=_MANY)
def literal_values(text: str) -> Mapping[str, str]:
    """Return those columns, each with the value as it stands in the text."""
    statements = split_statements(text)
    words = statements[0].words if len(statements) == 1 else ()
    if words[:1] == ("UPDATE",) and words.count("SET") == 1 and (changed := _SET.search(text)):
        found = (_SETS_LITERAL.fullmatch(each) for each in items_of(changed["set"]))
        return {each["column"].lower(): each["value"] for each in found if each}
    if words[:1] != ("INSERT",) or not _OTHER_ROWS.isdisjoint(words):
        return {}
    into, values = _INTO.search(text), _VALUES.search(text)
    if into is None or values is None:
        return {}
    names, given = list(items_of(into["columns"])), list(items_of(values["values"]))
    pairs = zip(names, given, strict=True) if len(names) == len(given) else ()
    return {bare(name.strip()): value.strip() for name, value in pairs if _IS_LITERAL.fullmatch(value)}


@lru_cache(maxsize=_MANY)
def changed_by(text: str) -> frozenset[str]:
    """Return the words among which the columns are that a text changes in rows that are there."""
    return words_of(" ".join(each["set"] for each in _SET.finditer(text)))


@lru_cache(maxsize=_MANY)
def set_by(text: str) -> Mapping[str, str]:
    """Return the columns that an UPDATE sets, each with what makes its value."""
    statements = split_statements(text)
    is_update = len(statements) == 1 and statements[0].words[:1] == ("UPDATE",)
    changed = _SET.search(text) if is_update else None
    pairs = (each.partition("=") for each in items_of(changed["set"])) if changed else ()
    return {bare(name.strip(" \n\t()")): of for names, _, of in pairs for name in names.split(",")}


@lru_cache(maxsize=_MANY)
def made_by(text: str) -> Mapping[str, frozenset[str]]:
    """Return the columns that an UPDATE sets, each with the words of what makes it NULL, but for literals."""
    needed = {column: _last_resort(column, of) for column, of in set_by(text).items()}
    return {column: words_of(of) for column, of in needed.items() if not _IS_LITERAL.fullmatch(of)}


def _last_resort(column: str, value: str) -> str:
    """Return what must be NULL if a value is: of COALESCE the last argument, its own column or a literal.

    Nothing is told of other last arguments: a parameter had NULL in one set of values, the rest in others.
    """
    whole = _COALESCE.fullmatch(value)
    if whole is None or not _is_balanced(whole["arguments"]):
        return value
    *_, last = items_of(whole["arguments"])
    is_literal = _IS_LITERAL.fullmatch(last) is not None and last.strip().upper() != "NULL"
    is_itself = "." not in last and bare(last.strip()) == column  # `other.b` is another table's
    return last if is_literal or is_itself else value


def _is_balanced(text: str) -> bool:
    """Tell whether no parenthesis is closed that was opened before the text."""
    depth = 0
    for _, start, end, _ in tokens(text):
        depth += (text[start:end] == "(") - (text[start:end] == ")")
        if depth < 0:
            return False
    return True


@lru_cache(maxsize=_MANY)
def sent_by(text: str) -> frozenset[str]:
    """Return the columns of which an UPDATE sets each row to a parameter, and to nothing else."""
    changed = _SET.search(text)
    found = map(_SETS_PARAMETER.fullmatch, items_of(changed["set"])) if changed else ()
    return frozenset(each["column"].lower() for each in found if each)


def items_of(text: str) -> Iterator[str]:
    """Yield what stands between the commas outside of parentheses."""
    depth, begin = 0, 0
    for _, start, end, _ in tokens(text):
        depth += (text[start:end] == "(") - (text[start:end] == ")")
        if text[start:end] == "," and depth == 0:
            yield text[begin:start]
            begin = end
    yield text[begin:]
