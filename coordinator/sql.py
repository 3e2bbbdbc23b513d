"""How SQL text falls into statements, and what the words of one say of transactions.

A lexer and no parser: it knows where quotes, comments and bodies end, so that a word is found where it is
code and nowhere else. It decides about transactions: what ends one, what refuses one. What a statement does
to a schema is never guessed here: the engine is asked. goose cuts files by rules of its own
(migrations_hooks); this lexer then looks at what goose cut. MySQL and MariaDB quote and comment in their own
way; PostgreSQL and SQLite are read alike. How a text becomes a literal stands here too, because the lexer is
what reads it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from coordinator.model import Engine

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>--[^\n]*)
  | (?P<block>/\*)
  | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*+(?P<escaped_end>')?)
  | (?P<string>'(?:[^']|'')*+(?P<string_end>')?)
  | (?P<identifier>"(?:[^"]|"")*+(?P<identifier_end>")?)
  | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MYSQL_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>\#[^\n]*|--(?=[\s\x00-\x1f]|\Z)[^\n]*)
  | (?P<conditional>/\*M?![0-9]*(?:[^*]|\*(?!/))*+(?P<conditional_end>\*/)?)
  | (?P<block>/\*(?:[^*]|\*(?!/))*+(?P<block_end>\*/)?)
  | (?P<string>'(?:[^'\\]|\\.|'')*+(?P<string_end>')?)
  | (?P<identifier>"(?:[^"\\]|\\.|"")*+(?P<identifier_end>")?)
  | (?P<backtick>`(?:[^`]|``)*+(?P<backtick_end>`)?)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
"""MySQL 8.0 Reference Manual 9.1.1 and 9.7: `\\` escapes, `--` is a comment before a blank only, blocks do
not nest, and what stands in `/*! */` is run: it is no comment."""
_PLAIN = frozenset({"space", "comment", "word", "other"})
"""What ends by itself."""
_CLOSED = frozenset({"conditional", "block", "string", "identifier", "backtick"})
"""What MySQL closes: each has a group for its end."""
_TEXTS = frozenset({"string", "escaped", "dollar"})
_COMMENTS = frozenset({"comment", "block"})
_BEGINNING = 60
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_BODIED = frozenset({"EVENT", "FUNCTION", "PROCEDURE", "TRIGGER"})
_BODIED_WITHIN = 6
"""The kind stands early: `CREATE OR REPLACE CONSTRAINT TRIGGER`, `CREATE TEMP TRIGGER`."""
_ENDED_BY_TWO_WORDS = frozenset({"IF", "LOOP", "REPEAT", "WHILE"})
"""In a body of MySQL: `END IF`."""


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """One statement of a text, with its comments; `line` counts from 1 in that text."""

    text: str
    line: int
    words: tuple[str, ...]
    """Its keywords and bare names in capitals, none of them from a string, a quoted name or a comment."""
    is_closed: bool
    """No quote, comment or dollar quote of it is still open at its end."""
    offset: int = 0
    """Where its first word stands in that text, in characters from 0."""
    engine: Engine = Engine.POSTGRESQL
    """Whose quotes and comments it was read with."""


def split_statements(text: str, engine: Engine = Engine.POSTGRESQL) -> tuple[SqlStatement, ...]:
    """Return the statements of a text, each with its `;`; comments and `;` alone are none."""
    return _split(text, engine)


@lru_cache(maxsize=4096)
def _split(text: str, engine: Engine) -> tuple[SqlStatement, ...]:
    """Remember: reading, checking, planning and applying a file each ask, and a release may have 1,000."""
    statements: list[SqlStatement] = []
    line, counted, begin = 1, 0, 0
    reader = _Reader()
    for kind, start, end, closed in chain(tokens(text, engine), [("end", len(text), len(text), True)]):
        if not reader.takes(text[start:end], kind, start=start, closed=closed):
            continue
        line += text.count("\n", counted, reader.first)
        counted = reader.first
        words, cut = tuple(reader.words), text[begin:end].strip()
        statements.append(SqlStatement(cut, line, words, reader.is_closed, reader.first, engine))
        begin, reader = end, _Reader()
    return tuple(statements)


def parts_of(statement: SqlStatement) -> tuple[tuple[str, ...], ...]:
    """Return the words between a statement's commas, without what stands in parentheses."""
    parts: list[list[str]] = [[]]
    depth = 0
    for kind, start, end, _ in tokens(statement.text, statement.engine):
        lexeme = statement.text[start:end]
        depth += (lexeme == "(") - (lexeme == ")")
        if lexeme == "," and depth == 0:
            parts.append([])
        elif kind == "word" and depth == 0:
            parts[-1].append(lexeme.upper())
    return tuple(tuple(part) for part in parts)


