"""What a refused release is told: the whole text, so that a change of a word is a choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from builders import Release, Service, effects_of, migration

from coordinator.compile import compile_release
from coordinator.derive import derive, fully_asked
from coordinator.diagnostics import Place
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
from coordinator.model import DatabaseName, Layer, Phase, Role, ServiceName, Statement
from coordinator.obstacles import Known, explain
from coordinator.prove import Proof, prove
from coordinator.rehearse.findings import _blamed
from coordinator.splits import split

WORKS = Finding(Verdict.PROVEN, Basis.REHEARSED, "every query was asked")
LOST = Finding(Verdict.BROKEN, Basis.REHEARSED, "a query fails")


def use(name: str, role: Role, database: str = "db") -> Use:
    return DatabaseName(database), ServiceName(name), role


def refused(
    release: Release, cells: Mapping[Use, str], *, changes: Mapping[str, tuple[Change, ...]] | None = None
) -> Proof:
    """Return the proof of a release; `cells` have a letter a state: w works, b breaks."""
    survey = release.survey()
    rehearsed = {
        each: tuple(
            Span(state, state, LOST if letter == "b" else WORKS) for state, letter in enumerate(letters)
        )
        for each, letters in cells.items()
    }
    rehearsals = {
        name: Rehearsal(
            "postgresql 18.6",
            "",
            (Layer.PREPARE,),
            {},
            breaks=tuple(
                broken
                for each, letters in cells.items()
                if each[0] == name
                for broken in breaks(each, letters, survey.databases[name].pending)
            ),
            statements=tuple(statement(name, made) for name, made in (changes or {}).items()),
        )
        for name in survey.databases
    }
    asked = fully_asked(survey, rehearsed, tuple(rehearsed))
    evidence, problems = derive(
        survey, Evidence({}, {}), rehearsed=rehearsed, rehearsals=rehearsals, asked=asked
    )
    assert not problems
    plan = release.plan()
    graph = compile_release(plan, survey, evidence)
    return prove(graph, evidence, survey, plan=plan, effects_of=effects_of)


def breaks(each: Use, letters: str, pending: tuple):
    old_or_new = "old" if each[2] is Role.LIVE else "new"
    broken = [letter == "b" for letter in letters]
    for state, is_broken in enumerate(broken):
        if is_broken:
            yield Break(
                each,
                state,
                f"Get{old_or_new.title()}",
                Place(f"queries/{each[1]}.sql", 4),
                Layer.PREPARE,
                Objection("42703", f'column "{old_or_new}" does not exist'),
                _blamed(broken, state, pending, role=each[2]),
            )


def statement(name: str, changes: tuple[Change, ...]) -> StatementEvidence:
    place = Place(f"migrations/{name}.sql", 7)
    return StatementEvidence(
        name, Statement("ALTER …", 7), place, in_transaction=True, seconds=0, changes=changes
    )


def column(name: str, before: str | None, after: str | None) -> Change:
    return Change("column", "public.users", name, before, after)


def shop(pending: str | tuple = "", **service: object) -> Release:
    return Release({"app": Service(("db",), **service)}, {"db": pending or files(2)})  # type: ignore[arg-type]


def files(number: int) -> tuple:
    return tuple(map(migration, range(1, number + 1)))


DB = DatabaseName("db")
LIVE, NEXT = use("app", Role.LIVE), use("app", Role.NEXT)
EARLY = (
    "error[version-meets-broken-state]: `app` 2 (next) may run while database `db` is at {states}, and"
    " does not"
    " work there. It needs `{giving}`: query `GetNew` (queries/app.sql:4) fails at the layer prepare: column"
    ' "new" does not exist (42703). '
)
OLD = 'query `GetOld` (queries/app.sql:4) fails at the layer prepare: column "old" does not exist (42703).'


def test_one_migration_takes_before_another_one_brings():
    proof = refused(
        shop(),
        {LIVE: "wbb", NEXT: "bbw"},
        changes={"00001_m1": (column("old", "text", None),), "00002_m2": (column("new", None, "text"),)},
    )

    assert told(proof) == [
        "migrations/00001_m1.sql:7 "
        + EARLY.format(states="states 0 to 1 of 2", giving="00002_m2")
        + f"`00001_m1` comes before it and breaks `app` 1 (live): {OLD} Move `00001_m1` behind"
        " `00002_m2`, or leave it to the next release. If `00002_m2` builds on it, add the new form"
        " first, keep"
        " the old one, and remove it in a later release."
    ]


def test_a_migration_that_breaks_live_itself_is_not_to_be_moved_forward_but_to_be_split():
    proof = refused(shop(), {LIVE: "wbb", NEXT: "bbw"}, changes={"00002_m2": (column("new", None, "text"),)})
    rehearsal = proof.evidence.rehearsals[DB]
    lost = next(each for each in rehearsal.breaks if each.use == LIVE)
    also = replace(lost, state=2, query="GetOther", migration="00002_m2")
    evidence = replace(
        proof.evidence,
        rehearsals={DB: replace(rehearsal, breaks=(*rehearsal.breaks, also))},
    )

    problem = explain(NEXT, proof.evidence.spans[NEXT][:2], Known(shop().plan(), shop().survey(), evidence))

    assert problem.why.endswith("`00002_m2` breaks it too.")
    assert problem.next_step == (
        "Leave `00001_m1` to the next release. Split `00002_m2`. In this release add column"
        " `public.users.new` in a form that `app` 1 (live) bears; make it strict in a later one."
    )


SPLITS = {
    "renames": (
        (column("old", "text", None), column("new", None, "text"), column("other", None, "text")),
        (
            "Split `00001_m1`. In this release add column `public.users.new` and keep column"
            " `public.users.old`;"
            " remove column `public.users.old` in a later one, when `app` 1 (live) is gone."
        ),
    ),
    "takes": (
        (column("old", "text", None),),
        (
            "Split `00001_m1`. In this release keep column `public.users.old`; remove column"
            " `public.users.old` in"
            " a later one, when `app` 1 (live) is gone."
        ),
    ),
    "alters": (
        (column("old", "integer", "text"),),
        (
            "Split `00001_m1`. In this release leave column `public.users.old` as it is and add the new form"
            " beside it; remove the old one in a later one, when `app` 1 (live) is gone."
        ),
    ),
    "adds": (
        tuple(Change("constraint", "public.users", f"c{at}", None, "CHECK (…)") for at in range(5)),
        (
            "Split `00001_m1`. In this release add constraint `public.users.c0`, constraint"
            " `public.users.c1`,"
            " constraint `public.users.c2`, 2 more in a form that `app` 1 (live) bears; make it strict"
            " in a later"
            " one."
        ),
    ),
    "renames a table": (
        (
            column("id", "integer", None),
            Change("owner", "public.users", "public.users", "ann", None),
            Change("table", "public.users", "public.users", "table", None),
            Change("column", "public.people", "id", None, "integer"),
            Change("table", "public.people", "public.people", None, "table"),
        ),
        (
            "Split `00001_m1`. In this release add table `public.people` and keep table `public.users`;"
            " remove"
            " table `public.users` in a later one, when `app` 1 (live) is gone."
        ),
    ),
    "builds a table anew": (
        (
            Change("table", "public.new", "public.new", None, "table"),
            Change("table", "public.users", "public.users", "table", None),
            Change("table", "public.new", "public.new", "table", None),
            Change("table", "public.users", "public.users", None, "table"),
        ),
        (
            "`00001_m1` builds table `public.users` anew. In this release do that in a form that `app`"
            " 1 (live) bears as well as the new version; take away what only `app`"
            " 1 (live) needs in a later one, when it is gone."
        ),
    ),
    "is not known in its parts": (
        (),
        (
            "Split `00001_m1`: add the new form first, keep the old one, and remove it in a later"
            " release, when"
            " `app` 1 (live) is gone."
        ),
    ),
}


@pytest.mark.parametrize("case", SPLITS)
def test_one_migration_that_takes_and_brings_is_to_be_split(case: str):
    changes, advice = SPLITS[case]

    proof = refused(shop(files(1)), {LIVE: "wb", NEXT: "bw"}, changes={"00001_m1": changes})

    is_named = any(each.name in ("old", "new") for each in changes)
    assert told(proof) == [
        f"migrations/00001_m1.sql{':7' if is_named else ''} "
        + EARLY.format(states="state 0 of 1", giving="00001_m1")
        + f"It also breaks `app` 1 (live): {OLD} {advice}"
    ]


@pytest.mark.parametrize(("by_program", "is_named"), [(False, True), (True, False)])
def test_the_command_that_cuts_a_file_is_named_for_sql_alone(by_program: bool, is_named: bool):
    added, taken = column("new", None, "text"), column("old", "text", None)
    evidence = refused(shop(files(1)), {LIVE: "wb", NEXT: "bw"}, changes={"00001_m1": (taken,)}).evidence
    two = (statement("00001_m1", (added,)), statement("00001_m1", (taken,)))
    evidence = replace(evidence, rehearsals={DB: replace(evidence.rehearsals[DB], statements=two)})
    [phased] = evidence.phased[DB]
    phased = replace(phased, migration=replace(phased.migration, by_program=by_program))

    advice = split(phased, DB, evidence, breaks=(), gone="`app` 1 (live)")

    assert ("`coordinator split migrations/00001_m1.sql` shows how" in advice) is is_named


def test_states_at_which_a_version_breaks_are_told_once_with_what_it_needs_last():
    proof = refused(shop(files(4)), {LIVE: "wbbbb", NEXT: "bwbbw"})

    [problem] = proof.diagnostics
    assert "is at states 0 and 2 to 3 of 4" in problem.what
    assert "It needs `00004_m4`" in problem.why


def test_a_declared_wait_is_told_of():
    contract = (migration(1, declared=Phase.CONTRACT), migration(2))

    [problem] = refused(shop(contract), {LIVE: "www", NEXT: "bbw"}).diagnostics

    assert problem.why.endswith(
        "`00001_m1` comes before it and waits, as its author declared, until `app` 1 (live) is gone."
    )


def test_a_service_that_stays_has_to_be_replaced():
    release = Release({"app": Service(("db",)), "jobs": Service(("db",), live="2")}, {"db": files(1)})

    proof = refused(release, {LIVE: "ww", NEXT: "ww", use("jobs", Role.LIVE): "wb"})

    assert told(proof) == [
        (
            "migrations/00001_m1.sql error[version-meets-broken-state]: `jobs` 2 (live) may run while"
            " database `db`"
            " is at state 1 of 1, and does not work there. `00001_m1` breaks it: query `GetOld`"
            ' (queries/jobs.sql:4) fails at the layer prepare: column "old" does not exist (42703). This'
            " release"
            " does not replace it. Release a version of `jobs` that does without it, or leave `00001_m1`"
            " to the"
            " release that does."
        )
    ]


def test_services_that_wait_for_each_other_are_told_of_the_circle():
    release = Release(
        {"app": Service(("db", "other")), "jobs": Service(("db", "other"))},
        {"db": files(1), "other": files(1)},
    )
    cells = {
        use("app", Role.LIVE): "ww",
        use("app", Role.NEXT): "bw",
        use("jobs", Role.LIVE): "wb",
        use("jobs", Role.NEXT): "ww",
        use("app", Role.LIVE, "other"): "wb",
        use("app", Role.NEXT, "other"): "ww",
        use("jobs", Role.LIVE, "other"): "ww",
        use("jobs", Role.NEXT, "other"): "bw",
    }

    [app, jobs] = refused(release, cells).diagnostics

    assert app.what.startswith("`app` 2 (next) may run while database `db` is at state 0 of 1")
    assert app.why == (
        "It needs `00001_m1`: query `GetNew` (queries/app.sql:4) fails at the layer prepare: column"
        ' "new" does'
        " not exist (42703). It also breaks `jobs` 1 (live): query `GetOld`"
        " (queries/jobs.sql:4) fails"
        ' at the layer prepare: column "old" does not exist (42703). `jobs` cannot move first, because'
        " it waits"
        " for `app` in turn."
    )
    assert jobs.what.startswith("`jobs` 2 (next) may run while database `other` is at state 0 of 1")
    assert jobs.why.endswith("`app` cannot move first, because it waits for `jobs` in turn.")


def test_who_only_waits_for_a_circle_is_not_blamed():
    """`late` could move behind the two others, if those could move."""
    release = Release(
        {"app": Service(("db",)), "late": Service(("db",))},
        {"db": files(2)},
    )
    cells = {
        use("app", Role.LIVE): "wbb",
        use("app", Role.NEXT): "bww",
        use("late", Role.LIVE): "www",
        use("late", Role.NEXT): "bbw",
    }

    [problem] = refused(release, cells).diagnostics

    assert problem.what.startswith("`app` 2 (next)")


def test_a_version_that_serves_already_cannot_wait():
    release = shop(files(1), live="2", left_over="1")

    [problem] = refused(release, {LIVE: "ww", NEXT: "bw"}).diagnostics

    assert problem.next_step == (
        "It runs already. Send the traffic back and stop it, or release a version that works on the schema as"
        " it is now."
    )


@pytest.mark.parametrize(
    ("number", "next_step"), [(0, "on this schema"), (1, "the migration that the version")]
)
def test_a_version_that_breaks_even_at_the_last_state_has_nothing_to_wait_for(number: int, next_step: str):
    letters = "b" * (number + 1)

    [problem] = refused(
        Release({"app": Service(("db",))}, {"db": files(number)}), {LIVE: "w" * (number + 1), NEXT: letters}
    ).diagnostics

    assert 'Query `GetNew` (queries/app.sql:4) fails at the layer prepare: column "new"' in problem.why
    assert next_step in problem.next_step


def test_of_several_broken_queries_the_first_is_told_and_the_others_counted():
    release = shop(files(1))
    proof = refused(release, {LIVE: "wb", NEXT: "bw"})
    one = proof.evidence.rehearsals[DB]
    more = tuple(replace(each, query=f"{each.query}{at}") for each in one.breaks for at in (1, 2))
    evidence = replace(
        proof.evidence, rehearsals={DatabaseName("db"): replace(one, breaks=(*one.breaks, *more))}
    )

    again = prove(proof.graph, evidence, proof.survey, plan=proof.plan, effects_of=effects_of)

    [problem] = again.diagnostics
    assert "does not exist (42703); 2 more queries break. It also breaks" in problem.why


def told(proof: Proof) -> list[str]:
    return [str(each) for each in proof.diagnostics]
