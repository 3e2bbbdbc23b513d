"""What a migration file says before an engine reads it: its encoding, a declared phase, certain mistakes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from coordinator.diagnostics import Diagnostic, Place
from coordinator.model import Engine, Phase
from coordinator.sql import (
    SqlStatement,
    ends_transaction,
    is_client_copy,
    refuses_transaction,
    split_statements,
)

_MARK = "coordinator:"
_DECLARATION = re.compile(rf"\s*(?P<mark>--|//|#)\s*{_MARK}(?P<rest>.*)")
_PHASE = re.compile(r"\s*phase\s*=\s*(?P<phase>\S+)\s*")
_LONE_CR = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A phase that a migration file declares, and where."""

    phase: Phase
    place: Place


@lru_cache(maxsize=2)
def decode(content: bytes, path: str) -> tuple[str, tuple[Diagnostic, ...]]:
    """Return a migration file's text; with a diagnostic if tools and engines disagree about its bytes."""
    problem = ""
    text = ""
    if content.startswith(b"\xef\xbb\xbf"):
        problem = "The file starts with a byte order mark (U+FEFF), which is no part of SQL."
    elif b"\x00" in content:
        problem = "The file holds a NUL byte, where PostgreSQL would stop reading."
    else:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            problem = f"The file is not UTF-8: byte {error.start} is {content[error.start]:#04x}."
    if lone := _LONE_CR.search(text):
        line = text.count("\n", 0, lone.start()) + 1
        problem = f"Line {line} holds a carriage return (CR) that is not part of a CR LF line end."
    if not problem:
        return text, ()
    why = "The migration tools and the engines read such a file differently, and can lose statements."
    next_step = "Save it as UTF-8 without a byte order mark, with LF line ends."
    return "", (Diagnostic("migration-encoding", Place(path), problem, why, next_step),)


def is_declaration(line: str) -> bool:
    """The line is a comment that is meant for this program."""
    return _declaration(line, "--") is not None


def _declaration(line: str, comment: str) -> re.Match[str] | None:
    match = _DECLARATION.match(line)
    return match if match and match["mark"] == comment else None


@lru_cache(maxsize=2)  # a hook asks when it checks both sides of a migration, and when it makes one of them
def declared_phase(
    text: str, path: str, *, comment: str = "--"
) -> tuple[Declaration | None, tuple[Diagnostic, ...]]:
    """Return the phase of the file's `-- coordinator: phase=…` comments, and what is wrong with them.

    `comment` is what begins a comment in the file's language: `--`, `//` or `#`.
    """
    found: Declaration | None = None
    problems: list[Diagnostic] = []
    for number, line in enumerate(text.split("\n"), start=1):
        declaration = _declaration(line, comment) if _MARK in line else None
        if declaration is None:
            continue
        place = Place(path, number, declaration.start("mark") + 1)
        phase = _PHASE.fullmatch(declaration["rest"])
        if phase is None or phase["phase"] not in tuple(Phase):
            problems.append(_bad_phase(place, comment, f"`{line.strip()}` declares no phase that exists."))
        elif found is not None and found.phase != phase["phase"]:
            problems.append(
                _bad_phase(place, comment, f"Line {found.place.line} already declares `{found.phase}`.")
            )
        else:
            found = found or Declaration(Phase(phase["phase"]), place)
    return found, tuple(problems)


def _bad_phase(place: Place, comment: str, what: str) -> Diagnostic:
    return Diagnostic(
        "bad-phase",
        place,
        what,
        "The phase decides whether the migration runs before or after the switch of traffic.",
        f"Write one of `{comment} coordinator: phase=expand`, `phase=migrate` or `phase=contract`, once.",
    )


def unsafe_statements(
    text: str, place: Place, *, transaction: bool, engine: Engine = Engine.POSTGRESQL
) -> tuple[Diagnostic, ...]:
    """Return what in a text fails, hangs or escapes for certain, in the way in which its tool sends it.

    `place` is where the text starts; `transaction` says that the tool wraps it in one.
    """
    statements = split_statements(text, engine)
    problems: list[Diagnostic] = []
    for each in statements:
        here = Place(place.file, place.line + each.line - 1)
        if engine.speaks_mysql:
            if ends_transaction(each) and transaction:
                problems.append(_escapes(here, each))
        elif is_client_copy(each):
            problems.append(_client_copy(here))
        elif refuses_transaction(each) and (transaction or len(statements) > 1):
            problems.append(_refuses(here, each, alone=not transaction))
        elif ends_transaction(each) and transaction:
            problems.append(_escapes(here, each))
    return tuple(problems)


def _client_copy(place: Place) -> Diagnostic:
    return Diagnostic(
        "copy-from-stdin",
        place,
        "COPY here reads or writes rows through the client.",
        "Only psql can do that: goose waits for ever, and golang-migrate fails and leaves a dirty version.",
        "Write the rows as INSERT statements.",
    )


def _refuses(place: Place, statement: SqlStatement, *, alone: bool) -> Diagnostic:
    words = " ".join(statement.words[:3])
    return Diagnostic(
        "statement-refuses-transaction",
        place,
        f"`{words} …` cannot run inside a transaction.",
        "PostgreSQL runs a text of several statements in one transaction."
        if alone
        else "The tool wraps this migration in one transaction.",
        "Give it a text of its own (goose: outside the StatementBegin block; golang-migrate: without BEGIN in"
        " the file)."
        if alone
        else "Add `-- +goose NO TRANSACTION` to the file, and keep the statement alone in it.",
    )


def _escapes(place: Place, statement: SqlStatement) -> Diagnostic:
    return Diagnostic(
        "transaction-control",
        place,
        f"`{' '.join(statement.words[:2])}` ends the transaction that the tool began for this migration.",
        "What follows would be applied outside it, and could not be taken back when it fails.",
        "Take it out, or let the file run without a transaction (`-- +goose NO TRANSACTION`).",
    )
