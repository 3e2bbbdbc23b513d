"""What is left of a migration that failed half-way, to the statement, and the two honest ways on. Pure.

MySQL and MariaDB commit each change of the schema by itself, and every engine does so where a file runs
without a transaction. Then a failure leaves a part behind, and the one who has to go on needs to know which.
What is said here is counted from the engine's answers; where a file begins and ends transactions of its own,
or a procedure answers as often as it likes, nothing is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.errors import DatabaseError
from coordinator.model import Engine, Script, Statement
from coordinator.ports.databases import Batch
from coordinator.sql import (
    SqlStatement,
    controls_transaction,
    has_own_transaction,
    split_statements,
    stays_in_transaction,
)

_MOST_NAMED = 12
_MOST_LETTERS = 60
_LOST = ("08", "57P", "58", "XX")
"""Classes of SQLSTATE of a server or a connection that went away: whatever it did may have been done."""

_WHOLE_OR_NOT = {("ALTER", "TABLE"), ("CREATE", "TABLE"), ("CREATE", "INDEX"), ("CREATE", "UNIQUE")}
_OF_CONNECTION = {("FOREIGN_KEYS",), ("LEGACY_ALTER_TABLE",)}
"""Of SQLite's PRAGMA what ends with the connection."""
_IN_PARTS = {"PARTITION", "TABLESPACE"}


@dataclass(frozen=True, slots=True)
class Ways:
    """What a person may do about it: the statements that record the file as done, or as never begun."""

    forward: tuple[str, ...]
    back: tuple[str, ...]
    """Empty where the tool has recorded nothing yet."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A single statement of a file, as a person finds it there."""

    line: int
    begins: str


@dataclass(frozen=True, slots=True)
class Remains:
    """The statements of a file that are committed, and those that are not, in their order."""

    committed: tuple[Piece, ...]
    rest: tuple[Piece, ...]


def may_remain(script: Script | None, engine: Engine) -> bool:
    """Tell whether a file that is cut off can leave a part of itself behind."""
    if script is None:
        return False
    if not script.transaction:
        return True
    return engine.speaks_mysql and not all(
        stays_in_transaction(each) for each in _all_of(script.statements, engine)
    )


def statements_of(script: Script, engine: Engine) -> str:
    """Return what a person may find of a file of which nobody knows how far it came."""
    return named(pieces_of(script, engine))


def remains_of(
    error: DatabaseError, batch: Batch, script: Script, engine: Engine, *, is_sent: bool
) -> Remains | None:
    """Return what a failure left of a file, or None where nobody can count it.

    `is_sent` says that a batch before this one held the file: then all of it is committed.
    """
    pieces = pieces_of(script, engine)
    if is_sent:
        return Remains(pieces, ())
    texts = tuple(each.text for each in script.statements)
    if batch.statements[: len(texts)] != texts or _controls_transactions(script, engine):
        return None
    if batch.transaction:
        whole: int | None = error.committed
        within: int | None = 0
    else:
        whole, within = error.statement, _before(error, texts, engine)
    if whole is None or within is None:
        return None
    count = len(_all_of(script.statements[:whole], engine)) + within
    return Remains(pieces[:count], pieces[count:])


def was_taken_back(error: DatabaseError, batch: Batch, engine: Engine) -> bool:
    """Tell whether the text that was refused is one transaction of its own, and nothing was sent before it.

    MySQL commits each change of the schema whatever it says. On SQLite a switch for foreign keys may stand
    around the transaction, where alone it does something.
    """
    if engine.speaks_mysql or error.statement != 0 or error.ambiguous:
        return False
    if engine is Engine.SQLITE:
        return _was_within_own_transaction(error, split_statements(batch.statements[0], engine))
    if error.sqlstate is None or error.sqlstate.startswith(_LOST):
        return False
    return has_own_transaction(split_statements(batch.statements[0], engine))


