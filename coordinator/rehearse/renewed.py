"""Columns whose name means other values after a migration, of which its rows tell nothing. Pure.

One that went and came again (`RENAME status TO old_status`, `ADD status`; a table that is dropped and made
anew) has not what was in it. A generated one may be computed by another expression. Sample rows may hide
either from a query (`WHERE status = 'paid'`), so who names the column is told. Not of one that the migration
filled, nor of one that the release made under another name: what a backfill means is seen as far as sample
rows show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from coordinator.evidence import Change, StatementEvidence
from coordinator.rehearse.alike import is_alike, renamed_by
from coordinator.rehearse.catalogued import SQLITE, bare, expression_of, words_of
from coordinator.rehearse.recomputed import Recomputed
from coordinator.rehearse.written import columns_by, targets_of
from coordinator.sql import split_statements

_GONE: Final = "takes `{table}.{column}` away and puts another column of that name there, without its values"
_OTHERWISE: Final = "computes `{table}.{column}` by another expression"
_NOT_COMPUTED: Final = "does not compute `{table}.{column}` any more"
_COMPUTED: Final = "computes `{table}.{column}`, which had values of its own"
_ROWIDS: Final = ("rowid", "oid", "_rowid_")
_IS_NUMBER: Final = re.compile(r"integer\b.*\bprimary key\b")
_NUMBERED: Final = "makes `{table}` anew, whose rows get other numbers (`rowid`) where no key is one"
_NAME: Final = r"(?:COLUMN\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?[`\"]?(?P<{}>\w+)[`\"]?"
ALTERED: Final = re.compile(
    r"\s*ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<table>[^\s(]+)\s", re.IGNORECASE
)
CLAUSE: Final = re.compile(
    rf"\b(?:DROP\s+{_NAME.format('dropped')}|ADD\s+{_NAME.format('added')}"
    rf"|RENAME\s+{_NAME.format('renamed')}\s+TO\s+[`\"]?(?P<into>\w+)"
    rf"|CHANGE\s+{_NAME.format('changed')}\s+[`\"]?(?P<to>\w+))",
    re.IGNORECASE,
)
NO_COLUMNS: Final = frozenset(
    {
        "check", "constraint", "foreign", "fulltext", "index", "key", "partition", "primary", "spatial",
        "unique",
    }
)  # fmt: skip
"""What else is dropped and added under a name."""
_PARTS: Final = ("partition", "inheritance")
_KEEPS: Final = ("trigger", "function", "procedure")
_FILLS: Final = re.compile(r"\s*CREATE\s.*\bSELECT\b", re.IGNORECASE | re.DOTALL)

_Column = tuple[str, str]
_Definitions = list[tuple[str | None, str | None]]


def renewed_by(
    statements: Sequence[StatementEvidence], release: Sequence[StatementEvidence]
) -> Iterator[Recomputed]:
    """Yield the columns that are there before and after a migration of a release, with other values."""
    changed = changed_columns(statements)
    exchanged = {column for each in statements for column in _exchanged(each)}
    filled, updated = _given_rows(statements), _updated(statements)
    heirs = set(_heirs(statements, release))
    renamed = set(renamed_by(change for each in statements for change in each.changes))
    known = {(bare(table), column) for table, column in changed}
    for table, column in sorted(changed.keys() | (exchanged - known)):
        definitions, name = changed.get((table, column), [("", "")]), (bare(table), column)
        before, after = definitions[0][0], definitions[-1][1]
        if before is None or after is None:
            continue
        ours, theirs = expression_of(before), expression_of(after)
        went = name in exchanged or any(each is None for _, each in definitions[:-1])
        if ours and theirs:
            columns = {one for of, one in changed if of == table}
            if not is_alike(ours, theirs, columns=columns, renamed=renamed):
                yield Recomputed(*name, _OTHERWISE)
        elif ours or theirs:
            yield Recomputed(*name, _COMPUTED if theirs else _NOT_COMPUTED)
        elif went and name[0] not in filled and name not in updated and (table, column) not in heirs:
            yield Recomputed(*name, _GONE)


def renumbered_by(statements: Sequence[StatementEvidence]) -> Iterator[Recomputed]:
    """Yield the names of SQLite for a row's number in tables that are made anew without such a key."""
    changed = changed_columns(statements)
    anew = {
        table
        for (table, _), definitions in changed.items()
        if table.startswith(SQLITE) and definitions[0][0] is not None and definitions[0][1] is None
    }
    keyed = {table for (table, _), each in changed.items() if _IS_NUMBER.match(each[-1][1] or "")}
    is_kept = any(not words_of(each.statement.text).isdisjoint(_ROWIDS) for each in statements)
    for table in sorted(anew - keyed) if not is_kept else ():
        yield from (Recomputed(bare(table), name, _NUMBERED) for name in _ROWIDS)


