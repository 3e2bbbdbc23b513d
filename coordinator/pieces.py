"""A migration cut into its statements, and one that is yet to be written. Pure.

A piece is a statement as the file has it, with the comment lines above it, so that a file that is made of
pieces still reads as its author wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from coordinator.errors import Usage
from coordinator.migration_files import is_declaration
from coordinator.model import Engine, Migration, Phase, Script, Statement
from coordinator.sql import SqlStatement, controls_transaction, has_own_transaction, split_statements

_SETTINGS = frozenset({"PRAGMA", "RESET", "SET", "USE"})
_VARIABLE = re.compile(r"(?<![@\w'\"`])@[\w`'\"]")
""":= or INTO may follow in many ways, so each `@name` counts; `user`@`host` and `@@sql_mode` do not."""
_BLOCK = re.compile(r"\s*/\*(?!M?!|\+)")
"""Not what MySQL runs or takes for a hint."""
_REST_IS_COMMENT = re.compile(r"[ \t]*--[^\n]*")


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement; `line` counts from 1 in its file, `comments` are the whole lines above it."""

    text: str
    line: int
    comments: tuple[str, ...] = ()
    is_setting: bool = False
    """It changes nothing but how the session reads and runs what stands behind it."""


@dataclass(frozen=True, slots=True)
class NewMigration:
    """A migration to be written in a tool's own form; `down` is None for one without a way back."""

    version: int
    width: int
    """How many digits the version has at least, as in the other files of the folder."""
    title: str
    """What stands behind the version in the file's name, without direction and extension."""
    phase: Phase
    up: tuple[Piece, ...]
    down: tuple[Piece, ...] | None
    transaction: bool


def statements_of(migration: Migration, engine: Engine) -> Iterator[SqlStatement]:
    """Yield the single statements of the up side; goose's blocks and migrate's files hold several."""
    for script in migration.up.statements if migration.up else ():
        for each in split_statements(script.text, engine):
            yield replace(each, line=script.line + each.line - 1)


def pieces_of(script: Script, source: str, engine: Engine) -> tuple[Piece, ...]:
    """Return the statements of one direction of a file, whose text is `source`.

    What begins and ends the one transaction around all of them is left out: each new file has its own.
    Raises: Usage `split-not-possible` where a cut could be a wrong one.
    """
    found = [
        (
            piece,
            Piece(
                _code(statement.text, piece.text, piece.offset),
                statement.line + piece.line - 1,
                is_setting=_is_setting(piece),
            ),
        )
        for statement in script.statements
        for piece in split_statements(statement.text, engine)
    ]
    statements = [statement for statement, _ in found]
    if kept := next((piece for statement, piece in found if _keeps_variable(statement)), None):
        raise _not_cut(kept.line, "a variable of the session goes from statement to statement")
    if unclosed := next((piece for statement, piece in found if not statement.is_closed), None):
        raise _not_cut(unclosed.line, "a quote or a comment of it is still open at its end")
    if has_own_transaction(statements):
        found = found[1:-1]
    elif controlling := next((piece for each, piece in found if controls_transaction(each)), None):
        raise _not_cut(controlling.line, "it begins or ends a transaction in the middle of the file")
    return tuple(_with_comments([piece for _, piece in found], source.split("\n"), engine))


def _not_cut(line: int, why: str) -> Usage:
    return Usage(
        "split-not-possible",
        f"The statement of line {line} cannot be put into another file: {why}.",
        next_step="Split the file by hand.",
    )


def _is_setting(statement: SqlStatement) -> bool:
    """Tell whether a statement is for those behind it; MariaDB's SET STATEMENT … FOR … does a whole one."""
    match statement.words:
        case ("SELECT", *rest):
            return "SET_CONFIG" in rest
        case ("SET", "STATEMENT", *_):
            return False
        case (first, *_):
            return first in _SETTINGS
    return False


def _keeps_variable(statement: SqlStatement) -> bool:
    """Tell whether a statement may give a variable of the session a value, of MySQL or MariaDB."""
    return statement.engine.speaks_mysql and _VARIABLE.search(statement.text) is not None


def _code(text: str, statement: str, offset: int) -> str:
    """Return a statement from its first word on, with a comment that ends its last line."""
    begin = text.rindex(statement, 0, offset + len(statement))
    end = begin + len(statement)
    rest = _REST_IS_COMMENT.match(text, end)
    return text[offset : rest.end() if rest else end].rstrip()


def _with_comments(pieces: Sequence[Piece], lines: Sequence[str], engine: Engine) -> Iterator[Piece]:
    """Yield the pieces with the comment lines that stand right above each, blank lines left out."""
    last = 0
    for piece in pieces:
        above = [each.rstrip("\r") for each in lines[last : max(last, piece.line - 1)]]
        yield replace(piece, comments=tuple(_remarks_at_end(above, engine)))
        last = piece.line + piece.text.count("\n")


def _remarks_at_end(lines: list[str], engine: Engine) -> list[str]:
    """Return what speaks to people alone: what a program reads is written anew, or not at all."""
    found: list[str] = []
    while lines:
        block = [lines.pop()]
        if block[0].rstrip().endswith("*/"):
            while "/*" not in block[0] and lines:
                block.insert(0, lines.pop())
            if not _BLOCK.match(block[0]):
                break
        elif block[0].strip() and not _is_remark(block[0], engine):
            break
        found[:0] = [each for each in block if each.strip()]
    return found


def _is_remark(line: str, engine: Engine) -> bool:
    if line.lstrip().startswith("#"):
        return engine.speaks_mysql
    return line.lstrip().startswith("--") and "+goose" not in line and not is_declaration(line)


def changing(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Return the pieces that are more than a setting."""
    return tuple(each for each in pieces if not each.is_setting)


def alone(migration: Migration, pieces: Sequence[Piece], *, transaction: bool) -> tuple[Migration, ...]:
    """Return each piece as a migration of its own, to be rehearsed; all have the version of the whole.

    Settings are none; each piece has those before it.
    """
    return tuple(
        Migration(
            migration.version,
            f"{migration.name} line {piece.line}" + (f" ({same})" if same else ""),
            Script(
                tuple(Statement(each.text, each.line) for each in (*settings, piece)),
                transaction,
            ),
            None,
            migration.files,
        )
        for piece, settings, same in _numbered(pieces)
    )


def _numbered(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, tuple[Piece, ...], int]]:
    """Yield each piece with the settings before it; one that shares a line has a number from 2 on."""
    seen: dict[int, int] = {}
    settings: tuple[Piece, ...] = ()
    for piece in pieces:
        if piece.is_setting:
            settings = (*settings, piece)
            continue
        seen[piece.line] = seen.get(piece.line, 0) + 1
        yield piece, settings, seen[piece.line] if seen[piece.line] > 1 else 0
