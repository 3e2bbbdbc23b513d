"""Whether a batch of a backfill can read what another one writes; the engine knows what a statement uses.

Batches that are under way at once give what one after the other would, where each reads the rows of its own
range and nothing else: a row that two of them want is waited for, and seen as the first one left it. So it is
asked which tables the planner reads and writes, which functions the statement depends on, and what else the
tables bring in when they are written. Sample rows cannot tell that: two batches must be in each other's way
just there. Whatever is not known to be harmless is a reason to say so. PostgreSQL, where alone a backfill may
have several sessions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from coordinator.backfills.keys import key_of
from coordinator.errors import DatabaseError
from coordinator.model import BackfillSpec, Engine
from coordinator.ports.databases import Batch, Session
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.batch_plans import nodes_below
from coordinator.sql import literal

_SOME_ROWS: Final = "(random() >= 0)"
"""In place of `{range}`: nothing that a planner can work out beforehand, and no column."""
_ASKING: Final = "pg_temp.coordinator_batch"
_MAKE: Final = f"CREATE FUNCTION {_ASKING}() RETURNS void LANGUAGE sql BEGIN ATOMIC {{}}; END"
"""Of a function with a body of this kind the server keeps what it depends on (14 and later)."""
_USES: Final = f"""
SELECT d.refobjid::text, r.relname, f.proname
FROM pg_catalog.pg_depend d
LEFT JOIN pg_catalog.pg_class r ON d.refclassid = 'pg_class'::regclass AND r.oid = d.refobjid
LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
LEFT JOIN pg_catalog.pg_proc f ON (f.provolatile <> 'i' OR f.prokind = 'a') AND (
  (d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid) OR f.oid = o.oprcode)
WHERE d.classid = 'pg_proc'::regclass AND d.objid = '{_ASKING}()'::regprocedure
"""  # noqa: S608 - of constants
"""What a statement uses beside what every server has: relations, and functions that may look around. An
aggregate is called immutable whatever it is made of."""
_PARTS: Final = """
SELECT p.relid::oid::text FROM pg_partition_tree(pg_partition_root(to_regclass({table}))) p
UNION SELECT to_regclass({table})::oid::text
"""
"""The table; if it is partitioned or a partition, all of that: what is written to the whole comes to it."""
_OID: Final = "SELECT to_regclass({})::oid::text"
_BRINGS_IN: Final = """
WITH written AS (SELECT oid, relname, relkind, relrowsecurity FROM pg_catalog.pg_class WHERE oid IN ({oids}))
SELECT 'trigger ' || t.tgname FROM pg_catalog.pg_trigger t JOIN written w ON w.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
UNION ALL
SELECT 'rule ' || u.rulename FROM pg_catalog.pg_rewrite u JOIN written w ON w.oid = u.ev_class
UNION ALL
SELECT 'row security of ' || relname FROM written WHERE relrowsecurity
UNION ALL
SELECT relname || ', which is no plain table' FROM written WHERE relkind NOT IN ('r', 'p')
UNION ALL
SELECT 'foreign key ' || c.conname FROM pg_catalog.pg_constraint c JOIN written w ON w.oid = c.confrelid
WHERE c.contype = 'f' AND c.{action} IN ('c', 'n', 'd')
UNION ALL
SELECT 'function ' || f.proname FROM pg_catalog.pg_depend d
LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
JOIN pg_catalog.pg_proc f ON f.provolatile <> 'i' AND (
  (d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid) OR f.oid = o.oprcode)
WHERE (d.classid = 'pg_constraint'::regclass AND d.objid IN (
    SELECT oid FROM pg_catalog.pg_constraint WHERE contypid <> 0 OR conrelid IN (SELECT oid FROM written)))
  OR (d.classid = 'pg_attrdef'::regclass AND d.objid IN (
    SELECT oid FROM pg_catalog.pg_attrdef WHERE adrelid IN (SELECT oid FROM written)))
  OR (d.classid = 'pg_type'::regclass AND d.objid IN (
    SELECT oid FROM pg_catalog.pg_type WHERE typtype = 'd'))