def beginning_of(text: str, engine: Engine) -> str:
    """Return what a person recognises a statement by: its beginning, on one line."""
    line = on_one_line(text, engine)
    return line if len(line) <= _BEGINNING else f"{line[: _BEGINNING - 1]}…"


def on_one_line(text: str, engine: Engine) -> str:
    """Return a statement in its author's letters, without its comments and its `;`.

    Without its texts, too, which are somebody's data: it gets into reports and pages that others read.
    """
    pieces = (
        "'…'" if kind in _TEXTS else " " if kind in _COMMENTS else text[start:end]
        for kind, start, end, _ in tokens(text, engine)
    )
    return " ".join("".join(pieces).split()).removesuffix(";").rstrip()


def tokens(text: str, engine: Engine = Engine.POSTGRESQL) -> Iterator[tuple[str, int, int, bool]]:
    """Yield each token's kind (the groups of `_TOKEN`), start, end, and whether it is closed."""
    if engine.speaks_mysql:
        for each in _MYSQL_TOKEN.finditer(text):
            kind, (start, end) = str(each.lastgroup), each.span()
            yield kind, start, end, kind not in _CLOSED or each[f"{kind}_end"] is not None
        return
    position = 0
    next_token = _TOKEN.match
    while match := next_token(text, position):
        kind, end, closed = str(match.lastgroup), match.end(), True
        if kind in _PLAIN:
            pass
        elif kind == "block":
            end, closed = _end_of_block(text, end)
        elif kind == "dollar":
            found = text.find(match[0], end)
            end, closed = (len(text), False) if found < 0 else (found + len(match[0]), True)
        elif kind in ("escaped", "string", "identifier"):
            closed = match[f"{kind}_end"] is not None
        yield kind, position, end, closed
        position = end


def _end_of_block(text: str, position: int) -> tuple[int, bool]:
    depth = 1
    while depth and (edge := _BLOCK_EDGE.search(text, position)):
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return (len(text), False) if depth else (position, True)


class _Reader:
    """Collects one statement: its words, and how deep in parentheses and bodies the next token stands."""

    def __init__(self) -> None:
        self.first = -1
        self.words: list[str] = []
        self.parentheses = 0
        self.bodies = 0
        self.is_closed = True

    def takes(self, lexeme: str, kind: str, *, start: int, closed: bool) -> bool:
        """Take a token and tell whether a statement ends with it."""
        self.is_closed = self.is_closed and closed
        if kind in ("space", "comment") or (kind == "block" and closed):
            return False
        if kind == "end" or (lexeme == ";" and not self.parentheses and not self.bodies):
            return self.first >= 0
        if self.first < 0:
            self.first = start
        if kind == "word":
            self._take_word(lexeme.upper())
        elif lexeme == "(":
            self.parentheses += 1
        elif lexeme == ")":
            self.parentheses = max(0, self.parentheses - 1)
        return False

    def _take_word(self, word: str) -> None:
        has_body = self.words[:1] == ["CREATE"] and not _BODIED.isdisjoint(self.words[:_BODIED_WITHIN])
        if has_body and not self.parentheses:
            after_end = self.words[-1] == "END"
            if after_end and word in _ENDED_BY_TWO_WORDS:
                self.bodies += 1  # its END was counted, and its beginning was not
            elif word == "BEGIN" or (word == "CASE" and self.bodies and not after_end):
                self.bodies += 1
            elif word == "END" and self.bodies:
                self.bodies -= 1
        self.words.append(word)


# -- transactions ---------------------------------------------------------------------------------------

_REFUSE = (
    ("VACUUM",),
    ("CREATE", "DATABASE"),
    ("DROP", "DATABASE"),
    ("CREATE", "TABLESPACE"),
    ("DROP", "TABLESPACE"),
    ("ALTER", "SYSTEM"),
    ("DISCARD", "ALL"),
    ("REINDEX", "DATABASE"),
    ("REINDEX", "SCHEMA"),
    ("REINDEX", "SYSTEM"),
)
_REFUSE_CONCURRENTLY = (("CREATE", "INDEX"), ("CREATE", "UNIQUE"), ("DROP", "INDEX"), ("REINDEX",))
_MAY_REFUSE = (("CALL",), ("CLUSTER",), ("CREATE", "SUBSCRIPTION"), ("DROP", "SUBSCRIPTION"), ("REINDEX",))
_BEGIN_AND_COMMIT = 2
_ENDS_IN_BODY = re.compile(r"\b(COMMIT|ROLLBACK)\b", re.IGNORECASE)


