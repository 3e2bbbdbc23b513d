"""Guess from a statement's words in which phase it can do no harm to a version that runs. Pure.

A list of what is known, and nothing else: what is not on it gets no guess, and its author must declare. A
guess of *expand* that breaks the old version is the worst mistake of this program, so an ALTER TABLE is read
action by action, a rename, a replacement or a new type are never guessed (one of the two versions breaks in
any order), and the class of a SELECT or a DO, which may call anything, is not told by its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from coordinator.model import Phase
from coordinator.sql import SqlStatement, parts_of

Advice = Phase | Literal["any"] | None
"""`any`: no version notices, so it goes with the rest of its file. None: no guess is careful enough."""

ANY: Final = "any"
_RENAMES = "breaks the old version at once, and the new one until then"
_MAY_REFUSE = "refuses what the old version may write"
_CALLS = "may call functions, and what those do is not told by its words"

_STATEMENTS: Final[tuple[tuple[str, Advice, str], ...]] = (
    (r"ALTER TYPE(?: \S+){0,2}? ADD VALUE\b", Phase.EXPAND, "adds a value"),
    (r"ALTER\b.* RENAME\b", None, _RENAMES),
    (r"CREATE OR REPLACE\b", None, "replaces what the old version may use"),
    (
        r"CREATE (?:CONSTRAINT |EVENT |TEMP |TEMPORARY )?TRIGGER\b",
        None,
        "changes what a write of the old version does",
    ),
    (r"CREATE UNIQUE INDEX\b", Phase.CONTRACT, _MAY_REFUSE),
    (r"CREATE (?:\w+ ){0,2}(?:TABLE|VIEW)\b", Phase.EXPAND, "adds something"),
    (
        r"CREATE (?:INDEX|SEQUENCE|TYPE|DOMAIN|SCHEMA|EXTENSION|FUNCTION|PROCEDURE|STATISTICS|ROLE|USER)\b",
        Phase.EXPAND,
        "adds something",
    ),
    (r"GRANT\b", Phase.EXPAND, "allows something"),
    (r"(?:DROP|TRUNCATE|REVOKE)\b", Phase.CONTRACT, "takes something away"),
    (r".*\b(?:PG|SQLITE)_\w", None, "reaches into the engine itself"),
    (r"DELETE\b", None, "takes rows away that the old version may want"),
    (r"(?:INSERT|UPDATE|MERGE|WITH)\b.* DELETE\b", None, "takes rows away that the old version may want"),
    (r"WITH\b(?!.* (?:INSERT|UPDATE|MERGE)\b)", None, _CALLS),
    (r"(?:SELECT|DO|CALL|EXECUTE)\b", None, _CALLS),
    (r"(?:INSERT|UPDATE|MERGE|WITH|COPY|REFRESH)\b", Phase.MIGRATE, "moves data"),
    (r"(?:COMMENT|ANALYZE|VACUUM|REINDEX|LOCK|SHOW|BEGIN|START|COMMIT|END|SAVEPOINT)\b", ANY, ""),
    (r"SET (?:LOCAL |SESSION )?(?:LOCK_TIMEOUT|STATEMENT_TIMEOUT|ROLE|MAINTENANCE_WORK_MEM)\b", ANY, ""),
    (r"SET (?:NAMES|FOREIGN_KEY_CHECKS|UNIQUE_CHECKS)\b|UNLOCK TABLES\b", ANY, ""),
    (r"PRAGMA (?:DEFER_FOREIGN_KEYS|FOREIGN_KEYS|FOREIGN_KEY_CHECK|INTEGRITY_CHECK|OPTIMIZE)\b", ANY, ""),
)
"""Words of a statement → advice and why, the first match wins. An ALTER TABLE has a table of its own."""

_ACTIONS: Final[tuple[tuple[str, Advice, str], ...]] = (
    (r"ADD (?:CONSTRAINT|UNIQUE|CHECK|FOREIGN|PRIMARY|EXCLUDE)\b", Phase.CONTRACT, _MAY_REFUSE),
    (r"ADD .*\b(?:DROP|RENAME|ALTER|ATTACH|DETACH|VALIDATE)\b", None, "cannot be told from its words"),
    (r"ADD .*\b(?:CHECK|CONSTRAINT)\b", None, "has a rule that may refuse the old version's rows"),
    (
        r"ADD .*\b(?:GENERATED|AS)\b(?! ALWAYS AS IDENTITY| BY DEFAULT AS IDENTITY| IDENTITY)",
        None,
        "may fail for its rows",
    ),
    (r"ADD(?=.* UNIQUE\b)(?=.* DEFAULT\b)", None, "gives each row of the old version the same unique value"),
    (r"ADD(?: COLUMN)?+(?: IF NOT EXISTS)?+ \S+ (?:SMALL|BIG)?SERIAL\b", Phase.EXPAND, "adds a column"),
    (r"ADD .*\bAS IDENTITY\b", Phase.EXPAND, "adds a column"),
    (
        r"ADD(?=.* (?:NOT NULL|PRIMARY)\b)(?!.*(?<!SET) DEFAULT\b(?! NULL\b))",
        None,
        "adds a column that must not be null and has no default: the old version's INSERTs fail",
    ),
    (r"ADD(?: COLUMN)?(?: IF NOT EXISTS)?$", None, "adds what stands in parentheses or quotes alone"),
    (r"ADD\b", Phase.EXPAND, "adds a column"),
    (
        r"DROP (?:CONSTRAINT|FOREIGN|PRIMARY|CHECK)\b",
        None,
        "lifts a rule that the old version may rely on, and the new one may not keep",
    ),
    (r"DROP\b", Phase.CONTRACT, "takes something away"),
    (r"ALTER(?: COLUMN)?(?: \S+)? SET NOT NULL$", Phase.CONTRACT, _MAY_REFUSE),
    (r"ALTER(?: COLUMN)?(?: \S+)? DROP DEFAULT$", Phase.CONTRACT, "takes something away"),
    (r"ALTER(?: COLUMN)?(?: \S+)? DROP NOT NULL$", Phase.EXPAND, "allows something"),
    (r"ALTER(?: COLUMN)?(?: \S+)? SET DEFAULT\b", Phase.EXPAND, "fills in what nobody writes"),
    (r"ALTER(?: COLUMN)?(?: \S+)? SET (?:STATISTICS|STORAGE|COMPRESSION)\b", ANY, ""),
    (
        r"ALTER(?: COLUMN)?(?: \S+)? (?:SET DATA )?TYPE\b",
        None,
        "gives one version a type that it does not know",
    ),
    (r"VALIDATE CONSTRAINT\b", ANY, ""),
    (r"(?:ALGORITHM|LOCK) \w+$", ANY, ""),
    (r"RENAME\b", None, _RENAMES),
)
"""Words of one action of an ALTER TABLE, from its verb on → advice and why, the first match wins."""

_TO_ACTION = re.compile(
    r"ALTER TABLE(?: IF EXISTS)?(?: ONLY)?(?: \S+){0,2}? (?=(?:ADD|DROP|ALTER|VALIDATE|RENAME|SET|ENABLE"
    r"|DISABLE|OWNER|ATTACH|DETACH|INHERIT|NO|CLUSTER|REPLICA|FORCE|RESET)\b)"
)
_LEAD = r"(?is)^(?:\s+|--[^\n]*\n|/\*.*?\*/)*"
_NAME = r"((?:\w+\.)?\w+)(?![\w.\"$])"
_NEW_TABLE = re.compile(rf"{_LEAD}create\s+(?:unlogged\s+)?table\s+(?!if\s){_NAME}")
_TABLE_OF = re.compile(
    rf"{_LEAD}(?:alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?|insert\s+into\s+|update\s+(?:only\s+)?"
    rf"|delete\s+from\s+(?:only\s+)?|create\s+(?:unique\s+)?index\s+\w+\s+on\s+(?:only\s+)?){_NAME}"
)
"""Plainly written names alone: where one is not understood, the statement's class decides."""
_REACH_FURTHER = frozenset({"RENAME", "ATTACH", "DETACH", "INHERIT", "SCHEMA"})
"""What makes an ALTER TABLE of a new table an affair of old ones."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a statement, or one action of it, does to the version that runs."""

    phase: Advice
    why: str
    statement: SqlStatement