"""
"""What else runs when rows are written. A domain counts wherever it stands: a column's type may hold it deep
inside, and the statement may name it too."""
_ACTIONS: Final = {"Update": "confupdtype", "Delete": "confdeltype", "Insert": "confupdtype"}
"""What a foreign key that points at a table does with its own rows. An insert is followed by nothing."""
_LOOKS_AROUND: Final = re.compile(
    r"\b(\w+_to_xml\w*|ts_stat|ts_rewrite|currtid\d?|currval|lastval|nextval|setval|loread|lowrite|(?:pg|lo)_\w+)\b"
    r"|U&[\"']",
    re.IGNORECASE,
)
"""Of the server's own functions, those that read more than they are given (some run a query that is a text);
and names that cannot be read."""
_COMMENT: Final = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The tables that the planner reads for a batch, and those that it writes, each with what it does."""

    read: tuple[str, ...]
    written: tuple[tuple[str, str], ...]


def shared_by_batches(copy: RehearsalDatabase, spec: BackfillSpec) -> str | None:
    """Return what a batch may have in common with another one; None where it has nothing.

    The copy is to be thrown away.
    """
    with copy.session() as session:
        try:
            return next(_shared(session, spec), None)
        except DatabaseError as error:
            return f"the server does not say what the statement uses: {error.what.rstrip('.')}"


def _shared(session: Session, spec: BackfillSpec) -> Iterator[str]:
    statement = spec.statement(_SOME_ROWS)
    if found := _LOOKS_AROUND.search(statement):
        yield f"it uses {found[0]}"
    table = literal(key_of(session, spec).table)
    own = {str(oid) for (oid,) in session.query(_PARTS.format(table=table))}
    plan = _plan_of(session, statement)
    if plan is None:
        yield "a rule rewrites it"
        return
    yield from _shared_by_tables(plan, own)
    if any(what == "Update" for what, _ in plan.written):
        yield from (f"it may change {each}, its key" for each in spec.key if _may_set(each, statement))
    session.execute(Batch((_MAKE.format(statement),), transaction=True))
    known = {*own, *(oid for _, oid in plan.written)}
    for oid, relation, function in session.query(_USES):
        if function is not None:
            yield f"it uses function {function}"
        if relation is not None and oid not in known:
            yield f"it uses {relation}"
    for what, oid in plan.written:
        oids = ", ".join(own if oid in own else (oid,))
        rows = session.query(_BRINGS_IN.format(oids=oids, action=_ACTIONS[what]))
        yield from (f"where it writes there is {brought}" for (brought,) in rows)


def _shared_by_tables(plan: _Plan, own: set[str]) -> Iterator[str]:
    """Yield what lies between batches that read the rows of their own, and write these or elsewhere."""
    for oid, times in Counter(plan.read).items():
        if oid not in own:
            yield "it reads another table"
        elif times > 1:
            yield "it reads its table more than once"
    for what, oid in plan.written:
        if what not in _ACTIONS or (what == "Insert") is (oid in own):
            yield "it writes where other batches read"


def _may_set(column: str, statement: str) -> bool:
    """Tell whether a statement looks as if it gave a column another value, with or without its comments."""
    name = re.escape(column)
    sets = re.compile(rf"\bSET\s*\([^)]*\b{name}\b|\b{name}\"?\s*=", re.IGNORECASE)
    return any(sets.search(text) for text in (statement, _COMMENT.sub(" ", statement)))


def _plan_of(session: Session, statement: str) -> _Plan | None:
    """Return what the planner does; None where it is not one plan."""
    [[plans]] = session.query(f"EXPLAIN (FORMAT JSON, VERBOSE) {statement}")
    assert isinstance(plans, list), "EXPLAIN (FORMAT JSON) answers with a list"
    if len(plans) != 1:
        return None
    nodes = [node for node in nodes_below(plans[0]["Plan"]) if "Relation Name" in node]
    found = [(node, _oid(session, node)) for node in nodes]
    return _Plan(
        read=tuple(oid for node, oid in found if node["Node Type"] != "ModifyTable"),
        written=tuple((_does(node), oid) for node, oid in found if node["Node Type"] == "ModifyTable"),
    )


def _does(node: Mapping[str, object]) -> str:
    """Return what a node does to its table; ON CONFLICT, which reads it, is a thing of its own."""
    return f"{node['Operation']}{' on conflict' if 'Conflict Resolution' in node else ''}"


def _oid(session: Session, node: Mapping[str, object]) -> str:
    quoted = ".".join('"' + str(node[each]).replace('"', '""') + '"' for each in ("Schema", "Relation Name"))
    [[oid]] = session.query(_OID.format(literal(quoted, Engine.POSTGRESQL)))
    return str(oid)
