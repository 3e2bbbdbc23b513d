"""The SQL that migrations of code would send, where their tool can say it without a database.

A migration whose SQL is known is rehearsed statement by statement, like one that is written in SQL, so that
its locks are seen. It is still its program that applies it to the live database, so the rehearsal lets that
run once as well, and compares. The program is asked once for all migrations of a database, and only when one
is pending there, or all of them are replayed: to start it for each of them takes many times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.errors import StepFailed, Usage
from coordinator.model import Base, DatabaseName, Engine, Migration, MigrationId, Script
from coordinator.ports import Ports
from coordinator.secret import Secret
from coordinator.survey import DatabaseSurvey, Survey


def with_scripts(ports: Ports, seen: Survey, *, reads_live: bool = False) -> Survey:
    """Return the survey with the SQL of migrations that are code, and warnings where it is not known.

    `reads_live` says that the schema which it makes will be held against the live one.

    Raises: StepFailed where the program cannot be started.
    """
    databases, problems = dict(seen.databases), list(seen.diagnostics)
    for name, database in seen.databases.items():
        if any(each.is_code for each in database.pending):
            databases[name], found = _with_scripts(ports, name, database)
            problems.extend(found)
        elif reads_live and _replays_code(ports, name):
            with suppress(StepFailed):  # nothing waits for the program: the rehearsal says why it lacks it
                databases[name], _ = _with_scripts(ports, name, database)
    return replace(seen, databases=databases, diagnostics=tuple(problems))


def _replays_code(ports: Ports, name: DatabaseName) -> bool:
    """Tell whether a rehearsal with nothing pending makes the schema by migrations that are code."""
    plan = ports.plan
    is_asked = any(name in each.uses and each.queries for each in plan.services.values())
    is_replayed = plan.databases[name].rehearsal.base is Base.REPLAY
    return is_asked and is_replayed and any(each.is_code for each in ports.migrations(name))


def _with_scripts(
    ports: Ports, name: DatabaseName, database: DatabaseSurvey
) -> tuple[DatabaseSurvey, tuple[Diagnostic, ...]]:
    runner = ports.runner(name)
    if runner is None:
        return database, ()
    code = [each for each in ports.migrations(name) if each.is_code]
    known = runner.scripts(code, url=spoken_at(ports, name))
    waiting = {each.version for each in database.pending}
    applied = (each for each in ports.migrations(name) if each.version not in waiting)
    pending = tuple(scripted(each, known) for each in database.pending)
    replayed = tuple(scripted(each, known) for each in applied)
    unknown: dict[str, list[Migration]] = {}
    for each in pending:
        if each.is_code and each.version in known:
            unknown.setdefault(str(known[each.version]), []).append(each)
    problems = tuple(_unknown(several, why) for why, several in unknown.items())
    return replace(database, pending=pending, replayed=replayed), problems


def scripted(migration: Migration, known: Mapping[MigrationId, Script | str]) -> Migration:
    """Return a migration that is code with the SQL that is known of it, as it is where none is."""
    script = known.get(migration.version)
    if not isinstance(script, Script):
        return migration
    return replace(migration, is_code=False, by_program=True, up=script)


def spoken_at(ports: Ports, name: DatabaseName) -> Secret:
    """Return the live address, which says what is spoken there; of a URL's form where it is not known.

    Nobody connects to it for this.
    """
    try:
        return ports.resolve(ports.plan.databases[name].url)
    except Usage:
        return spoken_on(ports.plan.databases[name].engine)


def spoken_on(engine: Engine) -> Secret:
    """Return an address that leads nowhere, in the form that tools of Python read."""
    # A file's URL has to name one; below a device nobody can make it.
    return Secret("sqlite:///dev/null/nowhere" if engine is Engine.SQLITE else f"{engine}://")


def _unknown(migrations: Sequence[Migration], why: str) -> Diagnostic:
    """Return a warning about migrations whose SQL is not known for one reason, which may be env.py."""
    first, *others = migrations
    names = f"`{first.name}`" + (f" and {len(others)} more, up to `{others[-1].name}`," if others else "")
    sends, it_runs, it_is = ("send", "they run", "Each is") if others else ("sends", "it runs", "It is")
    return Diagnostic(
        "migration-sql-unknown",
        Place(first.files[0].path),
        f"What {names} {sends} is not known before {it_runs}: {why.rstrip('.')}.",
        f"{it_is} run as a whole on the scratch database: what it leads to is seen there, and the locks of"
        " its single statements are not.",
        "Where that matters, put what asks the database into a revision of its own.",
        severity=Severity.WARNING,
    )
