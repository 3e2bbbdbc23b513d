"""From the matrix to phases: what the engine answered decides, and a wrong declaration is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from builders import Release, Service, migration

from coordinator.classify import classify
from coordinator.derive import derive, fully_asked
from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import (
    Basis,
    Break,
    Change,
    Evidence,
    Finding,
    Objection,
    Rehearsal,
    Span,
    StatementEvidence,
    Use,
    Verdict,
)
from coordinator.model import DatabaseName, Layer, Migration, Phase, Role, ServiceName, Statement
from coordinator.rehearse.findings import _blamed
from coordinator.turns import Turns
from coordinator.windows import bears_until, works_from, works_until

DB = DatabaseName("db")
FINDINGS = {
    "w": Finding(Verdict.PROVEN, Basis.REHEARSED, "every query works"),
    "u": Finding(Verdict.UNPROVEN, Basis.REHEARSED, "one query could not be asked"),
    "b": Finding(Verdict.BROKEN, Basis.REHEARSED, "query `Get` fails at the layer prepare: gone (42703)"),
    "s": Finding(Verdict.BROKEN, Basis.REHEARSED, "query `Get` fails at the layer session: stale (0A000)"),
}


@dataclass
class Derived:
    release: Release
    evidence: Evidence
    problems: tuple[Diagnostic, ...]

    @property
    def phases(self) -> str:
        """Return a letter for each migration: e, m or c."""
        return "".join(each.phase[0] for each in self.evidence.phased[DB])

    @property
    def reasons(self) -> list[str]:
        return [each.reason for each in self.evidence.phased[DB]]


def use(name: str, role: Role) -> Use:
    return DB, ServiceName(name), role


def release(pending: tuple[Migration, ...] | int, **services: Service) -> Release:
    files = tuple(map(migration, range(1, pending + 1))) if isinstance(pending, int) else pending
    return Release(services or {"app": Service(("db",))}, {"db": files}, applied=1)


def derived(
    made: Release, cells: Mapping[str, tuple[str, str]], statements: tuple[StatementEvidence, ...] = ()
) -> Derived:
    """Derive phases; `cells` have for each service a letter a state, of the live and the next version."""
    survey = made.survey()
    pending = survey.databases[DB].pending
    letters = {
        use(name, role): found
        for name, both in cells.items()
        for role, found in zip(Role, both, strict=True)
        if found
    }
    rehearsed = {
        each: tuple(Span(state, state, FINDINGS[letter]) for state, letter in enumerate(found))
        for each, found in letters.items()
    }
    breaks = tuple(
        Break(
            each,
            state,
            "Get",
            Place("q.sql"),
            Layer.SESSION if letter == "s" else Layer.PREPARE,
            Objection("42703", "gone"),
            _blamed([one in "bs" for one in found], state, pending, role=each[2]),
        )
        for each, found in letters.items()
        for state, letter in enumerate(found)
        if letter in "bs"
    )
    uses = [
        use(name, role)
        for name, service in survey.services.items()
        for role in Role
        if role is (Role.LIVE if service.is_settled else role)
        and (role is Role.NEXT or service.is_settled or service.live_colour is not None)
    ]
    asked = fully_asked(survey, rehearsed, uses)
    classified, _ = classify(made.plan(), survey, asked=asked)
    rehearsal = Rehearsal("", "", (), {}, breaks=breaks, statements=statements)
    evidence, problems = derive(
        survey, classified, rehearsed=rehearsed, rehearsals={DB: rehearsal}, asked=asked
    )
    return Derived(made, evidence, problems)


# -- where the cut is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "next_", "phases"),
    [
        ("www", "www", "ee"),
        ("wwb", "bww", "ec"),
        ("wbb", "www", "cc"),
        ("wbw", "www", "cc"),  # it works again behind the break, and is not brought there
        ("wwb", "bbw", "ec"),  # an empty window: the proof refuses it
        ("wsw", "www", "cc"),  # an old session is a reason to wait as good as any
        ("wwww", "bwbw", "eee"),  # next breaks again: it waits for the last
        ("wwwb", "wsww", "eec"),
    ],
)
def test_expand_is_what_every_live_version_bears(live: str, next_: str, phases: str):
    found = derived(release(len(live) - 1), {"app": (live, next_)})

    assert found.phases == phases
    assert {each.basis for each in found.evidence.phased[DB]} == {Basis.REHEARSED}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("live", "next_", "phases"),
    [
        ("wwuu", "bwww", "ecc"),  # live is proven at s1 and next from there on
        ("wwwb", "uuww", "eec"),
        ("wwww", "uwuw", "eee"),
        ("uuuu", "uuuu", "eee"),  # nothing is gained by waiting
        ("wuub", "bbww", "eec"),  # next needs what live is not proven with
    ],
)
def test_an_earlier_cut_is_taken_where_all_is_proven_there(live: str, next_: str, phases: str):
    assert derived(release(3), {"app": (live, next_)}).phases == phases


def test_the_live_version_that_bears_least_decides_for_all():
    made = release(3, app=Service(("db",)), jobs=Service(("db",)), stays=Service(("db",), live="2"))

    found = derived(made, {"app": ("wwww", "wwww"), "jobs": ("wwwb", "wwww"), "stays": ("wwbb", "")})

    assert found.phases == "ecc"


def test_a_first_release_has_no_contract_whatever_was_declared():
    contract = migration(2, declared=Phase.CONTRACT)
    made = release((migration(1), contract), app=Service(("db",), live=None))

    found = derived(made, {"app": ("", "bbw")})

    assert found.phases == "ee"
    assert found.problems == ()
    assert found.reasons == ["no version that uses the database is live"] * 2


def test_nothing_pending_has_no_phases():
    assert derived(release(0), {"app": ("w", "w")}).phases == ""


def test_a_contract_that_its_author_declares_waits_though_the_engine_sees_no_need():
    made = release((migration(1), migration(2, declared=Phase.CONTRACT), migration(3)))

    found = derived(made, {"app": ("wwww", "wwww")})

    assert found.phases == "ecc"
    assert found.reasons[1] == "its author declared it"


def test_says_why_each_migration_has_its_phase():
    found = derived(release(5), {"app": ("wwuuub", "bwwwww")})

    assert found.reasons == [
        "the live versions work with it",
        "not everything is proven with it while a live version runs",
        "not everything is proven with it while a live version runs",
        "not everything is proven with it while a live version runs",
        "a live version breaks with it",
    ]
    open_ = derived(release(2), {"app": ("wub", "bbw")})
    assert open_.reasons[0] == "nothing was found that the live versions miss with it"
    assert (
        derived(release(2), {"app": ("wbb", "www")}).reasons[1] == "it follows one that breaks a live version"
    )


# -- migrate ---------------------------------------------------------------------------------------------


def statement(name: str, *, writes: bool, changes: bool) -> StatementEvidence:
    return StatementEvidence(
        name,
        Statement("…", 1),
        Place("m.sql", 1),
        in_transaction=True,
        seconds=0,
        written=("public.users",) if writes else (),
        changes=(Change("column", "public.users", "x", None, "text"),) if changes else (),
    )


def test_a_migration_that_writes_rows_and_changes_no_schema_is_migrate():
    statements = (
        statement("00001_m1", writes=False, changes=True),
        statement("00001_m1", writes=True, changes=False),
        statement("00002_m2", writes=True, changes=False),
    )

    assert derived(release(2), {"app": ("www", "www")}, statements).phases == "em"


def test_a_declared_migrate_stays_one():
    made = release((migration(1, declared=Phase.MIGRATE),))

    assert derived(made, {"app": ("ww", "ww")}).phases == "m"


# -- what was not asked in full ----------------------------------------------------------------------------


def test_a_guess_is_corrected_by_what_breaks_a_live_version_that_was_asked():
    added = tuple(migration(at, f"ALTER TABLE t ADD COLUMN c{at} text;") for at in (1, 2, 3))
    made = release(added, app=Service(("db",)), jobs=Service(("db",)))

    found = derived(made, {"app": ("wwbb", "wwww")})

    assert found.phases == "ece"
    assert [each.basis for each in found.evidence.phased[DB]] == [
        Basis.CLASSIFIED,
        Basis.REHEARSED,
        Basis.CLASSIFIED,
    ]
    assert found.evidence.finding(use("jobs", Role.NEXT), 1).basis is Basis.CLASSIFIED


def test_what_was_asked_stands_beside_what_was_guessed():
    made = release(1, app=Service(("db",)), jobs=Service(("db",)))

    found = derived(made, {"app": ("ww", "ww")})

    assert found.evidence.finding(use("app", Role.NEXT), 1) == FINDINGS["w"]
    assert found.evidence.finding(use("jobs", Role.LIVE), 0).basis is Basis.OBSERVED


def test_a_database_is_asked_in_full_if_every_version_was_and_there_is_one():
    survey = release(1).survey()
    live, next_ = use("app", Role.LIVE), use("app", Role.NEXT)

    assert fully_asked(survey, {live: (), next_: ()}, [live, next_]) == {DB}
    assert not fully_asked(survey, {live: ()}, [live, next_])
    assert not fully_asked(survey, {}, [])


# -- declarations ------------------------------------------------------------------------------------------


def declared(number: int, at: int, phase: Phase) -> Release:
    return release(
        tuple(migration(each, declared=phase if each == at else None) for each in range(1, number + 1))
    )


def told(found: Derived) -> list[str]:
    return [str(each) for each in found.problems]


@pytest.mark.parametrize("phase", [Phase.EXPAND, Phase.MIGRATE])
def test_what_breaks_a_live_version_is_not_what_its_author_declares(phase: Phase):
    found = derived(declared(2, 2, phase), {"app": ("wwb", "www")})

    assert told(found) == [
        (
            f"migrations/00002_m2.sql error[phase-contradicted]: `00002_m2` declares phase={phase}, and"
            " the live"
            " version of `app` breaks with it. The engine says: query `Get` fails at the layer prepare: gone"
            " (42703). Declare it contract, or change it so that the live version bears it."
        )
    ]


def test_what_a_next_version_lacks_is_not_contract():
    found = derived(declared(2, 1, Phase.CONTRACT), {"app": ("www", "bww")})

    assert told(found) == [
        (
            "migrations/00001_m1.sql error[phase-contradicted]: `00001_m1` declares phase=contract, and"
            " the next"
            " version of `app` does not work without it. The engine says: query `Get` fails at the layer"
            " prepare:"
            " gone (42703). Split it: what the next version needs goes into an expand migration before it."
        )
    ]


@pytest.mark.parametrize(
    ("at", "phase", "live", "next_"),
    [
        (2, Phase.CONTRACT, "wwb", "www"),
        (2, Phase.CONTRACT, "www", "www"),
        (1, Phase.CONTRACT, "www", "sww"),  # next minds the migration, and does not lack it
        (1, Phase.EXPAND, "wwb", "bww"),
        (2, Phase.EXPAND, "wbb", "www"),  # the first one breaks it; of the second nothing is known
        (1, Phase.CONTRACT, "www", "bbw"),  # the second one mends it
        (2, Phase.MIGRATE, "www", "bbw"),
    ],
)
def test_other_declarations_are_not_contradicted(at: int, phase: Phase, live: str, next_: str):
    assert derived(declared(2, at, phase), {"app": (live, next_)}).problems == ()


def test_one_migration_is_contradicted_once():
    made = Release(
        {"app": Service(("db",)), "jobs": Service(("db",))},
        {"db": (migration(1, declared=Phase.EXPAND),)},
    )

    assert len(derived(made, {"app": ("wb", "ww"), "jobs": ("wb", "ww")}).problems) == 1


# -- windows and turns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "until"), [("www", 2), ("wwb", 1), ("wbw", 0), ("bww", -1), ("uub", 1), ("uuu", 2)]
)
def test_live_works_until_its_first_break(live: str, until: int):
    evidence = derived(release(2), {"app": (live, "www")}).evidence

    assert works_until(use("app", Role.LIVE), evidence) == until


@pytest.mark.parametrize(("next_", "since"), [("www", 0), ("bww", 1), ("wbw", 2), ("wwb", 3), ("uub", 3)])
def test_next_works_from_behind_its_last_break(next_: str, since: int):
    evidence = derived(release(2), {"app": ("www", next_)}).evidence

    assert works_from(use("app", Role.NEXT), evidence) == since


def test_live_bears_nothing_from_a_declared_contract_on():
    evidence = derived(declared(3, 2, Phase.CONTRACT), {"app": ("wwwb", "wwww")}).evidence

    assert bears_until(use("app", Role.LIVE), evidence) == 1
    assert works_until(use("app", Role.LIVE), evidence) == 2


def turns(**cells: tuple[str, str]) -> Turns:
    made = release(len(next(iter(cells.values()))[1]) - 1, **{name: Service(("db",)) for name in cells})
    evidence = derived(made, cells).evidence
    cut = sum(each.phase is not Phase.CONTRACT for each in evidence.phased[DB])
    return Turns.of(made.plan(), made.survey(), evidence, cuts={DB: cut})


def test_nobody_is_late_where_all_move_at_the_same_state():
    assert turns(a=("wwb", "bww"), b=("www", "bww")).late == {}


def test_who_needs_what_another_one_does_not_bear_is_late():
    found = turns(a=("wwb", "bww"), b=("www", "bbw"))

    assert found.late == {"b": {"db": 2}}
    assert list(found.gone_before(DB, 2)) == ["a"]
    assert found.last_awaited(DB, least=1) == 2


def test_who_waits_for_itself_is_not_late_and_who_waits_for_it_is():
    assert turns(a=("wbbb", "bbww"), b=("wwww", "bbbw")).late == {"b": {"db": 3}}


def test_a_version_that_breaks_at_the_last_state_waits_for_nothing():
    assert turns(a=("wwb", "wwb"), b=("www", "www")).late == {}
