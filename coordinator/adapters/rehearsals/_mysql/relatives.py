"""Which other tables a statement locks, because a foreign key ties them to the one that it names.

No server tells it beforehand, so it is what was measured, with a transaction open on the other table and with
rows written meanwhile (MySQL 8.0.15 and 9.7.4, MariaDB 10.11):

- On MySQL whoever makes or drops a foreign key, or drops or renames its table, needs the parent for a
  moment, against everybody, and whoever changes, drops or renames a parent its children. Not so on MariaDB.
- On both, a new foreign key whose rows are checked keeps all writers of the parent waiting until the table
  is copied. A table that lets writers wait does so to those who change or delete rows of a parent that its
  own rows follow (CASCADE, SET NULL).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from coordinator.adapters.rehearsals._mysql.algorithms import Way
from coordinator.evidence import FOREIGN_KEY_COPY, FOREIGN_KEY_MOMENT, Change, Lock
from coordinator.model import Engine
from coordinator.sql import SqlStatement

_KEY: Final = re.compile(r"foreign key \(.*\) references (?P<parent>.*) \(.*\) (?P<actions>on update .*)")
"""As catalogue.py writes it."""
_FOLLOWS: Final = re.compile(r"cascade|set (?:null|default)")
_LEAVES_CHILDREN: Final = (("TRUNCATE",), ("CREATE", "TRIGGER"))
_STOPS_WRITERS: Final = ("SHARED", "EXCLUSIVE")


@dataclass(frozen=True, slots=True)
class _Key:
    child: str
    parent: str
    follows: bool


def locks_on_relatives(
    statement: SqlStatement,
    *,
    way: Way | None,
    named: Iterable[str],
    before: Mapping[str, str],
    changes: Iterable[Change],
    engine: Engine,
) -> Iterator[tuple[str, str]]:
    """Yield a table and a mode of each lock; `named` are the tables that the statement itself locks.

    `before` is the catalogue that it found, and `changes` is what it did to that.
    """
    changed = {*named, *([way.table] if way is not None else [])}
    touched = list(_made_or_dropped(changes))
    if way is not None and way.lock in _STOPS_WRITERS:
        followed = [each for each in _keys_in(before) if each.child == way.table and each.follows]
        for parent in _parents([*followed, *touched], but=changed):
            yield parent, FOREIGN_KEY_COPY
    if engine is not Engine.MYSQL:
        return
    for parent in _parents(touched, but=changed):
        yield parent, FOREIGN_KEY_MOMENT
    if not any(statement.words[: len(start)] == start for start in _LEAVES_CHILDREN):
        children = {each.child for each in _keys_in(before) if each.parent in changed}
        for child in sorted(children - changed):
            yield child, FOREIGN_KEY_MOMENT


def as_locks(found: Iterable[tuple[str, str]], old: frozenset[str]) -> Iterator[Lock]:
    """Yield tables and modes as locks; `old` are the tables that were there before the migration."""
    for table, mode in found:
        yield Lock(table, mode, is_new=table not in old)


def _parents(keys: Iterable[_Key], *, but: set[str]) -> list[str]:
    return sorted({each.parent for each in keys} - but)


def _made_or_dropped(changes: Iterable[Change]) -> Iterator[_Key]:
    """Yield the foreign keys that came or went; one that only follows its parent's new name did neither."""
    for each in changes:
        if each.kind == "constraint" and (each.before is None or each.after is None):
            yield from _key_of(each.relation or "", each.before or each.after or "")


def _keys_in(schema: Mapping[str, str]) -> Iterator[_Key]:
    for name, text in schema.items():
        kind, _, full = name.partition(" ")
        if kind == "constraint":
            yield from _key_of(full.partition(".")[0], text)


def _key_of(child: str, text: str) -> Iterator[_Key]:
    if match := _KEY.fullmatch(text):
        yield _Key(child, match["parent"], _FOLLOWS.search(match["actions"]) is not None)
