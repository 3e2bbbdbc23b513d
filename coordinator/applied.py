"""What each migration was when it was applied, in a table of our own beside the tool's.

No tool of ours keeps a checksum, and its version table is not to be changed by a byte. So whoever applies a
migration here writes down which bytes and which code it had, in the transaction of the tool's own record.
What a tool applied itself has no entry, and nothing is claimed about it. A database whose role may not make
or write the table is migrated all the same, without the entry.

Comments and blanks are no code: a file that differs in them alone is the same migration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration, Script
from coordinator.own_tables import execute_with_table, kept_whole
from coordinator.ports.databases import Batch, Session, Target
from coordinator.ports.migrations import MigrationTool
from coordinator.sql import literal, tokens

TABLE: Final = "coordinator_applied"
_SHOWN: Final = 12
"""Letters of a digest that a person compares."""
_COLUMNS: Final = "tool, version_table, version, name, file_digest, code_digest, release_name"
_CREATE: Final = f"""CREATE TABLE IF NOT EXISTS {{table}} (
    tool varchar(32) NOT NULL,
    version_table varchar(128){{names}} NOT NULL,
    version varchar(64) NOT NULL,
    name text{{names}} NOT NULL,
    file_digest varchar(64) NOT NULL,
    code_digest varchar(64) NOT NULL,
    release_name text{{names}} NOT NULL,
    applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    at_statement integer,
    is_refused smallint DEFAULT 0 NOT NULL,
    CONSTRAINT {TABLE}_key PRIMARY KEY (tool, version_table, version)
)"""
"""`at_statement` is NULL where all of the file is applied; else marks.py says what it means."""
_CHANGES_SESSION: Final = ("search_path", "role", "authorization")
"""After a text with one of these words the table may not be ours to write before the session is set back."""


class Standing(StrEnum):
    """Whether the table can be written to."""

    ABSENT = "absent"
    READY = "ready"
    CLOSED = "closed"
    """It is there, and this role may not write to it; or there is no schema that it could be in."""


@dataclass(frozen=True, slots=True)
class Book:
    """Who applies, for the entries that are written."""

    release: str
    note: Callable[[str], None]
    """Tell a person why there is no entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a migration was when it was applied here."""

    file_digest: str
    """Empty where a person says that it was applied, and nobody knows which bytes it had."""
    code_digest: str
    release: str
    applied_at: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a file ran: the statements before `at`."""

    at: int
    ran: str
    """The digest of their code."""
    is_refused: bool
    """The server refused the statement at `at`; else it was under way when the coordinator was cut off."""
    release: str

    @property
    def is_uncounted(self) -> bool:
        """A part of a file is there of which no marks are kept: `stop_uncounted` wrote that, and no more."""
        return self.is_refused and not self.at


