"""The key by which a table is gone over: what the engine says about it, and the rows behind a place of it.

A place is the key's values as texts, as the engine writes them, and comes back as literals of the key's own
types. Nothing is asked by OFFSET from the start: each batch begins behind the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from coordinator.errors import StepFailed
from coordinator.model import BackfillSpec, Engine
from coordinator.ports.databases import Session
from coordinator.sql import literal

Place = tuple[str, ...]
"""A value of each column of the key, as text."""

_COLUMNS = {
    Engine.POSTGRESQL: (
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a"
        " WHERE a.attrelid = to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped"
    ),
    Engine.SQLITE: (
        'SELECT name, type, "notnull" OR (pk AND NOT EXISTS ('
        "SELECT 1 FROM pragma_index_list({bare}, {schema}) WHERE origin = 'pk'))"
        " FROM pragma_table_info({bare}, {schema})"
    ),
    Engine.MARIADB: (
        "SELECT column_name, data_type, is_nullable = 'NO' FROM information_schema.columns"
        " WHERE table_schema = {schema} AND table_name = {bare}"
    ),
}
"""A column of SQLite's primary key may be NULL, unless it is the number of the row, a key with no index."""
_HIDES_ROWS = (
    "WITH own AS (SELECT * FROM pg_policy WHERE polrelid = to_regclass({table}) AND EXISTS ("
    "SELECT FROM unnest(polroles) AS role (id) WHERE id = 0 OR pg_has_role(id, 'USAGE')))"
    " SELECT current_user WHERE row_security_active(to_regclass({table}))"
    " AND (EXISTS (SELECT FROM own WHERE NOT polpermissive) OR NOT EXISTS (SELECT FROM own"
    " WHERE polpermissive AND polcmd = '*' AND pg_get_expr(polqual, polrelid) = 'true'))"
)
"""Whether PostgreSQL may keep rows of the table from the role that asks. One may be given all by a policy."""
_UNIQUE = {
    Engine.POSTGRESQL: (
        "SELECT i.indexrelid, a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])"
        " WHERE i.indrelid = to_regclass({table}) AND i.indisunique AND i.indisvalid"
        " AND i.indpred IS NULL AND i.indexprs IS NULL"
    ),
    Engine.SQLITE: (
        "SELECT l.name, c.name FROM pragma_index_list({bare}, {schema}) l"
        " JOIN pragma_index_info(l.name, {schema}) c"
        ' WHERE l."unique" AND NOT l.partial UNION ALL'
        " SELECT 'primary key', name FROM pragma_table_info({bare}, {schema}) WHERE pk"
    ),
    Engine.MARIADB: (
        "SELECT index_name, column_name FROM information_schema.statistics"
        " WHERE table_schema = {schema} AND table_name = {bare} AND non_unique = 0 AND sub_part IS NULL"
    ),
}
_ROWS = {
    Engine.POSTGRESQL: (
        "SELECT sum(c.reltuples) FROM pg_class c WHERE c.relkind = 'r' AND c.reltuples >= 0"
        " AND (c.oid = to_regclass({table})"
        " OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass({table}))))"
    ),
    Engine.SQLITE: "SELECT count(*) FROM {quoted}",
    Engine.MARIADB: (
        "SELECT table_rows FROM information_schema.tables"
        " WHERE table_schema = {schema} AND table_name = {bare}"
    ),
}
"""About how many rows the table has: of SQLite, which keeps no estimate, exactly."""
_UNSAFE_ENGINE = (
    "SELECT t.engine FROM information_schema.tables t"
    " JOIN information_schema.engines e ON e.engine = t.engine"
    " WHERE t.table_schema = {schema} AND t.table_name = {bare} AND coalesce(e.transactions, 'NO') <> 'YES'"
)
_COUNT = "SELECT count(*) FROM {table} WHERE {condition}"
_SELECT = "SELECT {columns} FROM {table} WHERE {condition}"
_NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year"})
_BYTES = frozenset({"binary", "varbinary"})
_TIMES = {"date": "DATE", "datetime": "TIMESTAMP", "time": "TIME"}
"""And the word before a literal of each, which the server refuses where it cannot read it."""
_TEXTS = frozenset({"char", "varchar", "uuid", "inet4", "inet6"})
_SORTED_ON_MYSQL = _NUMBERS | _BYTES | _TIMES.keys() | _TEXTS
"""Types of MySQL and MariaDB whose literals are compared exactly as their values are sorted.

Not so an enum (sorted by number, compared as a text), a timestamp (two moments read the same where clocks go
back) and a float (shown in few digits).
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A table and the columns that say where in it a row stands."""

    engine: Engine
    table: str
    """Quoted, for the engine."""
    columns: tuple[str, ...]
    """Quoted, behind the table's name: a statement may have another table with such a column."""
    types: tuple[str, ...]
    rows: int
    """About how many rows the table had when it was looked at."""
    unsafe_engine: str | None = None
    """What keeps the table, where that has no transactions: what was written stays there, whatever fails."""

    def after(self, place: Place | None) -> str:
        """Return the condition that a row stands behind a place; of none, that it is there."""
        return "1 = 1" if place is None else self._compared(">", place)

    def between(self, place: Place | None, last: Place) -> str:
        """Return the condition that a row stands behind a place and not behind `last`."""
        return f"({self.after(place)} AND {self._compared('<=', last)})"

    def _compared(self, sign: str, place: Place) -> str:
        values = [self._literal(value, type_) for value, type_ in zip(place, self.types, strict=True)]
        if len(values) == 1:
            return f"{self.columns[0]} {sign} {values[0]}"
        return f"({', '.join(self.columns)}) {sign} ({', '.join(values)})"

    def _literal(self, value: str, type_: str) -> str:
        if self.engine is Engine.POSTGRESQL:
            return f"CAST({literal(value)} AS {type_})"
        if self.engine is Engine.SQLITE:
            return value  # as its own quote() wrote it
        return _literal_of_mysql(value, type_)

    def nth_after(self, place: Place | None, number: int, session: Session) -> Place | None:
        """Return where the row stands that is the `number`-th behind a place; None if there are fewer."""
        return self._first(place, self.choice(place, number), session)

    def choice(self, place: Place | None, number: int) -> str:
        """Return the query for the key of the row that is the `number`-th behind a place."""
        return self._select(f"{self.after(place)} ORDER BY {self._order('')} LIMIT 1 OFFSET {number - 1}")

    def last_after(self, place: Place | None, session: Session) -> tuple[Place, int] | None:
        """Return where the last row behind a place stands, and how many there are; None if there is none."""
        choice = self._select(f"{self.after(place)} ORDER BY {self._order(' DESC')} LIMIT 1")
        last = self._first(place, choice, session)
        if last is None:
            return None
        [[count]] = session.query(_COUNT.format(table=self.table, condition=self.between(place, last)))
        return last, int(str(count))

    def _first(self, place: Place | None, choice: str, session: Session) -> Place | None:
        """Return where the chosen row stands. Raises: StepFailed where its text leads back to `place`."""
        rows = session.query(choice)
        found = tuple(str(each) for each in rows[0]) if rows else None
        if found is not None and found == place:
            raise StepFailed(
                "backfill-key",
                f"A row of {self.table} stands behind {', '.join(place)}, and says it stands there.",
                why="A value of the key does not come back from its text as it was, so nothing behind it is"
                " reached: a text with a NUL on SQLite, a float that the server shows in few digits.",
                next_step="Go over the table by another key, or correct that value.",
            )
        return found

    def _order(self, direction: str) -> str:
        return ", ".join(f"{each}{direction}" for each in self.columns)

    def _select(self, condition: str) -> str:
        columns = ", ".join(map(self._shown, self.columns, self.types))
        return _SELECT.format(columns=columns, table=self.table, condition=condition)

    def _shown(self, column: str, type_: str) -> str:
        """Return what the engine writes the value of a column as a text by."""
        if self.engine is Engine.POSTGRESQL:
            return f"{column}::text"
        if self.engine is Engine.SQLITE:
            return f"quote({column})"
        if type_ in _BYTES:
            return f"HEX({column})"
        return column if type_ in _TEXTS else f"CAST({column} AS CHAR)"


