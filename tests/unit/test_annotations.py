"""What a review shows beside the lines: which fact at which place, how important, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from builders import Release, Service, migration, one_service

from coordinator import pages
from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.evidence import Break, Hazard, Objection, Rehearsal, Unchecked, Use
from coordinator.model import DatabaseName, Layer, Role, ServiceName
from coordinator.prove import Proof
from coordinator.report.annotations import Annotation, Level, annotate, fingerprints, with_names

DB = DatabaseName("db")
LIVE: Use = (DB, ServiceName("app"), Role.LIVE)
NEXT: Use = (DB, ServiceName("app"), Role.NEXT)
GONE = Objection("42703", 'column "total" does not exist')


def broken(use: Use, state: int, migration: str | None, *, line: int = 3, query: str = "GetOrder") -> Break:
    return Break(use, state, query, Place("queries/orders.sql", line), Layer.PREPARE, GONE, migration)


def proof_with(proof: Proof, **rehearsed: object) -> Proof:
    """Return the proof as if the engine had been asked about its database."""
    rehearsal = Rehearsal("postgresql 18.6", "replay", tuple(Layer), {}, **rehearsed)  # type: ignore[arg-type]
    return replace(proof, evidence=replace(proof.evidence, rehearsals={DB: rehearsal}))


def shown(proof: Proof, *warnings: Diagnostic) -> tuple[Annotation, ...]:
    return annotate(proof, warnings)


def of_code(found: Iterable[Annotation], code: str) -> list[Annotation]:
    return [each for each in found if each.code == code]


def test_says_of_each_migration_when_it_is_applied_and_what_it_breaks():
    breaks = (broken(LIVE, 2, "00002_m2"), broken(NEXT, 0, "00001_m1"))
    found = of_code(
        shown(proof_with(one_service("expand contract").proof(), breaks=breaks)), "migration-phase"
    )

    expand, contract = found
    assert (expand.level, expand.place, expand.title) == (
        Level.NOTICE,
        Place("migrations/00001_m1.sql"),
        "expand: 00001_m1",
    )
    assert "before the new version starts" in expand.message
    assert "GetOrder" not in expand.message
    assert "waits until the old version is gone" in contract.message
    assert (
        '`GetOrder` of `app` (live), queries/orders.sql:3: 42703 column "total" does not exist'
        in contract.message
    )


def test_says_that_a_phase_was_not_asked_of_the_engine():
    [guessed] = of_code(
        shown(
            Release(
                {"app": Service(uses=("db",))}, {"db": (migration(1, "CREATE TABLE t (id int);"),)}
            ).proof()
        ),
        "migration-phase",
    )

    assert "(classified: the engine was not asked)" in guessed.message


def test_shows_a_query_that_gets_its_migration_as_a_notice_at_its_line():
    proof = proof_with(one_service("expand").proof(), breaks=(broken(NEXT, 0, "00001_m1"),))

    [found] = of_code(shown(proof), "query-needs-migration")

    assert (found.level, found.place) == (Level.NOTICE, Place("queries/orders.sql", 3))
    assert "before `00001_m1`" in found.message


def test_shows_a_query_that_runs_without_its_migration_as_an_error():
    refused = one_service("contract expand").proof()
    assert refused.diagnostics

    found = shown(proof_with(refused, breaks=(broken(NEXT, 1, "00002_m2"),)))

    assert of_code(found, "query-needs-migration")[0].level is Level.ERROR
    assert found[0].level is Level.ERROR


def test_a_query_that_breaks_in_two_ways_is_an_error_if_it_meets_one_of_them():
    refused = one_service("expand contract expand").proof()
    breaks = (broken(NEXT, 0, "00001_m1"), broken(NEXT, 2, "00003_m3"))

    [found] = of_code(shown(proof_with(refused, breaks=breaks)), "query-needs-migration")

    assert any(span.first <= 2 <= span.last for span in refused.met[NEXT])
    assert (found.level, "before `00003_m3`" in found.message) == (Level.ERROR, True)


def test_shows_a_query_that_breaks_at_many_states_once_at_its_first():
    breaks = tuple(broken(NEXT, state, f"0000{state + 1}_m") for state in (1, 0, 2))

    found = of_code(shown(proof_with(one_service("expand").proof(), breaks=breaks)), "query-needs-migration")

    assert len(found) == 1
    assert "before `00001_m`" in found[0].message


def test_shows_hazards_with_their_rewrite_unchecked_queries_and_drift_as_warnings():
    proof = proof_with(
        one_service("expand").proof(),
        hazards=(
            Hazard(
                "out-of-order",
                Place("migrations/00001_m1.sql", 4),
                "00001_m1",
                "It locks.",
                "All wait.",
                "SET x;",
            ),
        ),
        unchecked=(
            Unchecked(NEXT, "A", Layer.EXECUTE, "no row"),
            Unchecked(NEXT, "B", Layer.PLAN, "no role"),
        ),
        already_failing=(broken(LIVE, 0, None),),
        drift=("index i is missing",),
        notes=("another major version",),
    )

    warnings = {each.code: each for each in shown(proof) if each.level is Level.WARNING}

    assert warnings["out-of-order"].message == "It locks. All wait.\nSET x;"
    assert "A (execute: no row); B (plan: no role)" in warnings["query-unchecked"].message
    assert warnings["query-already-fails"].place == Place("plan.yaml", 1, 1)
    assert "queries/orders.sql:3" in warnings["query-already-fails"].message
    assert warnings["schema-drift"].message == "index i is missing"
    assert [each.message for each in of_code(shown(proof), "rehearsal-limited")] == ["another major version"]
    assert "app (next) is unproven on db" in [each.title for each in shown(proof)]


def test_blames_no_migration_for_what_live_never_could_and_leaves_it_open_for_next():
    failing = (broken(LIVE, 0, None), broken(NEXT, 3, None))
    proof = proof_with(one_service("expand expand contract").proof(), already_failing=failing)

    found = of_code(shown(proof), "query-already-fails")

    assert ["No migration of this release is to blame" in each.message for each in found] == [True, False]
    assert "or one of them takes away what it needs" in found[1].message


def test_says_at_the_migration_that_begins_it_why_the_release_is_unproven():
    found = of_code(shown(one_service("expand expand contract").proof()), "release-unproven")

    assert [each.place.file for each in found] == ["migrations/00002_m2.sql", "plan.yaml"]
    assert not [each for each in found if each.message.endswith("..")]


def test_counts_what_it_does_not_name():
    unchecked = tuple(Unchecked(NEXT, f"Q{at}", Layer.PLAN, "x") for at in range(8))

    [found] = of_code(
        shown(proof_with(one_service("expand").proof(), unchecked=unchecked)), "query-unchecked"
    )

    assert "Q4" in found.message
    assert "Q5" not in found.message
    assert "and 3 more" in found.message


def test_puts_the_most_important_first_and_says_nothing_twice():
    refused = one_service("contract expand").proof()
    warning = Diagnostic("stray-version", Place("plan.yaml", 9), "Stray.", severity=Severity.WARNING)

    found = shown(refused, warning, warning)

    levels = [list(Level).index(each.level) for each in found]
    assert levels == sorted(levels)
    assert len(of_code(found, "stray-version")) == 1


def test_names_files_from_the_root_of_the_repository():
    found = with_names(shown(one_service("expand").proof()), lambda file: str(PurePosixPath("shop") / file))

    assert {each.place.file for each in found} == {"shop/plan.yaml", "shop/migrations/00001_m1.sql"}


def test_a_fingerprint_survives_a_moved_line_and_is_nobody_elses():
    def found(line: int) -> tuple[Annotation, ...]:
        breaks = (
            broken(NEXT, 0, "00001_m1", line=line),
            broken(NEXT, 0, "00001_m1", line=line + 1, query="B"),
        )
        return shown(proof_with(one_service("expand").proof(), breaks=breaks))

    before, after = list(fingerprints(found(3))), list(fingerprints(found(30)))

    assert before == after
    assert len(set(before)) == len(before)
    assert len(set(fingerprints(found(3) * 2))) == 2 * len(before)


@pytest.mark.parametrize("phases", ["expand", "contract expand"])
def test_every_annotation_has_a_page(phases: str):
    proof = proof_with(one_service(phases).proof(), breaks=(broken(NEXT, 0, "00001_m1"),))

    assert {each.code for each in shown(proof)} <= set(pages.codes())
