"""Columns that may be NULL no more and in which live leaves NULL for as long as it serves. Pure.

Nothing breaks before: the engine refuses live's query only behind the migration, and then live is gone. But
the rows that it wrote until then are there, and on them the migration fails, where there is no way back. Of a
column that live sends as a parameter nobody knows whether the client ever sends NULL: that is told, and no
more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from coordinator.backfills.order import CONTRACT, named
from coordinator.diagnostics import Place
from coordinator.evidence import Break, Change, Hazard, Rehearsal, StatementEvidence, Use
from coordinator.model import BackfillSpec, Migration, Role
from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.lost_indexes import last_of_live, named_queries
from coordinator.rehearse.renewed import changed_columns
from coordinator.rehearse.written import columns_by, literals_by
from coordinator.sql import split_statements

_REFUSED: Final = frozenset({"23502", "1048", "1364", "SQLITE_CONSTRAINT_NOTNULL"})
"""not_null_violation; ER_BAD_NULL_ERROR, ER_NO_DEFAULT_FOR_FIELD."""
_REFUSED_BY_CHECK: Final = frozenset({"23514", "4025", "3819", "SQLITE_CONSTRAINT_CHECK"})
"""check_violation; ER_CONSTRAINT_FAILED of MariaDB, ER_CHECK_CONSTRAINT_VIOLATED of MySQL."""
_CHECKED: Final = re.compile(r"check \(+[`\"]?(?P<column>\w+)[`\"]? is not null\)+", re.IGNORECASE)
"""A constraint by which a column may be NULL no more, also in the rows that are there."""
_QUOTED: Final = re.compile(r"(?<=[^\w\s])[^\W\d][\w$]*")
"""A message's names stand in quotation marks, or behind a dot."""
DEFAULT: Final = re.compile(r"\bdefault (?!null\b)", re.IGNORECASE)
_NOT_NULL: Final = re.compile(r"\bnot null\b", re.IGNORECASE)
_SENT: Final = re.compile(r" \(with (?:.* )?NULL[,)]", re.DOTALL)
"""What a message says of the values that were sent, where there was a NULL among them."""
_FILLS: Final = frozenset({"coalesce", "ifnull", "case"})
"""Words with which a table that is made anew gets what was NULL."""
_REWRITE: Final = """-- in the same file, before it:
UPDATE {table} SET {column} = … WHERE {column} IS NULL;
-- or, for many rows, a backfill of the plan with `before: contract`, which counts once more what is left"""


def hazards_of_live_nulls(
    rehearsal: Rehearsal,
    backfills: Sequence[BackfillSpec],
    pending: Sequence[Migration],
    texts: Mapping[tuple[Use, str], str],
) -> Iterator[Hazard]:
    """Yield a hazard for each column that nothing fills when live is gone, before it becomes NOT NULL.

    `texts` are those of the queries.
    """
    last = last_of_live(rehearsal, pending)
    for at, migration in enumerate(pending):
        own = [each for each in rehearsal.statements if each.migration == migration.name]
        refused = [
            each
            for each in rehearsal.breaks
            if (each.use[2], each.migration) == (Role.LIVE, migration.name)
            and each.objection.code in _REFUSED | _REFUSED_BY_CHECK
        ]
        alone = pending[last : at + 1]
        behind = [each for one in alone for each in rehearsal.statements if each.migration == one.name]
        filled = _filled_behind_live(behind, backfills, alone) if refused else None
        if filled is None:
            continue
        found = _left_null(_narrowed(own, behind), refused, texts)
        found |= _left_to_checks(own, refused, texts)
        for (table, column), queries in sorted(found.items()):
            if table not in filled | _without_trigger(behind):
                always = sorted(name for name, is_sent in queries.items() if not is_sent)
                does = "leaves it NULL" if always else "may write NULL there"
                yield Hazard(
                    code="not-null-meets-live-rows",
                    place=_place(own, column, table),
                    migration=migration.name,
                    what=f"{table}.{column} may be NULL no more, and live {does} by"
                    f" {named_queries(always or sorted(queries))} for as long as it serves.",
                    why="A row that it wrote since makes this fail, also where all were filled before."
                    " By then live is gone, and there is no way back.",
                    rewrite=_REWRITE.format(table=table, column=column),
                    fails=bool(always),
                )


def _left_null(
    narrowed: Mapping[str, Mapping[str, AbstractSet[str]]],
    refused: Sequence[Break],
    texts: Mapping[tuple[Use, str], str],
) -> dict[tuple[str, str], dict[str, bool]]:
    """Return the queries that leave NULL in each column that becomes NOT NULL, by its table and name, and
    whether each does so only where a client sends it.
    """
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for each in refused:
        if each.objection.code not in _REFUSED:
            continue
        message, text = each.objection.message, texts.get((each.use, each.query), "")
        quoted, words = frozenset(name.lower() for name in _QUOTED.findall(message)), words_of(message)
        for column in _meant(narrowed.keys(), quoted, words):
            tables = narrowed[column]
            is_sent = _SENT.search(message) is not None and _may_be_sent(column, text)
            for table in _meant(tables.keys(), quoted, words_of(text), tables.keys()):
                for named_one in tables[table]:
                    queries = found.setdefault((named_one, column), {})
                    queries[each.query] = is_sent and queries.get(each.query, True)
    return found


