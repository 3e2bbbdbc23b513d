"""What the user of a database's address may not do, and a release will: asked before it, of the engine.

Every release takes its lease, a row in a table of its own; beyond that it does what its pending migrations
say. Only what is plainly written counts, a statement's class and the table that it names, and only what is
surely missing is told: a table that is not there yet, a file that sets its role or its search path, and code
without SQL are left to `run`, which looks before it acts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration
from coordinator.pieces import statements_of
from coordinator.ports.databases import Session
from coordinator.sql import beginning_of, literal, on_one_line

LEASE: Final = "coordinator_lease"
_NAME: Final = r"(?:\"[^\"]+\"|`[^`]+`|[\w$]+)"
_TABLE: Final = rf"(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?({_NAME}(?:\.{_NAME})?)"
_OF_INDEX: Final = rf"(?:IF\s+NOT\s+EXISTS\s+)?(?:{_NAME}\s+)?(?:USING\s+\w+\s+)?"
_CHANGES: Final = tuple(
    (re.compile(rf"{pattern}\s+{_TABLE}", re.IGNORECASE), rights)
    for pattern, rights in (
        (r"ALTER\s+(?:ONLINE\s+|IGNORE\s+)*TABLE", ("ALTER", "CREATE", "INSERT")),
        (r"(?:DROP|TRUNCATE)\s+TABLE", ("DROP",)),
        (rf"CREATE\s+(?:\w+\s+){{0,3}}INDEX\s+(?:CONCURRENTLY\s+)?{_OF_INDEX}ON", ("INDEX",)),
        (r"CREATE\s+(?:OR\s+REPLACE\s+)?TRIGGER\s[^;]*?\sON", ("TRIGGER",)),
    )
)
"""A statement that changes a table, up to the table's name → the rights that MySQL wants for it.

Source: the MySQL manual, 8.2.2 Privileges Provided by MySQL, and 15.1.9 ALTER TABLE Statement."""
_REFERS: Final = re.compile(rf"\bREFERENCES\s+{_TABLE}", re.IGNORECASE)
"""The parent of a foreign key, wherever a statement names one."""
_REFERENCES: Final = "REFERENCES"
_OF_TABLE: Final = re.compile(r"(?:ALTER|CREATE)\s+(?:\w+\s+){0,2}TABLE\b", re.IGNORECASE)
_STORED: Final = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+\s+)?(?:AGGREGATE\s+)?(?P<kind>TRIGGER|FUNCTION)\s",
    re.IGNORECASE,
)
_OWNED: Final = frozenset({"ALTER", "INDEX"})
"""What on PostgreSQL a table's owner alone may do; DROP may the schema's, too, and TRIGGER can be granted."""
_ELSEWHERE: Final = frozenset({"ROLE", "AUTHORIZATION", "SEARCH_PATH"})


@dataclass(frozen=True, slots=True)
class Change:
    """A pending statement that changes a table, and what it takes on MySQL."""

    table: str
    """As it is written."""
    rights: tuple[str, ...]
    place: Place
    text: str
    stored: str = ""
    """`trigger` or `function`, where it makes one: a server that writes a binary log may forbid that."""


def missing_rights(session: Session, pending: Iterable[Migration]) -> tuple[str, ...]:
    """Return what hinders this user, a sentence each; nothing is written."""
    engine = session.target(None).engine
    return tuple(dict.fromkeys(_ASKED[engine](session, tuple(_changes(pending, engine)))))


def _changes(pending: Iterable[Migration], engine: Engine) -> Iterator[Change]:
    for migration in pending:
        for each in statements_of(migration, engine):
            if each.words[:1] == ("SET",) and not _ELSEWHERE.isdisjoint(each.words):
                break
            if each.is_closed:
                place = Place(migration.files[0].path if migration.files else migration.name, each.line)
                told = partial(Change, place=place, text=beginning_of(each.text, engine))
                yield from _changes_of(on_one_line(each.text, engine), told)


def _changes_of(text: str, told: Callable[..., Change]) -> Iterator[Change]:
    """Yield what one statement does to tables, and the trigger or function that it makes."""
    if stored := _STORED.match(text):
        yield told("", (), stored=stored["kind"].lower())
    for pattern, rights in _CHANGES:
        if match := pattern.match(text):
            yield told(match[1], rights)
    if _OF_TABLE.match(text):
        yield from (told(match[1], (_REFERENCES,)) for match in _REFERS.finditer(text))


_ON_POSTGRESQL: Final = f"""
SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on', current_schema(),
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), true),
       coalesce(has_table_privilege(to_regclass('{LEASE}'), 'INSERT'), true)
