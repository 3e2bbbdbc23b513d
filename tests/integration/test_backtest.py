"""A backtest of small repositories: what it says of each release, and what it takes from where.

Most of them share one server, because to start one takes longer than to replay such a past.
"""

from __future__ import annotations

import json
import re

import pytest
from fixtures.replayed_past import (
    GET,
    ORDERS,
    Document,
    Past,
    Replay,
    first_release,
    past,
    replay,
    server,
)

from coordinator.app.backtesting import replay_past
from coordinator.backtest.tags import Order
from coordinator.discovery import rehearsal
from coordinator.errors import Usage
from coordinator.model import Engine, Layer

__all__ = ["past", "replay", "server"]
GET_EMAIL = "-- name: GetEmail :one\nSELECT email FROM orders WHERE id = $1;\n"
ADD = "ALTER TABLE orders ADD COLUMN email text;\n"
DROP = "ALTER TABLE orders DROP COLUMN total;\n"
GET_SUM = "-- name: GetOrder :one\nSELECT id, sum FROM orders WHERE id = $1;\n"
RENAME = "ALTER TABLE orders RENAME COLUMN total TO sum;\n"


def story(release: Document) -> tuple[object, ...]:
    """Return the verdict and what it rests on."""
    return release["verdict"], release["switch_window"], release["point_of_no_return"]


def breaks(release: Document) -> list[tuple[object, ...]]:
    keys = ("version", "state", "migration", "query", "layer", "code")
    return [tuple(each[key] for key in keys) for each in release["breaks"]]


@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
def test_says_of_each_release_which_order_it_would_have_needed(past: Past, replay: Replay, tool: str):
    past.tool = tool
    first_release(past)
    past.migration(2, "email", ADD)
    past.queries(GET, GET_EMAIL)
    past.commit("v1.1", day=2)
    past.commit("v1.1.1", day=3)
    past.migration(3, "index", "CREATE INDEX orders_email ON orders (email);\n")
    past.commit("v1.2", day=4)
    past.migration(4, "drop", DROP)
    past.queries(GET_EMAIL)
    past.commit("v1.3", day=5)
    past.migration(5, "more", "ALTER TABLE orders ADD COLUMN note text, DROP COLUMN email;\n")
    past.queries("-- name: GetNote :one\nSELECT note FROM orders;\n")
    past.commit("v1.4", day=6)

    document = replay.document()

    assert [(each["from"], each["to"], *story(each)) for each in document["releases"]] == [
        ("v1.0", "v1.1", "ordered", [1], None),
        ("v1.1.1", "v1.2", "any_order", [0, 1], None),
        ("v1.2", "v1.3", "ordered", [0], 1),
        ("v1.3", "v1.4", "impossible", [], 1),
    ]
    assert [each["queries"] for each in document["releases"]] == [
        {"from": 1, "to": 2},
        {"from": 2, "to": 2},
        {"from": 2, "to": 1},
        {"from": 1, "to": 1},
    ]
    assert breaks(document["releases"][3]) == [
        ("from", 1, "00005_more", "GetEmail", "prepare", "42703"),
        ("to", 0, "00005_more", "GetNote", "prepare", "42703"),
    ]
    assert document["releases"][3]["breaks"][0]["message"] == 'column "email" does not exist'
    assert document["summary"] == {
        "releases": 4,
        "migrate_first_breaks": 2,
        "deploy_first_breaks": 2,
        "impossible": 1,
    }
    assert document["engine"].startswith("postgresql ")
    assert [each["notes"] for each in document["releases"]] == [[]] * 4


def test_finds_the_state_between_that_suits_both_versions(past: Past, replay: Replay):
    first_release(past)
    past.migration(2, "email", ADD)
    past.migration(3, "drop", DROP)
    past.queries(GET_EMAIL)
    past.commit("v1.1", day=2)

    [release] = replay.releases()

    assert story(release) == ("ordered", [1], 2)
    assert breaks(release) == [
        ("from", 2, "00003_drop", "GetOrder", "prepare", "42703"),
        ("to", 0, "00002_email", "GetEmail", "prepare", "42703"),
    ]


