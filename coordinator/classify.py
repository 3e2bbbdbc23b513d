"""Give each pending migration a phase: the one that its author declared, else a guess from its statements.

This is the line's weakest stage, and it says so: a declaration is a claim and a class is a guess, so every
verdict that comes from here is *unproven*, and is shown with its basis. Where even a guess would be
careless (a rename breaks one version in any order) there is none, and the author is asked to declare. The
rehearsal, which asks the engine instead, takes this stage's place and writes the same Evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import Basis, Cell, Evidence, Finding, Phased, Verdict
from coordinator.model import DatabaseName, Migration, Phase, Plan, Role, ServiceName
from coordinator.sql import SqlStatement, split_statements
from coordinator.survey import Survey, alive_at_start

_CLASSES: tuple[tuple[str, Phase | None, str], ...] = (
    (r"ALTER .*\bRENAME\b", None, "a rename breaks the old version at once and the new one until then"),
    (
        r"ALTER TABLE .*\bADD\b(?!.*\b(DEFAULT|GENERATED|SERIAL|BIGSERIAL|CHECK|CONSTRAINT)\b).*\bNOT NULL\b",
        None,
        "a new column that must not be null and has no default fails the old version's INSERTs",
    ),
    (r"ALTER .*\bDROP (?!NOT NULL\b)", Phase.CONTRACT, "takes something away"),
    (r"ALTER .*\bSET NOT NULL\b", Phase.CONTRACT, "refuses what the old version may write"),
    (
        r"ALTER .*\bADD (CONSTRAINT|UNIQUE|CHECK|FOREIGN|PRIMARY|EXCLUDE)\b",
        Phase.CONTRACT,
        "refuses what the old version may write",
    ),
    (
        r"ALTER TABLE .*\bALTER( COLUMN)?( \S+)?( SET DATA)? TYPE\b",
        Phase.CONTRACT,
        "changes a type that the old version reads",
    ),
    (r"CREATE UNIQUE INDEX\b", Phase.CONTRACT, "refuses what the old version may write"),
    (r"(DROP|TRUNCATE|REVOKE)\b", Phase.CONTRACT, "takes something away"),
    (r"ALTER TYPE .*\bADD VALUE\b", Phase.EXPAND, "adds a value"),
    (
        r"ALTER TABLE .*\b(ADD|VALIDATE CONSTRAINT|DROP NOT NULL|SET DEFAULT|SET STATISTICS)\b",
        Phase.EXPAND,
        "adds something",
    ),
    (r"CREATE (?!RULE\b|OR REPLACE RULE\b)", Phase.EXPAND, "adds something"),
    (r"(COMMENT|GRANT|ANALYZE|SET|RESET|PRAGMA|SHOW|LOCK)\b", Phase.EXPAND, "changes no shape"),
    (r"(INSERT|UPDATE|DELETE|MERGE|COPY|WITH|SELECT|REFRESH)\b", Phase.MIGRATE, "moves data"),
)
"""Words of a statement → phase and why, the first match wins; None: no guess is careful enough."""
_LEAD = r"(?is)^(?:\s+|--[^\n]*\n|/\*.*?\*/)*"
_NAME = r"((?:\w+\.)?\w+)(?![\w.\"])"
_NEW_TABLE = re.compile(rf"{_LEAD}create\s+(?:unlogged\s+)?table\s+(?!if\s){_NAME}")
_TABLE_OF = re.compile(
    rf"{_LEAD}(?:alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?|insert\s+into\s+|update\s+(?:only\s+)?"
    rf"|delete\s+from\s+(?:only\s+)?|create\s+(?:unique\s+)?index\s+\w+\s+on\s+(?:only\s+)?){_NAME}"
)
"""Plainly written names alone: where one is not understood, the statement's class decides."""


@dataclass(frozen=True, slots=True)
class _Guess:
    phase: Phase | None
    why: str
    statement: SqlStatement


def classify(plan: Plan, survey: Survey) -> tuple[Evidence, tuple[Diagnostic, ...]]:
    """Return each database's pending migrations with their phases, the matrix, and what must be declared."""
    phased: dict[DatabaseName, tuple[Phased, ...]] = {}
    problems: list[Diagnostic] = []
    for name, database in survey.databases.items():
        is_in_use = any(name in plan.services[service].uses for service, _ in alive_at_start(survey))
        rows = list(_phases(name, database.pending, is_in_use=is_in_use))
        phased[name] = tuple(row for row in rows if isinstance(row, Phased))
        problems.extend(row for row in rows if isinstance(row, Diagnostic))
    cells = dict(cell for service in plan.services for cell in _cells(service, phased, plan, survey))
    return Evidence(phased, cells), tuple(problems)


def _phases(
    database: DatabaseName, pending: Sequence[Migration], *, is_in_use: bool
) -> Iterator[Phased | Diagnostic]:
    new_tables: set[str] = set()
    for migration in pending:
        place = Place(migration.files[0].path) if migration.files else Place(migration.name)
        statements = tuple(_statements(migration))
        new_tables |= {match[1].lower() for each in statements if (match := _NEW_TABLE.match(each.text))}
        if not is_in_use:
            reason = f"no version that uses `{database}` is live"
            yield Phased(migration, Phase.EXPAND, _basis(migration), reason, place)
        elif migration.declared is not None:
            reason = "its author declared it"
            yield Phased(
                migration, migration.declared, Basis.DECLARED, reason, migration.declared_at or place
            )
        else:
            yield _guessed(migration, [_guess(each, new_tables) for each in statements], place)


def _basis(migration: Migration) -> Basis:
    return Basis.CLASSIFIED if migration.declared is None else Basis.DECLARED


