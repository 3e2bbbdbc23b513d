"""What a database holds, as information_schema tells it: of a live database and of a scratch one alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coordinator.rehearsal_ports import BOOKS

Query = Callable[[str], Sequence[tuple[Any, ...]]]

_TABLES: Final = """
SELECT table_name, table_type, engine, table_collation, create_options FROM information_schema.tables
WHERE table_schema = DATABASE() ORDER BY table_name
"""
_COLUMNS: Final = """
SELECT table_name, column_name, column_type, data_type, is_nullable, column_default, extra, collation_name,
    character_maximum_length, generation_expression
FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position
"""
# No two of these are joined by the server, which reads the second anew for each row of the first.
_KEYS: Final = """
SELECT table_name, constraint_name, column_name, referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE()
ORDER BY table_name, constraint_name, ordinal_position
"""
_RULES: Final = """
SELECT table_name, constraint_name, update_rule, delete_rule FROM information_schema.referential_constraints
WHERE constraint_schema = DATABASE()
"""
_INDEXES: Final = """
SELECT table_name, index_name, non_unique, column_name, sub_part, index_type, {expression}
FROM information_schema.statistics
WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index
"""
_HAS_EXPRESSIONS: Final = """
SELECT count(*) FROM information_schema.columns
WHERE table_schema = 'information_schema' AND table_name = 'STATISTICS' AND column_name = 'EXPRESSION'
"""
"""MySQL 8.0.13 and newer can have an index on an expression, MariaDB cannot."""
_PARTITIONS: Final = """
SELECT DISTINCT table_name, partition_name, partition_method, partition_expression, partition_description
FROM information_schema.partitions
WHERE table_schema = DATABASE() AND partition_description IS NOT NULL AND partition_method <> 'SYSTEM_TIME'
"""
_CHECKS: Final = {
    True: "SELECT table_name, constraint_name, check_clause, 'YES' FROM information_schema.check_constraints"
    " WHERE constraint_schema = DATABASE() ORDER BY table_name, constraint_name",
    False: "SELECT t.table_name, c.constraint_name, c.check_clause, t.enforced"
    " FROM information_schema.check_constraints c"
    " JOIN information_schema.table_constraints t ON t.constraint_schema = c.constraint_schema"
    " AND t.constraint_name = c.constraint_name AND t.constraint_type = 'CHECK'"
    " WHERE c.constraint_schema = DATABASE() ORDER BY t.table_name, c.constraint_name",
}
"""By whether it is MariaDB, where a check's name is its table's own; MySQL 5.7 has none of them."""
_HAS_CHECKS: Final = """
SELECT count(*), sum(column_name = 'TABLE_NAME') FROM information_schema.columns
WHERE table_schema = 'information_schema' AND table_name = 'CHECK_CONSTRAINTS'
"""
_VIEWS: Final = """
SELECT table_name, view_definition, check_option, security_type FROM information_schema.views
WHERE table_schema = DATABASE() ORDER BY table_name
"""
_TRIGGERS: Final = """
SELECT event_object_table, trigger_name, action_timing, event_manipulation, action_statement, action_order
FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY event_object_table, trigger_name
"""
_ROUTINES: Final = """
SELECT routine_type, routine_name, dtd_identifier, routine_definition, is_deterministic, security_type,
    (SELECT group_concat(concat_ws(' ', parameter_mode, parameter_name, dtd_identifier)
        ORDER BY ordinal_position SEPARATOR ', ')
    FROM information_schema.parameters p
    WHERE p.specific_schema = r.routine_schema AND p.specific_name = r.specific_name
        AND p.ordinal_position > 0)
FROM information_schema.routines r WHERE routine_schema = DATABASE() ORDER BY routine_type, routine_name
"""
_EVENTS: Final = """
SELECT event_name, event_definition FROM information_schema.events
WHERE event_schema = DATABASE() ORDER BY event_name
"""
_TRANSACTIONAL: Final = "SELECT engine FROM information_schema.engines WHERE transactions = 'YES'"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column; `declared` is its whole type and `kind` the type's name."""

    name: str
    declared: str
    kind: str
    not_null: bool
    default: str | None
    extra: str
    collation: str | None
    length: int | None
    expression: str

    @property
    def is_generated(self) -> bool:
        """Its value is computed: no INSERT names it."""
        return bool(self.expression)

    @property
    def has_default(self) -> bool:
        """An INSERT may leave it out, and it is not NULL then."""
        is_null = self.default is None or self.default.upper() == "NULL"
        return not is_null or "auto_increment" in self.extra

    @property
    def definition(self) -> str:
        """Return it as the catalogue writes it."""
        parts = [self.declared]
        parts += [f"collate {self.collation}"] if self.collation else []
        parts += ["not null"] if self.not_null else []
        parts += [f"default {self.default}"] if self.default not in (None, "NULL") else []
        parts += [f"as ({self.expression})"] if self.is_generated else []
        extra = self.extra.replace("DEFAULT_GENERATED", "").strip()
        parts += [extra] if extra else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: columns of this table, and those of its parent that they point to."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    actions: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index; its parts are columns, or parts of them (`name(10)`), or None for an expression.

    What decides which values are alike stands in `compared`: expressions, and the columns' collations.
    """

    name: str
    parts: tuple[str | None, ...]
    compared: tuple[str, ...]
    is_unique: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """An ordinary table."""

    name: str
    engine: str
    options: str
    columns: tuple[TableColumn, ...]
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[Index, ...]
    checks: Mapping[str, str]
    """Those that are enforced."""
    bounds: Mapping[str, str]
    """By partition of a range or list, which rows it takes; DEFAULT takes all that no other one does."""
    is_transactional: bool

    @property
    def writable(self) -> tuple[TableColumn, ...]:
        """Return the columns that an INSERT may name."""
        return tuple(each for each in self.columns if not each.is_generated)

    @property
    def uniques(self) -> tuple[tuple[str | None, ...], ...]:
        """Return the columns of each unique index."""
        return tuple(each.parts for each in self.indexes if each.is_unique)


@dataclass(frozen=True, slots=True)
class Schema:
    """A database's things, without those of migration tools; texts of views and bodies have no database."""

    tables: tuple[Table, ...]
    sequences: tuple[str, ...]
    views: Mapping[str, str]
    triggers: Mapping[tuple[str, str], str]
    """By table and name."""
    routines: Mapping[tuple[str, str], str]
    """By kind (`function`) and name."""
    events: Mapping[str, str]


