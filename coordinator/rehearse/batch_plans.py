"""How the engine finds the rows of a batch: by the key's index, or by reading a table from end to end.

The second makes a backfill cost the square of the table. A planner reads a table of a few sample rows whole,
whatever indexes it has; so the question is which tables it must read whole, because no index can serve. What
it makes of an index that can is a matter of the live server's statistics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from coordinator.backfills.keys import key_of, quote
from coordinator.backfills.pace import FIRST
from coordinator.errors import DatabaseError
from coordinator.evidence import Hazard
from coordinator.model import BackfillSpec, Engine
from coordinator.ports.databases import Batch, Session
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rules import Context

BatchScan = tuple[str, str]
"""A backfill's name, and a table of which no index serves each of its batches."""
_INDEX_SCANS: Final = ("Index Scan", "Index Only Scan")
_WHOLE: Final = ("ALL", "index")
"""How MySQL and MariaDB call the reading of all rows, or of all entries of an index."""
_OWN: Final = (
    "The work grows with the square of the table. Keep `{range}` a condition of its own, joined by AND."
)
_OTHER: Final = "A thousand batches read it a thousand times. Index what the statement looks up in it first."
_UNWANTED: Final = ("enable_seqscan", "enable_sort")
"""What a planner of PostgreSQL then does only where there is no other way."""
_SQLITE_SCAN: Final = re.compile(r"(?:SCAN (\S+)|SEARCH (\S+)(?: USING AUTOMATIC .*)?$)")
"""What EXPLAIN QUERY PLAN says of a table that is read whole; of some, for one max() over it, SEARCH alone.

An automatic index is built anew, from all rows, by each statement.
"""


def batch_scans(copy: RehearsalDatabase, spec: BackfillSpec) -> tuple[BatchScan, ...]:
    """Return the tables that every batch reads from end to end; none where no row is there to ask with.

    Of a program, whose statements nobody knows, the choice of its rows alone is asked about. The copy keeps
    the settings that the question needs, and is to be thrown away.
    """
    with copy.session() as session:
        target = session.target(None)
        if target.engine is Engine.POSTGRESQL:
            name = quote(target.database, target.engine)
            unwanted = (f"ALTER DATABASE {name} SET {each} = off" for each in _UNWANTED)
            session.execute(Batch(tuple(unwanted), transaction=True))
    with copy.session() as session:  # a setting of the database reaches new sessions only
        key = key_of(session, spec)
        first, last = key.nth_after(None, 1, session), key.last_after(None, session)
        if first is None or last is None:
            return ()
        between = key.between(None if first == last[0] else first, last[0])
        work = [] if spec.sql is None else [spec.statement(between)]
        try:
            found = [*_READ_WHOLE[key.engine](session, key.choice(first, FIRST), work)]
        except DatabaseError:  # a statement that the engine runs and does not explain
            return ()
    return tuple((spec.name, table) for table in dict.fromkeys(found))


def _on_postgresql(session: Session, choice: str, work: Sequence[str]) -> Iterator[str]:
    choosing = _nodes_of(session, choice)
    working = [node for text in work for node in _nodes_of(session, text)]
    is_sorted = any(node["Node Type"] == "Sort" for node in choosing)  # all that lies behind the cursor
    for node in (*choosing, *working):
        is_whole = node["Node Type"] == "Seq Scan" or (
            node["Node Type"] in _INDEX_SCANS and "Index Cond" not in node
        )
        if "Relation Name" in node and (is_whole or (is_sorted and node in choosing)):
            yield f"{node['Schema']}.{node['Relation Name']}"


def _nodes_of(session: Session, text: str) -> tuple[Mapping[str, object], ...]:
    [[plans]] = session.query(f"EXPLAIN (FORMAT JSON, VERBOSE) {text}")
    assert isinstance(plans, list), "EXPLAIN (FORMAT JSON) answers with a list"
    return tuple(nodes_below(plans[0]["Plan"]))


def nodes_below(node: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield a node of a plan of PostgreSQL, and all of which it is made."""
    yield node
    parts = node.get("Plans", [])
    assert isinstance(parts, list), "the parts of a plan are a list"
    for each in parts:
        yield from nodes_below(each)


def _on_sqlite(session: Session, choice: str, work: Sequence[str]) -> Iterator[str]:
    tables = {str(name) for (name,) in session.query("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for *_, detail in (
        row for text in (choice, *work) for row in session.query(f"EXPLAIN QUERY PLAN {text}")
    ):
        found = _SQLITE_SCAN.match(str(detail))
        if found:
            name = str(found[1] or found[2])
            if name in tables:  # not a subquery, nor an alias, of which nobody says what it is
                yield f"main.{name}"


def _on_mariadb(session: Session, choice: str, work: Sequence[str]) -> Iterator[str]:
    for text in (choice, *work):
        for _, _, table, kind, possible, *_ in session.query(f"EXPLAIN {text}"):
            if kind in _WHOLE and possible is None and table is not None:
                yield str(table)


def _on_mysql(session: Session, choice: str, work: Sequence[str]) -> Iterator[str]:
    for text in (choice, *work):
        for _, _, table, _, kind, possible, *_ in session.query(f"EXPLAIN FORMAT=TRADITIONAL {text}"):
            if kind in _WHOLE and possible is None and table is not None:
                yield str(table)


_READ_WHOLE: Final[Mapping[Engine, Callable[[Session, str, Sequence[str]], Iterator[str]]]] = {
    Engine.POSTGRESQL: _on_postgresql,
    Engine.SQLITE: _on_sqlite,
    Engine.MARIADB: _on_mariadb,
    Engine.MYSQL: _on_mysql,
}
"""How each engine says which tables are read from end to end, where it can be no other way."""


def hazards_of_batches(
    scans: Sequence[BatchScan], backfills: Sequence[BackfillSpec], sizes: Mapping[str, int] | None
) -> Iterator[Hazard]:
    """Yield a hazard for each table that is not known to be small."""
    context = Context(statements=(), sizes=sizes)
    for name, table in scans:
        spec = next(each for each in backfills if each.name == name)
        if not context.is_large(table):
            continue
        is_own = table.rpartition(".")[2] == spec.table.rpartition(".")[2]
        size = context.told_size(table)
        yield Hazard(
            code="batch-scans-table",
            place=spec.place,
            migration=f"backfill {name}",
            what=f"Each batch of backfill `{name}` reads all of {table}{size}, for want of an index.",
            why=_OWN if is_own else _OTHER,
        )
