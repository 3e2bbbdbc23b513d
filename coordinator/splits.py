"""How to write one migration as two, where one version needs what it brings and another what it takes. Pure.

The advice names the very objects, as far as the rehearsal saw what the migration's statements changed. Where
a cut between statements is enough, `coordinator split` makes it (app/splitting.py), and `Split` is what came
of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.diagnostics import Place
from coordinator.evidence import Break, Change, Evidence, Phased, Verdict
from coordinator.model import DatabaseName, Migration, Phase, Role, SourceFile
from coordinator.pieces import Piece

_SHOWN: Final = 3
"""More names in a sentence are not read."""
_WHOLE: Final = ("table", "view")
"""With one of these all comes and goes that belongs to it, and is not told."""
_NOT_NULL: Final = ("23502", "SQLITE_CONSTRAINT_NOTNULL")
_ATTRIBUTES: Final = ("owner", "privilege")
"""What nobody adds or removes for its own sake."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement with the phase that it belongs to, and the reason for one that has to wait."""

    piece: Piece
    phase: Phase
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """What became of a file; without `files` all its statements are of one phase, and it may stay whole.

    Whether it may can be unproven too, and then the notes say why.
    """

    migration: Migration
    statements: tuple[Placed, ...]
    files: tuple[SourceFile, ...] = ()
    """The new files: those that take the place of the old ones, then those of the second half."""
    replaced: tuple[str, ...] = ()
    """Paths of the old files."""
    verdict: Verdict | None = None
    """That on the release with the new files; without files None, or UNPROVEN."""
    notes: tuple[str, ...] = ()
    """What a person has to look at, a sentence each."""


def split(
    phased: Phased, database: DatabaseName, evidence: Evidence, *, breaks: Sequence[Break], gone: str
) -> str:
    """Return what to do with a migration that brings and takes at once.

    `breaks` are the queries that miss what it takes or brings; `gone` is the version that misses the former.
    """
    name = phased.migration.name
    changes = changes_of(phased, database, evidence)
    if rebuilt := _rebuilt(changes):
        return (
            f"`{name}` builds {', '.join(rebuilt)} anew. In this release do that in a form that {gone} bears"
            f" as well as the new version; take away what only {gone} needs in a later one, when it is gone."
        )
    added = told([each for each in changes if each.before is None], breaks)
    taken = told([each for each in changes if each.after is None], breaks)
    altered = told([each for each in changes if each.before is not None and each.after is not None], breaks)
    if taken:
        now = f"In this release add {added} and keep {taken}" if added else f"In this release keep {taken}"
        now += _with_default(breaks)
        cut = ""
        if added and _has_cut(phased, database, evidence):
            cut = f": `coordinator split {phased.migration.files[0].path}` shows how"
        return f"Split `{name}`{cut}. {now}; remove {taken} in a later one, when {gone} is gone."
    if altered:
        return (
            f"Split `{name}`. In this release leave {altered} as it is and add the new form beside it; remove"
            f" the old one in a later one, when {gone} is gone."
        )
    if added:
        return (
            f"Split `{name}`. In this release add {added} in a form that {gone} bears; make it strict in a"
            " later one."
        )
    return (
        f"Split `{name}`: add the new form first, keep the old one, and remove it in a later release, when"
        f" {gone} is gone."
    )


def _rebuilt(changes: Sequence[Change]) -> tuple[str, ...]:
    """Return the tables and views that are taken away and come back, as SQLite changes one."""
    taken: set[str] = set()
    rebuilt: dict[str, None] = {}
    for each in changes:
        if each.kind in _WHOLE and each.after is None:
            taken.add(_name(each))
        elif each.kind in _WHOLE and each.before is None and _name(each) in taken:
            rebuilt[_name(each)] = None
    return tuple(rebuilt)


def _has_cut(phased: Phased, database: DatabaseName, evidence: Evidence) -> bool:
    """Tell whether no statement of a migration in SQL both brings and takes something."""
    if phased.migration.by_program:
        return False
    rehearsal = evidence.rehearsals.get(database)
    statements = [
        each.changes
        for each in (rehearsal.statements if rehearsal else ())
        if each.migration == phased.migration.name
    ]
    return all(
        all(change.before is None for change in changes) or all(change.after is None for change in changes)
        for changes in statements
    )


def _with_default(breaks: Sequence[Break]) -> str:
    """Return what else a kept column needs: a new version that does not fill it may find it NOT NULL."""
    for each in breaks:
        if each.use[2] is Role.NEXT and each.objection.code in _NOT_NULL:
            return f", and give it a default, because query `{each.query}` leaves it out"
    return ""


def changes_of(phased: Phased, database: DatabaseName, evidence: Evidence) -> tuple[Change, ...]:
    """Return what the rehearsal saw a migration change; empty where it was not rehearsed."""
    rehearsal = evidence.rehearsals.get(database)
    return tuple(
        change
        for each in (rehearsal.statements if rehearsal else ())
        if each.migration == phased.migration.name
        for change in each.changes
    )


def place_of(phased: Phased, database: DatabaseName, evidence: Evidence, *, breaks: Sequence[Break]) -> Place:
    """Return the place of the statement that the broken queries tell of, else that of the migration."""
    rehearsal = evidence.rehearsals.get(database)
    found = (
        each.place
        for each in (rehearsal.statements if rehearsal else ())
        if each.migration == phased.migration.name
        and any(_is_named(change, breaks) for change in each.changes)
    )
    return next(found, phased.place)


def told(changes: Sequence[Change], breaks: Sequence[Break]) -> str:
    """Return the changed things, or those alone that the engine named in a refusal; empty without any."""
    whole = {each.name for each in changes if each.kind in _WHOLE}
    things = [
        each
        for each in changes
        if each.kind not in _ATTRIBUTES and (each.kind in _WHOLE or each.relation not in whole)
    ]
    named = [each for each in things if _is_named(each, breaks)] or things
    names = list(dict.fromkeys(map(_name, named)))
    more = len(names) - _SHOWN
    return ", ".join([*names[:_SHOWN], *([f"{more} more"] if more > 0 else [])])


def _is_named(change: Change, breaks: Iterable[Break]) -> bool:
    own = change.name.rpartition(".")[2].strip('"')
    return any(own in re.findall(r"\w+", each.objection.message) for each in breaks)


def _name(change: Change) -> str:
    owner = f"{change.relation}." if change.relation not in (None, change.name) else ""
    return f"{change.kind} `{owner}{change.name}`"