def _literal_of_mysql(value: str, type_: str) -> str:
    if type_ in _NUMBERS:
        return f"{Decimal(value):f}"
    if type_ in _BYTES:
        return f"X'{value}'"
    return f"{_TIMES[type_]}'{value}'" if type_ in _TIMES else literal(value, Engine.MYSQL)


def key_of(session: Session, spec: BackfillSpec) -> Key:
    """Return the key of a backfill as the engine has it.

    Raises: StepFailed `backfill-table`, `backfill-key` or `backfill-hidden-rows` where its rows cannot all be
    gone over by it.
    """
    target = session.target(None)
    dialect = Engine.MARIADB if target.engine.speaks_mysql else target.engine
    parts = spec.table.split(".")
    quoted = ".".join(quote(each, target.engine) for each in parts)
    default = "main" if target.engine is Engine.SQLITE else target.database
    names = {
        "table": literal(quoted),
        "quoted": quoted,
        "bare": literal(parts[-1], target.engine),
        "schema": literal(parts[0] if len(parts) > 1 else default, target.engine),
    }
    found = {
        str(name): (str(type_), bool(fits))
        for name, type_, fits in session.query(_COLUMNS[dialect].format(**names))
    }
    if not found:
        raise _no_table(spec)
    _demand_columns(spec, found, target.engine)
    if target.engine is Engine.POSTGRESQL and (hidden := session.query(_HIDES_ROWS.format(**names))):
        raise _hidden_rows(spec, str(hidden[0][0]))
    indexes: dict[str, set[str]] = {}
    for index, column in session.query(_UNIQUE[dialect].format(**names)):
        indexes.setdefault(str(index), set()).add(str(column))
    if set(spec.key) not in indexes.values():
        raise _bad_key(spec, "no unique index is on it alone")
    estimate = session.query(_ROWS[dialect].format(**names))
    if not estimate or estimate[0][0] is None:  # nobody analysed it yet
        estimate = session.query(_COUNT.format(table=quoted, condition="1 = 1"))
    rows = estimate[0][0]
    unsafe = session.query(_UNSAFE_ENGINE.format(**names)) if target.engine.speaks_mysql else []
    return Key(
        target.engine,
        quoted,
        tuple(".".join(quote(each, target.engine) for each in (parts[-1], column)) for column in spec.key),
        tuple(found[each][0] for each in spec.key),
        int(float(str(rows))),
        str(unsafe[0][0]) if unsafe else None,
    )