def _statements(migration: Migration) -> Iterator[SqlStatement]:
    """Yield the single statements of the up side; goose's blocks and migrate's files hold several."""
    for script in migration.up.statements if migration.up else ():
        for each in split_statements(script.text):
            yield SqlStatement(each.text, script.line + each.line - 1, each.words, each.is_closed)


def _guess(statement: SqlStatement, new_tables: set[str]) -> _Guess:
    words = " ".join(statement.words)
    table = _TABLE_OF.match(statement.text)
    if table is not None and table[1].lower() in new_tables:
        return _Guess(Phase.EXPAND, "is about a table that the old version does not know", statement)
    for pattern, phase, why in _CLASSES:
        if re.match(pattern, words):
            return _Guess(phase, why, statement)
    return _Guess(None, "its effect on the running version cannot be told from its words", statement)


def _guessed(migration: Migration, guesses: Iterable[_Guess], place: Place) -> Phased | Diagnostic:
    found = {guess.phase: guess for guess in guesses}
    if None in found:
        return _undecided(migration, found[None], place)
    if Phase.CONTRACT in found and len(found) > 1:
        return _mixed(migration, found, place)
    for phase in (Phase.CONTRACT, Phase.EXPAND, Phase.MIGRATE):
        if phase in found:
            return Phased(migration, phase, Basis.CLASSIFIED, _quote(found[phase]), place)
    return Phased(migration, Phase.EXPAND, Basis.CLASSIFIED, "it has no statement", place)


def _quote(guess: _Guess) -> str:
    words = " ".join(guess.statement.words[:4])
    return f"guessed: `{words} …` {guess.why}"


def _undecided(migration: Migration, guess: _Guess, place: Place) -> Diagnostic:
    return Diagnostic(
        "phase-undecided",
        Place(place.file, guess.statement.line),
        f"`{migration.name}` declares no phase, and none can be guessed for"
        f" `{' '.join(guess.statement.words[:5])} …`:",
        f"{guess.why}.",
        "Write `-- coordinator: phase=expand` (or migrate, or contract) into the file, or change it in two"
        " releases: add the new form, move over, remove the old one.",
    )


def _mixed(migration: Migration, found: dict[Phase | None, _Guess], place: Place) -> Diagnostic:
    contract = found[Phase.CONTRACT]
    return Diagnostic(
        "phases-mixed",
        Place(place.file, contract.statement.line),
        f"`{migration.name}` adds and takes away in one file (`{' '.join(contract.statement.words[:5])} …`"
        f" {contract.why}).",
        "What it adds is wanted before the new version starts, what it takes away must wait until the old one"
        " is gone.",
        "Split it into two migrations, or declare its phase with `-- coordinator: phase=…`.",
    )


def _cells(
    service: ServiceName, phased: dict[DatabaseName, tuple[Phased, ...]], plan: Plan, survey: Survey
) -> Iterator[tuple[Cell, Finding]]:
    """Yield what the phases say about a service's two versions at each state of the databases it uses."""
    is_settled = survey.services[service].is_settled
    for database in plan.services[service].uses:
        cut = _Cut.of(phased[database])
        for state in range(len(phased[database]) + 1):
            yield (database, state, service, Role.LIVE), cut.live_finding(state, is_settled=is_settled)
            if not is_settled:
                yield (database, state, service, Role.NEXT), cut.next_finding(state)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A database's pending migrations and the two of them that decide, so that each state costs the same."""

    migrations: tuple[Phased, ...]
    first_contract: int
    """Its position; the number of migrations where there is none."""
    last_needed: int
    """The position of the last expand or migrate one; -1 where there is none."""
    declared: int
    """How many migrations from the first on have a declared phase."""

    @classmethod
    def of(cls, migrations: tuple[Phased, ...]) -> _Cut:
        is_contract = [each.phase is Phase.CONTRACT for each in migrations]
        end = len(migrations)
        guessed = (at for at, each in enumerate(migrations) if each.basis is not Basis.DECLARED)
        return cls(
            migrations,
            first_contract=next((at for at in range(end) if is_contract[at]), end),
            last_needed=next((at for at in reversed(range(end)) if not is_contract[at]), -1),
            declared=next(guessed, end),
        )

    def live_finding(self, state: int, *, is_settled: bool) -> Finding:
        """A live version works up to the first contract migration, unless the release does not change it."""
        if is_settled or state <= self.first_contract:
            who = "the release does not change this version; it" if is_settled else "the live version"
            return self._assumed(state, who)
        contract = self.migrations[self.first_contract]
        reason = f"{_named(contract)}: the live version does not survive it"
        return Finding(Verdict.BROKEN, contract.basis, reason)

    def next_finding(self, state: int) -> Finding:
        """A next version needs every expand and migrate migration, and works without the contract ones."""
        if state > self.last_needed:
            return self._assumed(len(self.migrations), "the next version")
        needed = self.migrations[self.last_needed]
        return Finding(Verdict.BROKEN, needed.basis, f"{_named(needed)}: the next version needs it")

    def _assumed(self, state: int, who: str) -> Finding:
        """Return what nobody asked the engine: the first `state` migrations are taken to do no harm."""
        if not state:
            return Finding(Verdict.UNPROVEN, Basis.CLASSIFIED, f"{who} runs on this schema now")
        basis = Basis.DECLARED if state <= self.declared else Basis.CLASSIFIED
        last = self.migrations[state - 1].migration.name
        return Finding(Verdict.UNPROVEN, basis, f"{who} is taken to work with all up to `{last}`")


def _named(phased: Phased) -> str:
    return f"`{phased.migration.name}` is {phased.phase} ({phased.reason})"
