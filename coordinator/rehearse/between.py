"""What the migrations between two states did, if it explains that a query does something else. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from coordinator.evidence import Change, StatementEvidence
from coordinator.model import Migration, Role
from coordinator.rehearse.changed_rows import changed_by_writes
from coordinator.rehearse.collated import collated_by
from coordinator.rehearse.free_parents import filled_by
from coordinator.rehearse.recomputed import Recomputed, recomputed_by
from coordinator.rehearse.redefined import redefined_by
from coordinator.rehearse.renewed import renewed_by, renumbered_by
from coordinator.rehearse.rounded import rounded_by
from coordinator.sql import split_statements

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Between:
    """What lies between a version's own state and the one where it is asked."""

    is_live: bool = True
    """The version is the live one, and what lies between came after it."""
    writer: str | None = None
    """A migration that wrote rows: other rows in a result are its work, and nobody knows if it minds."""
    new_tables: frozenset[str] = frozenset()
    """Tables that the own state lacks, without schema: their sample rows are what another version writes."""
    missing_tables: frozenset[str] = frozenset()
    """Tables of the own state, without schema, that are not there: nothing can be done to their rows."""
    recomputed: Sequence[tuple[str, Recomputed]] = ()
    """Migrations, each with a column that it gave other values, or whose name it gave to another one."""
    filled: Sequence[tuple[str, str]] = ()
    """Migrations, each with a table of the own state, without schema, that it filled by a query."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What each pending migration did, in their order."""

    writers: Sequence[str | None]
    """Its name if it wrote rows, or may have."""
    movers: Sequence[str | None]
    """Its name if rows left a table with a part of it, or came into it."""
    new_tables: Sequence[frozenset[str]]
    """The tables, without schema, that it made; one that it made anew under its name as well."""
    came: Sequence[frozenset[str]]
    """Those of them that were not there before."""
    went: Sequence[frozenset[str]]
    """The tables that were there before, and are not there any more."""
    recomputed: Sequence[Sequence[tuple[str, Recomputed]]]
    """Its name, with each column that it gave other values, or whose name it gave to another one."""
    filled: Sequence[Sequence[tuple[str, str]]]
    """Its name, with each table, without schema, that it filled by a query."""

    @classmethod
    def by(
        cls,
        pending: Sequence[Migration],
        statements: Sequence[StatementEvidence],
        made_by_code: Mapping[str, frozenset[str]],
        *,
        written_before: Mapping[str, str],
    ) -> Passed:
        """Return what statements did; nobody sees those of code, but the tables that it left are known.

        `written_before` names what else wrote rows before a migration, by the migration's name.
        """
        wrote = {each.migration for each in statements if each.written or _truncates(each)}
        wrote |= {each.name for each in pending if each.is_code}
        recomputed = [_recomputed(statements, each) for each in pending]
        wrote |= {migration for each in recomputed for migration, _ in each}
        renewed = [_renewed(statements, each) for each in pending]
        moved = {each.migration for each in statements if _moves_rows(each)}
        changes = [_of_tables(statements, each) for each in pending]
        made = [made_by_code.get(each.name, frozenset[str]()) for each in pending]
        return cls(
            writers=tuple(
                each.name if each.name in wrote else written_before.get(each.name) for each in pending
            ),
            movers=tuple(each.name if each.name in moved else None for each in pending),
            new_tables=tuple(
                code | {bare(change.name) for change in each if change.before is None}
                for code, each in zip(made, changes, strict=True)
            ),
            came=tuple(
                code | _only(_first(each), _last(each)) for code, each in zip(made, changes, strict=True)
            ),
            went=tuple(_only(_last(each), _first(each)) for each in changes),
            recomputed=[(*one, *other) for one, other in zip(recomputed, renewed, strict=True)],
            filled=[
                _filled(statements, each, without={bare(one.name) for one in own if one.before is None})
                for each, own in zip(pending, changes, strict=True)
            ],
        )

    @property
    def last(self) -> int:
        """Return the number of the last state."""
        return len(self.writers)

    def between(self, role: Role, *, state: int, within: int = 0) -> Between:
        """Return what stands between a version's own state and `state`, or `within` the migration to it."""

        def these(of_migrations: Sequence[_T]) -> Sequence[_T]:
            return of_migrations[:state] if role is Role.LIVE else of_migrations[state - within :]

        is_live = role is Role.LIVE
        # Live misses rows that are gone; next meets such as a later migration means to take away.
        moved = () if is_live else these(self.movers)
        return Between(
            is_live=is_live,
            writer=next((name for name in (*these(self.writers), *moved) if name), None),
            new_tables=frozenset[str]().union(*these(self.new_tables)) if is_live else frozenset(),
            missing_tables=frozenset[str]().union(*these(self.went if is_live else self.came)),
            recomputed=[found for each in these(self.recomputed) for found in each],
            filled=[found for each in these(self.filled) for found in each] if is_live else (),
        )


def bare(name: str) -> str:
    """Return a table's name without its schema."""
    return name.rpartition(".")[2].strip('"')


def _of_tables(statements: Sequence[StatementEvidence], migration: Migration) -> list[Change]:
    return [
        change
        for each in statements
        if each.migration == migration.name
        for change in each.changes
        if change.kind == "table"
    ]


def _recomputed(
    statements: Sequence[StatementEvidence], migration: Migration
) -> Sequence[tuple[str, Recomputed]]:
    return [
        (migration.name, found)
        for each in statements
        if each.migration == migration.name
        for found in recomputed_by(each.statement.text)
    ]


def _renewed(release: Sequence[StatementEvidence], migration: Migration) -> Sequence[tuple[str, Recomputed]]:
    own = [each for each in release if each.migration == migration.name]
    readers = (
        *(renewed_by(own, release), changed_by_writes(own, release)),
        *(renumbered_by(own), rounded_by(own), collated_by(own), redefined_by(own)),
    )
    return [(migration.name, found) for found in chain(*readers)]


def _filled(
    statements: Sequence[StatementEvidence], migration: Migration, *, without: Collection[str]
) -> Sequence[tuple[str, str]]:
    """Return the tables that a migration filled; one that it made anew mostly gets back what it had."""
    own = (each.statement.text for each in statements if each.migration == migration.name)
    return [(migration.name, table) for text in own for table in filled_by(text) if table not in without]


def _truncates(statement: StatementEvidence) -> bool:
    """Tell whether rows are deleted in a way that no counter of the engine tells."""
    return any(each.words[:1] == ("TRUNCATE",) for each in split_statements(statement.statement.text))


def _moves_rows(statement: StatementEvidence) -> bool:
    """Tell whether a table lost a part, or got one. One that is made in the statement is empty."""
    made = {each.name for each in statement.changes if each.kind == "table" and each.before is None}
    return any(
        (change.before is None) != (change.after is None) and change.name not in made
        for change in statement.changes
        if change.kind in ("partition", "inheritance")
    )


_Definitions = Mapping[str, str | None]


def _first(changes: Sequence[Change]) -> _Definitions:
    return {bare(each.name): each.before for each in reversed(changes)}


def _last(changes: Sequence[Change]) -> _Definitions:
    return {bare(each.name): each.after for each in changes}


def _only(without: _Definitions, having: _Definitions) -> frozenset[str]:
    """Return the tables that are in the second and not in the first."""
    return frozenset(name for name in having if without[name] is None and having[name] is not None)
