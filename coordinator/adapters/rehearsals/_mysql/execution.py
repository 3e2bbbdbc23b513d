"""Layers execute and result: run a text on the sample rows, keep what it saw and wrote, and take it back.

Each text has a connection of its own, so that variables, temporary tables and `last_insert_id()` start anew.
It runs twice: what differs then (numbers of AUTO_INCREMENT, which no rollback gives back; `uuid()`) is not
compared. Nor is what the server's plan decides, which a new index may change: the rows that a LIMIT keeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache, partial
from itertools import pairwise
from typing import Final

from pymysql.connections import Connection

from coordinator.adapters.rehearsals._mysql.beside import tables_beside
from coordinator.adapters.rehearsals._mysql.connection import (
    REFUSALS,
    REFUSED,
    TODAY,
    Row,
    describe,
    fetch,
    objection_from,
    refusal_of,
    run,
    taken_back,
)
from coordinator.adapters.rehearsals._mysql.schema import Schema, Table
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.adapters.rehearsals._scratch.rows import effects_between, sorted_texts, steady
from coordinator.adapters.rehearsals._scratch.sets import run_all
from coordinator.adapters.rehearsals._scratch.tokens import Token, quoted, target_of
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import PRESENT, VOLATILE, Column, Ran, Values

_MOST_ROWS: Final = 1_000
_FEW: Final = 10
"""A LIMIT above this cuts nothing off a few sample rows."""
_WRITES: Final = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE"})
_OF_SERVER: Final = ("information_schema", "performance_schema", "mysql", "sys")
_OF_MOMENT: Final = ("database", "schema", "sysdate", "connection_id", "uuid_short", "version")
"""Functions whose value is the server's or the moment's, and not the query's."""
_OF_ORDER: Final = frozenset(
    {
        "GROUP_CONCAT", "JSON_ARRAYAGG", "JSON_OBJECTAGG", "ANY_VALUE", "FIRST_VALUE", "LAST_VALUE",
        "NTH_VALUE", "ROW_NUMBER", "RANK", "DENSE_RANK", "LAG", "LEAD", "NTILE",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ground:
    """A scratch database's connection, and what of its schema decides whether a text can be taken back."""

    connection: Connection
    schema: Schema

    def table(self, name: str) -> Table | None:
        """Return a table by its name."""
        return next((each for each in self.schema.tables if each.name.lower() == name.lower()), None)

    def behind(self, name: str) -> tuple[Table, ...]:
        """Return the tables that a write to a name may reach: several by a view that joins them."""
        if (table := self.table(name)) is not None:
            return (table,)
        text = next((body for view, body in self.schema.views.items() if view.lower() == name.lower()), "")
        named = dict.fromkeys(token.name for token in tokens_of(text) if token.name is not None)
        found = (each for other in named if other != name.lower() for each in self.behind(other))
        return tuple({each.name: each for each in found}.values())

    def bodies(self) -> Iterator[str]:
        """Yield the texts that run inside others."""
        yield from self.schema.triggers.values()
        yield from self.schema.routines.values()


def execute(ground: Ground, text: str, values: Values) -> Ran | Objection:
    """Run a text with each set of its values, twice, and take it back."""
    return run_all(values, partial(_execute, ground, text))


def _execute(ground: Ground, text: str, values: Values) -> Ran | Objection:
    if (refusal := refusal_of(text) or lasting(ground, text)) is not None:
        return refusal
    try:
        ran = run_once(ground, text, values)
        if isinstance(ran, Objection) or not _is_comparable(ground, text):
            return ran if isinstance(ran, Objection) else Ran((), None)
        again = run_once(ground, text, values)
        settled = ran if isinstance(again, Objection) else steady(ran, again)
        is_left = _is_left_to_the_plan(ground.connection, text, settled)
        return _blank(settled) if is_left else settled
    except REFUSALS as error:
        return objection_from(error)


def run_once(ground: Ground, text: str, values: Values) -> Ran | Objection:
    """Run a text once and take it back. Raises: one of REFUSALS."""
    connection = ground.connection
    name = _target(tokens_of(text))
    targets = () if name is None else ground.behind(name)
    others = [table for each in tables_beside(ground.schema, text, name) if (table := ground.table(each))]
    with taken_back(connection):
        before, before_others = _rows_in(connection, targets), _rows_of(connection, others)
        result = run(connection, text, values, most=_MOST_ROWS)
        after, after_others = _rows_in(connection, targets), _rows_of(connection, others)
    return Ran(
        sorted_texts(result.rows, _text_of),
        len(result.rows)
        if result.columns is not None
        else _touched(text, result.count, after - before if targets else None),
        result.columns or (),
        _written(targets, before, after),
        growth=after.total() - before.total() if targets else None,
        beside=effects_between(before_others, after_others),
    )


# -- what cannot be taken back, or not be compared --------------------------------------------------------


def lasting(ground: Ground, text: str) -> Objection | None:
    """Return why a text would leave something: it may write a table that keeps what is rolled back."""
    keeping = {each.name.lower() for each in ground.schema.tables if not each.is_transactional}
    if not keeping:
        return None
    tokens = tokens_of(text)
    writes = any(token.keyword in _WRITES for token in tokens)
    reached = [text, *ground.schema.views.values(), *ground.bodies()] if writes else list(ground.bodies())
    touched = {token.name for each in reached for token in tokens_of(each)} & keeping
    if not touched:
        return None
    named = ", ".join(f"`{name}`" for name in sorted(map(str, touched)))
    return Objection(
        REFUSED, f"it may write to {named}, whose storage engine keeps what a transaction takes back"
    )


def _is_comparable(ground: Ground, text: str) -> bool:
    """Tell whether what a text sees is its tables' and not the server's or the moment's."""
    return not any(map(_asks_the_server, (text, *ground.bodies(), *ground.schema.views.values())))


@lru_cache(maxsize=4_096)  # the texts of a schema are asked about with each query
def _asks_the_server(text: str) -> bool:
    return any(
        (token.name in _OF_SERVER and after.text == ".") or (token.name in _OF_MOMENT and after.text == "(")
        for token, after in _pairs(tokens_of(text))
    )


def _pairs(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    return pairwise(tokens)


def _is_left_to_the_plan(connection: Connection, text: str, ran: Ran) -> bool:
    """Tell whether the values of a result depend on the order in which the server reads rows."""
    tokens = tokens_of(text)
    words = {token.keyword for token in tokens}
    if words & _OF_ORDER or any(token.kind == "variable" for token in tokens):
        return True
    few = [
        place for place, (token, after) in enumerate(_pairs(tokens)) if _is_limit(token) and _is_few(after)
    ]
    if few and not _lets_all_through(tokens, few, ran):
        return True
    return "GROUP" in words and not _is_fully_grouped(connection, text)


def _is_limit(token: Token) -> bool:
    return token.keyword == "LIMIT"


def _lets_all_through(tokens: Sequence[Token], limits: Sequence[int], ran: Ran) -> bool:
    """Tell whether a query's only LIMIT ends it and is for more rows than came out: it cut nothing off.

    Of a write nobody counts the rows that it found and left as they were.
    """
    last = [token.text for token in tokens[limits[0] + 2 :]]
    is_last = len(limits) == 1 and last in ([], [";"])
    count = ran.count
    return is_last and ran.written is None and count is not None and count < float(tokens[limits[0] + 1].text)


def _is_few(token: Token) -> bool:
    return token.kind == "number" and float(token.text) <= _FEW


def _is_fully_grouped(connection: Connection, text: str) -> bool:
    """Ask whether each column of a grouped result has one value in its group."""
    [[mode]] = fetch(connection, "SELECT @@SESSION.sql_mode")
    try:
        fetch(connection, "SET SESSION sql_mode = %s", (f"{mode},ONLY_FULL_GROUP_BY".strip(","),))
        describe(connection, text)
    except REFUSALS:
        return False
    finally:
        fetch(connection, "SET SESSION sql_mode = %s", (mode,))
    return True


def _blank(ran: Ran) -> Ran:
    rows = tuple((VOLATILE,) * len(row) for row in ran.rows)
    return replace(ran, rows=rows, written=ran.written and _blank(ran.written))


# -- what was written -----------------------------------------------------------------------------------


def _target(tokens: Sequence[Token]) -> str | None:
    """Return the name of the table that a text itself writes to, if it says so."""
    if not any(token.keyword in _WRITES for token in tokens if token.depth == 0):
        return None
    named = tokens_of(target_of(tokens))
    return next((token.name for token in named if token.name is not None), None)


def _rows_in(connection: Connection, tables: Sequence[Table]) -> Counter[Row]:
    """Return the rows of tables, each as a row of all their columns."""
    found: Counter[Row] = Counter()
    width, start = sum(len(each.columns) for each in tables), 0
    for table in tables:
        listed = ", ".join(quoted(column.name) for column in table.columns)
        before, after = (None,) * start, (None,) * (width - start - len(table.columns))
        for row in fetch(connection, f"SELECT {listed} FROM {quoted(table.name)}"):
            found[(*before, *_hashable(row), *after)] += 1
        start += len(table.columns)
    return found


def _touched(text: str, told: int, new: Counter[Row] | None) -> int:
    """Return how many rows a write touched; a versioned table counts otherwise what an INSERT replaces."""
    is_insert = tokens_of(text)[0].keyword in ("INSERT", "REPLACE")
    return told if new is None or not is_insert else new.total()


def _rows_of(connection: Connection, tables: Sequence[Table]) -> dict[str, Counter[Row]]:
    return {each.name: _rows_in(connection, (each,)) for each in tables}


def _hashable(row: Row) -> Row:
    return tuple(_text_of(cell) if isinstance(cell, set | list | dict) else cell for cell in row)


def _written(tables: Sequence[Table], before: Counter[Row], after: Counter[Row]) -> Ran | None:
    """Return the rows of the tables that were not there before."""
    if not tables:
        return None
    columns = tuple(Column(each.name, each.kind) for table in tables for each in table.columns)
    new = list((after - before).elements())
    return Ran(
        sorted_texts(new, _written_text),
        len(new),
        columns,
        only_changed=True,
        table=tables[0].name if len(tables) == 1 else None,
        present=sorted_texts(list(before.elements()), _written_text),
    )


def _written_text(value: object) -> str:
    text = _text_of(value)
    return PRESENT if text.startswith(TODAY) else text


def _text_of(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"  # another scale is no other number
    return f"x'{value.hex()}'" if isinstance(value, bytes) else str(value)
