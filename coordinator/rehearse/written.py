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

_SET = re.compile(r"\b(?:SET|KEY\s+UPDATE)\b", re.IGNORECASE)
_ENDS_SET: Final = frozenset({"WHERE", "FROM", "RETURNING", ";"})
_INTO = re.compile(
    r"\b(?:INTO\s+(?:[^\s(]+)(?:\s+AS\s+\w+)?|THEN\s+INSERT)\s*\((?P<columns>[^)]*)\)", re.IGNORECASE
)
_ROWS = re.compile(r"\b(?:INSERT|REPLACE)\b", re.IGNORECASE)
_QUOTABLE: Final = r"(?:\"[^\"]*\"|`[^`]*`|[^\s(;,\"`])+"
_TARGETS = re.compile(
    rf"\b(?:INTO|DELETE\s+FROM)\s+(?:ONLY\s+)?(?P<one>{_QUOTABLE})"
    r"|\bUPDATE\b(?P<some>.*?)\bSET\b|\bTRUNCATE\s(?P<all>[^;]*)"
    r"|\b(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?(?P<bare>[\w`.]+)\s*(?=\(|(?:VALUES?|SET|SELECT)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""A text may write several tables: MySQL's UPDATE of a join, PostgreSQL's WITH. MySQL needs no INTO."""
_DELETES_OF_SOME = re.compile(
    r"\bDELETE\b(?!\s+(?:FROM|ON|OR)\b)(?P<some>.*?)(?:\bWHERE\b|;|$)", re.IGNORECASE | re.DOTALL
)
"""MySQL's of a join (`DELETE a FROM t AS a JOIN s …`), and its `DELETE IGNORE FROM t`."""
_DELETES_USING = re.compile(
    r"\bDELETE\s+FROM\s+(?P<named>[\w`.,\s]+?)\s+USING\b(?P<some>.*?)(?:\bWHERE\b|;|$)",
    re.IGNORECASE | re.DOTALL,
)
"""MySQL's other one of a join (`DELETE FROM a, b USING t AS a JOIN s AS b …`)."""
_ALIASED = re.compile(
    rf"(?:^|\bJOIN\b|,)\s*(?P<one>{_QUOTABLE})\s+(?:AS\s+)?(?P<alias>[\w`]+)", re.IGNORECASE
)
_JOINED = re.compile(rf"(?:\bFROM\b|\bJOIN\b|,)\s*(?P<one>{_QUOTABLE})", re.IGNORECASE)
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
_OF_NEW_ROW = re.compile(r"\bNEW\s*\.\s*(?P<column>[\w\"`]+)\s*:?=", re.IGNORECASE)
_OTHER_ROWS: Final = frozenset({"CONFLICT", "DUPLICATE", "SELECT", "SET"})
"""Words of an INSERT that writes more than its VALUES."""
_MANY: Final = 4_096
"""Texts of a release's queries, each of which is read at every state."""


@lru_cache(maxsize=_MANY)
def targets_of(text: str) -> frozenset[str]:
    """Return the words among which the tables are that a text says it writes."""
    found = frozenset[str]()
    for each in _TARGETS.finditer(text):
        name = each["one"] or each["bare"]
        found |= frozenset({bare(name)}) if name else words_of(each["some"] or each["all"])
    for joined in _DELETES_OF_SOME.finditer(text):
        found |= {bare(each["one"]) for each in _JOINED.finditer(joined["some"])}
    for joined in _DELETES_USING.finditer(text):
        named = {bare(name.strip()) for name in joined["named"].split(",")}
        aliased = _ALIASED.finditer(joined["some"])
        found |= named | {bare(each["one"]) for each in aliased if bare(each["alias"]) in named}
    return found


@lru_cache(maxsize=_MANY)
def columns_by(text: str) -> frozenset[str] | None:
    """Return the words among which the written columns are; None if it may be any column."""
    found = [each["columns"] for each in _INTO.finditer(text)]
    if len(found) < len(_ROWS.findall(text)):
        return None
    return words_of(" ".join([*found, *_sets_of(text)]))


@lru_cache(maxsize=_MANY)
def literals_by(text: str) -> frozenset[str]:
    """Return the columns that have the same value in each row that a text writes, whoever sends it."""
    return frozenset(literal_values(text))


@lru_cache(maxsize=_MANY)
def literal_values(text: str) -> Mapping[str, str]:
    """Return those columns, each with the value as it stands in the text."""
    statements = split_statements(text)
    words = statements[0].words if len(statements) == 1 else ()
    if words[:1] == ("UPDATE",) and words.count("SET") == 1:
        found = (_SETS_LITERAL.fullmatch(each) for set_ in _sets_of(text) for each in items_of(set_))
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
    return words_of(" ".join(_sets_of(text)))


@lru_cache(maxsize=_MANY)
def set_by(text: str) -> Mapping[str, str]:
    """Return the columns that an UPDATE sets, each with what makes its value."""
    statements = split_statements(text)
    is_update = len(statements) == 1 and statements[0].words[:1] == ("UPDATE",)
    pairs = (each.partition("=") for each in items_of(next(_sets_of(text), ""))) if is_update else ()
    targets = targets_of(text) if is_update else frozenset[str]()
    names = ((name, of) for several, _, of in pairs for name in several.split(","))
    return {column: of for name, of in names for column in _columns_of(name, targets)}


@lru_cache(maxsize=_MANY)
def made_by(text: str) -> Mapping[str, frozenset[str]]:
    """Return the columns that an UPDATE sets, each with the words of what makes it NULL, but for literals."""
    needed = {column: _last_resort(column, of) for column, of in set_by(text).items()}
    return {column: words_of(of) for column, of in needed.items() if not _IS_LITERAL.fullmatch(of)}


@lru_cache(maxsize=_MANY)
def assigned_by(text: str) -> frozenset[str]:
    """Return the columns that stand left of a `=`, wherever a text gives a row that is there a value."""
    left = [each.partition("=")[0] for set_ in _sets_of(text) for each in items_of(set_)]
    left += [each["column"] for each in _OF_NEW_ROW.finditer(text)]
    names = (name for several in left for name in several.split(","))
    return frozenset[str]().union(*(_columns_of(name, targets_of(text)) for name in names))


def _columns_of(name: str, targets: frozenset[str]) -> frozenset[str]:
    """Return the column that stands left of a `=`: MySQL has `t.a`, PostgreSQL `a[1]`, and `a.field`."""
    words = words_of(name.partition("[")[0])
    return words - targets if len(words) > 1 else words


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
    found = map(_SETS_PARAMETER.fullmatch, items_of(next(_sets_of(text), "")))
    return frozenset(each["column"].lower() for each in found if each)


def _sets_of(text: str) -> Iterator[str]:
    """Yield what stands behind each SET: as far as the clause goes, whatever its subqueries and texts say."""
    found = _SET.search(text)
    while found is not None:
        depth, end, before = 0, len(text), ""
        for kind, start, until, is_closed in tokens(rest := text[found.end() :]):
            lexeme = rest[start:until].upper()
            depth += (lexeme == "(") - (lexeme == ")")
            is_end = depth == 0 and lexeme in _ENDS_SET and (before, lexeme) != ("DISTINCT", "FROM")
            if is_end or depth < 0 or not is_closed:  # not closed: the SET itself stands in a text
                end = found.end() + start
                break
            before = lexeme if kind == "word" else before
        yield text[found.end() : end]
        found = _SET.search(text, end)


def items_of(text: str) -> Iterator[str]:
    """Yield what stands between the commas outside of parentheses."""
    depth, begin = 0, 0
    for _, start, end, _ in tokens(text):
        depth += (text[start:end] == "(") - (text[start:end] == ")")
        if text[start:end] == "," and depth == 0:
            yield text[begin:start]
            begin = end
    yield text[begin:]
