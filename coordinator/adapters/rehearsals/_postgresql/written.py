"""What the planner says that an INSERT, UPDATE, DELETE or MERGE writes and reads, on empty tables as well.

Asked after the statement has run, when nothing can refuse it any more, and with the ways to read a whole
table made dear: what is still read from end to end then has no index that could make it shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import psycopg

_SCANS: Final = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Range Scan"})
_CONDITIONS: Final = ("Index Cond", "Recheck Cond", "TID Cond")


_DEAR: Final = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
_READ: Final = "SELECT " + ", ".join(f"pg_catalog.current_setting('{name}')" for name in _DEAR)

Table = tuple[str, str]
"""Schema and name, as the catalogue has them, without quotes."""


def planned(
    connection: psycopg.Connection[tuple[object, ...]], text: str
) -> tuple[frozenset[Table], frozenset[Table]]:
    """Return the tables that a statement writes and those that it reads from end to end.

    It runs in the statement's own transaction. Raises: psycopg.Error, and the transaction is then aborted.
    """
    [before] = connection.execute(_READ).fetchall()
    connection.execute(_set("off" for _ in _DEAR))
    [[plans]] = connection.execute(f"EXPLAIN (FORMAT JSON, VERBOSE) {text}").fetchall()
    connection.execute(_set(map(str, before)))
    assert isinstance(plans, list), "EXPLAIN (FORMAT JSON) answers with a list"
    roots = [plan["Plan"] for plan in plans if "Plan" in plan]
    return (
        frozenset(name for root in roots for name in _written(root)),
        frozenset(name for root in roots for name in _read_whole(root)),
    )


def _set(values: Iterable[str]) -> str:
    return ";".join(f"SET LOCAL {name} = {value}" for name, value in zip(_DEAR, values, strict=True))


def _written(root: dict[str, Any]) -> Iterator[Table]:
    for node in _nodes(root):
        if node["Node Type"] == "ModifyTable":
            tables = (node, *node.get("Target Tables", ()))
            yield from (_name_of(table) for table in tables if "Relation Name" in table)


def _read_whole(root: dict[str, Any]) -> Iterator[Table]:
    nodes = tuple(_nodes(root))
    if any(node["Node Type"] == "Limit" for node in nodes):
        return  # a batch: it stops when it has enough
    for node in nodes:
        conditions = " ".join(str(node[name]) for name in _CONDITIONS if name in node)
        is_whole = not conditions or " IS NULL" in conditions
        if node["Node Type"] in _SCANS and is_whole and "Relation Name" in node:
            yield _name_of(node)


def _nodes(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield root
    for below in root.get("Plans", ()):
        yield from _nodes(below)


def _name_of(node: dict[str, Any]) -> Table:
    return node["Schema"], node["Relation Name"]