def test_a_client_of_sqlc_keeps_the_columns_that_its_star_stood_for(past: Past, replay: Replay):
    past.migration(1, "orders", ORDERS)
    past.queries("-- name: ListOrders :many\nSELECT * FROM orders;\n")
    past.commit("v1.0", day=1)
    past.migration(2, "email", ADD)
    past.migration(3, "drop", DROP)
    past.commit("v1.1", day=2)

    [release] = replay.releases()

    assert [each[:3] for each in breaks(release)] == [("from", 2, "00003_drop"), ("to", 0, "00002_email")]


@pytest.mark.parametrize("generated", [True, False])
def test_reads_the_configuration_of_sqlc_at_each_tag(past: Past, replay: Replay, generated: bool):
    entry = (
        "engine: postgresql\n    queries: q\n    schema: migrations\n    gen: {go: {package: db, out: db}}"
    )
    past.write("sqlc.yaml", f'version: "2"\nsql:\n  - {entry}\n')
    past.migration(1, "orders", ORDERS)
    past.queries(GET, path="q/orders.sql")
    past.commit("v1.0", day=1)
    past.migration(2, "email", ADD)
    past.queries(GET, GET_EMAIL.replace("$1", "sqlc.arg('order_id')"), path="q/orders.sql")
    if generated:
        constants = "".join(f"const q{at} = `{text}`\n" for at, text in enumerate((GET, GET_EMAIL)))
        past.write(
            "db/orders.sql.go",
            f"// Code generated by sqlc. DO NOT EDIT.\n// source: orders.sql\npackage db\n{constants}",
        )
    past.commit("v1.1", day=2)

    [release] = replay.releases(sqlc="sqlc.yaml", queries=("q",))

    assert release["queries"] == {"from": 1, "to": 2}
    assert [each[:4] for each in breaks(release)] == [("to", 0, "00002_email", "GetEmail")]


def test_a_query_that_never_worked_is_told_and_blames_nobody(past: Past, replay: Replay):
    past.migration(1, "orders", ORDERS)
    other = "-- name: Other :one\nSELECT nothing FROM orders LIMIT 1;\n"
    past.queries(
        GET, "-- name: Broken :one\nSELECT nothing FROM orders;\n", other, "-- name: Third :one\nSELECT x;\n"
    )
    past.commit("v1.0", day=1)
    past.migration(2, "email", ADD)
    past.commit("v1.1", day=2)

    [release] = replay.releases()

    assert story(release) == ("any_order", [0, 1], None)
    assert release["already_failing"] == ["Broken", "Other", "Third"]
    [why] = [each for each in release["notes"] if each.startswith("What fails where it belongs: ")]
    nothing, x = (f'42703: column "{each}" does not exist' for each in ("nothing", "x"))
    assert why.endswith(f"Broken ({nothing}), Third ({x}), Other ({nothing}).")


@pytest.mark.parametrize("queries", ["-- nothing\n", "-- name: Broken :one\nSELECT nothing;\n"])
def test_is_unproven_where_a_version_could_not_be_asked(past: Past, replay: Replay, queries: str):
    past.migration(1, "orders", ORDERS)
    past.queries(queries)
    past.commit("v1.0", day=1)
    past.migration(2, "email", ADD)
    past.queries(GET_EMAIL)
    past.commit("v1.1", day=2)

    [release] = replay.releases()

    assert story(release) == ("unproven", [], None)
    assert "v1.0 has no query that works where it belongs" in " ".join(release["notes"])


def test_goes_on_after_a_migration_that_fails_and_says_what_the_engine_said(past: Past, replay: Replay):
    first_release(past)
    past.migration(2, "wrong", "ALTER TABLE nowhere ADD COLUMN x int;\n")
    past.migration(3, "email", ADD)
    past.queries(GET, GET_EMAIL)
    past.commit("v1.1", day=2)
    past.migration(4, "index", "CREATE INDEX orders_email ON orders (email);\n")
    past.commit("v1.2", day=3)

    first, second = replay.releases()

    assert story(first) == ("unproven", [], None)
    assert breaks(first) == [("to", n, "00003_email", "GetEmail", "prepare", "42703") for n in (0, 1)]
    assert any("00002_wrong fails to apply" in note and '"nowhere"' in note for note in first["notes"])
    assert (story(second), second["notes"]) == (("any_order", [0, 1], None), [])


