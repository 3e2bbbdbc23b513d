from __future__ import annotations

import re
from dataclasses import replace

import pytest
from builders import Release, Service, migration, one_service
from fixtures.rehearsed import HAZARD, NEXT, broken, proof, rehearsal, shop, statement, torn, unchecked

from coordinator.evidence import Change
from coordinator.model import Worker
from coordinator.prove import Proof
from coordinator.report.story import tell


def told(release: Release) -> str:
    return "\n".join(tell(release.proof(), width=200))


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        (Service(), "app: 1 on blue → 2 on green"),
        (Service(live=None), "app: first release: 2 on blue"),
        (Service(live="2"), "app: 2 serves on blue, and stays"),
        (Service(live="2", left_over="1"), "app: 1 on green → 2 on blue"),
        (
            Service(canary=(10, 50)),
            "app: 1 on blue → 2 on green, with 10 %, 50 % of the traffic first",
        ),
        (
            Service(worker=Worker.OVERLAP),
            "app: 1 on blue → 2 on green, a worker: both work for a while",
        ),
        (
            Service(worker=Worker.HANDOVER),
            "app: 1 on blue → 2 on green, a worker: the old one stops before the new one starts",
        ),
        (Service(live=None, canary=(10,)), "app: first release: 2 on blue"),
    ],
)
def test_says_how_a_service_moves(service: Service, sentence: str):
    assert sentence in told(Release({"app": service}, {"db": "expand"}))


def test_a_worker_has_no_traffic_that_could_switch():
    text = told(one_service("expand contract", worker=Worker.OVERLAP))

    assert "The work of app may move at s1" in text
    assert "Traffic" not in text


def test_says_when_there_is_nothing_to_do():
    assert told(one_service("", live="2")).endswith(
        "Nothing to do: the wanted versions serve and no migration is pending."
    )


NOWHERE = (
    "Way back: one command, at every step, but not for app once it has traffic: nothing served there before."
)
SWITCHED = (
    "Way back: one command, at every step."
    " It does not move the traffic of app, which is at the wanted version already."
)


@pytest.mark.parametrize(
    ("release", "sentence"),
    [
        (one_service("expand"), "Way back: one command, at every step."),
        (one_service("contract"), "Way back: one command, until contract:db:00001_m1 begins."),
        (
            one_service("expand", live=None),
            NOWHERE,
        ),
        (
            Release({"app": Service(live="2", left_over="1")}, {"db": "expand"}),
            SWITCHED,
        ),
    ],
)
def test_says_how_long_there_is_a_way_back(release: Release, sentence: str):
    assert sentence in told(release).splitlines()


def test_never_calls_unproven_safe():
    text = told(one_service("expand contract"))

    assert "Verdict: unproven: no query was checked." in text
    assert "safe" not in text
    assert " proven" not in text


def test_marks_where_a_version_breaks_and_what_that_rests_on():
    lines = told(one_service("expand contract")).splitlines()

    cells = [re.split(" {2,}", line)[-2:] for line in lines if re.match(r"  s\d", line)]
    assert cells == [
        ["? unproven (runs now)", "✘ breaks (declared)"],
        ["? unproven (declared)", "? unproven (declared)"],
        ["✘ breaks (declared)", "? unproven (declared)"],
    ]


def test_says_what_was_guessed():
    text = told(Release({"app": Service(("db",))}, {"db": (migration(1, "DROP TABLE t"),)}))

    assert "00001_m1  contract (guessed)" in text
    assert "breaks (guessed)" in text


def test_says_that_nobody_is_known_to_use_a_database():
    assert "No service of this plan uses it" in told(Release({}, {"db": "expand"}))


def test_says_that_a_release_is_refused():
    assert "Verdict: refused" in told(one_service("contract expand"))


def test_says_what_was_asked_and_what_that_rests_on():
    lines = list(tell(shop(), width=200))

    assert lines[6:11] == [
        "  engine    postgresql 18.6",
        "  base      the 1 migration that it has, from its file, on an empty database",
        "  queries   app 1 (live): 4 of queries/*.sql at git v1 (3f2a91c)",
        "  queries   app 2 (next): 5 of queries/*.sql in the working tree",
        "  layers    prepare, describe, plan, execute, result, session",
    ]


def test_says_of_which_version_nothing_was_asked():
    lines = list(tell(proof("expand", live="ww", next_="ww", rehearsed=rehearsal(catalogues={})), width=200))

    assert "  queries   app 1 (live): not known, so it was not asked about" in lines
    assert not any(line.startswith("  layers") for line in lines)


