"""`coordinator/plan/1`: what programs read, held against its page in the reference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from builders import one_service
from fixtures.rehearsed import HAZARD, broken, proof, shop, statement, torn, unchecked

from coordinator.prove import Proof
from coordinator.report.document import as_json

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "plan-output.md"


def document(proof: Proof) -> dict:
    return json.loads(json.dumps(as_json(proof)))


def full() -> Proof:
    return shop(
        hazards=(HAZARD,),
        statements=(statement(),),
        unchecked=(unchecked("ListOrders"),),
        already_failing=(broken(query="Old", state=0, migration=None),),
        drift=("column `a` differs",),
        notes=("a note",),
    )


def test_has_the_spans_the_steps_and_the_point_of_no_return():
    fields = document(one_service("expand contract").proof())

    assert fields["verdict"] == "unproven"
    assert fields["point_of_no_return"] == "contract:db:00002_m2"
    [found] = [
        each for each in fields["findings"] if (each["version"], each["verdict"]) == ("live", "broken")
    ]
    assert (found["first_state"], found["last_state"]) == (2, 2)
    assert fields["rehearsals"] == {}


def test_has_the_switch_window_and_where_the_way_back_ends():
    fields = document(shop())

    assert fields["switch_window"] == [
        {"database": "db", "service": "app", "states": [1, 2], "proven": [1, 2]}
    ]
    assert fields["points_of_no_return"] == [
        {"database": "db", "state": 3, "migration": "00003_m3", "step": "contract:db:00003_m3"}
    ]


def test_an_empty_window_is_never_proven():
    assert document(torn())["switch_window"] == [
        {"database": "db", "service": "app", "states": [], "proven": []}
    ]


def test_has_the_risks_that_somebody_has_to_take():
    [risk] = document(proof(live="wwub", next_="bwww"))["risks"]

    assert "Nobody knows whether `app` (live) works while `db` is at state 2." in risk
    assert document(shop())["risks"] == []


def test_has_all_that_the_engine_answered():
    found = document(full())["rehearsals"]["db"]

    assert found["engine"] == "postgresql 18.6"
    assert found["catalogues"][0] == {
        "service": "app",
        "version": "live",
        "source": "queries/*.sql at git v1 (3f2a91c)",
        "queries": 4,
    }
    assert found["breaks"][0] == {
        "service": "app",
        "version": "live",
        "state": 3,
        "query": "GetCustomer",
        "file": "queries/GetCustomer.sql",
        "line": 4,
        "column": None,
        "layer": "prepare",
        "code": "42703",
        "message": 'column "name" does not exist',
        "migration": "00003_m3",
    }
    assert found["unchecked"][0]["reason"] == "no sample row passes the check orders_total_check"
    assert found["statements"][0]["locks"][0] == {
        "relation": "public.customers",
        "mode": "AccessExclusiveLock",
        "is_new": False,
    }
    assert found["hazards"][0]["rewrite"].startswith("CREATE INDEX CONCURRENTLY")
    assert (found["drift"], found["notes"]) == (["column `a` differs"], ["a note"])


def test_the_step_of_a_canary_has_its_share():
    release = one_service("expand contract", canary=(10, 50))

    shares = [
        (each["id"], each["percent"]) for each in document(release.proof())["steps"] if "percent" in each
    ]

    assert shares == [("canary-10:app", 10), ("canary-50:app", 50)]


def test_the_page_has_a_row_for_each_field_and_in_it_what_is_within():
    text = PAGE.read_text("utf-8")
    outer, _, below = text.partition("### A rehearsal")
    rows, inner = (
        dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", part, re.MULTILINE)) for part in (outer, below)
    )
    found = document(full())
    [rehearsed] = found.pop("rehearsals").values()
    found["steps"] += document(one_service("expand", canary=(10,)).proof())["steps"]

    assert rows.keys() == {*found, "rehearsals"}
    assert inner.keys() == rehearsed.keys()
    assert missing_in(rows, found) == missing_in(inner, rehearsed) == []


def missing_in(rows: dict[str, str], fields: dict[str, object]) -> list[str]:
    """Return what is within a field and not in its row; `breaks` has the names that others share."""
    return [
        f"{field}: {name}"
        for field, value in fields.items()
        for name in names_in(value)
        if f"`{name}`" not in rows[field] + (rows["breaks"] if "`breaks`" in rows[field] else "")
        and name not in {"db", "app"}
    ]


def names_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from names_in(each)
