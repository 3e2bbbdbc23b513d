"""The schema as name → definition; see rehearsal_ports.RehearsalDatabase.catalogue.

A name has no schema before it: on MySQL a database is its only one, and a scratch database has another name
than the live one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coordinator.adapters.rehearsals._mysql.schema import Schema, Table
from coordinator.evidence import Change

_OF_A_TABLE = ("bounds", "column", "constraint", "index", "trigger")


def catalogue(schema: Schema) -> Mapping[str, str]:
    """Return everything that the schema holds; comments and counters are left out."""
    found: dict[str, str] = {}
    for table in schema.tables:
        found.update(_of_table(table))
    found.update({f"sequence {name}": "sequence" for name in schema.sequences})
    found.update({f"view {name}": text for name, text in schema.views.items()})
    found.update({f"trigger {table}.{name}": text for (table, name), text in schema.triggers.items()})
    found.update({f"{kind} {name}": text for (kind, name), text in schema.routines.items()})
    found.update({f"event {name}": text for name, text in schema.events.items()})
    return found


def _of_table(table: Table) -> Iterator[tuple[str, str]]:
    yield f"table {table.name}", f"{table.engine} {table.options}"
    for column in table.columns:
        yield f"column {table.name}.{column.name}", column.definition
    for key in table.foreign_keys:
        listed, pointed = ", ".join(key.columns), ", ".join(key.parent_columns)
        text = f"foreign key ({listed}) references {key.parent} ({pointed}) {key.actions}"
        yield f"constraint {table.name}.{key.name}", text
    for name, clause in table.checks.items():
        yield f"constraint {table.name}.{name}", f"check ({clause})"
    for index in table.indexes:
        which = "a UNIQUE" if index.is_unique else "an"  # read again: drift.matters, catalogued.constraints
        text = f"{which} index ({', '.join(index.compared)}) {index.kind}"
        yield f"index {table.name}.{index.name}", text
    for name, text in table.bounds.items():
        yield f"bounds {table.name}.{name}", text


def changes_between(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """Return the difference of two catalogues."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return tuple(_change(name, before.get(name), after.get(name)) for name in names)


def _change(name: str, before: str | None, after: str | None) -> Change:
    kind, _, full = name.partition(" ")
    table, _, part = full.partition(".")
    if kind in _OF_A_TABLE:
        return Change(kind, table, part, before, after)
    return Change(kind, full if kind == "table" else None, full, before, after)
