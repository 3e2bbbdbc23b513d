"""Columns that a migration gives other values along with a type: ALTER … TYPE … USING of PostgreSQL. Pure.

`USING price::integer` writes the value that was there in another way, `USING price * 100` writes another one.
No counter of the engine tells, for the table is written anew in either case. Sample rows may hide it from a
query (`WHERE price > 1000`), and a result of another type is not compared. So who names the column is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from coordinator.sql import SqlStatement, split_statements, tokens

_SILENT: Final = frozenset({"space", "comment", "block"})
_BEFORE_NAME: Final = frozenset({"IF", "EXISTS", "ONLY"})
_TYPE: Final = re.compile(r"[\w\"., ()\[\]]+")
_OPERATES: Final = re.compile(
    r"\b(?:AND|AT|BETWEEN|I?LIKE|IN|IS|ISNULL|NOT|NOTNULL|OPERATOR|OR|OVERLAPS|SIMILAR)\b", re.IGNORECASE
)
"""Words that no type has; what they stand in is no cast alone."""
_ENDS: Final = (
    re.compile(r" AT TIME ZONE ' ?(?:UTC|GMT|Etc/UTC|Z) ?'$", re.IGNORECASE),
    re.compile(r' COLLATE [\w". ]+$', re.IGNORECASE),
)
"""What changes no value, only how it is written or ordered."""


ALL: Final = ""
"""Of a whole row, in the place of a column's name."""
_BY_TYPE: Final = "gives `{table}.{column}` other values along with its type"


class Concerns(Enum):
    """Whom it concerns what a migration does to a column."""

    NAMING = "who names it"
    COMPARING = "who compares by it, or has to be unique in it"
    ORDERING = "who orders by it, or asks what letters are"
    DIVIDING = "who divides, or makes a text of it"
    SPELLING = "who makes a text of it"
    READING = "who reads it"
    WRITING = "who writes it"
    OPERATING = "who has its sign in the text"


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A column, without its table's schema, and a clause that says what a migration does to it."""

    table: str
    column: str
    clause: str = _BY_TYPE
    concerns: Concerns = Concerns.NAMING


def recomputed_by(text: str) -> Iterator[Recomputed]:
    """Yield the columns to which the statements of a text give values that are no cast of the old ones."""
    for statement in split_statements(text):
        if statement.words[:2] == ("ALTER", "TABLE") and "USING" in statement.words:
            yield from _of_statement(statement)


def _of_statement(statement: SqlStatement) -> Iterator[Recomputed]:
    first, *more = _clauses(statement)
    end = next(place for place in range(2, len(first)) if first[place].upper() not in _BEFORE_NAME) + 1
    while first[end : end + 1] == ["."]:
        end += 2
    table = _plain(first[end - 1])
    for clause in (first[end + (first[end : end + 1] == ["*"]) :], *more):
        if (found := _of_clause(clause)) is not None and not _is_cast(found[1], found[0]):
            yield Recomputed(table, found[0])


def _plain(name: str) -> str:
    return name.strip('"').lower()


def _clauses(statement: SqlStatement) -> list[list[str]]:
    """Return what stands between the commas outside of parentheses."""
    found: list[list[str]] = [[]]
    depth = 0
    for kind, start, end, _ in tokens(statement.text, statement.engine):
        lexeme = statement.text[start:end]
        depth += (lexeme in "([") - (lexeme in ")]")
        if lexeme == "," and depth == 0:
            found.append([])
        elif kind not in _SILENT and lexeme != ";":
            found[-1].append(lexeme)
    return found


def _of_clause(clause: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """Return the column and the expression of `ALTER [COLUMN] name [SET DATA] TYPE type USING expression`."""
    words = [each.upper() for each in clause]
    place = 2 if words[1:2] == ["COLUMN"] else 1
    rest = words[place + 1 :]
    rest = rest[2:] if rest[:2] == ["SET", "DATA"] else rest
    if words[:1] != ["ALTER"] or rest[:1] != ["TYPE"] or "USING" not in rest:
        return None
    return _plain(clause[place]), clause[len(words) - len(rest) + rest.index("USING") + 1 :]


def _is_cast(expression: Sequence[str], column: str) -> bool:
    """Tell whether an expression is a column in another type."""
    while True:
        shorter = _inside(expression)
        if shorter is None:
            break
        expression = shorter
    return len(expression) in (1, 3) and _plain(expression[-1]) == column


def _inside(expression: Sequence[str]) -> Sequence[str] | None:
    """Return what is cast or stands in parentheses; None if it is neither."""
    depths = _depths(expression)
    is_enclosed = expression[-1:] == [")"] and 0 not in depths[1:-1]
    if is_enclosed and expression[0] == "(":
        return expression[1:-1]
    is_call = expression[-1:] == [")"] and 0 not in depths[2:-1]
    if is_call and expression[0].upper() == "CAST":
        ends = [at for at, each in enumerate(expression) if each.upper() == "AS" and depths[at] == 1]
        return expression[2 : ends[-1]] if ends else None
    whole = " ".join(expression)
    for end in _ENDS:
        if (found := end.search(whole)) is not None:
            return expression[: whole[: found.start()].count(" ") + 1]
    casts = [
        at
        for at in range(1, len(expression))
        if depths[at] == 0 and expression[at - 1 : at + 1] == [":", ":"]
    ]
    if casts and _is_type(" ".join(expression[casts[-1] + 1 :])):
        return expression[: casts[-1] - 1]
    return None


def _is_type(text: str) -> bool:
    return _TYPE.fullmatch(text) is not None and _OPERATES.search(text) is None


def _depths(expression: Sequence[str]) -> list[int]:
    """Return how deep in parentheses each token stands; these themselves stand outside."""
    found, depth = [], 0
    for each in expression:
        depth -= each == ")"
        found.append(depth)
        depth += each == "("
    return found