def ends_transaction(statement: SqlStatement) -> bool:
    """The statement ends the transaction around it; a way back to a savepoint does not."""
    match statement.words:
        case ("ROLLBACK", *rest):
            return "TO" not in rest[:2]
        case ("COMMIT" | "END" | "ABORT", *_) | ("PREPARE", "TRANSACTION", *_):
            return True
    return False


def controls_transaction(statement: SqlStatement) -> bool:
    """The statement begins or ends a transaction."""
    return ends_transaction(statement) or statement.words[:1] in (("BEGIN",), ("START",))


def has_own_transaction(pieces: Sequence[SqlStatement]) -> bool:
    """The text is one transaction from its first statement to its last, and says so itself."""
    if len(pieces) < _BEGIN_AND_COMMIT or not all(each.is_closed for each in pieces):
        return False
    first, *inner, last = pieces
    return (
        first.words[:1] in (("BEGIN",), ("START",))
        and last.words[:1] in (("COMMIT",), ("END",))
        and "CHAIN" not in last.words
        and not any(controls_transaction(each) for each in inner)
    )


def sets_transaction(statement: SqlStatement) -> bool:
    """The statement sets its transaction's properties, which it may only do before every query of it."""
    return statement.words[:2] == ("SET", "TRANSACTION")


def refuses_transaction(statement: SqlStatement) -> bool:
    """PostgreSQL never runs the statement inside a transaction (its manual, "cannot be executed inside")."""
    words = statement.words
    return (
        any(words[: len(start)] == start for start in _REFUSE)
        or ("CONCURRENTLY" in words and any(words[: len(start)] == start for start in _REFUSE_CONCURRENTLY))
        or (words[:2] == ("ALTER", "TABLE") and words[-1] == "CONCURRENTLY" and "DETACH" in words)
    )


def may_refuse_transaction(statement: SqlStatement) -> bool:
    """PostgreSQL may refuse the statement inside a transaction, depending on what cannot be read from it."""
    if statement.words[:1] == ("DO",):
        return _ENDS_IN_BODY.search(statement.text) is not None
    return refuses_transaction(statement) or any(
        statement.words[: len(start)] == start for start in _MAY_REFUSE
    )


_STAYS = frozenset({"DELETE", "DO", "INSERT", "REPLACE", "SELECT", "UPDATE", "WITH"})


def stays_in_transaction(statement: SqlStatement) -> bool:
    """MySQL and MariaDB certainly keep the transaction around the statement open, and can take it back.

    A list of what is known: every other one may commit by itself (MySQL 8.0 Reference Manual 13.3.3). Tables
    without transactions (MyISAM) keep what was written all the same.
    """
    return statement.words[:1] != () and statement.words[0] in _STAYS and statement.is_closed


_REPEATABLE = (
    ("CREATE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS"),
    ("CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS"),
    ("DROP", "INDEX", "CONCURRENTLY", "IF", "EXISTS"),
)


def is_repeatable(statement: SqlStatement) -> bool:
    """The statement may be sent again wherever a kill left it, if an invalid index is dropped before."""
    return any(statement.words[: len(start)] == start for start in _REPEATABLE)


def is_client_copy(statement: SqlStatement) -> bool:
    """The statement is a COPY whose rows travel through the client."""
    pairs = zip(statement.words, statement.words[1:], strict=False)
    return statement.words[:1] == ("COPY",) and any(
        pair in (("FROM", "STDIN"), ("TO", "STDOUT")) for pair in pairs
    )


def literal(text: str, engine: Engine = Engine.POSTGRESQL) -> str:
    """Return a text as an SQL literal, without the NULs that only MySQL and MariaDB take.

    A doubled quote is a quote to each engine. What a backslash is depends on settings of the server (MySQL's
    and MariaDB's NO_BACKSLASH_ESCAPES, PostgreSQL's standard_conforming_strings), so a text that has one is
    written in a form that they do not touch.
    """
    has_backslash = "\\" in text
    if engine.speaks_mysql and (has_backslash or "\x00" in text):
        return f"_utf8mb4 X'{text.encode().hex()}'"
    text = text.replace("\x00", "")
    quoted = "'" + text.replace("'", "''") + "'"
    if has_backslash and engine is Engine.POSTGRESQL:
        return "E" + quoted.replace("\\", "\\\\")
    return quoted