def _left_to_checks(
    statements: Sequence[StatementEvidence], refused: Sequence[Break], texts: Mapping[tuple[Use, str], str]
) -> dict[tuple[str, str], dict[str, bool]]:
    """Return the same of the columns for which a CHECK comes that wants a value."""
    found: dict[tuple[str, str], dict[str, bool]] = {}
    changes = [change for each in statements for change in each.changes if change.kind == "constraint"]
    last = {(bare(each.relation or ""), each.name): each.after for each in changes}
    for (table, name), after in last.items():
        check = _CHECKED.fullmatch(after or "")
        if check is None:
            continue
        column = bare(check["column"])
        for each in refused:
            text, told = texts.get((each.use, each.query), ""), words_of(each.objection.message)
            if each.objection.code in _REFUSED_BY_CHECK and table in words_of(text) and {name, column} & told:
                found.setdefault((table, column), {})[each.query] = _may_be_sent(column, text)
    return found


def _may_be_sent(column: str, text: str) -> bool:
    """Tell whether a text writes a column with something else than a literal."""
    return column in (columns_by(text) or {column}) and column not in literals_by(text)


def _meant(names: AbstractSet[str], *ways: AbstractSet[str]) -> AbstractSet[str]:
    """Return those of some names that the first of several ways to tell tells of."""
    return next((found for each in ways if (found := names & each)), frozenset())


def _narrowed(
    statements: Sequence[StatementEvidence], behind: Sequence[StatementEvidence]
) -> Mapping[str, Mapping[str, AbstractSet[str]]]:
    """Return the columns that may be NULL before a migration, and not behind it, each with its tables.

    `behind` are the statements that run since live is gone, with those of the migration. A table stands there
    with the one that the migration names: its partitions follow it.
    """
    found: dict[str, set[str]] = {}
    first = {name: definitions[0][0] for name, definitions in changed_columns(behind).items()}
    for (table, column), definitions in changed_columns(statements).items():
        before, after, of_live = definitions[0][0], definitions[-1][1], first[table, column] or ""
        if not before or not after or _NOT_NULL.search(before) or not _NOT_NULL.search(after):
            continue
        # Who is refused for want of the default that it had left no NULL before.
        if not DEFAULT.search(of_live) or DEFAULT.search(after):
            found.setdefault(column, set()).add(bare(table))
    words = words_of(" ".join(each.statement.text for each in statements))
    return {
        column: {each: {each} & words or tables & words or {each} for each in tables}
        for column, tables in found.items()
    }


def _filled_behind_live(
    statements: Sequence[StatementEvidence], backfills: Sequence[BackfillSpec], alone: Sequence[Migration]
) -> AbstractSet[str] | None:
    """Return the tables in which rows are written by migrations that run `alone`, when live is gone, or by a
    backfill that one of them waits for, or that are made anew with something for NULL. None: nobody knows.
    """
    filled = {bare(each.table) for each in backfills if each.before == CONTRACT or named(alone, each.before)}
    filled |= {word for each in statements for word in _written_unseen(each)}
    for migration in alone:
        own = [each for each in statements if each.migration == migration.name]
        if migration.is_code and not own:
            return None
        filled |= {bare(table) for each in own for table in each.written}
        if any(not _FILLS.isdisjoint(words_of(each.statement.text)) for each in own):
            filled |= {bare(one.name) for each in own for one in each.changes if one.kind == "table"}
    return filled


def _written_unseen(statement: StatementEvidence) -> Iterator[str]:
    """Yield the words among which the tables are that a statement may write where no sample row shows it."""
    for each in split_statements(statement.statement.text):
        if each.words[:1] in (("DO",), ("TRUNCATE",)) or each.words[:2] == ("BEGIN", "NOT"):
            yield from words_of(each.text)


def _without_trigger(statements: Sequence[StatementEvidence]) -> AbstractSet[str]:
    """Return the tables that lose a trigger, which may have given live's rows a value until then."""
    changes = [one for each in statements for one in each.changes if one.kind == "trigger" and one.relation]
    last = {(bare(one.relation or ""), one.name): one for one in changes}
    return {table for (table, _), one in last.items() if one.after is None}


def _place(statements: Sequence[StatementEvidence], column: str, table: str) -> Place:
    """Return where the column is changed last, or gets its CHECK."""
    return next(
        each.place
        for each in reversed(statements)
        if any(_is_of(one, column) for one in each.changes if bare(one.relation or "") == table)
    )


def _is_of(change: Change, column: str) -> bool:
    if change.kind == "constraint":
        check = _CHECKED.fullmatch(change.after or "")
        return check is not None and bare(check["column"]) == column
    return change.kind == "column" and bare(change.name) == column
