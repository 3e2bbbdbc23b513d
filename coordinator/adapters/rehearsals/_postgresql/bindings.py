"""Which column each parameter of a query stands for: hints, from the planner and from the text.

The planner names the columns that parameters are compared with (`(orders.id = $1)` in the conditions of a
generic plan). It does not name those that are written by UPDATE or by several rows of VALUES, so these are
read from the text, by commas and parentheses. A hint that is wrong or missing costs coverage and no truth:
whatever is chosen is tried before it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_HIDDEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_QUALIFIED = rf"{_NAME}(?:\s*\.\s*{_NAME})?"
_INSERT: Final = re.compile(rf"\bINSERT\s+INTO\s+(?P<table>{_QUALIFIED})(?:\s+AS\s+{_NAME})?", re.IGNORECASE)
_UPDATE: Final = re.compile(
    rf"\bUPDATE\s+(?:ONLY\s+)?(?P<table>{_QUALIFIED})(?:\s+(?:AS\s+)?(?!SET\b){_NAME})?\s+SET\b",
    re.IGNORECASE,
)
_CONFLICT: Final = re.compile(r"\bDO\s+UPDATE\s+SET\b", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"\s*(?P<column>{_NAME})\s*=(?P<value>.*)", re.DOTALL)
_MOST_PARAMETERS: Final = 65_535
_PARAMETER: Final = re.compile(r"\$(\d{1,9})")
_COLUMN: Final = re.compile(rf"({_NAME})\.({_NAME})")
_ENDS: Final = re.compile(r"\b(?:FROM|WHERE|RETURNING|ON|UNION|ORDER|LIMIT)\b", re.IGNORECASE)
_QUERY: Final = re.compile(r"\(\s*(?:SELECT|WITH)\b", re.IGNORECASE)
_LIMIT: Final = re.compile(
    r"\b(?:LIMIT|FETCH\s+(?:FIRST|NEXT))\s+\(?\s*(?:CAST\s*\(\s*)?\$(\d+)", re.IGNORECASE
)
_LAST_LIMIT: Final = re.compile(r"\bLIMIT\s+(?:(?P<number>\d{1,9})|\$\d+)\s*;?\s*\Z", re.IGNORECASE)
_ROWS_OF_A_LIMIT: Final = 10
_OFFSET: Final = re.compile(r"\bOFFSET\s+\(?\s*(?:CAST\s*\(\s*)?\$(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Binding:
    """The column that a parameter stands for; `table` as the query or the planner writes it."""

    table: str
    column: str
    is_written: bool


def highest_parameter(text: str) -> int:
    """Return how many parameters a text has, of those that the protocol can carry."""
    numbers = (int(number) for number in _PARAMETER.findall(_HIDDEN.sub(" ", text)))
    return max((number for number in numbers if number <= _MOST_PARAMETERS), default=0)


def limits(text: str) -> Mapping[int, str]:
    """Return values for the parameters of LIMIT and OFFSET."""
    shown = _HIDDEN.sub(" ", text)
    return {int(n): "0" for n in _OFFSET.findall(shown)} | {
        int(n): str(_ROWS_OF_A_LIMIT) for n in _LIMIT.findall(shown)
    }


def last_limit(text: str) -> int | None:
    """Return how many rows a LIMIT that ends a text lets through; None where none ends it."""
    found = _LAST_LIMIT.search(_HIDDEN.sub(" ", text))
    return None if found is None else int(found["number"] or _ROWS_OF_A_LIMIT)


def inserted_tables(text: str) -> set[str]:
    """Return the names of the tables that a text inserts into, as it writes them."""
    return {match["table"] for match in _INSERT.finditer(_HIDDEN.sub(" ", text))}


def compared(plan: Mapping[str, Any]) -> dict[int, Binding]:
    """Return the columns that parameters are compared with, from EXPLAIN (VERBOSE, FORMAT JSON)."""
    nodes = list(_nodes(plan))
    relations = {
        node["Alias"]: f"{_quoted(node['Schema'])}.{_quoted(node['Relation Name'])}"
        for node in nodes
        if "Relation Name" in node and "Alias" in node and "Schema" in node
    }
    found: dict[int, Binding] = {}
    for node in nodes:
        for key, condition in node.items():
            if isinstance(condition, str) and key.endswith(("Cond", "Filter")):
                _read_condition(condition, relations, found)
    return found


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _read_condition(condition: str, relations: Mapping[str, str], found: dict[int, Binding]) -> None:
    for clause in re.split(r" AND | OR ", condition):
        columns = [
            Binding(relations[_bare(alias)], _bare(column), is_written=False)
            for alias, column in _COLUMN.findall(clause)
            if _bare(alias) in relations
        ]
        for number in _PARAMETER.findall(clause) if columns else ():
            found.setdefault(int(number), columns[0])


def written(text: str, columns_of: Mapping[str, tuple[str, ...]]) -> dict[int, Binding]:
    """Return the columns that parameters are written to; `columns_of` a table are its columns in order."""
    shown = _HIDDEN.sub(" ", text)
    found: dict[int, Binding] = {}
    table = ""
    for insert in _INSERT.finditer(shown):
        table = insert["table"]
        _read_insert(shown[insert.end() :], table, columns_of.get(table, ()), found)
    for update in _UPDATE.finditer(shown):
        if update["table"].upper() != "SET":
            table = update["table"]
            _read_assignments(shown[update.end() :], table, found)
    for conflict in _CONFLICT.finditer(shown):
        _read_assignments(shown[conflict.end() :], table, found)
    return found


def _read_insert(rest: str, table: str, all_columns: tuple[str, ...], found: dict[int, Binding]) -> None:
    columns = all_columns
    if rest.lstrip().startswith("("):
        items, rest = _items(rest.lstrip()[1:])
        columns = tuple(_bare(item.strip()) for item in items)
    keyword = re.match(r"\s*(?:OVERRIDING\s+\w+\s+VALUE\s+)?(VALUES|SELECT)\b", rest, re.IGNORECASE)
    if keyword is None:
        return
    rest = rest[keyword.end() :]
    if keyword[1].upper() == "SELECT":
        _bind(columns, _items(rest)[0], table, found)
        return
    while rest.lstrip().startswith("("):
        items, rest = _items(rest.lstrip()[1:])
        _bind(columns, items, table, found)
        rest = rest.lstrip().removeprefix(",")


def _read_assignments(rest: str, table: str, found: dict[int, Binding]) -> None:
    for item in _items(rest)[0]:
        if assigned := _ASSIGNED.fullmatch(item):
            _bind((_bare(assigned["column"]),), [assigned["value"]], table, found)


def _bind(columns: tuple[str, ...], items: list[str], table: str, found: dict[int, Binding]) -> None:
    for column, item in zip(columns, items, strict=False):
        for number in _PARAMETER.findall(_without_queries(item)):
            found.setdefault(int(number), Binding(table, column, is_written=True))


def _without_queries(item: str) -> str:
    """Return an item without the queries in it: what they look for belongs to tables of their own."""
    query = _QUERY.search(item)
    if query is None:
        return item
    inside, depth, end = item[query.start() :], 0, len(item)
    for place, letter in enumerate(inside):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            end = query.start() + place + 1
            break
    return item[: query.start()] + _without_queries(item[end:])


def _items(text: str) -> tuple[list[str], str]:
    """Return what stands between commas up to the closing parenthesis or the next clause, and the rest."""
    items: list[str] = []
    depth = start = 0
    ends = {match.start() for match in _ENDS.finditer(text)}
    for place, letter in enumerate(text):
        if depth == 0 and (letter == ")" or place in ends):
            return [*items, text[start:place]], text[place + (letter == ")") :]
        if depth == 0 and letter == ",":
            items.append(text[start:place])
            start = place + 1
        depth += (letter in "([") - (letter in ")]")
    return [*items, text[start:]], ""


def _bare(name: str) -> str:
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return name.lower()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
