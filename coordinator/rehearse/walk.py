"""Walk a pair of scratch databases through the states of a release and ask about every query at each.

    walk   s0 ── m1 ── s1 ── m2 ── s2 …      asked at every state
    ahead  s0 ── m1 … mk ── sk               stands at the last one from the start: next's own state

The live version's own state is the first and the next one's is the last, so both are at hand before the first
question. Where nothing is pending, or nothing is to be asked, one database is both: then `ahead` alone goes,
for what the migrations do is seen there, and a state of `walk` that nobody asks about could answer nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar

from coordinator.errors import DatabaseError
from coordinator.evidence import Objection, StatementEvidence, Use
from coordinator.model import Engine, Layer, Migration, Role
from coordinator.programs import NOT_REHEARSED
from coordinator.rehearsal_ports import Description, RehearsalDatabase
from coordinator.rehearse.ask import (
    Nulls,
    ask_queries,
    compile_queries,
    fails,
    meets_null,
    nulls_of,
    unknown,
    with_lost_indexes,
)
from coordinator.rehearse.between import Passed, bare
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.state import Described, State
from coordinator.rehearse.subject import WORKS, Answer, Compiled, Subject
from coordinator.rehearse.texts import at_its_lines
from coordinator.rehearse.within import instants, joined, placed

_T = TypeVar("_T")

Apply = Callable[[RehearsalDatabase, Migration], DatabaseError | None]
"""Apply one migration to a scratch database; returns what the engine refused, if it did."""


Working = Sequence[tuple[Subject, Sequence[Compiled]]]
"""For each version, its queries that ran and that work where the walk stands."""
Visit = Callable[[RehearsalDatabase, int, Working], None]
LacksRows = Callable[[str, Sequence[Schema]], str | None]
MetByNext = Callable[[RehearsalDatabase, int], AbstractContextManager[RehearsalDatabase]]


def as_it_is(database: RehearsalDatabase, _state: int) -> AbstractContextManager[RehearsalDatabase]:
    """Yield the database itself."""
    return nullcontext(database)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two scratch databases with the same schema and rows, both at the first state.

    One, if nothing pends or no subject has a query and nobody visits.
    """

    walk: RehearsalDatabase
    ahead: RehearsalDatabase


@dataclass(frozen=True, slots=True)
class Failure:
    """A pending migration that the scratch database refused."""

    migration: Migration
    error: DatabaseError
    took_it_before_questions: bool = False
    """It applied where no query was asked: they draw numbers from sequences, which nothing gives back."""

    def told(self) -> str:
        """Return why nothing is known of the states from this migration on."""
        if self.error.code == NOT_REHEARSED:
            return f"`{self.migration.name}` was not rehearsed: {self.error.what}"
        if self.took_it_before_questions:
            return (
                f"`{self.migration.name}` applies to the scratch database, and no more once queries were"
                f" asked there, which draw numbers from sequences: {self.error.what}"
            )
        return f"`{self.migration.name}` does not apply to the scratch database: {self.error.what}"


@dataclass(frozen=True, slots=True)
class Walked:
    """What came out: an answer for each query of each subject at each state, in the catalogue's order."""

    subjects: tuple[Subject, ...]
    compiled: Mapping[Use, Sequence[Compiled]]
    answers: Mapping[Use, Sequence[Sequence[Answer]]]
    """By state, and then by query."""
    statements: tuple[StatementEvidence, ...]
    failures: tuple[Failure, ...]


@dataclass(slots=True)
class Memory:
    """What was asked at states that may be met again: the last of one release is the first of the next.

    A key names a state of one line of scratch databases and changes with everything that made it.
    """

    described: dict[str, Described] = field(default_factory=dict)

    def at(self, key: str) -> Described:
        """Return what was asked at a state; asking adds to it."""
        return self.described.setdefault(key, {})

    def keep_only(self, key: str) -> None:
        """Forget every state but one."""
        self.described = {key: self.at(key)}


