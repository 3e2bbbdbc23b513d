"""Give each pending migration a phase: the one that its author declared, else a guess from its statements.

This stands in for the rehearsal where the queries of a version are unknown, and it is weak, and says so: a
declaration is a claim and a class is a guess, so every verdict that comes from here is *unproven*, and is
shown with its basis. Where even a guess would be careless (a rename breaks one version in any order) there
is none, and the author is asked to declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import Basis, Evidence, Finding, Phased, Span, Use, Verdict
from coordinator.guess import ANY, Advice, Guess, NewTables
from coordinator.model import DatabaseName, Engine, Migration, Phase, Plan, Role, ServiceName
from coordinator.pieces import statements_of
from coordinator.sql import beginning_of
from coordinator.survey import Survey, alive_at_start


def classify(
    plan: Plan, survey: Survey, *, asked: frozenset[DatabaseName] = frozenset()
) -> tuple[Evidence, tuple[Diagnostic, ...]]:
    """Return each database's pending migrations with their phases, the matrix, and what must be declared.

    The engine was asked about every version that uses the databases `asked`: nothing is guessed for them.
    """
    phased: dict[DatabaseName, tuple[Phased, ...]] = {}
    problems: list[Diagnostic] = []
    unused = _without_live_version(plan, survey)
    for name, database in survey.databases.items():
        if name in asked:
            continue
        engine = plan.databases[name].engine
        free = _free(name, is_empty=database.is_empty, is_unused=name in unused)
        rows = list(_phases(database.pending, engine=engine, free=free))
        if not plan.services:
            rows = [_last(row, each) for row, each in zip(rows, database.pending, strict=True)]
        phased[name] = tuple(row for row in rows if isinstance(row, Phased))
        problems.extend(row for row in rows if isinstance(row, Diagnostic))
    cuts = {name: _Cut.of(migrations) for name, migrations in phased.items()}
    spans = {use: found for service in plan.services for use, found in _matrix(service, cuts, plan, survey)}
    return Evidence(phased, spans), tuple(problems)


def _free(database: DatabaseName, *, is_empty: bool, is_unused: bool) -> tuple[Basis, str] | None:
    """Return why migrations of a database can break nobody, and on what that rests; None if they may."""
    if is_empty:
        return Basis.OBSERVED, f"nothing is in `{database}` yet"
    if is_unused:
        return Basis.CLASSIFIED, f"no version that uses `{database}` is live"
    return None


def _without_live_version(plan: Plan, survey: Survey) -> frozenset[DatabaseName]:
    """Return the empty databases of which all users are known, and none runs: a first release.

    Whoever uses a database that no service of the plan names is unknown, and may be running; and so may,
    somewhere else, whoever had the migrations applied that a database has already.
    """
    users = {database for spec in plan.services.values() for database in spec.uses}
    alive = {database for name, _ in alive_at_start(survey) for database in plan.services[name].uses}
    used_before = {name for name, database in survey.databases.items() if database.applied}
    return frozenset(users - alive - used_before)


def _last(row: Phased | Diagnostic, migration: Migration) -> Phased:
    """Return a migration of a plan without services, whatever it does.

    No version is deployed between two migrations, so no phase moves one to another place: what is open is
    whether somebody unknown minds, and that is accepted or declared. One that may take something away is
    contract, which gates keep and nobody takes back. (Beside a service its rollback would be lost by that.)
    """
    if isinstance(row, Phased):
        return row
    why = f"{row.what.removesuffix(':')}: {row.why}" if row.what.endswith(":") else row.what
    return Phased(migration, Phase.CONTRACT, Basis.CLASSIFIED, f"guessed: {why.removesuffix('.')}", row.place)


def _phases(
    pending: Sequence[Migration], *, engine: Engine, free: tuple[Basis, str] | None
) -> Iterator[Phased | Diagnostic]:
    """Yield each with its phase; `free` says why they can break nobody, where that is so."""
    new_tables = NewTables()
    previous = Phase.EXPAND
    for migration in pending:
        place = Place(migration.files[0].path) if migration.files else Place(migration.name)
        guesses = [guess for each in statements_of(migration, engine) for guess in new_tables.guesses(each)]
        row: Phased | Diagnostic
        if free is not None:
            basis, reason = free
            basis = basis if migration.declared is None else Basis.DECLARED
            row = Phased(migration, Phase.EXPAND, basis, reason, place)
        elif migration.declared is not None:
            reason, at = "its author declared it", migration.declared_at or place
            row = Phased(migration, migration.declared, Basis.DECLARED, reason, at)
        elif migration.is_code:
            row = _unread(migration, place)
        else:
            row = _guessed(migration, guesses, place, previous=previous)
        if isinstance(row, Phased):
            previous = row.phase
        yield row


def _guessed(
    migration: Migration, guesses: Iterable[Guess], place: Place, *, previous: Phase
) -> Phased | Diagnostic:
    """Return the phase that suits every statement; `previous` is that of the migration before."""
    found: dict[Advice, Guess] = {}
    for guess in guesses:
        found.setdefault(guess.phase, guess)
    found.pop(ANY, None)
    if None in found:
        return _undecided(migration, found[None], place)
    if Phase.CONTRACT in found and len(found) > 1:
        return _mixed(migration, found[Phase.CONTRACT], place)
    for phase in (Phase.CONTRACT, Phase.EXPAND, Phase.MIGRATE):
        if phase in found:
            return Phased(migration, phase, Basis.CLASSIFIED, _quote(found[phase]), place)
    # A file that no version notices must not be what next waits for, behind a contract migration.
    phase = Phase.CONTRACT if previous is Phase.CONTRACT else Phase.EXPAND
    return Phased(migration, phase, Basis.CLASSIFIED, "no statement of it concerns a running version", place)


def _quote(guess: Guess) -> str:
    return f"guessed: `{_text_of(guess)}` {guess.why}"


def _text_of(guess: Guess) -> str:
    return beginning_of(guess.statement.text, guess.statement.engine)


def _undecided(migration: Migration, guess: Guess, place: Place) -> Diagnostic:
    return Diagnostic(
        "phase-undecided",
        Place(place.file, guess.statement.line),
        f"`{migration.name}` declares no phase, and none can be guessed for `{_text_of(guess)}`:",
        f"{guess.why}.",
        f"Write `{_comment(place)} coordinator: phase=expand` (or migrate, or contract) into the file, or"
        " change it in two releases: add the new form, move over, remove the old one.",
    )


def _unread(migration: Migration, place: Place) -> Diagnostic:
    return Diagnostic(
        "phase-undecided",
        place,
        f"`{migration.name}` declares no phase, and it is code, from which none can be guessed.",
        "It may add what the new version needs, or take away what the live one needs.",
        f"Write `{_comment(place)} coordinator: phase=expand` (or migrate, or contract) into the file.",
    )


def _comment(place: Place) -> str:
    """Return what begins a comment in a migration's file."""
    return {".py": "#", ".go": "//"}.get(PurePosixPath(place.file).suffix, "--")


