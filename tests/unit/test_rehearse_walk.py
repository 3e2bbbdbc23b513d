"""Which questions a walk through the states puts, and what its answers become in the matrix."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import pytest
from builders import migration
from fakes.scratch import STALE, FakeScratch

from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.evidence import Break, Objection, Span, Use, Verdict
from coordinator.model import DatabaseName, Layer, Migration, Role, ServiceName
from coordinator.programs import not_rehearsed
from coordinator.queries import Catalogue, Query
from coordinator.rehearse.ask import fails
from coordinator.rehearse.findings import (
    FailingLive,
    already_failing_of,
    breaks_of,
    counts_of,
    failing_live_of,
    notes_on_mended,
    spans_of,
    unchecked_of,
)
from coordinator.rehearse.subject import WORKS, Subject
from coordinator.rehearse.walk import Failure, Pair, Walked, walk_states

LIVE: Use = (DatabaseName("db"), ServiceName("app"), Role.LIVE)
NEXT: Use = (DatabaseName("db"), ServiceName("app"), Role.NEXT)
SESSION = (Layer.PREPARE, Layer.SESSION)
LETTERS = {Verdict.PROVEN: "w", Verdict.BROKEN: "b", Verdict.UNPROVEN: "u"}


def query(text: str, **fields: object) -> Query:
    name = text.partition(" ")[0]
    return replace(Query(f"Get{name.title()}", text, Place(f"{name}.sql", 1)), **fields)  # type: ignore[arg-type]


@dataclass
class Rehearsed:
    """A walk, and the databases that it left."""

    walked: Walked
    pending: tuple[Migration, ...]
    layers: tuple[Layer, ...]
    walk: FakeScratch
    ahead: FakeScratch

    def spans(
        self, use: Use, *, failing_live: Collection[str] = (), mended: Collection[str] = ()
    ) -> tuple[Span, ...]:
        failure = self.walked.failures[0] if self.walked.failures else None
        return spans_of(
            self.walked,
            use,
            last=len(self.pending),
            layers=self.layers,
            failure=failure,
            failing_live=failing_live,
            mended=mended,
        )

    def cells(self, use: Use) -> str:
        return "".join(
            LETTERS[span.finding.verdict] * (span.last + 1 - span.first) for span in self.spans(use)
        )

    def breaks(self, use: Use) -> list[tuple[int, str, Layer, str | None]]:
        found = breaks_of(self.walked, self.pending)
        return [_short(each) for each in found if each.use == use]


def _short(each: Break) -> tuple[int, str, Layer, str | None]:
    return each.state, each.query, each.layer, each.migration


def rehearse(
    *texts: str,
    live: tuple[Query | str, ...] = (),
    next_: tuple[Query | str, ...] = (),
    layers: tuple[Layer, ...] = (Layer.PREPARE,),
    goes_on: bool = False,
    refuses: tuple[str, ...] = (),
    code: int | None = None,
    is_tried: bool = True,
    is_in_vain: Callable[[Failure], bool] = lambda _: False,
) -> Rehearsed:
    """Walk through the states that migrations of these texts give, from a table with `id` and `name`.

    The one with the number `code` is code: a program does what its text says, and nobody sees how.
    """
    pending = tuple(replace(migration(at, text), is_code=at == code) for at, text in enumerate(texts, 1))
    walk = FakeScratch({"id": "integer", "name": "text", "odd": "text"}, {"id": "1", "name": "1", "odd": "1"})
    with walk.clone() as other:
        ahead = other if pending else walk
    walk.refuses |= set(refuses)
    subjects = [
        Subject(
            use, Catalogue("here", tuple(query(each) if isinstance(each, str) else each for each in found))
        )
        for use, found in ((LIVE, live), (NEXT, next_))
    ]
    walked = walk_states(
        Pair(walk, ahead),
        pending,
        subjects,
        layers=layers,
        apply=lambda database, each: _apply(database, each, is_tried=is_tried),
        goes_on=goes_on,
        is_in_vain=is_in_vain,
    )
    return Rehearsed(walked, pending, layers, walk, ahead)


def _apply(database: FakeScratch, each: Migration, *, is_tried: bool) -> DatabaseError | None:
    if not each.is_code:
        return database.apply(each)
    if not is_tried:
        return not_rehearsed("nobody says how")
    error = database.apply(each)
    database.take_statements()
    return error


# -- which version works where --------------------------------------------------------------------------


def test_live_breaks_with_what_is_taken_and_next_before_what_is_brought():
    found = rehearse("add full text", "drop name", live=("id", "name"), next_=("id", "full"))

    assert found.cells(LIVE) == "wwb"
    assert found.cells(NEXT) == "bww"
    assert found.breaks(LIVE) == [(2, "GetName", Layer.PREPARE, "00002_m2")]
    assert found.breaks(NEXT) == [(0, "GetFull", Layer.PREPARE, "00001_m1")]


def test_a_finding_tells_of_the_first_query_and_counts_the_others():
    found = rehearse("drop name; drop id", live=("id", "name", "id name"), next_=())

    assert found.spans(LIVE)[0].finding.reason == "all its 3 queries work at the layers prepare"
    assert found.spans(LIVE)[1].finding.reason == (
        'query `GetId` fails at the layer prepare: column "id" does not exist (42703); 2 more break'
    )


def test_every_state_of_a_stretch_blames_the_migration_that_began_it_for_live_and_ended_it_for_next():
    found = rehearse("drop name", "add x text", "add name text", "drop name", live=("name",), next_=("x",))

    assert found.cells(LIVE) == "wbbwb"
    assert [each[0::3] for each in found.breaks(LIVE)] == [
        (1, "00001_m1"),
        (2, "00001_m1"),
        (4, "00004_m4"),
    ]
    assert [each[0::3] for each in found.breaks(NEXT)] == [(0, "00002_m2"), (1, "00002_m2")]


def test_next_that_works_breaks_and_works_again_blames_each_stretch_on_what_mends_it():
    found = rehearse("add x text", "drop x", "add x text", next_=("x",))

    assert found.cells(NEXT) == "bwbw"
    assert [each[0::3] for each in found.breaks(NEXT)] == [(0, "00001_m1"), (2, "00003_m3")]


def test_where_nothing_is_pending_one_database_is_the_state_of_both_versions():
    found = rehearse(live=("id",), next_=("name", "gone"))

    assert found.cells(LIVE) == "w"
    assert found.cells(NEXT) == "u"
    assert found.walk is found.ahead


# -- what fails where it belongs, and what cannot be asked -----------------------------------------------


def test_what_fails_where_it_belongs_blames_nobody_and_is_not_asked_again():
    found = rehearse("add x text", "add y text", live=("id", "lost"), next_=("id", "gone"))

    failing = [_short(each) for each in already_failing_of(found.walked)]
    assert failing == [(0, "GetLost", Layer.PREPARE, None), (2, "GetGone", Layer.PREPARE, None)]
    assert not list(breaks_of(found.walked, found.pending))
    assert found.cells(LIVE) == found.cells(NEXT) == "uuu"
    assert "fails already where it belongs" in found.spans(LIVE)[0].finding.reason
    assert (found.walk.asked.count("lost"), found.ahead.asked.count("gone")) == (1, 1)
    assert "gone" not in found.walk.asked


def test_what_fails_on_the_live_schema_too_is_left_out_and_all_of_it_proves_nothing():
    found = rehearse("drop name", live=("id", "name", "lost"), next_=("lost",))

    verdicts = [span.finding.verdict for span in found.spans(LIVE, failing_live=("lost",))]
    [nothing] = found.spans(NEXT, failing_live=("lost",))
    assert verdicts == [Verdict.PROVEN, Verdict.BROKEN]
    assert nothing.finding.verdict is Verdict.UNPROVEN
    assert nothing.finding.reason == "all its queries fail on the live schema"


def test_what_fails_live_and_works_next_may_be_another_version_s_and_is_not_left_out():
    found = rehearse("add x text", live=("id", "x", "lost"), next_=("id", "x", "lost"))

    assert failing_live_of(found.walked) == FailingLive(frozenset({"lost"}), frozenset({"x"}))
    verdicts = [span.finding.verdict for span in found.spans(LIVE, failing_live=("lost",))]
    assert verdicts == [Verdict.UNPROVEN]


def test_what_a_catalogue_of_the_very_commit_that_serves_has_is_mended_and_breaks_no_release():
    found = rehearse("add x text", live=("id", "x"), next_=("id", "x"))
    [live] = [each for each in found.walked.subjects if each.use == LIVE]
    sure = replace(live, catalogue=replace(live.catalogue, is_what_serves=True))
    others = [each for each in found.walked.subjects if each.use != LIVE]

    doubtful, known = (
        failing_live_of(replace(found.walked, subjects=(each, *others))) for each in (live, sure)
    )

    assert (doubtful, known) == (
        FailingLive(mended=frozenset({"x"})),
        FailingLive(known=frozenset({"x"})),
    )
    [note] = notes_on_mended(found.walked)
    assert note.startswith("`GetX` of `app` as it serves now fails on the schema that serves and works for")
    assert not list(notes_on_mended(replace(found.walked, subjects=(sure, *others))))
    [unsure] = found.spans(LIVE, mended=doubtful.mended)
    assert unsure.finding.verdict is Verdict.UNPROVEN
    assert "either this release mends it" in unsure.finding.reason
    assert [each.finding.verdict for each in found.spans(LIVE, failing_live=known.known)] == [Verdict.PROVEN]


def test_what_only_rows_refuse_is_not_taken_for_mended_even_of_the_commit_that_serves():
    found = rehearse("add x text", live=("id", "x"), next_=("id", "x"))
    subjects = tuple(
        replace(each, catalogue=replace(each.catalogue, is_what_serves=True))
        for each in found.walked.subjects
    )
    compiled = {
        use: [
            replace(each, own=replace(each.own, broken=(Layer.EXECUTE, each.own.broken[1])))
            if each.own.broken
            else each
            for each in queries
        ]
        for use, queries in found.walked.compiled.items()
    }

    failing = failing_live_of(replace(found.walked, subjects=subjects, compiled=compiled))

    assert failing == FailingLive(mended=frozenset({"x"}))


def test_a_query_that_nowhere_can_be_asked_is_unchecked_once():
    found = rehearse("add x text", live=("id", query("name", obstacle="its text is made at run time")))

    [unchecked] = unchecked_of(found.walked)
    assert (unchecked.query, unchecked.state, unchecked.layer) == ("GetName", None, Layer.PREPARE)
    assert found.cells(LIVE) == "uu"
    assert "name" not in found.walk.asked


def test_a_query_without_sample_values_is_unchecked_once_and_still_breaks_at_a_cheaper_layer():
    layers = (Layer.PREPARE, Layer.EXECUTE)

    found = rehearse("add x text", "drop odd", live=("id odd",), layers=layers)

    assert found.cells(LIVE) == "uub"
    [unchecked] = unchecked_of(found.walked)
    assert (unchecked.layer, unchecked.state) == (Layer.EXECUTE, None)


def test_an_empty_catalogue_proves_nothing():
    found = rehearse("add x text", live=(), next_=("x",))

    assert found.cells(LIVE) == "uu"
    assert found.spans(LIVE)[0].finding.reason == "its query catalogue is empty"
    assert counts_of(found.walked)[LIVE] == ("here", 0)


# -- layers ----------------------------------------------------------------------------------------------


def test_a_type_that_values_may_not_fit_leaves_a_version_unproven_at_that_state_alone():
    found = rehearse(
        "type id bigint", "type id integer", live=("id",), layers=(Layer.PREPARE, Layer.DESCRIBE)
    )

    assert found.cells(LIVE) == "wuw"
    assert [(each.state, each.layer) for each in unchecked_of(found.walked)] == [(1, Layer.DESCRIBE)]


def test_another_type_breaks_a_compiled_client_and_none_that_reads_no_result():
    layers = (Layer.PREPARE, Layer.DESCRIBE)
    blind = query("id", reads_result=False)

    assert rehearse("type id text", live=("id",), layers=layers).cells(LIVE) == "wb"
    assert rehearse("type id text", live=(blind,), layers=layers).cells(LIVE) == "ww"


def test_a_star_that_a_generator_froze_is_the_columns_of_the_version_s_own_state():
    star = query("*", freezes_star=True)

    found = rehearse("add full text", "drop name", live=(star,), next_=(star,))

    assert found.cells(LIVE) == "wwb"
    assert found.cells(NEXT) == "bww"


def test_a_privilege_that_is_lost_breaks_a_version():
    assert rehearse("deny id", live=("id",), layers=(Layer.PREPARE, Layer.PLAN)).cells(LIVE) == "wb"


def test_other_rows_break_a_version_unless_a_migration_between_wrote_them():
    layers = (Layer.PREPARE, Layer.EXECUTE, Layer.RESULT)

    written = rehearse("write id 2", "add x text", live=("id",), next_=("id",), layers=layers)

    assert written.cells(LIVE) == "wuu"
    assert written.cells(NEXT) == "uww"
    assert "`00001_m1` writes rows" in written.spans(LIVE)[1].finding.reason
    assert "`00001_m1` writes rows" in written.spans(NEXT)[0].finding.reason


def test_without_the_layer_execute_a_query_that_does_not_run_has_no_result_and_is_unproven():
    found = rehearse("deny id", live=("id",), layers=(Layer.PREPARE, Layer.RESULT))

    assert found.cells(LIVE) == "wu"
    assert "it did not run" in found.spans(LIVE)[1].finding.reason


@pytest.mark.parametrize(
    "code", ["40P01", "53200", "55P03", "57014", "58030", "XX000", "CO001", "SQLITE_FULL"]
)
def test_what_a_machine_says_of_itself_breaks_no_query(code):
    answer = fails(WORKS, Layer.PLAN, Objection(code, "not now"))

    assert (answer.broken, [layer for layer, _ in answer.unchecked]) == (None, [Layer.PLAN])


@pytest.mark.parametrize("code", ["42703", "42501", "23505", "0A000", "55000", "SQLITE_ERROR"])
def test_what_an_engine_says_of_a_query_breaks_it(code):
    assert fails(WORKS, Layer.PLAN, Objection(code, "never")).broken is not None


# -- sessions ----------------------------------------------------------------------------------------------


def test_an_old_session_breaks_live_at_the_state_behind_and_next_at_the_one_before():
    found = rehearse(
        "add x text", "type id bigint", "add y text", live=("id",), next_=("id",), layers=SESSION
    )

    assert found.cells(LIVE) == "wwbw"
    assert found.cells(NEXT) == "wbww"
    assert found.breaks(LIVE) == [(2, "GetId", Layer.SESSION, "00002_m2")]
    assert found.breaks(NEXT) == [(1, "GetId", Layer.SESSION, "00002_m2")]
    [broken] = [each for each in breaks_of(found.walked, found.pending) if each.use == LIVE]
    assert broken.objection == STALE


def test_sessions_break_at_each_migration_that_they_do_not_survive():
    found = rehearse("type id bigint", "type id text", live=("id",), next_=("id",), layers=SESSION)

    assert found.cells(NEXT) == "bbw"
    assert found.cells(LIVE)[:2] == "wb"


def test_a_query_that_breaks_anyway_is_not_told_of_as_an_old_session():
    found = rehearse("drop id", live=("id",), next_=(), layers=SESSION)

    assert found.breaks(LIVE) == [(1, "GetId", Layer.PREPARE, "00001_m1")]


def test_no_session_is_held_for_a_query_that_cannot_be_asked_or_fails():
    broken = query("name", obstacle="its text is made at run time")

    assert rehearse("type name bigint", live=(broken, "lost"), layers=SESSION).cells(LIVE) == "uu"


# -- migrations that fail ----------------------------------------------------------------------------------


def test_behind_a_migration_that_fails_nothing_is_known_and_of_next_nothing_at_all():
    found = rehearse("drop name", "fail", "add x text", live=("name",), next_=("x",))

    assert found.cells(LIVE) == "wbuu"
    assert found.cells(NEXT) == "uuuu"
    assert found.spans(NEXT)[0].finding.reason == (
        "`00002_m2` does not apply to the scratch database: no such thing"
    )
    assert [each.migration.name for each in found.walked.failures] == ["00002_m2"]


def test_nothing_is_asked_where_nobody_wants_the_answers_of_a_walk_that_fails():
    met: list[str] = []

    def is_in_vain(failure: Failure) -> bool:
        met.append(failure.migration.name)
        return True

    found = rehearse("drop name", "fail", live=("name",), next_=("x",), is_in_vain=is_in_vain)

    assert met == ["00002_m2"]
    assert [each.migration.name for each in found.walked.failures] == ["00002_m2"]
    assert (found.walked.answers, found.walk.asked, found.ahead.asked) == ({}, [], [])
    assert "name" in found.walk.types, "not even the first migration was applied between questions"


def test_behind_code_that_was_not_rehearsed_nothing_is_known_and_the_reason_is_told():
    found = rehearse("drop name", "add x text", live=("name",), next_=("x",), code=2, is_tried=False)

    assert (found.cells(LIVE), found.cells(NEXT)) == ("wbu", "uuu")
    assert (
        found.spans(NEXT)[0].finding.reason == "`00002_m2` was not rehearsed: it is code, and nobody says how"
    )


def test_other_rows_behind_code_may_be_its_work_since_nobody_sees_what_it_writes():
    found = rehearse(
        "write name 2", live=("name",), layers=(Layer.PREPARE, Layer.EXECUTE, Layer.RESULT), code=1
    )

    assert found.cells(LIVE) == "wu"
    assert "`00001_m1` writes rows" in found.spans(LIVE)[1].finding.reason


def test_a_past_that_went_on_goes_on():
    found = rehearse("drop name", "fail", "add x text", live=("name",), next_=("x",), goes_on=True)

    assert [each[0] for each in found.breaks(LIVE)] == [1, 2, 3]
    assert [each[0] for each in found.breaks(NEXT)] == [0, 1, 2]
    assert [each.migration.name for each in found.walked.failures] == ["00002_m2"]


def test_a_walk_that_misses_a_state_answers_nothing_from_there_on():
    found = rehearse("drop name", live=("name",), next_=("name",), refuses=("00001_m1",))

    assert (found.cells(LIVE), found.cells(NEXT)) == ("wu", "uu")
    assert "no more once queries were asked there" in found.spans(LIVE)[1].finding.reason


def test_a_past_goes_on_where_the_walk_misses_a_state():
    found = rehearse(
        "drop name", "add x text", live=("name",), next_=("x",), refuses=("00001_m1",), goes_on=True
    )

    assert found.breaks(LIVE) == []
    assert [each[0] for each in found.breaks(NEXT)] == [0, 1]
    assert [each.migration.name for each in found.walked.failures] == ["00001_m1"]


# -- statements --------------------------------------------------------------------------------------------


def test_statements_stand_at_their_lines_and_the_tool_s_own_are_left_out():
    found = rehearse("add x text;\nadd y text;\n\nwrite x 2;")

    assert [(each.migration, str(each.place)) for each in found.walked.statements] == [
        ("00001_m1", "migrations/00001_m1.sql:1"),
        ("00001_m1", "migrations/00001_m1.sql:2"),
        ("00001_m1", "migrations/00001_m1.sql:4"),
    ]