def test_does_not_say_that_queries_are_not_known_where_a_migration_kept_them_from_being_asked():
    stopped = replace(rehearsal(catalogues={}), failed="00001_m1")
    lines = list(tell(proof("expand", live="ww", next_="ww", rehearsed=stopped), width=200))

    assert "  queries   app 1 (live): not asked about" in lines


def test_says_where_each_version_works():
    cells = [re.split(" {2,}", line)[-2:] for line in tell(shop()) if re.match(r"  s\d", line)]

    assert cells == [
        ["✔ works", "✘ breaks"],
        ["✔ works", "✔ works"],
        ["✔ works", "✔ works"],
        ["✘ breaks", "✔ works"],
    ]


def test_a_rehearsed_release_is_proven_and_fits_one_screen():
    lines = list(tell(shop()))

    assert lines[-1] == "Verdict: proven: at every step, each version that may run works on the schema."
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 96


TORN = (
    "Traffic of app can switch nowhere. `00001_m1` takes what app 1 (live) needs before `00002_m2` brings"
    " what app 2 (next) needs. Move `00001_m1` behind `00002_m2`, or into the next release."
)


@pytest.mark.parametrize(
    ("proof", "sentence"),
    [
        (shop(), "Traffic of app may switch at s1 or s2."),
        (proof(live="wwbb", next_="bwww"), "Traffic of app may switch at s1."),
        (proof(live="wwww", next_="wwww"), "Traffic of app may switch at any of s0-s3."),
        (proof(live="wwub", next_="bwww"), "Traffic of app may switch at s1; at s2 that is unproven."),
        (torn(), TORN),
        (proof("expand", live="wb", next_="bw"), "Split it: the first part stays,"),
        (proof("expand", live="ww", next_="wb"), "app 2 (next) breaks even at the last state, s1."),
        (proof("expand", live="bb", next_="ww"), "app 1 (live) breaks at s0 already"),
    ],
)
def test_says_where_traffic_may_switch_and_else_what_to_change(proof: Proof, sentence: str):
    assert sentence in "\n".join(tell(proof, width=300))


def test_a_settled_or_switched_service_has_no_traffic_to_move():
    told_ = "\n".join(tell(proof("expand", live="ww", next_="", service=Service(("db",), live="2"))))

    assert "may switch" not in told_


def test_says_from_which_state_on_there_is_no_way_back():
    assert "  No way back from s3 on: 00003_m3 (app 1 (live) breaks)." in tell(shop())


def test_quotes_the_engine_and_both_places_where_a_version_breaks():
    text = "\n".join(tell(torn(), width=300))

    assert (
        '  ✘ s1-s2  app 1 (live): GetCustomer (queries/GetCustomer.sql:4), prepare 42703: column "name" does'
        " not exist; since 00001_m1 (migrations/00001_m1.sql)"
    ) in text


def test_says_of_a_break_that_the_order_avoids_why_it_does_no_harm():
    text = "\n".join(tell(shop(), width=300))

    assert "  · s3  when app 1 (live) is gone: GetCustomer" in text
    assert "  · s0  before app 2 (next) starts: GetCustomer" in text
    assert "✘ s" not in text


def test_tells_a_handful_of_breaks_and_says_how_many_more_there_are():
    breaks = tuple(broken(state=1, query=f"Q{number}", migration="00001_m1") for number in range(20))
    lines = list(tell(proof("expand", live="wb", next_="ww", rehearsed=rehearsal(breaks=breaks)), width=300))

    assert sum("✘ s1" in line for line in lines) == 3
    assert "    … and 17 more: --output json, --html FILE" in lines


def test_says_of_a_refused_release_that_none_of_its_steps_will_be_done():
    lines = list(tell(torn()))

    assert "Steps, of which none will be done" in lines
    assert not any("way back" in line.lower() for line in lines)


def test_says_which_questions_could_not_be_put_and_why():
    half_known = proof(
        live="wwub", next_="bwww", rehearsed=rehearsal(unchecked=tuple(map(unchecked, "ABCDE")))
    )
    text = "\n".join(tell(half_known, width=300))

    assert (
        "  ? app 1 (live), execute: 5 queries not proven (A, B, C and 2 more): no sample row passes the check"
        " orders_total_check"
    ) in text
    assert "Verdict: unproven: nothing is known to break" in text


def test_names_the_flag_where_somebody_has_to_take_a_risk():
    guessed = Release({"app": Service(("db",))}, {"db": (migration(1, "ALTER TABLE t ADD c int"),)})

    assert "--accept-unproven" in told(guessed).splitlines()[-1]
    assert "--accept-unproven" in list(tell(proof(live="wwub", next_="bwww"), width=400))[-1]
    assert "--accept-unproven" not in told(one_service("expand contract"))