def test_a_file_with_a_transaction_of_its_own_does_what_it_says(past: Past, replay: Replay):
    first_release(past)
    past.migration(2, "email", f"BEGIN;\n{ADD}COMMIT;\nCREATE INDEX orders_email ON orders (email);\n")
    past.queries(GET, GET_EMAIL)
    past.commit("v1.1", day=2)

    [release] = replay.releases()

    assert (story(release), release["already_failing"]) == (("ordered", [1], None), [])
    assert "00002_email is applied as it is: `COMMIT` ends the transaction" in release["notes"][0]


def test_a_release_with_a_migration_in_code_is_unproven_and_one_after_it_is_judged(
    past: Past, replay: Replay
):
    first_release(past)
    past.write("migrations/00002_move.go", "package migrations\n")
    past.migration(3, "email", ADD)
    past.commit("v1.1", day=2)
    past.migration(4, "drop", DROP)
    past.queries(GET_EMAIL)
    past.commit("v1.2", day=3)

    first, second = replay.releases()

    assert (first["migrations"], story(first)) == (
        ["00002_move", "00003_email"],
        ("unproven", [], None),
    )
    assert "00002_move has no effect here" in first["notes"][0]
    assert story(second) == ("ordered", [0], 1)


def test_each_release_begins_with_the_files_of_its_older_tag(past: Past, replay: Replay):
    """An edit after release, and a release line that lacks what the one before brought."""
    first_release(past)
    past.migration(2, "email", ADD)
    past.queries(GET, GET_EMAIL)
    past.commit("v1.1", day=2)
    past.git("checkout", "--quiet", "v1.0")
    past.migration(1, "orders", ORDERS.replace("total", "sum"))
    past.queries(GET_SUM)
    past.commit("v1.0.1", day=3)
    past.migration(2, "email", ADD)
    past.queries(GET_SUM, GET_EMAIL)
    past.commit("v1.2", day=4)

    first, second = replay.releases()

    assert [(each["from"], each["to"]) for each in (first, second)] == [("v1.0", "v1.1"), ("v1.0.1", "v1.2")]
    assert second["notes"] == ["Edited in v1.0.1, after release: 00001_orders (released in v1.0)."]
    assert (story(second), second["already_failing"]) == (("ordered", [1], None), [])


def test_follows_paths_that_moved_and_takes_globs(past: Past, replay: Replay):
    past.migration(1, "orders", ORDERS, folder="db/old/migrations")
    past.queries(GET, path="sql/orders.sql")
    past.commit("v1.0", day=1)
    past.git("rm", "--quiet", "-r", "db", "sql")
    past.migration(1, "orders", ORDERS)
    past.migration(2, "email", ADD)
    past.queries(GET, path="internal/a/queries/orders.sql")
    past.queries(GET_EMAIL, path="internal/b/queries/emails.sql")
    past.commit("v1.1", day=2)

    [release] = replay.releases(
        migrations=("migrations", "db/*/migrations"), queries=("sql", "internal/*/queries")
    )

    assert (release["migrations"], release["queries"]) == (["00002_email"], {"from": 1, "to": 2})
    assert story(release) == ("ordered", [1], None)


def test_a_tag_without_the_paths_is_told_and_nothing_is_claimed_about_it(past: Past, replay: Replay):
    past.write("README", "to come")
    past.commit("v0.1", day=1)
    past.commit("v0.2", day=2)
    past.migration(1, "orders", ORDERS)
    past.queries(GET)
    past.commit("v1.0", day=3)

    document = replay.document()

    assert [story(each) for each in document["releases"]] == [("unproven", [], None)]
    assert "v0.2 has none of the paths of migrations" in document["releases"][0]["notes"][0]
    assert document["notes"] == ["No path of migrations is there at 2 tags: v0.1 … v0.2."]


