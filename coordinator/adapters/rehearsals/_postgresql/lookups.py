"""How a query finds its rows: the generic plan that a server makes which reads tables whole unwillingly.

With `enable_seqscan` off a table is read from end to end where no index serves (PostgreSQL's manual, "Planner
Method Configuration"), be it along an index that has no condition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from psycopg.pq import TransactionStatus

from coordinator.adapters.rehearsals._postgresql.asking import Connection, executions
from coordinator.adapters.rehearsals._postgresql.pipeline import Command, Reply, rolled_back
from coordinator.rehearsal_ports import Lookup

_ALONG_INDEX: Final = frozenset({"Index Scan", "Index Only Scan"})
_BY_PLACE: Final = frozenset({"Bitmap Heap Scan", "Tid Scan", "Tid Range Scan"})
_PASS_ON: Final = frozenset({"Append", "LockRows", "Merge Append", "Nested Loop", "Result", "Subquery Scan"})
"""Nodes that need no more rows than they are asked for."""


def look_up(connection: Connection, texts: Sequence[str]) -> list[Lookup | None]:
    """Return how each text finds its rows; None for one that has no plan."""
    with executions(connection, texts) as executed, _unwilling(connection):
        asked = [[Command(f"EXPLAIN (FORMAT JSON, VERBOSE) {each}")] for each in executed if each]
        replies = iter(rolled_back(connection, asked))
        return [_lookup(next(replies)[0]) if each else None for each in executed]


@contextmanager
def _unwilling(connection: Connection) -> Iterator[None]:
    connection.execute("SET enable_seqscan = off")
    try:
        yield
    finally:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            connection.execute("RESET enable_seqscan")


def _lookup(reply: Reply) -> Lookup | None:
    if reply.objection is not None or not reply.rows:
        return None
    return Lookup.of(each for plan in _plans(reply.rows) for each in _scans(plan, stops_early=False))


def _plans(rows: Sequence[tuple[str | None, ...]]) -> Iterator[Mapping[str, Any]]:
    """Yield the root of each plan; a rule makes several of one text, and what has none is a text."""
    for row in rows:
        for each in json.loads(row[0] or "[]"):
            if isinstance(each, dict) and "Plan" in each:
                yield each["Plan"]


def _scans(node: Mapping[str, Any], *, stops_early: bool) -> Iterator[tuple[str, bool]]:
    """Yield each table that is read below a node, and whether all of it is."""
    kind = node["Node Type"]
    if "Relation Name" in node:
        table = f"{node.get('Schema')}.{node['Relation Name']}"
        if kind == "Seq Scan":
            yield table, True
        elif kind in _ALONG_INDEX:
            few = "Index Cond" in node or (stops_early and "Filter" not in node)
            yield table, not few
        elif kind in _BY_PLACE:
            yield table, False
    for part in node.get("Plans", ()):
        is_asked_for_few = kind == "Limit" or (stops_early and kind in _PASS_ON)
        yield from _scans(part, stops_early=is_asked_for_few and part["Parent Relationship"] != "Inner")
