"""Whether the programs of migrations do what they had said: the SQL on one database, the programs on another.

Both begin with the same schema and rows. Their schemas are compared, and then the rows of every table, since
a step of data that runs only with a database (a hook in what env.py imports) changes no schema. A value that
comes out otherwise when the very same SQL is sent twice, a time say, tells nothing; its column is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.drift import differences
from coordinator.rehearse.rows import rows_of, tables_of
from coordinator.rehearse.walk import Apply


def done_otherwise(
    beside: RehearsalDatabase,
    pending: Sequence[Migration],
    *,
    engine: Engine,
    by_file: Apply,
    by_program: Apply,
) -> tuple[str | None, tuple[str, ...]]:
    """Return how the programs differ from the SQL that they say, None if not, and what was not compared.

    The programs work on `beside`, which stands before the pending migrations.
    """
    with beside.clone() as said, beside.clone() as again:
        # The programs come between: a clock that stands still from the first to the last did so for them.
        for database, apply in ((said, by_file), (beside, by_program), (again, by_file)):
            for migration in pending:
                is_by_program = database is beside and migration.by_program
                if (error := (apply if is_by_program else by_file)(database, migration)) is not None:
                    return _failed(migration, error, is_by_program=is_by_program), ()
        schema = said.catalogue()
        if (line := next(differences(schema, beside.catalogue()), None)) is not None:
            told = line.replace("in the live database", "when it runs")
            told = told.replace("the files make", "its SQL makes")
            return _otherwise(told), ()
        return _compare_rows(said, again, beside, tables=dict(tables_of(schema)), engine=engine)


def _compare_rows(
    said: RehearsalDatabase,
    again: RehearsalDatabase,
    ran: RehearsalDatabase,
    *,
    tables: Mapping[str, Sequence[str]],
    engine: Engine,
) -> tuple[str | None, tuple[str, ...]]:
    not_compared: list[str] = []
    for table, columns in tables.items():
        by_sql, once_more, by_program = (
            rows_of(database, table, columns, engine) for database in (said, again, ran)
        )
        moving = by_sql.moving(once_more)
        first, second, found = (each.counted(without=moving) for each in (by_sql, once_more, by_program))
        if first != second:
            not_compared.append(f"`{table}`")
        elif first != found:
            other = (first - found).total(), (found - first).total()
            told = f"it leaves other rows in `{table}`: of those that its SQL leaves, {other[0]} are missing"
            return _otherwise(f"{told}, and {other[1]} are there that its SQL does not leave"), ()
        not_compared.extend(f"`{table}.{each}`" for each in moving if first == second)
    if not not_compared:
        return None, ()
    names = ", ".join(not_compared)
    return None, (f"what the programs write there was not compared, for it is new each time: {names}",)


def _failed(migration: Migration, error: DatabaseError, *, is_by_program: bool) -> str:
    if is_by_program:
        return (
            f"`{migration.name}` does otherwise when its program runs than the SQL that it says: {error.what}"
        )
    return f"`{migration.name}` fails on the rows that its program is compared on: {error.what}"


def _otherwise(told: str) -> str:
    return f"the program of the migrations does something else than the SQL that it says: {told}"