def walk_states(
    pair: Pair,
    pending: Sequence[Migration],
    subjects: Sequence[Subject],
    *,
    layers: Collection[Layer],
    apply: Apply,
    engine: Engine = Engine.POSTGRESQL,
    goes_on: bool = False,
    keys: Sequence[str] | None = None,
    memory: Memory | None = None,
    visit: Visit | None = None,
    met_by_next: MetByNext = as_it_is,
    written_before: Mapping[str, str] | None = None,
    is_in_vain: Callable[[Failure], bool] = lambda _: False,
    lacks_rows: LacksRows = lambda _text, _schemas: None,
) -> Walked:
    """Apply `pending` state by state and ask about every query of every subject.

    `goes_on` says what a refused migration means: go on as if it changed nothing (a backtest, whose past went
    on too), or know nothing from there on. `keys` names the states for `memory`, one more than migrations.
    `visit` looks at the scratch database at each state, and leaves it as it is. `met_by_next` yields that
    database as a next version meets it there. `written_before` names what `apply` has write rows before a
    migration.
    `engine` is whose quotes the migrations are read with. `is_in_vain` tells of a migration that fails before
    anything is asked whether nobody wants the answers then: there are none. `lacks_rows` tells why nothing is
    known of a query that comes to tables without rows.
    """
    memory = memory or Memory()
    names = list(keys) if keys is not None else [str(state) for state in range(len(pending) + 1)]
    ahead = _run_ahead(pair, pending, apply=apply, engine=engine) if pending else _Ahead()
    statements, failures = tuple(ahead.statements), tuple(ahead.failures)
    known = len(pending) if goes_on or not failures else pending.index(failures[0].migration)
    if failures and is_in_vain(failures[0]):
        return Walked(tuple(subjects), {}, {}, statements, failures)
    here = State(pair.walk, layers, memory.at(names[0]))
    asked = tuple(each for each in subjects if each.role is Role.LIVE or known == len(pending))
    if pending and pair.walk is pair.ahead:
        assert visit is None, "nobody can look at states that `ahead` has left behind"
        return _unasked(asked, states=known + 1, ahead=ahead)
    own = State(pair.ahead, layers, memory.at(names[-1])) if pending else here
    compiled = _compiled(asked, live=here, following=own)
    passed = Passed.by(pending, statements, ahead.made_by_code, written_before=written_before or {})
    walk = _Walk(asked, compiled, layers, passed, visit, met_by_next, lacks_rows)
    walk.stand_at(0, here)
    refused = [each.migration for each in failures]
    for state, migration in enumerate(pending[:known], 1):
        walk.ask_within(here, migration, engine)
        with ExitStack() as sessions:
            held = walk.hold(here, sessions)
            error = apply(pair.walk, migration)
            if error is not None and migration not in refused:
                failures = (*failures, Failure(migration, error, took_it_before_questions=True))
                memory = Memory()  # what it has of these states is not what stands here
                if not goes_on:
                    asked = tuple(each for each in asked if each.role is Role.LIVE)
                    break
            walk.cross(held)
        here = State(pair.walk, layers, memory.at(names[state]))
        walk.stand_at(state, here)
    return walk.ended(asked, statements, failures)


def _compiled(
    subjects: Sequence[Subject], *, live: State, following: State
) -> Mapping[Use, Sequence[Compiled]]:
    """Return each version's queries as its client has them at its own state."""
    return {
        each.use: compile_queries(
            live if each.role is Role.LIVE else following, each.catalogue.queries, role=each.database_role
        )
        for each in subjects
    }


def _unasked(subjects: Sequence[Subject], *, states: int, ahead: _Ahead) -> Walked:
    """Return what a walk finds that has nothing to ask: no answer at any of the states."""
    assert not any(each.catalogue.queries for each in subjects), "they are asked at states of their own"
    return Walked(
        tuple(subjects),
        {each.use: [] for each in subjects},
        {each.use: [[] for _ in range(states)] for each in subjects},
        tuple(ahead.statements),
        tuple(ahead.failures),
    )


@dataclass(slots=True)
class _Ahead:
    """What the pending migrations did to the database that goes ahead."""

    statements: list[StatementEvidence] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    made_by_code: dict[str, frozenset[str]] = field(default_factory=dict)
    """The tables, without schema, that a migration made whose statements nobody sees."""