def was_refused_whole(error: DatabaseError, remains: Remains | None, script: Script, engine: Engine) -> bool:
    """Tell whether the server refused the file's first statement, and that is of a kind that leaves nothing.

    MySQL and MariaDB take such a change of one table back. `DROP TABLE a, b` and `CREATE OR REPLACE` are done
    in part by MariaDB, and rows may be of a table without transactions.
    """
    if not engine.speaks_mysql or remains is None or remains.committed:
        return False
    if error.ambiguous or error.code != "statement-failed":
        return False
    first = next(iter(_all_of(script.statements, engine)), None)  # a file of nothing but `;` has none
    return first is not None and first.words[:2] in _WHOLE_OR_NOT and _IN_PARTS.isdisjoint(first.words)


def _was_within_own_transaction(error: DatabaseError, pieces: Sequence[SqlStatement]) -> bool:
    own = [each for each in pieces if each.words[:1] != ("PRAGMA",)]
    if not own or not has_own_transaction(own) or error.position is None:
        return False
    around = [each for each in pieces if not own[0].offset <= each.offset <= own[-1].offset]
    return error.position - 1 <= own[-1].offset and all(each.words[1:2] in _OF_CONNECTION for each in around)


def _controls_transactions(script: Script, engine: Engine) -> bool:
    return any(controls_transaction(each) for each in _all_of(script.statements, engine))


def _before(error: DatabaseError, texts: Sequence[str], engine: Engine) -> int | None:
    """Return how many statements of the text that failed are committed. PostgreSQL takes them all back."""
    if engine is Engine.POSTGRESQL or error.statement is None or error.statement >= len(texts):
        return 0
    statements = split_statements(texts[error.statement], engine)
    if error.position is None:
        return None if len(statements) > 1 else 0
    return sum(each.offset < error.position - 1 for each in statements)


def _all_of(statements: Sequence[Statement], engine: Engine) -> tuple[SqlStatement, ...]:
    return tuple(each for text in statements for each in split_statements(text.text, engine))


def pieces_of(script: Script, engine: Engine) -> tuple[Piece, ...]:
    return tuple(
        Piece(text.line + each.line - 1, _beginning(text.text[each.offset :]))
        for text in script.statements
        for each in split_statements(text.text, engine)
    )


def _beginning(code: str) -> str:
    line = code[: 2 * _MOST_LETTERS].split("\n", 1)[0].strip()
    return line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}…"


def half_applied(error: DatabaseError, remains: Remains, *, what: str, ways: Ways) -> DatabaseError:
    """Return the failure as a person needs it: what is there, what is not, and what to do about it."""
    first = remains.rest[0].line if remains.rest else None
    lost = "" if first is None else f" From line {first} on nothing is{_in_doubt(error)}."
    record = f"record it: {_as_sql(ways.forward)}"
    forward = (
        f"Then {record}" if first is None else f"Run the file from line {first} on by hand, then {record}"
    )
    take_back = f", {_as_sql(ways.back)}" if ways.back else ""
    return DatabaseError(
        "half-applied",
        what,
        why=f"{error.why} Committed before it, for good: {named(remains.committed)}.{lost}".strip(),
        next_step=f"{_before_all(error)}Two ways on. Forward: {forward}. Back: undo by hand what is"
        f" committed{take_back}, correct the file and run again (a run that is still open wants --supersede"
        " then).",
        sqlstate=error.sqlstate,
        ambiguous=error.ambiguous,
        statement=error.statement,
        position=error.position,
        committed=error.committed,
        leaves_part=True,
    )


def _before_all(error: DatabaseError) -> str:
    """Return what has to be mended before either way can be gone, where it is not the file."""
    if error.code == "database-read-only":
        return "Let the URL lead to the server that takes writes, or end that setting, before anything else. "
    return ""


def _in_doubt(error: DatabaseError) -> str:
    if error.ambiguous:
        return ", but for the first statement there: it was under way when it was cut off"
    return ""


def named(pieces: Sequence[Piece]) -> str:
    named = [f"line {each.line} ({each.begins})" for each in pieces[:_MOST_NAMED]]
    if more := len(pieces) - len(named):
        named.append(f"and {more} more, up to line {pieces[-1].line}")
    return ", ".join(named)


def _as_sql(statements: Sequence[str]) -> str:
    return "`" + "; ".join(statements) + "`"