def test_says_why_a_version_is_unproven_for_another_reason():
    text = "\n".join(tell(proof(live="wwub", next_="bwww"), width=300))

    assert "  ? s2  app 1 (live): one query could not be asked" in text


def test_a_reason_that_no_other_line_tells_is_never_left_out():
    old = broken(query="Old", state=0, migration=None, message="one query")
    known = rehearsal(unchecked=(unchecked("A"),), already_failing=(old,))
    told_by_another = rehearsal(unchecked=(unchecked("A", reason="one query could not be asked"),))

    assert "  ? s2  app 1 (live): one query" not in "\n".join(
        tell(proof(live="wwub", next_="bwww", rehearsed=told_by_another))
    )
    assert "  ? s2  app 1 (live): one query" not in "\n".join(
        tell(proof(live="wwub", next_="bwww", rehearsed=known))
    )
    assert "  ? s2  app 1 (live): one query" in "\n".join(
        tell(proof(live="wwub", next_="bwww", rehearsed=rehearsal(unchecked=(unchecked("A"),))))
    )


def test_blames_the_statement_where_it_is_plain_which_one_it_was():
    drop = statement(line=7)
    other = replace(statement(line=9), changes=(Change("column", "public.customers", "age", None, "int"),))
    text = "\n".join(tell(shop(statements=(drop,)), width=300))
    of_two = "\n".join(tell(shop(statements=(drop, other)), width=300))
    of_twins = "\n".join(tell(shop(statements=(drop, statement(line=9))), width=300))

    assert "; since 00003_m3 (migrations/00003_m3.sql:7)" in text
    assert "; since 00003_m3 (migrations/00003_m3.sql:7)" in of_two
    assert "; since 00003_m3 (migrations/00003_m3.sql)\n" in of_twins


def test_shows_a_hazard_with_the_safe_way():
    lines = list(tell(shop(hazards=(HAZARD,)), width=300))

    at = next(number for number, line in enumerate(lines) if "[index-blocks-writes]" in line)
    assert lines[at].startswith("  ‼ migrations/00001_m1.sql:3 ")
    assert lines[at + 1 : at + 3] == [
        "      Instead:",
        "        CREATE INDEX CONCURRENTLY by_name ON customers (name);",
    ]


def test_leaves_long_rewrites_to_the_page():
    long = replace(HAZARD, rewrite="SELECT 1;\n" * 40)
    text = "\n".join(tell(shop(hazards=(long,))))

    assert "SELECT 1;" not in text
    assert "How to do it without: --output json, --html FILE" in text


def test_says_who_waits_for_a_statement_and_not_for_one_on_its_own_table():
    text = "\n".join(tell(shop(statements=(statement(), statement(mode="ShareUpdateExclusiveLock", line=9)))))

    assert "  · reads and writes of public.customers wait for migrations/00003_m3.sql:2\n" in text
    assert "fresh" not in text


def test_says_what_limits_the_evidence():
    old = broken(query="Old", state=0, migration=None)
    text = "\n".join(
        tell(shop(already_failing=(old,), drift=("column `a` differs",), notes=("a note",)), width=300)
    )

    assert "  ? app 1 (live), already failing and no migration's fault: Old (queries/Old.sql:4)," in text
    assert "  · drift: column `a` differs\n  · note: a note\n" in text


def test_does_not_say_that_no_migration_took_away_what_next_lacks_at_the_end():
    text = "\n".join(tell(shop(already_failing=(broken(NEXT, 3, migration=None),)), width=300))

    assert "  ? app 2 (next), fails with all migrations applied: GetCustomer (queries/" in text
    assert "fault" not in text


def test_folds_states_between_which_nothing_changes():
    many = proof(" ".join(["expand"] * 39 + ["contract"]), live="w" * 40 + "b", next_="bb" + "w" * 39)
    rows = [line for line in tell(many) if re.match(r"  s\d", line)]

    assert [row.split()[0] for row in rows] == ["s0", "s1", "s2-s39", "s40"]
    assert "00002_m2 … 00039_m39  expand" in rows[2]


def test_a_release_of_code_alone_has_a_matrix_too():
    rows = [line for line in tell(proof("", live="w", next_="w")) if re.match(r"  s\d", line)]

    assert [re.split(" {2,}", row)[1:] for row in rows] == [["s0", "as it is now", "✔ works", "✔ works"]]