def _mixed(migration: Migration, contract: Guess, place: Place) -> Diagnostic:
    return Diagnostic(
        "phases-mixed",
        Place(place.file, contract.statement.line),
        f"`{migration.name}` adds and takes away in one file (`{_text_of(contract)}` {contract.why}).",
        "What it adds is wanted before the new version starts, what it takes away must wait until the old one"
        " is gone.",
        f"Split it into two migrations, or declare its phase with `{_comment(place)} coordinator: phase=…`.",
    )


def _matrix(
    service: ServiceName, cuts: Mapping[DatabaseName, _Cut], plan: Plan, survey: Survey
) -> Iterator[tuple[Use, tuple[Span, ...]]]:
    """Yield what the phases say about a service's two versions on each of the databases it uses."""
    is_settled = survey.services[service].is_settled
    for database in plan.services[service].uses:
        if database not in cuts:
            continue
        yield (database, service, Role.LIVE), tuple(cuts[database].live_spans(is_settled=is_settled))
        if not is_settled:
            yield (database, service, Role.NEXT), tuple(cuts[database].next_spans())


@dataclass(frozen=True, slots=True)
class _Cut:
    """A database's pending migrations, and the two of them that decide."""

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

    def live_spans(self, *, is_settled: bool) -> Iterator[Span]:
        """A live version works up to the first contract migration, unless the release does not change it."""
        end = len(self.migrations)
        works = end if is_settled else self.first_contract
        who = "the release does not change this version; it" if is_settled else "the live version"
        here = Finding(Verdict.UNPROVEN, Basis.OBSERVED, f"{who} runs on this schema now")
        yield Span(0, 0, here)
        yield from self._assumed(1, min(works, self.declared), Basis.DECLARED, who)
        yield from self._assumed(max(1, self.declared + 1), works, Basis.CLASSIFIED, who)
        if works < end:
            contract = self.migrations[works]
            reason = f"{_named(contract)}: the live version does not survive it"
            yield Span(works + 1, end, Finding(Verdict.BROKEN, contract.basis, reason))

    def next_spans(self) -> Iterator[Span]:
        """A next version needs every expand and migrate migration, and works without the contract ones."""
        end = len(self.migrations)
        if self.last_needed >= 0:
            needed = self.migrations[self.last_needed]
            reason = f"{_named(needed)}: the next version needs it"
            yield Span(0, self.last_needed, Finding(Verdict.BROKEN, needed.basis, reason))
        basis = Basis.DECLARED if 0 < end == self.declared else Basis.CLASSIFIED
        yield from self._assumed(self.last_needed + 1, end, basis, "the next version")

    def _assumed(self, first: int, last: int, basis: Basis, who: str) -> Iterator[Span]:
        """Yield what nobody asked the engine: the migrations up to `last` are taken to do no harm."""
        if first <= last:
            upto = (
                f"with all up to `{self.migrations[last - 1].migration.name}`" if last else "on this schema"
            )
            yield Span(first, last, Finding(Verdict.UNPROVEN, basis, f"{who} is taken to work {upto}"))


def _named(phased: Phased) -> str:
    return f"`{phased.migration.name}` is {phased.phase} ({phased.reason})"
