"""The tables of a schema as sample rows need them: columns, checks and keys, read from the catalogue."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import psycopg

from coordinator.rehearsal_ports import BOOKS

_TABLES = """
SELECT c.oid::int8, c.oid::regclass::text, c.relname, c.relkind = 'p',
       NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass
                   AND d.objid = c.oid AND d.deptype = 'e')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND c.oid::regclass::text <> ALL(%s)
ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT a.attrelid::int8, a.attname, quote_ident(a.attname), a.atttypid::int8,
       format_type(a.atttypid, a.atttypmod),
       a.attnotnull OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid AND t.typnotnull),
       a.attidentity <> '', a.attgenerated <> '', pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY(%s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""
_CHECKS = """
SELECT k.conrelid::int8, k.conname, pg_get_expr(k.conbin, k.conrelid),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey) ORDER BY a.attnum)
FROM pg_catalog.pg_constraint k WHERE k.contype = 'c' AND k.conrelid = ANY(%s::oid[])
ORDER BY k.conrelid, k.conname
"""
_WORD = r"('(^|\W)' || regexp_replace(a.attname, '\W', '\\\&', 'g') || '(\W|$)')"
"""A column's name as a word of a text, whatever letters it has."""
_PARTITIONS = f"""
SELECT p.partrelid::int8, t.relid::oid::int8, pg_get_partition_constraintdef(t.relid),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = p.partrelid
             AND (a.attnum = ANY(p.partattrs::int2[])
                  OR pg_get_partition_constraintdef(t.relid) ~ {_WORD})
             AND a.attnum > 0)
FROM pg_catalog.pg_partitioned_table p CROSS JOIN LATERAL pg_partition_tree(p.partrelid) t
WHERE t.isleaf AND t.level > 0 AND p.partrelid = ANY(%s::oid[])
ORDER BY p.partrelid, t.relid::text
"""
_FOREIGN_KEYS = """
SELECT k.conrelid::int8, k.conname, k.confrelid::int8, k.confrelid::regclass::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(num, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.place),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(num, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.place)
FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conrelid = ANY(%s::oid[])
ORDER BY k.conrelid, k.conname
"""
_UNIQUE = f"""
SELECT i.indrelid::int8, a.attname::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a
  ON a.attrelid = i.indrelid AND (a.attnum = ANY(i.indkey::int2[]) OR 0 = ANY(i.indkey::int2[])
     AND pg_get_indexdef(i.indexrelid) ~ {_WORD})
WHERE (i.indisunique OR i.indisexclusion) AND a.attnum > 0 AND NOT a.attisdropped
  AND i.indrelid = ANY(%s::oid[])
GROUP BY 1, 2 ORDER BY 1, 2
"""
_CALL = re.compile(r"\w\s*\(|\bCURRENT_|\bLOCALTIME|\bSESSION_USER", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column that takes values; `quoted` is its name as SQL writes it."""

    name: str
    quoted: str
    type_oid: int
    type: str
    is_required: bool
    is_given: bool
    """The engine gives it a value of its own: an identity, a serial, a generated column."""
    default: str | None
    """A default that is the same each time, as an expression."""


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on rows: a CHECK, or that a partition takes them."""

    name: str
    expression: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference to rows of a parent, column by column."""

    name: str
    parent: int
    parent_name: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that may get sample rows; `name` is written as SQL writes it, with its schema if it must."""

    oid: int
    name: str
    bare: str
    """Its name alone, without quotes."""
    is_ledger: bool
    columns: tuple[TableColumn, ...]
    checks: tuple[Check, ...]
    foreign_keys: tuple[ForeignKey, ...]
    unique: frozenset[str]
    """Columns that some unique index or exclusion constraint looks at."""
    has_partition: bool
    """False where it is partitioned and has none: no row can go in."""

    def column(self, name: str) -> TableColumn:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    def requires(self, key: ForeignKey) -> bool:
        """Tell whether a row without its parent is impossible."""
        return all(self.column(name).is_required for name in key.columns)


def tables(connection: psycopg.Connection, *, without: Collection[str] = ()) -> tuple[Table, ...]:
    """Return the tables of the user's schemas by name, without partitions and what an extension owns.

    Those whose `name` is in `without` are left out, and nothing more is read of them: a schema is filled once
    for each migration that changes it.
    """
    found = [row for row in connection.execute(_TABLES, [list(without)]).fetchall() if row[4]]
    if not found:
        return ()
    oids = [row[0] for row in found]

    def about(query: str) -> dict[int, list[tuple[object, ...]]]:
        by_table: dict[int, list[tuple[object, ...]]] = {oid: [] for oid in oids}
        for oid, *rest in connection.execute(query, [oids]).fetchall():
            by_table[oid].append(tuple(rest))
        return by_table

    columns, checks, unique = about(_COLUMNS), about(_CHECKS), about(_UNIQUE)
    keys, partitions = about(_FOREIGN_KEYS), about(_PARTITIONS)
    return tuple(
        Table(
            oid=oid,
            name=name,
            bare=bare,
            is_ledger=bare in BOOKS,
            columns=tuple(_column(*row) for row in columns[oid]),
            checks=(*(_check(*row) for row in checks[oid]), *_as_check(partitions[oid])),
            foreign_keys=tuple(_foreign_key(*row) for row in keys[oid]),
            unique=frozenset(str(column) for (column,) in unique[oid]),
            has_partition=not is_partitioned or bool(partitions[oid]),
        )
        for oid, name, bare, is_partitioned, _ in found
    )


def _column(*row: object) -> TableColumn:
    name, quoted, type_oid, written, is_required, is_identity, is_generated, default = row
    text = default if isinstance(default, str) else None
    return TableColumn(
        name=str(name),
        quoted=str(quoted),
        type_oid=int(str(type_oid)),
        type=str(written),
        is_required=bool(is_required),
        is_given=bool(is_identity or is_generated) or (text is not None and text.startswith("nextval(")),
        default=text if text is not None and not _CALL.search(_without_casts(text)) else None,
    )


def _without_casts(expression: str) -> str:
    """Leave out strings, and types such as `::numeric(10,2)`, which look like calls."""
    return re.sub(r"'(?:[^']|'')*'|::[\w\s\"]+(?:\([\d,]+\))?", "", expression)


def _check(name: object, expression: object, columns: object) -> Check:
    return Check(str(name), str(expression), _names(columns))


def _as_check(partitions: Iterable[tuple[object, ...]]) -> tuple[Check, ...]:
    """Write `some partition takes the row` as one check; a partition without a condition takes all."""
    rows = list(partitions)
    if not rows:
        return ()
    conditions = [str(condition or "true") for _, condition, _ in rows]
    columns = {name for *_, names in rows for name in _names(names)}
    return (Check("some partition", " OR ".join(f"({each})" for each in conditions), tuple(sorted(columns))),)


def _foreign_key(
    name: object, parent: object, parent_name: object, columns: object, *parent_columns: object
) -> ForeignKey:
    return ForeignKey(
        str(name), int(str(parent)), str(parent_name), _names(columns), _names(parent_columns[0])
    )


def _names(value: object) -> tuple[str, ...]:
    assert isinstance(value, list)
    return tuple(str(each) for each in value)