@dataclass(slots=True)
class NewTables:
    """The tables that the statements so far made, which no running version knows.

    A name that an earlier statement dropped, renamed or did something unknown with is an old one's for good:
    `ALTER TABLE users RENAME TO old; CREATE TABLE users …` makes nothing that the old version ignores.
    """

    _new: set[str] = field(default_factory=set)
    _touched: set[str] = field(default_factory=set)

    def guesses(self, statement: SqlStatement) -> tuple[Guess, ...]:
        """Return the guess for each part of the next statement, in the order in which they are applied."""
        if self._is_about_new(statement):
            why = "is about a table that the old version does not know"
            return (Guess(Phase.EXPAND, why, statement),)
        found = tuple(_guesses(statement))
        if {guess.phase for guess in found} & {None, Phase.CONTRACT}:
            self._touched.update(re.findall(r"\w+", statement.text.lower()))
        if made := _NEW_TABLE.match(statement.text):
            self._new.add(made[1].lower())
        return found

    def _is_about_new(self, statement: SqlStatement) -> bool:
        match = _TABLE_OF.match(statement.text)
        table = match[1].lower() if match and statement.is_closed else ""
        if table not in self._new or table.rpartition(".")[2] in self._touched:
            return False
        if statement.words[0] == "ALTER":
            return _REACH_FURTHER.isdisjoint(statement.words)
        return "DELETE" not in statement.words[1:]


def _guesses(statement: SqlStatement) -> Iterator[Guess]:
    if not statement.is_closed:
        yield Guess(None, "holds a quote or a comment that never ends", statement)
    elif statement.words[:2] == ("ALTER", "TABLE"):
        first, *others = (" ".join(part) for part in parts_of(statement))
        for action in (_TO_ACTION.sub("", first, count=1), *others):
            yield _looked_up(action, _ACTIONS, statement)
    else:
        yield _looked_up(" ".join(statement.words), _STATEMENTS, statement)


def _looked_up(words: str, table: tuple[tuple[str, Advice, str], ...], statement: SqlStatement) -> Guess:
    for pattern, phase, why in table:
        if re.match(pattern, words):
            return Guess(phase, why, statement)
    return Guess(None, "does what this program cannot tell from its words", statement)
