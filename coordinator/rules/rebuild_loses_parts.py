"""A table of SQLite that is built anew loses what hangs on the old one, and nobody says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from coordinator.evidence import Change, StatementEvidence
from coordinator.rules import Context, Danger, Rule, added, dropped

_HANGS_ON: Final = ("index", "trigger")
_ORDER: Final = (
    "-- in this order, so that foreign keys go on to mean the table's name (SQLite's manual, ALTER TABLE):\n"
    "CREATE TABLE {table}_next (…);\nINSERT INTO {table}_next SELECT … FROM {table};\nDROP TABLE {table};\n"
    "ALTER TABLE {table}_next RENAME TO {table};"
)


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    place = next((at for at, each in enumerate(context.statements) if each is statement), 0)
    before, after = context.statements[:place], context.statements[place + 1 :]
    for gone in dropped(statement, "table"):
        if any(True for _ in added(statement, "table")):  # it was renamed
            continue
        table = _name_at_first(gone.name, before)
        if not any(each.name == table for other in (*before, *after) for each in added(other, "table")):
            continue
        made = [each for other in (*before, *after) for kind in _HANGS_ON for each in added(other, kind)]
        has = {each.name for each in made if each.relation == table}
        lost = [
            each
            for kind in _HANGS_ON
            for each in dropped(statement, kind)
            if each.relation == gone.name
            and each.name not in has
            and not any(_does_the_same(each, other) for other in made if other.relation == table)
        ]
        if lost:
            yield Danger(
                f"{_bare(table)} is built anew without {_told(lost)}.",
                "SQLite drops indexes and triggers together with their table and says nothing; a unique index"
                " that is missing lets duplicates in.",
                "-- when the new table has its name:\n" + "\n".join(f"{each.before};" for each in lost),
            )
        if keys := _pointing_at(gone.name, before):
            told = " and ".join(f"{each.name} of {_bare(each.relation or '')}" for each in keys)
            yield Danger(
                f"{told} still points at {_bare(gone.name)}, which is dropped.",
                "A table that is renamed takes the foreign keys of others with it. Where a connection has"
                " `foreign_keys` on, every write to the child fails then.",
                _ORDER.format(table=_bare(table)),
            )


def _name_at_first(table: str, before: Iterable[StatementEvidence]) -> str:
    """Return the name that a table had before the migration renamed it."""
    for statement in reversed(tuple(before)):
        gone, new = list(dropped(statement, "table")), list(added(statement, "table"))
        if len(gone) == len(new) == 1 and new[0].name == table:
            table = gone[0].name
    return table


def _does_the_same(lost: Change, made: Change) -> bool:
    """Tell whether an index has what another one has, under another name."""
    return lost.kind == made.kind == "index" and _indexed(lost.before or "") == _indexed(made.after or "")


def _indexed(definition: str) -> tuple[bool, str]:
    """Return whether an index is unique, and what stands behind the names of itself and its table."""
    head, _, columns = definition.partition("(")
    return "UNIQUE" in head.upper().split(), columns


def _pointing_at(table: str, before: Iterable[StatementEvidence]) -> list[Change]:
    """Return the foreign keys of other tables that came to point at a table by its new name."""
    found: dict[tuple[str | None, str], Change] = {}
    for statement in before:
        for each in statement.changes:
            if each.kind == "constraint" and each.name.startswith("foreign key"):
                found[each.relation, each.name] = each
    wanted = f"references {_bare(table)} (".lower()
    return [
        each for each in found.values() if each.relation != table and (each.after or "").startswith(wanted)
    ]


def _told(changes: Iterable[Change]) -> str:
    return ", ".join(f"its {each.kind} {each.name}" for each in changes)


def _bare(relation: str) -> str:
    return relation.partition(".")[2]


RULE: Final[Rule] = Rule(code="rebuild-loses-parts", check=_check, engines=frozenset({"sqlite"}))
