"""What may become of live rows before a migration gets to them, as far as its release says. Pure.

A question about the rows that are there now is answered wrongly where the release changes them first. So a
statement counts as one that leaves them alone only where that is known: of any other one, nobody asks about
anything behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.renewed import ALTERED, CLAUSE, NO_COLUMNS
from coordinator.rehearse.written import items_of, targets_of
from coordinator.sql import SqlStatement, split_statements, tokens

_LEAVE_ROWS: Final = frozenset(
    {
        "ALTER", "ANALYZE", "BEGIN", "CLUSTER", "COMMENT", "COMMIT", "CREATE", "DESC", "DESCRIBE", "DROP",
        "END", "GRANT", "INSERT", "LOCK", "NOTIFY", "OPTIMIZE", "PRAGMA", "REINDEX", "RELEASE", "RENAME",
        "RESET", "REVOKE", "SAVEPOINT", "SECURITY", "SELECT", "SET", "SHOW", "START", "UNLOCK", "UPDATE",
        "USE", "VACUUM",
    }
)  # fmt: skip
"""First words of statements that change no rows but of tables that they name. A DELETE may take others along,
and a DO, a CALL or the like do anything."""
_UNCHECKED: Final = frozenset({"check_constraint_checks", "foreign_key_checks", "ignore_check_constraints"})
"""Settings under which MySQL, MariaDB and SQLite ask no row."""
_CALLED: Final = re.compile(r"([\w\"`]+)\s*\(")
_ONLY_READ: Final = re.compile(
    r"pg_\w+|all|and|any|as|avg|by|case|cast|char|coalesce|concat|count|current_schemas?|current_setting|database"
    r"|else|exists|from|having|ifnull|in|join|length|lower|max|min|not|now|nullif|nextval|on|or|over|row_number"
    r"|select|set_config|setval|sum|then|to_regclass|trim|union|upper|using|values|varchar|version|when|where",
    re.IGNORECASE,
)
"""What may stand before a parenthesis in a SELECT that changes no row: all functions but a few may do so."""
_COMMENTS: Final = frozenset({"block", "comment"})
_ROWS_MOVE: Final = frozenset({"PARTITION", "PARTITIONING"})
_MEANINGS: Final = frozenset({"aggregate", "domain", "function", "operator", "procedure", "type"})
_NO_NAMES: Final = NO_COLUMNS | {"default", "not"}
_PARTS: Final = frozenset({"inheritance", "partition"})
_COPY: Final = re.compile(
    r"\s*INSERT\s+INTO\s+(?P<into>[^\s(]+)\s*(?:\((?P<columns>[^()]*)\)\s*)?"
    r"SELECT\s+(?P<shown>[^()]*?)\s+FROM\s+(?P<source>[^\s,;()]+)\s*;?\s*",
    re.IGNORECASE,
)
_CREATED: Final = re.compile(
    r"\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>[^\s(]+)\s*\((?P<body>.*)\)",
    re.IGNORECASE | re.DOTALL,
)
_OTHER_ROWS: Final = frozenset({"ignore", "replace"})
"""Words by which SQLite takes a row that breaks a constraint, and changes or leaves out one."""
_RENAMED: Final = re.compile(
    r"\s*ALTER\s+TABLE\s+(?P<name>\S+)\s+RENAME\s+TO\s+(?P<to>[^\s;]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Touched:
    """What a migration may have changed when it ends."""

    words: frozenset[str]
    """Tables whose rows may be others, functions and types that may mean something else, and words among
    which such are."""
    columns: frozenset[tuple[str, str]]
    """Columns, each with its table, that may have other values."""
    is_anything: bool
    """It may be anything."""

    @classmethod
    def by(cls, statements: Sequence[StatementEvidence]) -> Touched:
        """Return it of what was seen of a migration's statements."""
        pieces = [piece for each in statements for piece in pieces_of(each.statement.text)]
        copied = dict(_copied([piece.text for piece in pieces]))
        changes = [change for each in statements for change in each.changes]
        words = {bare(table) for each in statements for table in each.written}
        words |= {bare(each.name) for each in changes if each.kind == "table"} - copied.keys()
        words |= {bare(each.name.partition("(")[0]) for each in changes if each.kind in _MEANINGS}
        for each in changes:
            words |= words_of(f"{each.relation} {each.name}") if each.kind in _PARTS else set()
        return cls(
            frozenset(words.union(*(_named(piece) for piece in pieces))),
            frozenset(column for piece in pieces for column in _renewed(piece))
            | {(table, column) for table, left in copied.items() for column in left},
            any(map(_may_be_anything, pieces)) or any(_checks_nothing(each) for each in statements),
        )