def _run_ahead(pair: Pair, pending: Sequence[Migration], *, apply: Apply, engine: Engine) -> _Ahead:
    """Apply everything to `ahead`; a refused migration changes nothing there, or what it did before that."""
    pair.ahead.take_statements()
    ahead = _Ahead()
    for migration in pending:
        before = _tables(pair.ahead) if migration.is_code else frozenset()
        error = apply(pair.ahead, migration)
        if migration.is_code:
            ahead.made_by_code[migration.name] = _tables(pair.ahead) - before
        ahead.statements.extend(at_its_lines(pair.ahead.take_statements(), migration, engine))
        if error is not None:
            ahead.failures.append(Failure(migration, error))
    return ahead


def _tables(database: RehearsalDatabase) -> frozenset[str]:
    return frozenset(
        bare(name.removeprefix("table ")) for name in database.catalogue() if name.startswith("table ")
    )


@dataclass(frozen=True, slots=True)
class Held:
    """A session from before a migration, in which each version's queries are prepared."""

    places: Mapping[Use, Sequence[int]]
    """Which queries of each version they are."""
    texts: Sequence[str]
    """Theirs, each once: what a session says of a prepared text does not depend on who else has it."""
    ask: Callable[[], list[Objection | None]]
    """Asks the session again, about each of the texts."""