def changed_columns(statements: Sequence[StatementEvidence]) -> Mapping[_Column, _Definitions]:
    """Return what became of each column of a table, with its schema; a view has no values."""
    changes = [change for each in statements for change in each.changes]
    views = {each.name for each in changes if "view" in each.kind}
    found: dict[_Column, _Definitions] = {}
    for each in changes:
        if each.kind == "column" and each.relation and each.relation not in views:
            found.setdefault((each.relation, bare(each.name)), []).append((each.before, each.after))
    return found


def _exchanged(statement: StatementEvidence) -> Iterator[_Column]:
    """Yield what one ALTER TABLE takes away and puts there: no change is to be seen of what is alike."""
    text = statement.statement.text
    head = ALTERED.match(text)
    clauses = list(CLAUSE.finditer(text, head.end())) if head else []
    goes = {bare(each["dropped"] or each["renamed"] or each["changed"] or "") for each in clauses}
    comes = {bare(each["added"] or each["into"] or each["to"] or "") for each in clauses}
    stays = {bare(each["to"]) for each in clauses if each["to"] and bare(each["to"]) == bare(each["changed"])}
    if head:
        yield from ((bare(head["table"]), each) for each in (goes & comes) - stays - NO_COLUMNS - {""})


def _updated(statements: Sequence[StatementEvidence]) -> frozenset[_Column]:
    """Return the columns to which an UPDATE gives values, as far as its text names them."""
    texts = [each.statement.text for each in statements if _changes_rows(each)]
    return frozenset(
        (table, column) for text in texts for table in targets_of(text) for column in columns_by(text) or ()
    )


def _changes_rows(statement: StatementEvidence) -> bool:
    """Tell whether a statement is an UPDATE or a DELETE, and no more: other columns stay as they are."""
    words = [each.words[:1] for each in split_statements(statement.statement.text)]
    return words in ([("UPDATE",)], [("DELETE",)])


def _given_rows(statements: Sequence[StatementEvidence]) -> frozenset[str]:
    """Return the tables whose rows a migration wrote, moved, or had before under another name.

    What changes rows that are there says itself which columns.
    """
    changes = [change for each in statements for change in each.changes]
    came = {bare(each.name) for each in changes if each.kind == "table" and each.before is None}
    writing = [each for each in statements if not _changes_rows(each)]
    filled = {bare(table) for each in writing for table in each.written}
    filled |= {table for each in writing for table in targets_of(each.statement.text)}
    filled |= {bare(each.relation) for each in changes if each.kind in _PARTS and each.relation}
    is_made_of_rows = any(_FILLS.match(each.statement.text) for each in statements)
    if is_made_of_rows or any(table in filled or not is_new for table, is_new in _gone(changes)):
        filled |= came
    return frozenset(filled)


def _heirs(
    statements: Sequence[StatementEvidence], release: Sequence[StatementEvidence]
) -> Iterator[_Column]:
    """Yield the columns that had another name and are made of what they replace; a table has its schema.

    One that was there before the release has values of its own, unless a trigger kept the two alike, which
    the release has to take away or change.
    """
    made = {column for each in release for column in _made(each)}
    kept = [
        words_of(change.before)
        for each in release
        for change in each.changes
        if change.kind in _KEEPS and change.before
    ]
    for table, old, new in (renamed for each in statements for renamed in _renamed(each)):
        if (table, old) in made or any({old, new} <= words for words in kept):
            yield table, new


def _made(statement: StatementEvidence) -> Iterator[_Column]:
    """Yield the columns that a statement adds, and not under another name."""
    columns = [each for each in statement.changes if each.kind == "column"]
    went = {each.relation for each in columns if each.after is None}
    yield from (
        (each.relation or "", bare(each.name))
        for each in columns
        if each.before is None and each.relation not in went
    )


def _renamed(statement: StatementEvidence) -> Iterator[tuple[str, str, str]]:
    """Yield the names that columns had and are gone, and have now, with the table and its schema."""
    gone = {(each.relation or "", bare(each.name)) for each in statement.changes if each.after is None}
    for clause in CLAUSE.finditer(statement.statement.text):
        old, new = bare(clause["renamed"] or clause["changed"] or ""), clause["into"] or clause["to"] or ""
        yield from ((table, old, bare(new)) for table, each in gone if each == old)


def _gone(changes: Sequence[Change]) -> Iterator[tuple[str, bool]]:
    """Yield the tables that are not there at the end, and whether they were not there before either."""
    found: dict[str, list[Change]] = {}
    for each in changes:
        if each.kind == "table":
            found.setdefault(bare(each.name), []).append(each)
    for name, these in found.items():
        if these[-1].after is None:
            yield name, these[0].before is None
