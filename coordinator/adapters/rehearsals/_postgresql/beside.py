"""What a write does in other tables, where a trigger, a rule, a foreign key's action or a function may act.

The engine counts the rows that a session inserts, updates and deletes in each table. These counts (those of
pg_stat_xact_user_tables) may hold what earlier transactions did, so the difference within one is taken. To
count takes longer than to write a row: only texts that write such a table or call such a function are run
for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.pipeline import Command, Reply, Sample, quoted, rolled_back
from coordinator.adapters.rehearsals._scratch.rows import together
from coordinator.rehearsal_ports import Effect

_REACH: Final = """
WITH RECURSIVE reads (view, relation) AS (
    SELECT r.ev_class, d.refobjid FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
    WHERE r.ev_type = '1' AND r.ev_class >= 16384
    UNION SELECT o.view, i.refobjid FROM reads o
    JOIN pg_catalog.pg_rewrite r ON r.ev_class = o.relation AND r.ev_type = '1'
    JOIN pg_catalog.pg_depend i ON i.classid = 'pg_catalog.pg_rewrite'::regclass AND i.objid = r.oid
        AND i.refclassid = 'pg_catalog.pg_class'::regclass AND i.refobjid <> r.ev_class
), acts (relation) AS (
    SELECT tgrelid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
    UNION SELECT confrelid FROM pg_catalog.pg_constraint
    WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
    UNION SELECT ev_class FROM pg_catalog.pg_rewrite WHERE ev_type <> '1' AND ev_class >= 16384
), wide (relation) AS (
    SELECT coalesce(pg_catalog.pg_partition_root(relation), relation) FROM acts
    UNION SELECT view FROM reads JOIN acts USING (relation)
)
SELECT 'relation', relname::text, ARRAY(
    SELECT b.relname::text FROM reads JOIN pg_catalog.pg_class b ON b.oid = relation WHERE view = c.oid
) FROM wide JOIN pg_catalog.pg_class c ON c.oid = wide.relation
UNION ALL
SELECT 'function', proname::text, '{}' FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid = prolang
WHERE provolatile = 'v' AND lanname NOT IN ('c', 'internal') AND p.oid >= 16384
    AND prorettype <> 'pg_catalog.trigger'::regtype
"""
_COUNTS: Final = """
SELECT (
        SELECT relname FROM pg_catalog.pg_class r
        WHERE r.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
    ),
    pg_catalog.pg_stat_get_xact_tuples_inserted(oid), pg_catalog.pg_stat_get_xact_tuples_updated(oid),
    pg_catalog.pg_stat_get_xact_tuples_deleted(oid)
FROM pg_catalog.pg_class c WHERE relkind = 'r' AND oid >= 16384
    AND pg_catalog.pg_stat_get_xact_tuples_inserted(oid) + pg_catalog.pg_stat_get_xact_tuples_updated(oid)
        + pg_catalog.pg_stat_get_xact_tuples_deleted(oid) > 0
"""
"""Objects that are not the engine's own have numbers from 16384 on (transam.h, FirstNormalObjectId)."""
_NAME: Final = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_WORD: Final = re.compile(_NAME)
_WRITES: Final = re.compile(
    rf"\b(?:INSERT\s+INTO|MERGE\s+INTO|DELETE\s+FROM|(?<!FOR\s)(?<!DO\s)(?<!KEY\s)UPDATE)\s+(?:ONLY\s+)?"
    rf"(?:{_NAME}\s*\.\s*)?(?P<name>{_NAME})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where more may be written than a text says."""

    relations: Mapping[str, frozenset[str]]
    """Those where something acts on a write, without schema, each with the tables that it shows (a view)."""
    functions: frozenset[str]

    @classmethod
    def of(cls, connection: psycopg.Connection) -> Reach:
        """Ask the catalogue of a database."""
        relations: dict[str, frozenset[str]] = {}
        functions: set[str] = set()
        for kind, name, shown in connection.execute(_REACH).fetchall():
            if kind == "function":
                functions.add(name)
            else:
                relations[name] = relations.get(name, frozenset()) | frozenset(shown)
        return cls(relations, frozenset(functions))

    def is_beyond(self, text: str) -> bool:
        """Tell whether a text may write more than it says."""
        return self.calls(text) or any(name in self.relations for name in _targets(text))

    def calls(self, text: str) -> bool:
        """Tell whether a text names a function that may write."""
        return bool(self.functions) and any(_plain(word) in self.functions for word in _WORD.findall(text))

    def may_write(self, text: str) -> bool:
        """Tell whether a text writes, or calls what may."""
        return _WRITES.search(text) is not None or self.calls(text)

    def own(self, text: str) -> frozenset[str]:
        """Return the tables that a text itself writes, also those behind a view."""
        names = frozenset(_targets(text))
        return names.union(*(self.relations.get(name, frozenset()) for name in names))


def effects(
    connection: psycopg.Connection, asks: Mapping[int, tuple[str, Sequence[Sample]]], *, role: str | None
) -> Mapping[int, tuple[Effect, ...]]:
    """Return what texts do beside their own writes, by their numbers; those that do more are run once more.

    All sets of values of a text share a transaction, each behind a savepoint: what is rolled back counts too.
    """
    reach = Reach.of(connection)
    beyond = {place: ask for place, ask in asks.items() if reach.is_beyond(ask[0])}
    replies = rolled_back(connection, [_commands(*ask, role) for ask in beyond.values()])
    return {
        place: tuple(_between(_counted(first), _counted(last), but=reach.own(text)))
        for (place, (text, _)), [first, *_, last] in zip(beyond.items(), replies, strict=True)
        if last.objection is None and None not in (first.rows, last.rows)
    }


def _commands(text: str, samples: Sequence[Sample], role: str | None) -> list[Command]:
    as_role = [Command(f"SET LOCAL ROLE {quoted(role)}")] if role is not None else []
    runs = [
        command
        for sample in samples
        for command in (
            Command("SAVEPOINT before"),
            Command(text, sample),
            Command("SET CONSTRAINTS ALL IMMEDIATE"),
            Command("ROLLBACK TO before"),
        )
    ]
    return [Command(_COUNTS), *as_role, *runs, Command(_COUNTS)]


def _counted(reply: Reply) -> Mapping[str, Effect]:
    """Return what the session did to each table so far."""
    done = [
        Effect(str(name), int(updated or 0) + int(deleted or 0), int(updated or 0) + int(inserted or 0))
        for name, inserted, updated, deleted in reply.rows or ()
    ]
    return {each.table: each for each in together(done)}


def _between(
    before: Mapping[str, Effect], after: Mapping[str, Effect], *, but: frozenset[str]
) -> Iterator[Effect]:
    for name, now in after.items():
        was = before.get(name, Effect(name, 0, 0))
        if name not in but and was != now:
            yield Effect(name, now.gone - was.gone, now.new - was.new)


def _targets(text: str) -> Iterator[str]:
    for match in _WRITES.finditer(text):
        yield _plain(match["name"])


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