@dataclass(frozen=True, slots=True)
class Records:
    """What the table says of the migrations of one version table, by their versions."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """Those that are applied."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """Those that a release began and has not entered: a person may have completed them."""


def code_of(script: Script | None, engine: Engine) -> object:
    """Return what a script does: not where it stands, and neither its comments nor its blanks."""
    return script and (
        script.transaction,
        [
            each.text[start:end]
            for each in script.statements
            for kind, start, end, _ in tokens(each.text, engine)
            if kind not in {"space", "comment", "block"}
        ],
    )


def standing_query(target: Target) -> str:
    """Return a query with one row of one `Standing`."""
    if target.engine is Engine.SQLITE:
        found = f"SELECT count(*) FROM sqlite_master WHERE name = '{TABLE}'"  # noqa: S608
        return f"SELECT CASE ({found}) WHEN 0 THEN 'absent' ELSE 'ready' END"
    if target.engine.speaks_mysql:
        return (
            "SELECT CASE count(*) WHEN 0 THEN 'absent' ELSE 'ready' END FROM information_schema.tables"  # noqa: S608
            f" WHERE table_schema = DATABASE() AND table_name = '{TABLE}'"
        )
    if target.schema is None:
        return f"SELECT '{Standing.CLOSED}'"
    rights = " AND ".join(f"has_table_privilege(t, '{each}')" for each in ("SELECT", "INSERT", "UPDATE"))
    return (
        f"SELECT CASE WHEN t IS NULL THEN 'absent' WHEN {rights} THEN 'ready' ELSE 'closed' END"  # noqa: S608
        f" FROM (SELECT to_regclass({literal(table_of(target))}) AS t) AS found"
    )


def is_open(session: Session, target: Target, standing: Standing, book: Book) -> bool:
    """Tell whether the table can be written to; makes it where it is missing."""
    if standing is Standing.ABSENT:
        names = " CHARACTER SET utf8mb4" if target.engine.speaks_mysql else ""
        create = kept_whole(_CREATE.format(table=table_of(target), names=names), target.engine)
        try:
            execute_with_table(session, Batch((create,), transaction=True))
        except DatabaseError as error:
            if error.code == "connection-lost":
                raise
            book.note(f"There is no table {TABLE}, so edited files will not be noticed. {error.what}")
            return False
    return standing is not Standing.CLOSED


def entered(
    batches: tuple[Batch, ...], migration: Migration, *, tool: MigrationTool, target: Target, book: Book
) -> tuple[tuple[Batch, ...], Batch | None]:
    """Return the batches with the entry in the transaction of the tool's own record, and right behind it.

    It shares the record's text where each text is a trip over the network (MySQL). Where the file may have
    left a role or a schema of its own there the entry is a batch of its own, for `enter_late`: a migration
    must not fail for it.
    """
    entry = _insert(migration, tool=tool, target=target, release=book.release)
    *before, last = batches
    if not last.transaction or _changes_session(migration.up):
        return batches, Batch((entry,), transaction=True)
    if target.engine is Engine.POSTGRESQL:
        records = last.records and last.records + 1
        return (*before, replace(last, statements=(*last.statements, entry), records=records)), None
    *statements, record = last.statements
    return (*before, replace(last, statements=(*statements, f"{record};\n{entry}"))), None


def enter_late(session: Session, entry: Batch, book: Book) -> None:
    """Write an entry after its migration, which stays applied whatever comes of this."""
    try:
        session.execute(entry)
    except DatabaseError as error:
        book.note(f"An edit of this file will not be noticed. {error.what}")


def enter(
    session: Session, migrations: Sequence[Migration], *, tool: MigrationTool, target: Target, book: Book
) -> None:
    """Write the entries of migrations that their own program has applied and recorded."""
    [[standing]] = session.query(standing_query(target))
    if is_open(session, target, Standing(str(standing)), book):
        entries = _insert(*migrations, tool=tool, target=target, release=book.release)
        enter_late(session, Batch((entries,), transaction=True), book)


def read_records(
    session: Session, tool: MigrationTool, target: Target, *, of: Migration | None = None
) -> Records | None:
    """Return what the table says of a version table, or `of` one migration; None if it cannot be read."""
    return _read(
        session, target, _is_of(tool, target) if of is None else is_row_of(of, tool=tool, target=target)
    )


def read_marks(session: Session, tool: MigrationTool, target: Target) -> Mapping[str, Mark]:
    """Return the marks alone of a version table; none if the table cannot be read."""
    found = _read(session, target, f"{_is_of(tool, target)} AND at_statement IS NOT NULL")
    return {} if found is None else found.marks


def _read(session: Session, target: Target, wanted: str) -> Records | None:
    if session.query(standing_query(target)) != [(Standing.READY,)]:
        return None
    rows = session.query(
        "SELECT version, file_digest, code_digest, release_name, applied_at, at_statement, is_refused"  # noqa: S608
        f" FROM {table_of(target)} WHERE {wanted}"
    )
    entries, marks = {}, {}
    for version, file, code, release, when, at, is_refused in rows:
        if at is None:
            entries[str(version)] = Entry(str(file), str(code), str(release), str(when))
        else:
            marks[str(version)] = Mark(int(str(at)), str(code), bool(is_refused), str(release))
    return Records(entries, marks)


def edited(
    migrations: Iterable[Migration], entries: Mapping[str, Entry], *, engine: Engine
) -> Iterator[tuple[Migration, Diagnostic]]:
    """Yield each migration whose code is not what was applied, with a warning."""
    for each in migrations:
        entry = entries.get(str(each.version))
        if entry is None or entry.file_digest in ("", _file_digest(each)):
            continue
        if entry.code_digest != _code_digest(each, engine):
            yield each, _edited(each, entry)


def _edited(migration: Migration, entry: Entry) -> Diagnostic:
    return Diagnostic(
        "migration-edited",
        Place(migration.files[0].path),
        f"`{migration.name}` was applied with other statements than its file has now (SHA-256 of the file"
        f" {entry.file_digest[:_SHOWN]}… then, {_file_digest(migration)[:_SHOWN]}… now).",
        f"Release {entry.release} applied it at {entry.applied_at}. It is not applied again, so this database"
        " is not what its files make, and a replay of the files rests on one that did not run here.",
        "Put the file back as it was, and write the change as a new migration. If the tool itself undid it"  # noqa: S608
        f" and applied it as it is now: `DELETE FROM {TABLE} WHERE version = '{migration.version}'`.",
        severity=Severity.WARNING,
    )


def passed_over(
    applied: Sequence[Migration], known: Collection[str], *, tool: MigrationTool, target: Target
) -> Iterator[tuple[Migration, Diagnostic]]:
    """Yield each migration that its tool takes for applied and that may never have run, with a warning.

    `applied` is in the tool's order, `known` are the versions that releases have applied, or begun. A tool
    that keeps the last version alone never looks below it. What is not known between two that are came late,
    or the tool itself applied it between two releases.
    """
    if tool.keeps_history:
        return
    places = [place for place, each in enumerate(applied) if str(each.version) in known]
    for each in applied[places[0] : places[-1]] if places else ():
        if str(each.version) not in known:
            yield each, _passed_over(each, applied[-1], tool=tool, target=target)


def _passed_over(migration: Migration, last: Migration, *, tool: MigrationTool, target: Target) -> Diagnostic:
    return Diagnostic(
        "migration-passed-over",
        Place(migration.files[0].path),
        f"`{migration.name}` may never have run here: no release of coordinator applied it, and releases did"
        " apply migrations before and behind it.",
        f"{tool.name} keeps the last version alone, which is {last.version}, and never looks at a file below"
        " it: one that came late (a merged branch) is left out without a word.",
        f"Look whether what it makes is there. If not, give it a version above {last.version}. If {tool.name}"
        f" itself applied it, say so: {_by_hand(migration, tool=tool, target=target)}",
        severity=Severity.WARNING,
    )


def table_of(target: Target) -> str:
    """Return the table's name, which a migration that changes the current schema cannot turn elsewhere."""
    if target.engine is Engine.POSTGRESQL and target.schema is not None:
        schema = target.schema.replace('"', '""')
        return f'"{schema}".{TABLE}'
    if target.engine.speaks_mysql:
        database = target.database.replace("`", "``")
        return f"`{database}`.{TABLE}"
    return TABLE