def _demand_columns(spec: BackfillSpec, found: dict[str, tuple[str, bool]], engine: Engine) -> None:
    for column in spec.key:
        if column not in found:
            raise _bad_key(spec, f"the table has no column `{column}`")
        type_, is_filled = found[column]
        if not is_filled:
            raise _bad_key(spec, f"`{column}` may be NULL")
        if engine.speaks_mysql and type_ not in _SORTED_ON_MYSQL:
            raise _bad_key(
                spec, f"a value of type {type_}, written down, is not compared as its rows are sorted"
            )


def quote(name: str, engine: Engine) -> str:
    """Return a name as the engine takes it, whatever stands in it."""
    sign = "`" if engine.speaks_mysql else '"'
    return sign + name.replace(sign, sign * 2) + sign


def number_from(session: Session, query: str, spec: BackfillSpec) -> int:
    """Return what the completeness query says. Raises: StepFailed `backfill-remaining`, DatabaseError."""
    rows: Sequence[tuple[object, ...]] = session.query(query)
    value = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else None
    if not isinstance(value, int) or value < 0:
        raise StepFailed(
            "backfill-remaining",
            f"`remaining` of backfill `{spec.name}` did not answer with one number.",
            next_step="Write a query with one row and one column: SELECT count(*) FROM … WHERE ….",
        )
    return value


def _no_table(spec: BackfillSpec) -> StepFailed:
    return StepFailed(
        "backfill-table",
        f"Backfill `{spec.name}` goes over table `{spec.table}`, which is not there.",
        next_step="Correct its `table`, or its `after`: the migration that makes the table.",
    )


def _hidden_rows(spec: BackfillSpec, role: str) -> StepFailed:
    return StepFailed(
        "backfill-hidden-rows",
        f"Backfill `{spec.name}` may not see all rows of `{spec.table}`: `{role}` has row security there.",
        why="Rows that are hidden from it are neither done nor counted as left, and contract would not wait.",
        next_step=f"Migrate as a role with BYPASSRLS, or give it a policy: CREATE POLICY … ON {spec.table} TO"
        f" {role} USING (true).",
    )


def _bad_key(spec: BackfillSpec, why: str) -> StepFailed:
    return StepFailed(
        "backfill-key",
        f"Backfill `{spec.name}` cannot go over `{spec.table}` by {', '.join(spec.key)}: {why}.",
        why="Rows with the same key, or with none, could be done twice or left out.",
        next_step="Name a column that is NOT NULL and has a unique index of its own, as a primary key has.",
    )