"""
_OWNER: Final = """
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass({name})
AND NOT pg_has_role(relowner, 'USAGE')
"""

_NOT_REFERRED: Final = """
SELECT 1 FROM pg_class WHERE oid = to_regclass({name})
AND NOT has_any_column_privilege(oid, 'REFERENCES')
"""


def _of_postgresql(session: Session, changes: tuple[Change, ...]) -> Iterator[str]:
    [(takes_no_writes, schema, may_create, may_insert)] = session.query(_ON_POSTGRESQL)
    if takes_no_writes:
        yield "This server, or this user's sessions, take no writes."
        return
    if schema is None:
        yield "The user has no current schema: none of its `search_path` is there, or it may use none."
    elif not may_create:  # asked even where the table is there
        yield f"The user may not make a table in the schema `{schema}`."
    elif not may_insert:
        yield f"The user may not write into the table `{LEASE}`."
    for change in changes:
        if _REFERENCES in change.rights and session.query(_NOT_REFERRED.format(name=literal(change.table))):
            yield (
                f"The user may not refer to the table `{change.table}` (REFERENCES), and {change.place} does"
                f" (`{change.text}`)."
            )
        if not _OWNED.isdisjoint(change.rights):
            for (owner,) in session.query(_OWNER.format(name=literal(change.table))):
                yield (
                    f"The user may not change the table `{change.table}`, which is `{owner}`'s, and"
                    f" {change.place} does (`{change.text}`)."
                )


_OF_LEASE: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE")
_OFF: Final = frozenset({"0", "OFF"})
_PASSES: Final = ("SUPER", "CONNECTION_ADMIN", "READ ONLY ADMIN")
"""Who has one of these may write where `read_only` is on. Source: MySQL's manual, 7.1.8, `read_only`."""
_PASSES_IN_MARIADB: Final = ("READ ONLY ADMIN",)
"""Source: MariaDB's manual, "GRANT": since 10.11 it is no part of SUPER."""
_NO_PART_OF_SUPER: Final = (10, 11)
_GRANT: Final = re.compile(
    rf"(GRANT|REVOKE) (.+) ON (?:TABLE )?(\*|{_NAME})\.(\*|{_NAME}) (?:TO|FROM) ", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Grant:
    rights: frozenset[str]
    table: str
    """In small letters; `*` for all of the database."""
    is_everywhere: bool
    """Of every database: rights to the server itself are granted there alone."""

    def gives(self, right: str, table: str) -> bool:
        return self.table in ("*", table) and not self.rights.isdisjoint({right, "ALL PRIVILEGES", "ALL"})


def _of_mysql(session: Session, changes: tuple[Change, ...]) -> Iterator[str]:
    [(database,)] = session.query("SELECT DATABASE()")
    grants = tuple(_grants(session, str(database)))
    if setting := _takes_no_writes(session, grants):
        yield f"This server takes no writes (`{setting}`)."
        return
    if lacks := _lacking(_OF_LEASE, LEASE, grants):
        yield f"The user lacks {lacks} on `{database}`, which a release's own tables take."
    makes = next((each for each in changes if each.stored), None)
    if makes is not None and not _has(("SUPER",), grants) and _distrusts_creators(session):
        yield (
            f"This server writes a binary log, and {makes.place} makes a {makes.stored}, for which the user"
            " lacks SUPER (error 1419; `log_bin_trust_function_creators` is off)."
        )
    for change in changes:
        if _REFERENCES in change.rights and session.target(None).engine is Engine.MARIADB:
            continue  # there is such a right there, and nothing asks for it
        schema, _, table = change.table.replace("`", "").replace('"', "").casefold().rpartition(".")
        if schema in ("", str(database).casefold()) and (lacks := _lacking(change.rights, table, grants)):
            yield (
                f"The user lacks {lacks} on `{database}`.`{table}`, which {change.place} takes"
                f" (`{change.text}`)."
            )


def _takes_no_writes(session: Session, grants: tuple[_Grant, ...]) -> str:
    """Return the setting by which a server takes no writes of this user; empty where it takes them."""
    [(is_read_only, version)] = session.query("SELECT @@read_only, VERSION()")
    if session.target(None).engine is Engine.MYSQL:
        [(is_for_all,)] = session.query("SELECT @@super_read_only")
        if str(is_for_all) not in _OFF:
            return "super_read_only"
    series = tuple(int(each) for each in re.findall(r"\d+", str(version))[:2])
    is_of_its_own = session.target(None).engine is Engine.MARIADB and series >= _NO_PART_OF_SUPER
    passes: tuple[str, ...] = _PASSES_IN_MARIADB if is_of_its_own else _PASSES
    return "read_only" if str(is_read_only) not in _OFF and not _has(passes, grants) else ""


def _distrusts_creators(session: Session) -> bool:
    """Tell whether triggers and functions take SUPER. Source: MySQL's manual, 27.7; tried on MariaDB."""
    [(writes_log, trusts)] = session.query("SELECT @@log_bin, @@log_bin_trust_function_creators")
    return str(writes_log) not in _OFF and str(trusts) in _OFF


def _has(rights: Iterable[str], grants: tuple[_Grant, ...]) -> bool:
    """Tell whether the user has any of these rights to the server itself."""
    return any(each.is_everywhere and each.gives(right, "*") for each in grants for right in rights)


def note_on_lock_holders(session: Session) -> str:
    """Return what a release that waits for a table cannot tell, and why; empty where it can."""
    if not session.target(None).engine.speaks_mysql:
        return ""
    try:
        session.query("SELECT 1 FROM information_schema.innodb_trx LIMIT 1")
    except DatabaseError:
        return "without the right PROCESS it is not told who holds a table that a step waits for"
    return ""


def _lacking(rights: Iterable[str], table: str, grants: tuple[_Grant, ...]) -> str:
    return ", ".join(each for each in rights if not any(grant.gives(each, table) for grant in grants))


def _grants(session: Session, database: str) -> Iterator[_Grant]:
    """Yield what is granted to the user, and to the roles that its sessions have, on the database.

    MySQL takes parts of what is granted on every database back by a line of its own (`partial_revokes`).
    """
    rows = session.query("SHOW GRANTS")
    if session.target(None).engine is Engine.MYSQL:  # MariaDB shows the current role's anyway
        [(roles,)] = session.query("SELECT CURRENT_ROLE()")
        if roles != "NONE":
            rows = session.query(f"SHOW GRANTS FOR CURRENT_USER() USING {roles}")
    found = [match.groups() for (line,) in rows if (match := _GRANT.match(str(line)))]
    taken = frozenset[str]().union(
        *(
            _rights_in(rights)
            for verb, rights, schema, _ in found
            if verb == "REVOKE" and schema[1:-1] == database
        )
    )
    for verb, rights, schema, table in found:
        if verb == "GRANT" and _covers(schema[1:-1] if schema != "*" else "%", database):
            given = _rights_in(rights)
            is_everywhere = schema == "*"
            of_it = given - taken if is_everywhere else given
            yield _Grant(of_it, table.strip('`"').casefold(), is_everywhere)


def _rights_in(text: str) -> frozenset[str]:
    """Return the rights of a line of SHOW GRANTS; those of single columns count as the table's."""
    return frozenset(re.sub(r"\s*\([^)]*\)", "", text).upper().split(", "))


def _covers(pattern: str, database: str) -> bool:
    """Tell whether a grant's database is this one: `_` and `%` stand for others, unless after a backslash."""
    wild = {"%": ".*", "_": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    expression = "".join(wild.get(each, re.escape(each.removeprefix("\\"))) for each in parts)
    return re.fullmatch(expression, database, re.IGNORECASE | re.DOTALL) is not None


def _of_sqlite(session: Session, changes: tuple[Change, ...]) -> Iterator[str]:  # noqa: ARG001
    """Ask for a table that is taken back: a file, its folder and its disk can each refuse it."""
    try:
        session.query("CREATE TABLE coordinator_doctor (never)")
    except DatabaseError as error:
        if error.code != "lock-timeout":
            yield f"{error.what} {error.why}".strip()


_ASKED: Final[Mapping[Engine, Callable[[Session, tuple[Change, ...]], Iterator[str]]]] = {
    Engine.POSTGRESQL: _of_postgresql,
    Engine.SQLITE: _of_sqlite,
    Engine.MYSQL: _of_mysql,
    Engine.MARIADB: _of_mysql,
}