def pieces_of(text: str) -> Iterator[SqlStatement]:
    """Yield the statements of a text, without their comments."""
    for each in split_statements(text):
        kept = (each.text[start:end] for kind, start, end, _ in tokens(each.text) if kind not in _COMMENTS)
        yield replace(each, text="".join(kept))


def _may_be_anything(piece: SqlStatement) -> bool:
    """Tell whether nobody knows of which tables a statement changes rows."""
    first = piece.words[:1]
    if first == ("SELECT",):
        return not all(map(_ONLY_READ.fullmatch, _CALLED.findall(piece.text)))
    return bool(first) and (first[0] not in _LEAVE_ROWS or piece.words[1:2] == ("NOT",))


def _checks_nothing(statement: StatementEvidence) -> bool:
    """Tell whether no row is asked behind a statement, which may stand in a `/*! */`."""
    return not _UNCHECKED.isdisjoint(words_of(statement.statement.text))


def _named(piece: SqlStatement) -> frozenset[str]:
    """Return the words among which the tables are whose rows may be others behind a statement.

    Of what a program has read it may write down something.
    """
    words = frozenset(piece.words)
    if piece.words[:1] == ("SELECT",):
        return words_of(piece.text)
    head = ALTERED.match(piece.text)
    if head and (not words.isdisjoint(_ROWS_MOVE) or {"TYPE", "USING"} <= words):
        return frozenset({bare(head["table"])})
    return targets_of(piece.text) if piece.words[:1] in (("INSERT",), ("UPDATE",)) else frozenset()


def _renewed(piece: SqlStatement) -> Iterator[tuple[str, str]]:
    """Yield the columns that an ALTER TABLE takes away, puts there or gives another name."""
    head = ALTERED.match(piece.text)
    if head is None:
        return
    for clause in CLAUSE.finditer(piece.text, head.end()):
        names = {bare(each) for each in clause.groupdict().values() if each}
        if clause["to"] is None or len(names) > 1:  # a CHANGE to its own name is no other column
            yield from ((bare(head["table"]), each) for each in names - _NO_NAMES)


def _copied(texts: Sequence[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the tables that are made anew with the rows that they had, and the columns that got other values.

    SQLite has no other way to change a table: CREATE, INSERT … SELECT, DROP, RENAME.
    """
    names = [(bare(each["name"]), bare(each["to"])) for text in texts if (each := _RENAMED.match(text))]
    created = {bare(each["name"]): each["body"] for text in texts if (each := _CREATED.match(text))}
    for found in filter(None, map(_COPY.fullmatch, texts)):
        into, source = bare(found["into"]), bare(found["source"])
        writing = [text for text in texts if into in targets_of(text)]
        made = created.get(into)
        if made is None or not _OTHER_ROWS.isdisjoint(words_of(made)):
            continue
        if len(writing) != 1 or (into, source) not in names:
            continue
        columns = [each for each in _names(made) if each not in NO_COLUMNS]
        filled = _names(found["columns"]) if found["columns"] else columns
        shown = [bare(each.strip()) for each in items_of(found["shown"])]
        if len(shown) == len(filled):
            same = {name for name, of in zip(filled, shown, strict=True) if name == of}
            yield source, frozenset(columns) - same


def _names(listed: str) -> list[str]:
    """Return with what each item of a list begins."""
    return [bare(each.split()[0]) for each in items_of(listed) if each.split()]
