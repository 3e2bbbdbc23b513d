"""All rows of a scratch database, table by table, to be compared with those of another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from coordinator.model import Engine
from coordinator.rehearsal_ports import BOOKS, RehearsalDatabase

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of one table, each value as a text."""

    columns: Sequence[str]
    rows: Sequence[Row]
    has_trigger: bool = False
    """What stands in it may be a trigger's work, which counts up whatever is written."""

    def moving(self, other: Rows) -> tuple[str, ...]:
        """Return the columns whose values are others there."""
        places = range(len(self.columns))
        return tuple(self.columns[each] for each in places if self._of((each,)) != other._of((each,)))

    def counted(self, *, without: Collection[str] = ()) -> Counter[Row]:
        """Return how often each row is there, whatever stands in some columns."""
        return self._of([at for at, name in enumerate(self.columns) if name not in without])

    def differs(self, other: Rows, *, without: Collection[str] = ()) -> bool:
        """Tell whether other rows are there, whatever stands in some columns."""
        return self.counted(without=without) != other.counted(without=without)

    def _of(self, places: Sequence[int]) -> Counter[Row]:
        return Counter(tuple(row[place] for place in places) for row in self.rows)


def rows_of(database: RehearsalDatabase, table: str, columns: Sequence[str], engine: Engine) -> Rows:
    """Return the rows of a table as `tables_of` names it."""
    with database.session() as session:
        found = session.query(_query(table, columns, engine))
    return Rows(columns, [tuple(map(repr, row)) for row in found])


def tables_of(schema: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each table of a catalogue with its columns."""
    for table in (name.removeprefix("table ") for name in schema if name.startswith("table ")):
        start = f"column {table}."
        columns = tuple(name.removeprefix(start) for name in schema if name.startswith(start))
        if columns and table.rpartition(".")[2] not in BOOKS:
            yield table, columns


def _query(table: str, columns: Sequence[str], engine: Engine) -> str:
    """Return what reads a table; PostgreSQL's catalogue has its names quoted already."""
    listed = ", ".join(_quoted(each, engine) for each in columns)
    place = table if engine is Engine.POSTGRESQL else _quoted(table.removeprefix("main."), engine)
    return f"SELECT {listed} FROM {place}"  # noqa: S608 - quoted names


def _quoted(name: str, engine: Engine) -> str:
    if engine is Engine.POSTGRESQL:
        return name
    quote = "`" if engine.speaks_mysql else '"'
    return quote + name.replace(quote, quote * 2) + quote
