"""Columns to whose rows a migration gives other values, and tables of which it takes rows away. Pure.

Results tell of an UPDATE or a DELETE only where it met a sample row that the query meets as well. So who
reads what it is about is told; who only writes it is not. Nor is it told of a column that the release makes:
live does not know it, and to the next version it is what the migration says. One that gets back in all rows
what it had is no other one: `RENAME a TO old_a; ADD a bigint; UPDATE t SET a = old_a`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import bare, called, words_of
from coordinator.rehearse.recomputed import ALL, Concerns, Recomputed
from coordinator.rehearse.renewed import changed_columns
from coordinator.rehearse.written import assigned_by, set_by, targets_of
from coordinator.sql import split_statements

CHANGED: Final = "changes `{table}.{column}` in rows that are there"
_RENAMES: Final = re.compile(r"\bRENAME\s+(?:COLUMN\s+)?[`\"]?(\w+)[`\"]?\s+TO\s+[`\"]?(\w+)", re.IGNORECASE)
_TAKES_AWAY: Final = re.compile(
    r"\bDELETE\s+(?!(?:CASCADE|ON|OR|OF|RESTRICT|SET)\b)[\w\"`]|\bTHEN\s+DELETE\b|\bTRUNCATE\s+[\w\"`]"
    r"|\bREPLACE\s+INTO\b|\bUPDATE\s+OR\s+REPLACE\b|\bREPLACE\s+[\w`.]+\s*(?:VALUES?\b|SET\b|SELECT\b|\()",
    re.IGNORECASE,
)
"""How statements take rows away; `CREATE OR REPLACE` and `ON DELETE CASCADE` do not."""
_ADDS: Final = re.compile(
    r"\b(?:INSERT|REPLACE)\s+(?:\w+\s+)*?INTO\b|\bTHEN\s+INSERT\b"
    r"|\b(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?[\w`.]+\s*(?:VALUES?\b|SET\b|SELECT\b|\()",
    re.IGNORECASE,
)
NEW: Final = "+"
"""In the place of a column's name: rows that come, which are told to nobody, and set triggers off."""
_OF_ROWS: Final = frozenset({ALL, NEW})
_UPSERTS: Final = frozenset({"CONFLICT", "DUPLICATE"})
CALL: Final = "()"
"""In the place of a column's name, where a function's stands in that of a table."""
_MAKES: Final = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+\s+)?(?:FUNCTION|PROCEDURE)\s+"
    r"(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>[\w\"`.]+)",
    re.IGNORECASE,
)
_CALLS: Final = re.compile(r"(?P<name>[\w\"`.]+)\s*\(|\bCALL\s+(?P<procedure>[\w\"`.]+)", re.IGNORECASE)
_CHANGES: Final = frozenset({"DELETE", "INSERT", "MERGE", "REPLACE", "TRUNCATE", "UPDATE", "WITH"}) | {
    *("ANALYZE", "DO", "EXECUTE", "EXPLAIN", "PREPARE", "SET"),
    *("BEGIN", "CASE", "DECLARE", "FOR", "IF", "LOOP", "REPEAT", "WHILE"),
}
"""What begins a statement that may change rows, also in a block of MariaDB or a text that it has prepared."""
_OF_SESSION: Final = re.compile(r"\s*SET\s+(?=@)", re.IGNORECASE)
"""What begins a statement that gives a variable of MySQL a value, which may be a text that it prepares."""
_RUNS: Final = _CHANGES | {"CALL", "REFRESH", "SELECT", "VALUES"}
"""What begins a statement that runs what it calls."""
_IS_RUN_FOR: Final = frozenset({"INDEX", "MATERIALIZED", "TABLE"})
"""What is made or altered of what a function returns, by `AS SELECT`, `USING` or a default."""
_MADE: Final = _IS_RUN_FOR | {"EVENT", "FUNCTION", "POLICY", "PROCEDURE", "RULE", "TRIGGER", "VIEW"}
_DELETED: Final = "takes rows of `{table}` away"


def changed_by_writes(
    statements: Sequence[StatementEvidence], release: Sequence[StatementEvidence]
) -> Iterator[Recomputed]:
    """Yield the columns that a migration of a release changes, and the tables of which it deletes rows."""
    renewed = changed_columns(release)  # a table that is made anew had its columns before
    made = {(bare(table), column) for (table, column), [(first, _), *_] in renewed.items() if first is None}
    names = (pair for each in release for pair in _RENAMES.findall(each.statement.text))
    kept = {new.lower(): old.lower() for old, new in names}
    functions = _made_by(each.statement.text for each in release)
    for each in statements:
        text = each.statement.text
        found = {
            (table, column)
            for column in _changed_by(text) - _given_back(text, kept)
            for table in targets_of(text)
        }
        calls = _calls_in(text)
        for body in called(" ".join(calls), functions):
            found |= changed_in(body)
            calls |= _named_as_calls(body)
        yield from (changed(table, column) for table, column in sorted(found - made))
        yield from (Recomputed(name, CALL, concerns=Concerns.READING) for name in sorted(calls))


def changed(table: str, column: str) -> Recomputed:
    """Return what is told of a column that is changed in rows that are there, or of ALL, or of NEW."""
    return Recomputed(table, column, CHANGED if column else _DELETED, Concerns.READING)


def _made_by(texts: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return the functions and procedures that a release makes, which may be gone again at its end."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        if (made := _MAKES.match(text)) is not None:
            found[bare(made["name"])].append(text)
    return found


def _calls_in(text: str) -> frozenset[str]:
    """Return the names that a statement which is run calls; the engine's own functions are among them."""
    is_run = any(_is_run(one.words) for one in split_statements(text))
    return _named_as_calls(text) if is_run else frozenset()


def _is_run(words: Sequence[str]) -> bool:
    first = words[0] if words else ""
    if first in {"ALTER", "CREATE"}:
        return next((each for each in words if each in _MADE), "") in _IS_RUN_FOR
    return first in _RUNS


def _named_as_calls(text: str) -> frozenset[str]:
    return frozenset(bare(each["name"] or each["procedure"]) for each in _CALLS.finditer(text))


def changed_in(text: str) -> set[tuple[str, str]]:
    """Return what the statements inside of a function or trigger do to rows: columns, ALL, NEW."""
    return {(table, column) for table in targets_of(text) for column in _done_in(text)}


def _done_in(text: str) -> set[str]:
    text = _OF_SESSION.sub("", text, count=1)
    done = {ALL: _TAKES_AWAY, NEW: _ADDS}
    return {*assigned_by(text), *(name for name, words in done.items() if words.search(text))}


def _given_back(text: str, kept: Mapping[str, str]) -> set[str]:
    """Return the columns that get in all rows what has stood there, by the names that it is `kept` under."""
    if "where" in words_of(text):
        return set()
    return {column for column, value in set_by(text).items() if kept.get(bare(value.strip())) == column}


def _changed_by(text: str) -> set[str]:
    """Return what a statement does to rows: the columns that it changes in those that are there, ALL, NEW."""
    match [one.words for one in split_statements(text)]:
        case [["UPDATE", "OR", "REPLACE", *_]]:
            return {*set_by(text), ALL}
        case [["UPDATE", *_]]:
            return {*set_by(text)}
        case [["INSERT", *words]] if _UPSERTS.isdisjoint(words):
            return _done_in(text) & _OF_ROWS
        case [] | [[]] if "CREATE" not in text.upper():  # MySQL runs what stands in such a comment
            return _done_in(text)
        case [[first, *_]] if first in _CHANGES:
            return _done_in(text)
        case _:
            return set()
