"""What can be seen of a PostgreSQL database between two statements, and the difference of two such sights.

Locks are those that this transaction holds; AccessShareLock is left out, because every read takes one and
it stops nobody. Scans and writes are the session's own counters. They count a scan of an empty table as well,
and none where the engine skips the scan because a constraint proves its answer. What they held before a
transaction began they may lose between two transactions, so sights of one transaction are compared, and
others are a hint. An empty table gets no row written: a write is also asked of the planner (written.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.catalogue import QUERY, WRITING, Thing, things_from
from coordinator.adapters.rehearsals._postgresql.written import Table
from coordinator.evidence import Change, Lock
from coordinator.sql import literal

_RELATIONS: Final = """
SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname, c.relkind::text,
    pg_catalog.pg_relation_filenode(c.oid), pg_catalog.pg_stat_get_xact_numscans(c.oid),
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
    + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid), i.indrelid
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN (
    'r', 'p', 'm', 'v', 'f', 'i', 'I', 'S')
"""
_LOCKS: Final = """
SELECT relation, mode FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND granted
AND pid = pg_catalog.pg_backend_pid() AND mode <> 'AccessShareLock'
AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""
_CATALOGUE_WRITES: Final = """
SELECT pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(oid)
    + pg_catalog.pg_stat_get_xact_tuples_updated(oid) + pg_catalog.pg_stat_get_xact_tuples_deleted(oid))
FROM pg_catalog.pg_class WHERE relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND relkind = 'r'
"""
_READ_SETTINGS: Final = "SELECT " + ", ".join(f"pg_catalog.current_setting('{name}')" for name in WRITING)
_LOOK: Final = f"{_RELATIONS};{_LOCKS};{_CATALOGUE_WRITES};{_READ_SETTINGS}"

_TABLES: Final = frozenset("rpm")
_SEQUENCE: Final = "S"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, index, view or sequence; `scans` and `writes` are counts of the transaction so far."""

    name: str
    table: Table
    kind: str
    file: int | None
    scans: int = 0
    writes: int = 0
    owner: int | None = None
    """The table of an index."""

    @property
    def is_table(self) -> bool:
        """It holds rows of its own: a table, a partitioned one or a materialized view."""
        return self.kind in _TABLES


@dataclass(frozen=True, slots=True)
class Sight:
    """A database at one moment, by the oids of its relations."""

    relations: Mapping[int, Relation] = field(default_factory=dict)
    locks: frozenset[tuple[int, str]] = frozenset()
    catalogue_writes: int | None = None
    """Rows of the catalogue that the transaction has written; None: nothing is, and nobody counted."""
    things: Mapping[Thing, str] = field(default_factory=dict)

    def at_begin(self) -> Sight:
        """Return the same at the begin of a transaction, which holds no lock and has written nothing."""
        return Sight(self.relations, things=self.things)


@dataclass(frozen=True, slots=True)
class Difference:
    """What happened between two sights; names are those of before, where there was one."""

    locks: tuple[Lock, ...] = ()
    rewritten: tuple[str, ...] = ()
    scanned: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


def look(connection: psycopg.Connection[tuple[object, ...]], last: Sight | None) -> Sight:
    """Look, inside or outside of a transaction; the catalogue is read only if it was written since `last`.

    Raises: psycopg.Error; a transaction is then aborted.
    """
    cursor = connection.execute(_LOOK)
    relations = dict(_relation(row) for row in cursor.fetchall())
    cursor.nextset()
    locks = frozenset((int(str(oid)), str(mode)) for oid, mode in cursor.fetchall())
    cursor.nextset()
    [[written]] = cursor.fetchall()
    cursor.nextset()
    [settings] = cursor.fetchall()
    writes = _number(written) or 0
    if last is not None and last.catalogue_writes in (None, writes) and _in_transaction(connection):
        return Sight(relations, locks, writes, last.things)
    rows = connection.execute(QUERY).fetchall()
    if _in_transaction(connection):
        restored = (
            f"pg_catalog.set_config('{name}', {literal(str(value))}, true)"
            for name, value in zip(WRITING, settings, strict=True)
        )
        connection.execute("SELECT " + ", ".join(restored))
    return Sight(relations, locks, writes, things_from(rows))


@lru_cache(maxsize=16_384)
def _relation(row: tuple[object, ...]) -> tuple[int, Relation]:
    """Return a relation by its oid; nearly all rows of a look are those of the look before."""
    oid, name, schema, bare, kind, file, scans, writes, owner = row
    table = (str(schema), str(bare))
    return int(str(oid)), Relation(
        *(str(name), table, str(kind), _number(file)),
        *(_number(scans) or 0, _number(writes) or 0, _number(owner)),
    )


def names_of(tables: Iterable[Table], sight: Sight, *, old: frozenset[int]) -> frozenset[str]:
    """Return the names of those `tables` that the migration found there."""
    wanted = set(tables)
    return frozenset(
        sight.relations[oid].name
        for oid in old
        if oid in sight.relations and sight.relations[oid].table in wanted
    )


def compare(before: Sight, after: Sight, *, old: frozenset[int]) -> Difference:
    """Return what happened; `old` are the relations that the migration found there."""
    return Difference(
        locks=tuple(_locks(before, after, old)),
        rewritten=tuple(sorted(_rewritten(before, after, old))),
        scanned=tuple(sorted(_counted(before, after, old, count_of=lambda each: each.scans))),
        written=tuple(sorted(_counted(before, after, old, count_of=lambda each: each.writes))),
        changes=tuple(_changes(before.things, after.things)),
    )


def _locks(before: Sight, after: Sight, old: frozenset[int]) -> Iterator[Lock]:
    """Yield the new locks; one on an index only where the table is not locked in the same way."""
    known = {**after.relations, **before.relations}
    for oid, mode in sorted(after.locks - before.locks):
        if oid in known and (known[oid].owner, mode) not in after.locks:
            yield Lock(known[oid].name, mode, is_new=oid not in old)


def _rewritten(before: Sight, after: Sight, old: frozenset[int]) -> Iterator[str]:
    """Yield what has a new file; an index only where its table keeps the old one."""
    changed = {
        oid
        for oid in old & before.relations.keys() & after.relations.keys()
        if before.relations[oid].file != after.relations[oid].file and before.relations[oid].kind != _SEQUENCE
    }
    yield from (before.relations[oid].name for oid in changed if before.relations[oid].owner not in changed)


def _counted(
    before: Sight, after: Sight, old: frozenset[int], *, count_of: Callable[[Relation], int]
) -> Iterator[str]:
    for oid in old & before.relations.keys() & after.relations.keys():
        was, now = before.relations[oid], after.relations[oid]
        if now.is_table and count_of(now) > count_of(was):
            yield was.name


def _changes(before: Mapping[Thing, str], after: Mapping[Thing, str]) -> Iterator[Change]:
    for thing in sorted({each for each, _ in before.items() ^ after.items()}, key=str):
        kind, relation, name = thing
        yield Change(kind, relation, name, before.get(thing), after.get(thing))


def _in_transaction(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    return connection.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))
