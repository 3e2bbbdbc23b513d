"""Hazards: what a migration's statement would do to the live service while it runs. One rule a file.

The rules read evidence: locks that were taken, files that changed, tables that were read, and the difference
in the catalogue. The words of a statement are read only where the evidence cannot tell. The file's name is
the rule's code, its last line `RULE: Final[Rule]`. A rule says nothing about relations that the release
itself made, because nobody waits for them, and nothing about the time that a table takes which is known to
be small. Whether the old version's queries still work is not a rule's business: the engine is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from coordinator.evidence import Change, Hazard, Lock, StatementEvidence
from coordinator.sql import split_statements

ACCESS_EXCLUSIVE: Final = "AccessExclusiveLock"
STRONG: Final = frozenset({ACCESS_EXCLUSIVE, "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"})
"""Modes that stop writers, the first one readers too (PostgreSQL's manual, table 13.2)."""
SMALL: Final = 1_000_000
"""Bytes that are rewritten within about 50 ms: 1M rows with 4 indexes, some 100 MB, took 5 s."""
NEXT: Final = "-- next migration:"
"""Opens a part of a rewrite that belongs into a migration, and a transaction, of its own."""
MYSQL: Final = frozenset({"mysql", "mariadb"})
ALONE: Final = "-- alone in a file that runs without a transaction (goose: -- +goose NO TRANSACTION)"
"""Opens a statement that PostgreSQL runs in no transaction."""
SHORT_WAIT: Final = "SET lock_timeout = '50ms'; -- where it fails nothing has changed: try again"
MYSQL_SHORT_WAIT: Final = (
    "SET SESSION lock_wait_timeout = 1; -- where it fails nothing has changed: try again"
)
"""MySQL counts in whole seconds."""
BRIEF: Final = timedelta(seconds=1)
_LOCK_WAIT: Final = re.compile(
    r"(?<!global[\s.])(?<!persist[\s.])(?<!persist_only[\s.])"
    r"\block_wait_timeout\s*:?=\s*(?:(?P<seconds>\d+)|default)",
    re.IGNORECASE,
)
"""MySQL's, of this session alone."""
_TIMEOUT: Final = re.compile(r"(?:=|\bTO\b)\s*'?(?P<number>\d+)\s*(?P<unit>ms|s|min|h|d)?\b", re.IGNORECASE)
_UNITS: Final = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Those of PostgreSQL's settings; a number without one is milliseconds, 0 and DEFAULT are no limit."""
_HOLDS_ROWS: Final = frozenset({"table", "view", "materialized view"})


@dataclass(frozen=True, slots=True)
class Danger:
    """What a rule found: see evidence.Hazard."""

    what: str
    why: str
    rewrite: str


@dataclass(frozen=True)
class Context:
    """What else is known of a statement's release.

    `statements` are those of its migration, `earlier` those of the release that ran before it.
    """

    statements: tuple[StatementEvidence, ...]
    earlier: tuple[StatementEvidence, ...] = ()
    sizes: Mapping[str, int] | None = None
    """Bytes of each live table with its indexes; None where nothing live was asked."""
    major: int = 18
    changes_left: Mapping[str, int] = field(default_factory=dict)
    """How many columns more each live table can get or lose in an instant, where it is known."""
    lock_timeout: timedelta | None = None
    """The plan's, which every statement gets; None: unlimited."""

    @cached_property
    def _made(self) -> frozenset[str]:
        """The tables and views that the release made so far, by the names that they have now."""
        made: set[str] = set()
        for statement in self.earlier:
            gone = {
                each.name for each in statement.changes if each.kind in _HOLDS_ROWS and each.after is None
            }
            new = {
                each.name for each in statement.changes if each.kind in _HOLDS_ROWS and each.before is None
            }
            is_own = not gone or gone <= made  # a new name of an old table makes no new table
            made = (made | new) - gone if is_own else made - gone - new
        return frozenset(made)

    def is_old(self, relation: str) -> bool:
        """Tell whether the live service may use the relation: the release did not make it."""
        return relation not in self._made

    def is_large(self, relation: str) -> bool:
        """Tell whether the relation may be large: nobody knows its size, or it is above SMALL."""
        return self.sizes is None or self.sizes.get(relation, SMALL) >= SMALL

    def takes_long(self, relation: str) -> bool:
        """Tell whether the live service notices how long it takes to go through the relation."""
        return self.is_old(relation) and self.is_large(relation)

    def told_size(self, relation: str) -> str:
        """Return ` (12 MB live)`, or nothing where nobody knows."""
        size = None if self.sizes is None else self.sizes.get(relation)
        return "" if size is None else f" ({max(1, round(size / 1_000_000))} MB live)"

    def before(self, statement: StatementEvidence) -> tuple[StatementEvidence, ...]:
        """Return the statements that ran before it in its transaction."""
        if not statement.in_transaction:
            return ()
        found = list(self.before_in_file(statement))
        ends = [
            at for at, each in enumerate(found) if words_of(each)[:1] in (("COMMIT",), ("END",), ("BEGIN",))
        ]
        return tuple(found[ends[-1] + 1 :] if ends else found)

    def before_in_file(self, statement: StatementEvidence) -> tuple[StatementEvidence, ...]:
        """Return the statements of its migration that ran before it."""
        place = next((at for at, each in enumerate(self.statements) if each is statement), 0)
        return self.statements[:place]

    def strong_locks(self, statement: StatementEvidence) -> tuple[Lock, ...]:
        """Return the statement's strong locks on what was there before the release."""
        return tuple(
            each
            for each in statement.locks
            if each.mode in STRONG and not each.is_new and self.is_old(each.relation)
        )

    def waits_briefly(self, statement: StatementEvidence) -> bool:
        """Tell whether the migration itself sets a short lock_timeout before it, or lock_wait_timeout."""
        own = self._own_timeouts(statement)
        return bool(own) and own[-1] is not None and own[-1] <= BRIEF

    def longest_wait(self, statement: StatementEvidence) -> timedelta | None:
        """Return how long the statement may wait for a lock; None: for ever."""
        own = self._own_timeouts(statement)
        return own[-1] if own else self.lock_timeout

    def _own_timeouts(self, statement: StatementEvidence) -> list[timedelta | None]:
        found: list[timedelta | None] = []
        for each in self.statements:
            if each is statement:
                break
            words = words_of(each)
            if words[:1] in (("SET",), ("RESET",)) and "LOCK_TIMEOUT" in words[:3]:
                value = _TIMEOUT.search(text_of(each))
                milliseconds = float(value["number"]) * _UNITS[value["unit"] or "ms"] if value else 0
                found.append(timedelta(milliseconds=milliseconds) if milliseconds else None)
            elif words[:1] == ("SET",) and (value := _LOCK_WAIT.search(text_of(each))):
                found.append(timedelta(seconds=float(value["seconds"])) if value["seconds"] else None)
        return found


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: `check` yields what is dangerous in one statement."""

    code: str
    check: Callable[[StatementEvidence, Context], Iterator[Danger]]
    engines: frozenset[str] = frozenset({"postgresql"})
    """Whose locks and whose SQL it speaks of."""

    def hazards(self, statement: StatementEvidence, context: Context) -> Iterator[Hazard]:
        """Yield the dangers with the rule's code and the statement's place."""
        for each in self.check(statement, context):
            yield Hazard(self.code, statement.place, statement.migration, each.what, each.why, each.rewrite)


def all_rules() -> tuple[Rule, ...]:
    """Return every rule of this package, by the name of its file."""
    names = sorted(each.name for each in iter_modules(__path__) if not each.name.startswith("_"))
    return tuple(import_module(f"{__name__}.{name}").RULE for name in names)


def find_hazards(
    statements: Sequence[StatementEvidence],
    *,
    engine: str,
    sizes: Mapping[str, int] | None,
    lock_timeout: timedelta | None,
    changes_left: Mapping[str, int] | None = None,
) -> tuple[Hazard, ...]:
    """Return the hazards of a release's statements, in their order; `engine` is `RehearsalServer.version`.

    A rule speaks of some engines only.
    """
    name, _, version = engine.partition(" ")
    rules = [each for each in all_rules() if name in each.engines]
    found: list[Hazard] = []
    for at, statement in enumerate(statements):
        context = Context(
            statements=tuple(each for each in statements if each.migration == statement.migration),
            earlier=tuple(statements[:at]),
            sizes=sizes,
            major=int(version.partition(".")[0] or 0),
            changes_left=changes_left or {},
            lock_timeout=lock_timeout,
        )
        found.extend(hazard for rule in rules for hazard in rule.hazards(statement, context))
    return tuple(found)


def words_of(statement: StatementEvidence) -> tuple[str, ...]:
    """Return the keywords and bare names of a statement, in capitals."""
    pieces = split_statements(statement.statement.text)
    return pieces[0].words if pieces else ()


def is_write(statement: StatementEvidence) -> bool:
    """Tell whether the statement writes rows by its own words, and no DDL does."""
    return words_of(statement)[:1] in (("INSERT",), ("UPDATE",), ("DELETE",), ("MERGE",), ("WITH",))


def added(statement: StatementEvidence, kind: str) -> Iterator[Change]:
    """Yield the things of a kind that a statement made; a new name of a thing is none of them."""
    same = {each.before for each in statement.changes if each.kind == kind and each.after is None}
    for each in statement.changes:
        if each.kind == kind and each.before is None and (each.after not in same or kind in _HOLDS_ROWS):
            yield each


def dropped(statement: StatementEvidence, kind: str) -> Iterator[Change]:
    """Yield the things of a kind whose names are gone after a statement."""
    return (each for each in statement.changes if each.kind == kind and each.after is None)


def text_of(statement: StatementEvidence) -> str:
    """Return the statement's SQL as one that ends in `;`."""
    return statement.statement.text.strip().rstrip(";") + ";"


def bare(name: str) -> str:
    """Return the last part of a quoted name without its quotes: `public."Odd one"` → `Odd one`."""
    last = name.rpartition('."')[2] if name.endswith('"') else name.rpartition(".")[2]
    return last.strip('"').replace('""', '"')


def quoted(*parts: str) -> str:
    """Return one identifier made of parts, in quotes where it needs them."""
    name = "_".join(parts)
    is_plain = (
        name.isascii() and name.replace("_", "a").isalnum() and name == name.lower() and not name[0].isdigit()
    )
    return name if is_plain else '"' + name.replace('"', '""') + '"'


def schema_of(relation: str) -> str:
    """Return the schema of a `schema.name`, quoted as it was."""
    end = relation.index('"', 1) + 1 if relation.startswith('"') else relation.index(".")
    return relation[:end]