@dataclass(slots=True)
class _Walk:
    """The answers so far."""

    subjects: Sequence[Subject]
    compiled: Mapping[Use, Sequence[Compiled]]
    layers: Collection[Layer]
    passed: Passed
    visit: Visit | None
    met_by_next: MetByNext
    lacks_rows: LacksRows
    answers: dict[Use, list[list[Answer]]] = field(default_factory=dict)
    crossings: dict[Use, list[dict[int, Objection]]] = field(default_factory=dict)
    """For each migration, what a session that was there before it met, by the query's number."""
    within: dict[Use, list[dict[int, Answer]]] = field(default_factory=dict)
    """For each migration, what was met between its statements, by the query's number."""

    def stand_at(self, state: int, here: State) -> None:
        """Ask about every query of every subject at the next state, and let it be visited."""
        with self.met_by_next(here.database, state) as database:
            self._ask(here, here if database is here.database else replace(here, database=database))
        if self.visit is not None:
            self.visit(here.database, state, self.working())

    def _ask(self, here: State, of_next: State) -> None:
        left: dict[Use, Nulls] = {}
        for subject in self.subjects:
            answers = self.answers.setdefault(subject.use, [])
            compiled, nulls = self.compiled[subject.use], left.setdefault(subject.use, {})
            is_live = subject.role is Role.LIVE
            if len(answers) == (0 if is_live else self.passed.last):  # its own state: it was asked there
                answers.append([each.own for each in compiled])
                for each in compiled:
                    nulls.update(nulls_of(each, each.ran) if each.ran is not None else {})
                continue
            between = self.passed.between(subject.role, state=len(answers))
            place = here if is_live else of_next
            asked = ask_queries(place, compiled, role=subject.database_role, between=between, nulls=nulls)
            answers.append(with_lost_indexes(place, compiled, asked))
        if Layer.DESCRIBE in self.layers:
            self._judge_nulls(here, left)
        self._judge_rows(here)

    def _judge_rows(self, here: State) -> None:
        """Add what is not known because a query comes to tables without rows, here or where it was made."""
        for subject in self.subjects:
            answers = self.answers[subject.use][-1]
            for place, query in enumerate(self.compiled[subject.use]):
                if query.schema is not None and answers[place].broken is None:
                    why = self.lacks_rows(query.text, (here.schema, query.schema))
                    if why is not None:
                        answers[place] = unknown(answers[place], Layer.EXECUTE, why)

    def _judge_nulls(self, here: State, left: Mapping[Use, Nulls]) -> None:
        """Add what a version may not be able to read that another one writes, if that one can run here."""
        for subject in self.subjects:
            nulls: Nulls = {}
            for use, found in left.items():
                if use != subject.use and all(each.broken is None for each in self.answers[use][-1]):
                    nulls.update(found)
            answers = self.answers[subject.use][-1]
            for place, query in enumerate(self.compiled[subject.use]):
                now = here.described.get(query.text)
                why = meets_null(query, now, nulls, here.schema) if isinstance(now, Description) else None
                if why is not None and answers[place].broken is None:
                    answers[place] = unknown(answers[place], Layer.DESCRIBE, why)

    def working(self) -> Working:
        """Return what works where the walk stands."""
        return [
            (
                subject,
                [
                    query
                    for query, answer in zip(
                        self.compiled[subject.use], self.answers[subject.use][-1], strict=True
                    )
                    if answer.broken is None and query.ran is not None
                ],
            )
            for subject in self.subjects
        ]

    def ask_within(self, here: State, migration: Migration, engine: Engine) -> None:
        """Ask what a version that works at the last state meets between the statements of a migration."""
        found: dict[Use, dict[int, Answer]] = {each.use: {} for each in self.subjects}
        if any(map(self.compiled.get, found)):
            for copy, line in instants(here.database, migration, engine):
                inside = State(copy, self.layers)
                for subject in self.subjects:
                    last, met = self.answers[subject.use][-1], found[subject.use]
                    places = [place for place, each in enumerate(last) if each.broken is None]
                    answers = ask_queries(
                        inside,
                        [self.compiled[subject.use][place] for place in places],
                        role=subject.database_role,
                        between=self.passed.between(
                            subject.role, state=len(self.answers[subject.use]), within=1
                        ),
                    )
                    for place, answer in zip(places, answers, strict=True):
                        own = self.compiled[subject.use][place].own
                        new = placed(
                            replace(answer, unchecked=answer.unchecked[len(own.unchecked) :]), migration, line
                        )
                        met[place] = joined(met.get(place, WORKS), new)
        for use, met in found.items():
            self.within.setdefault(use, []).append(met)

    def hold(self, here: State, sessions: ExitStack) -> Held:
        """Prepare, in one session that stays, what works at the state where the walk stands."""
        places: dict[Use, list[int]] = {}
        if Layer.SESSION not in self.layers:
            return Held(places, (), list)
        for subject in self.subjects:
            last, compiled = self.answers[subject.use][-1], self.compiled[subject.use]
            places[subject.use] = [
                place
                for place, answer in enumerate(last)
                if answer.broken is None and compiled[place].description is not None
            ]
        texts = tuple(
            dict.fromkeys(self.compiled[use][place].text for use, found in places.items() for place in found)
        )
        return Held(places, texts, sessions.enter_context(here.database.held(texts)))

    def cross(self, held: Held) -> None:
        """Ask that session again, when the migration is applied."""
        met = dict(zip(held.texts, held.ask(), strict=True))
        for use, places in held.places.items():
            found = {place: met[self.compiled[use][place].text] for place in places}
            self.crossings.setdefault(use, []).append(
                {place: each for place, each in found.items() if each is not None}
            )

    def ended(
        self,
        subjects: tuple[Subject, ...],
        statements: tuple[StatementEvidence, ...],
        failures: tuple[Failure, ...],
    ) -> Walked:
        """Return what is known of some subjects, with what only old sessions and half a migration met."""
        for answers, place, objection in self._met_on_the_way(self.crossings):
            answers[place] = fails(answers[place], Layer.SESSION, objection)
        for answers, place, answer in self._met_on_the_way(self.within):
            answers[place] = joined(answers[place], answer)
        return Walked(
            subjects,
            {each.use: self.compiled[each.use] for each in subjects},
            {each.use: self.answers[each.use] for each in subjects},
            statements,
            failures,
        )

    def _met_on_the_way(
        self, met: Mapping[Use, Sequence[Mapping[int, _T]]]
    ) -> Iterator[tuple[list[Answer], int, _T]]:
        """Yield what was met at a migration by a query that works on both sides, and the answers it goes to.

        A live version breaks at the state that the migration led to. A next version breaks at the one before:
        it has to start when the migration is behind it.
        """
        for subject in self.subjects:
            answers = self.answers[subject.use]
            for state, found in enumerate(met.get(subject.use, ())[: len(answers) - 1], 1):
                before, after = answers[state - 1], answers[state]
                for place, each in found.items():
                    if before[place].broken is None and after[place].broken is None:
                        yield (after if subject.role is Role.LIVE else before), place, each