def _is_of(tool: MigrationTool, target: Target) -> str:
    return f"tool = {literal(tool.name)} AND version_table = {literal(target.table or '', target.engine)}"


def is_row_of(migration: Migration, *, tool: MigrationTool, target: Target) -> str:
    """Return the condition for a migration's row."""
    return f"{_is_of(tool, target)} AND version = {literal(str(migration.version), target.engine)}"


def begun(migration: Migration, *, tool: MigrationTool, target: Target, release: str) -> str:
    """Return what writes the row of a migration of which nothing has run yet."""
    return _insert(migration, tool=tool, target=target, release=release, at="0")


def _insert(
    *migrations: Migration, tool: MigrationTool, target: Target, release: str, at: str = "NULL"
) -> str:
    rows = ", ".join(f"({_values(each, tool, target, release)}, {at})" for each in migrations)
    changed = ("name", "file_digest", "code_digest", "release_name")
    if target.engine.speaks_mysql:
        news = ", ".join(f"{each} = VALUES({each})" for each in changed)
        conflict = f"ON DUPLICATE KEY UPDATE {news}"
    else:
        news = ", ".join(f"{each} = excluded.{each}" for each in changed)
        conflict = f"ON CONFLICT (tool, version_table, version) DO UPDATE SET {news}"
    return (
        f"INSERT INTO {table_of(target)} ({_COLUMNS}, at_statement) VALUES {rows}"  # noqa: S608
        f" {conflict}, applied_at = CURRENT_TIMESTAMP, at_statement = {at}, is_refused = 0"
    )


def _values(migration: Migration, tool: MigrationTool, target: Target, release: str) -> str:
    values = (
        tool.name,
        target.table or "",
        str(migration.version),
        migration.name,
        _file_digest(migration),
        _code_digest(migration, target.engine),
        release,
    )
    return ", ".join(literal(each, target.engine) for each in values)


def _by_hand(migration: Migration, *, tool: MigrationTool, target: Target) -> str:
    """Return what a person sends to enter a migration whose bytes nobody kept."""
    values = (tool.name, target.table or "", str(migration.version), migration.name, "", "", "by hand")
    written = ", ".join(literal(each, target.engine) for each in values)
    return f"INSERT INTO {table_of(target)} ({_COLUMNS}) VALUES ({written})"  # noqa: S608


def _changes_session(script: Script | None) -> bool:
    texts = [each.text.lower() for each in script.statements] if script else []
    return any(word in text for text in texts for word in _CHANGES_SESSION)


def _file_digest(migration: Migration) -> str:
    """Return the digest of the file that says how the migration is applied: goose's one, migrate's up."""
    return migration.files[0].digest


def _code_digest(migration: Migration, engine: Engine) -> str:
    if migration.is_code:
        return _file_digest(migration)  # what is a comment in its language is not known here
    return hashlib.sha256(repr(code_of(migration.up, engine)).encode(errors="surrogatepass")).hexdigest()