def test_tells_of_paths_that_are_nowhere_and_of_versions_that_lost_most_of_their_queries(
    past: Past, replay: Replay
):
    past.migration(1, "orders", ORDERS)
    past.queries(GET, *(GET.replace("GetOrder", f"Get{number}") for number in range(4)))
    past.commit("v1.0", day=1)
    past.migration(2, "email", ADD)
    past.queries(GET)
    past.commit("v1.1", day=2)

    document = replay.document(queries=("queries", "qeries"))

    assert document["notes"] == [
        "`qeries` finds nothing at any of the tags: is it written as in the repository?"
    ]
    assert document["releases"][0]["notes"] == [
        "One version has 5 queries and the other has 1: were all of them found?"
    ]


def test_says_nothing_of_the_paths_of_queries_that_nobody_looked_for(past: Past, replay: Replay):
    past.migration(1, "orders", ORDERS)
    past.queries(GET)
    past.commit("v1.0", day=1)
    past.migration(2, "email", ADD)
    past.commit("v1.1", day=2)

    document = replay.document(migrations=("migratons",))

    assert document["releases"] == []
    assert [each for each in document["notes"] if "finds nothing" in each] == [
        "`migratons` finds nothing at any of the tags: is it written as in the repository?"
    ]


def test_picks_tags_by_their_whole_names_and_orders_them(past: Past, replay: Replay):
    for day, tag in enumerate(("v1.0", "v1.0-rc.1", "v0.9", "nightly"), 1):
        past.migration(day, f"m{day}", f"CREATE TABLE t{day} (id int);\n")
        past.queries(f"-- name: Get :one\nSELECT id FROM t{day};\n")
        past.commit(tag, day=day)

    def pairs(pattern: str = ".+", **settings: object) -> list[str]:
        found = replay.releases(tags=re.compile(pattern), **settings)
        return [f"{each['from']} {each['to']}" for each in found]

    assert pairs(r"v[0-9.]+") == ["v1.0 v0.9"]
    assert pairs(last=2) == ["v0.9 nightly"]
    assert pairs("v.*", order=Order.VERSION) == []
    assert pairs("v.*") == ["v1.0 v1.0-rc.1", "v1.0-rc.1 v0.9"]


def test_asks_more_layers_where_they_are_wanted(past: Past, replay: Replay):
    first_release(past)
    past.migration(2, "type", "ALTER TABLE orders ALTER COLUMN total TYPE text;\n")
    past.queries(GET)
    past.commit("v1.1", day=2)

    [prepared] = replay.releases()
    [described] = replay.releases(layers=frozenset({Layer.PREPARE, Layer.DESCRIBE}))

    assert story(prepared) == ("any_order", [0, 1], None)
    assert story(described)[0] == "impossible"
    assert {each["layer"] for each in described["breaks"]} == {"describe"}


def test_asks_sqlite_where_the_past_was_on_sqlite(past: Past):
    first_release(past)
    past.migration(2, "name", "ALTER TABLE orders ADD COLUMN name text;\n")
    past.migration(3, "rename", RENAME)
    past.queries(GET_SUM.replace("$1", "?"))
    past.commit("v1.1", day=2)

    with rehearsal(Engine.SQLITE).server(url=None, live_version=None) as server:
        replay = Replay(server, past)
        [prepared] = replay.releases(engine=Engine.SQLITE)
        document = replay.document(engine=Engine.SQLITE, layers=frozenset(Layer))

    assert story(prepared) == story(document["releases"][0]) == ("impossible", [], 2)
    assert document["engine"].startswith("sqlite ")
    assert "sqlite cannot answer the layer plan, so nothing was asked there." in document["notes"]