def read_schema(query: Query) -> Schema:
    """Read the schema of the database that `query` is connected to."""
    [[database]] = query("SELECT DATABASE()")
    prefix = f"`{database}`."
    columns, keys, indexes, checks, bounds = (_by_table(rows) for rows in _rows_of_tables(query))
    transactional = {str(engine).lower() for [engine] in query(_TRANSACTIONAL)}
    found = [row for row in query(_TABLES) if row[0] not in BOOKS]
    tables = tuple(
        Table(
            name,
            str(engine),
            " ".join(filter(None, (str(collation), options))),
            tuple(_column(each, prefix) for each in columns[name]),
            tuple(_foreign_keys(keys[name])),
            tuple(_indexes(indexes[name])),
            {constraint: clause for _, constraint, clause, enforced in checks[name] if enforced == "YES"},
            {part: _bounds(*rest) for _, part, *rest in bounds[name]},
            str(engine).lower() in transactional,
        )
        for name, kind, engine, collation, options in found
        if kind in ("BASE TABLE", "SYSTEM VERSIONED")
    )
    return Schema(
        tables=tables,
        sequences=tuple(row[0] for row in found if row[1] == "SEQUENCE"),
        views={
            name: f"{str(text).replace(prefix, '')} with check option {check} sql security {security}".lower()
            for name, text, check, security in query(_VIEWS)
        },
        triggers={
            (table, name): f"{timing} {event} {order} {str(body).replace(prefix, '')}"
            for table, name, timing, event, body, order in query(_TRIGGERS)
            if table not in BOOKS
        },
        routines={
            (kind.lower(), name): f"({given}) returns {returns} {deterministic} {security}"
            f" {str(body).replace(prefix, '')}"
            for kind, name, returns, body, deterministic, security, given in query(_ROUTINES)
        },
        events={name: str(body).replace(prefix, "") for name, body in query(_EVENTS)},
    )


def _rows_of_tables(query: Query) -> tuple[Sequence[tuple[Any, ...]], ...]:
    [[has_checks, has_table]] = query(_HAS_CHECKS)
    checks = query(_CHECKS[bool(has_table)]) if has_checks else ()
    [[has_expressions]] = query(_HAS_EXPRESSIONS)
    indexes = query(_INDEXES.format(expression="expression" if has_expressions else "NULL"))
    rules = {(table, name): actions for table, name, *actions in query(_RULES)}
    keys = [(*row, *rules[row[0], row[1]]) for row in query(_KEYS) if (row[0], row[1]) in rules]
    columns = query(_COLUMNS)
    collations = {(row[0], row[1]): row[7] for row in columns}
    compared = [(*row, collations.get((row[0], row[3]))) for row in indexes]
    return columns, keys, compared, checks, query(_PARTITIONS)


def _by_table(rows: Sequence[tuple[Any, ...]]) -> Mapping[str, list[tuple[Any, ...]]]:
    found: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return found


def _column(row: tuple[Any, ...], prefix: str) -> TableColumn:
    _, name, declared, kind, nullable, default, extra, collation, length, expression = row
    return TableColumn(
        name,
        str(declared),
        str(kind).lower(),
        nullable == "NO",
        None if default is None else str(default).replace(prefix, ""),
        str(extra or ""),
        collation,
        None if length is None else int(length),
        str(expression or ""),
    )


def _foreign_keys(rows: Sequence[tuple[Any, ...]]) -> list[ForeignKey]:
    named: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        named[row[1]].append(row)
    return [
        ForeignKey(
            name,
            tuple(row[2] for row in parts),
            parts[0][3],
            tuple(row[4] for row in parts),
            f"on update {parts[0][5]} on delete {parts[0][6]}".lower(),
        )
        for name, parts in named.items()
    ]


def _indexes(rows: Sequence[tuple[Any, ...]]) -> list[Index]:
    named: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        named[row[1]].append(row)
    return [
        Index(
            name,
            tuple(
                None if column is None else column if length is None else f"{column}({length})"
                for _, _, _, column, length, *_ in parts
            ),
            tuple(_compared(*row[3:5], *row[6:]) for row in parts),
            not int(parts[0][2]),
            str(parts[0][5]).lower(),
        )
        for name, parts in named.items()
    ]


def _compared(column: str | None, length: int | None, expression: str | None, collation: str | None) -> str:
    part = f"({expression})" if column is None else column if length is None else f"{column}({length})"
    return f"{part} collate {collation}" if collation else part


def _bounds(method: str, of: str, values: str) -> str:
    is_rest = values.startswith("MAXVALUE") or values == "DEFAULT"
    return "DEFAULT" if is_rest else f"{method} ({of}) values {values}".lower()