def test_asks_with_sample_rows_what_preparing_cannot_see(past: Past, replay: Replay):
    past.migration(1, "orders", ORDERS)
    past.queries("-- name: AddOrder :exec\nINSERT INTO orders (id, total) VALUES ($1, $2);\n")
    past.commit("v1.0", day=1)
    past.migration(2, "kind", "ALTER TABLE orders ADD COLUMN kind text NOT NULL DEFAULT '';\n")
    past.migration(3, "must", "ALTER TABLE orders ALTER COLUMN kind DROP DEFAULT;\n")
    past.queries("-- name: AddOrder :exec\nINSERT INTO orders (id, total, kind) VALUES ($1, $2, $3);\n")
    past.commit("v1.1", day=2)

    [prepared] = replay.releases()
    [executed] = replay.releases(layers=frozenset({Layer.PREPARE, Layer.EXECUTE}))

    assert story(prepared) == ("ordered", [1, 2], None)
    assert story(executed) == ("ordered", [1], 2)
    assert [each for each in breaks(executed) if each[0] == "from"] == [
        ("from", 2, "00003_must", "AddOrder", "execute", "23502")
    ]


def test_a_new_table_has_sample_rows_for_the_queries_of_the_version_that_brings_it(
    past: Past, replay: Replay
):
    first_release(past)
    past.migration(2, "boxes", "CREATE TABLE boxes (id int PRIMARY KEY);\n")
    past.migration(
        3, "parts", "CREATE TABLE parts (id int PRIMARY KEY, whole int NOT NULL REFERENCES boxes);\n"
    )
    past.queries(GET, "-- name: AddPart :exec\nINSERT INTO parts (id, whole) VALUES ($1, $2);\n")
    past.commit("v1.1", day=2)

    [release] = replay.releases(layers=frozenset(Layer))

    assert story(release) == ("ordered", [2], None)
    assert release["notes"] == []


def test_goes_on_with_fewer_sample_rows_where_they_stop_a_migration(past: Past, replay: Replay):
    past.migration(1, "orders", ORDERS + "CREATE TABLE notes (text text);\n")
    past.queries(GET)
    past.commit("v1.0", day=1)
    past.migration(2, "must", "ALTER TABLE notes ALTER COLUMN text SET NOT NULL;\n" + RENAME)
    past.queries(GET_SUM)
    past.commit("v1.1", day=2)
    past.migration(3, "email", ADD)
    past.queries(GET_SUM, GET_EMAIL)
    past.commit("v1.2", day=3)

    renamed, added = replay.releases(layers=frozenset(Layer))

    assert story(renamed) == ("impossible", [], 1)
    assert [note for note in renamed["notes"] if "sample rows 00002_must fails to apply" in note]
    assert not [note for note in renamed["notes"] if note.startswith("00002_must")]
    assert story(added) == ("ordered", [1], None)
    assert added["notes"] == []


def test_the_command_prints_one_document_and_ends_well_whatever_it_found(past: Past):
    first_release(past)
    past.migration(2, "drop", DROP)
    past.queries(GET_SUM)
    past.commit("v1.1", day=2)

    document = json.loads(past.command("--queries", "queries", "--layers", "describe,plan", output="json"))
    page = past.command("--queries", "queries", output="html")

    assert document["schema"] == "coordinator/backtest/1"
    assert [each["already_failing"] for each in document["releases"]] == [["GetOrder"]]
    assert page.startswith("<!doctype html>")
    assert "v1.0 → v1.1" in page


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (
            "99",
            r"No server of this machine can answer for postgresql 99: .* the live server is postgresql 99",
        ),
        ("newest", "No server of postgresql has such a version"),
    ],
)
def test_refuses_to_answer_for_a_server_of_another_version(
    past: Past, replay: Replay, version: str, said: str
):
    first_release(past)

    with pytest.raises(Usage, match=said):
        replay_past(replay.settings(server_version=version), told=lambda _: None)


def test_answers_for_a_server_of_the_version_that_is_here(past: Past, replay: Replay):
    first_release(past)
    major = replay.server.version.partition(" ")[2].partition(".")[0]

    document = past.command("--queries", "queries", "--server-version", major, output="json")

    assert json.loads(document)["engine"].startswith(f"postgresql {major}.")
