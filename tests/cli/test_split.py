"""`coordinator split`: the engine says which statements of a file wait, and the two files are tried."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fixtures.checkout import Checkout

from coordinator.adapters.rehearsals.postgresql import PostgresqlRehearsal
from coordinator.app import splitting
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.splitting import split_file
from coordinator.errors import Usage
from coordinator.evidence import Verdict
from coordinator.load import load_plan
from coordinator.model import ServiceName
from coordinator.ports import Ports
from coordinator.survey import Survey, survey

BOTH = """-- +goose Up
-- The new name of the total, in cents.
ALTER TABLE orders ADD COLUMN total_cents bigint;
-- Nobody reads this one.
ALTER TABLE orders DROP COLUMN total;
CREATE INDEX orders_by_cents ON orders (total_cents); -- for the report

-- +goose Down
DROP INDEX orders_by_cents;
ALTER TABLE orders ADD COLUMN total numeric;
ALTER TABLE orders DROP COLUMN total_cents;
"""
ORDERS = "CREATE TABLE orders (id bigint PRIMARY KEY, total numeric);"
QUERIES = {
    "1.4": "SELECT id, total FROM orders WHERE id = {0}",
    "1.5": "SELECT id, total_cents FROM orders WHERE id = {0}",
}


def prepare(checkout: Checkout, *, engine: str, tool: str = "goose") -> Checkout:
    """Bring 1.4 into the world, on a table `orders` that it reads; 1.5 reads another column."""
    checkout.write_plan(engine=engine)
    file = checkout.folder / "plan.yaml"
    plan: dict[str, Any] = yaml.safe_load(file.read_text())
    plan["services"]["shop"]["queries"] = {"sql": "queries/{version}"}
    plan["databases"]["shop"]["migrations"]["tool"] = tool
    file.write_text(yaml.safe_dump(plan, sort_keys=False))
    for version, query in QUERIES.items():
        folder = checkout.folder / "queries" / version
        folder.mkdir(parents=True)
        text = query.format("?" if engine == "sqlite" else "$1")
        (folder / "orders.sql").write_text(f"-- name: GetOrder :one\n{text};\n")
    (checkout.folder / "migrations" / "00001_users.sql").unlink()
    if tool == "goose":
        checkout.migration(1, "orders", ORDERS)
    else:
        (checkout.folder / "migrations" / "1_orders.up.sql").write_text(ORDERS)
    checkout.released("1.4")
    return checkout


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, checkout: Checkout) -> Checkout:
    if request.param == "postgresql":
        checkout.environment["SHOP_URL"] = request.getfixturevalue("database_url")
    return prepare(checkout, engine=request.param)


def split(checkout: Checkout, file: str, *arguments: str):
    return checkout.run("split", f"migrations/{file}", "--set", "VERSION=1.5", *arguments)


def texts(checkout: Checkout) -> dict[str, str]:
    return {each.name: each.read_text() for each in (checkout.folder / "migrations").iterdir()}


def test_the_error_of_a_file_that_is_applied_is_minded_by_nobody(checkout: Checkout) -> None:
    shop = prepare(checkout, engine="sqlite")
    shop.migration(1, "orders", f"-- +goose Up\nBEGIN;\n{ORDERS}\nCOMMIT;\n")
    shop.migration(2, "cents", BOTH)

    written = split(shop, "00002_cents.sql", "--write")

    assert written.exit_code == 0, written.err
    assert "00003_cents_contract.sql" in texts(shop)


def test_what_the_old_version_reads_waits_in_a_file_of_its_own_and_nothing_is_written_unasked(
    shop: Checkout,
) -> None:
    shop.migration(2, "cents", BOTH)
    before = texts(shop)

    shown = split(shop, "00002_cents.sql")

    assert shown.exit_code == 0, shown.err
    assert "expand    line 3: ALTER TABLE orders ADD COLUMN total_cents bigint;" in shown.out
    assert "contract  line 5: ALTER TABLE orders DROP COLUMN total;" in shown.out
    assert "query `GetOrder` of `shop` 1.4" in shown.out
    assert "With these files the release is proven." in shown.out
    assert texts(shop) == before


def test_a_refused_plan_names_the_command_where_a_cut_is_enough(shop: Checkout) -> None:
    shop.migration(2, "cents", BOTH)

    planned = shop.run("plan", "--set", "VERSION=1.5")

    assert planned.exit_code == 3
    assert "Split `00002_cents`: `coordinator split migrations/00002_cents.sql` shows how." in planned.err


def test_the_written_files_are_one_release_that_is_proven_and_each_has_its_own_way_back(
    shop: Checkout,
) -> None:
    shop.migration(2, "cents", BOTH)

    written = split(shop, "00002_cents.sql", "--write")

    assert written.exit_code == 0, written.err
    found = texts(shop)
    assert found["00002_cents.sql"] == (
        "-- coordinator: phase=expand\n\n-- +goose Up\n-- The new name of the total, in cents.\n"
        "ALTER TABLE orders ADD COLUMN total_cents bigint;\n"
        "CREATE INDEX orders_by_cents ON orders (total_cents); -- for the report\n\n"
        "-- +goose Down\nDROP INDEX orders_by_cents;\nALTER TABLE orders DROP COLUMN total_cents;\n"
    )
    assert found["00003_cents_contract.sql"] == (
        "-- coordinator: phase=contract\n\n-- +goose Up\n-- Nobody reads this one.\n"
        "ALTER TABLE orders DROP COLUMN total;\n\n"
        "-- +goose Down\nALTER TABLE orders ADD COLUMN total numeric;\n"
    )
    assert shop.release("1.5").exit_code == 0
    assert shop.serving() == "1.5"


def test_a_statement_that_needs_one_that_waits_waits_with_it(shop: Checkout) -> None:
    shop.migration(
        2,
        "cents",
        "ALTER TABLE orders ADD COLUMN total_cents bigint;\n"
        "ALTER TABLE orders RENAME COLUMN total TO old_total;\n"
        "CREATE INDEX by_old_total ON orders (old_total);\n",
    )

    shown = split(shop, "00002_cents.sql", "--output", "json").json("coordinator/split/1")

    assert [each["phase"] for each in shown["statements"]] == ["expand", "contract", "contract"]
    assert "it fails before what waits" in shown["statements"][2]["reason"]
    assert [Path(each["path"]).name for each in shown["files"]] == [
        "00002_cents.sql",
        "00003_cents_contract.sql",
    ]


def test_a_file_that_the_old_version_bears_stays_whole(shop: Checkout) -> None:
    shop.migration(2, "cents", "ALTER TABLE orders ADD COLUMN total_cents bigint;")

    shown = split(shop, "00002_cents.sql", "--write")

    assert shown.exit_code == 0
    assert "All of them are of one phase (expand): it may stay as it is." in shown.out
    assert sorted(texts(shop)) == ["00001_orders.sql", "00002_cents.sql"]


def test_that_a_file_may_stay_whole_is_unproven_where_another_schema_than_the_live_one_was_asked(
    shop: Checkout, request: pytest.FixtureRequest
) -> None:
    shop.migration(2, "cents", "ALTER TABLE orders ADD COLUMN total_cents bigint;")
    drift = "ALTER TABLE orders ADD COLUMN by_hand integer"
    if request.node.callspec.params["shop"] == "postgresql":
        with psycopg.connect(shop.environment["SHOP_URL"], autocommit=True) as connection:
            connection.execute(drift)
    else:
        with closing(sqlite3.connect(shop.database)) as connection:
            connection.execute(drift)

    shown = split(shop, "00002_cents.sql")
    document = split(shop, "00002_cents.sql", "--output", "json").json("coordinator/split/1")

    assert shown.exit_code == 0
    assert "whether it may stay as it is, is unproven." in shown.out
    assert "`shop` 1.4: the answers are those of the schema that the files make" in shown.out
    assert (document["verdict"], document["files"], len(document["notes"])) == ("unproven", [], 1)


def test_that_a_file_may_stay_whole_is_unproven_where_a_live_service_has_no_queries(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(checkout, engine="sqlite")
    checkout.migration(2, "cents", "ALTER TABLE orders ADD COLUMN total_cents bigint;")
    file = checkout.folder / "plan.yaml"
    text, other = yaml.safe_load(file.read_text()), yaml.safe_load(file.read_text())
    text["services"]["admin"] = other["services"]["shop"]
    del text["services"]["admin"]["queries"]
    file.write_text(yaml.safe_dump(text, sort_keys=False))
    plan = load_plan(file, settings={"VERSION": "1.5"}, environment=checkout.environment)

    def with_admin(ports: Ports) -> Survey:
        seen = survey(ports)
        both = {name: seen.services[ServiceName("shop")] for name in seen.services}
        return replace(seen, services=both)

    monkeypatch.setattr(splitting, "survey", with_admin)
    found = split_file(
        ConnectedPorts(plan, environment=checkout.environment),
        checkout.folder / "migrations" / "00002_cents.sql",
        step_kinds(),
    )

    assert found.verdict is Verdict.UNPROVEN
    assert [each.partition(":")[0] for each in found.notes] == ["`admin` 1.4"]


def test_a_rename_is_refused_because_no_cut_lets_both_versions_work(shop: Checkout) -> None:
    shop.migration(
        2,
        "cents",
        "ALTER TABLE orders ADD COLUMN note text;\nALTER TABLE orders RENAME COLUMN total TO total_cents;",
    )
    before = texts(shop)

    refused = split(shop, "00002_cents.sql", "--write")

    assert refused.exit_code == 3
    assert "Cut between its statements, the release does not work either." in refused.err
    assert "query `GetOrder`" in refused.err
    assert texts(shop) == before


def test_a_rename_alone_in_its_file_is_refused_because_the_new_version_needs_it_before_it_may_come(
    shop: Checkout,
) -> None:
    shop.migration(2, "cents", "ALTER TABLE orders RENAME COLUMN total TO total_cents;")

    refused = split(shop, "00002_cents.sql")

    assert (refused.exit_code, refused.out) == (3, "")
    assert "All of it has to wait until the old version is gone" in refused.err
    assert "query `GetOrder` of `shop` 1.5" in refused.err


def test_a_file_that_waits_as_a_whole_stays_whole_where_the_new_version_does_not_need_it(
    shop: Checkout,
) -> None:
    shop.migration(2, "cents", "ALTER TABLE orders ADD COLUMN total_cents bigint;")
    shop.migration(3, "total", "ALTER TABLE orders DROP COLUMN total;")

    shown = split(shop, "00003_total.sql")

    assert shown.exit_code == 0
    assert "All of them are of one phase (contract): it may stay as it is." in shown.out


def test_that_a_file_may_wait_as_a_whole_is_unproven_where_nobody_knows_what_the_new_version_asks(
    shop: Checkout,
) -> None:
    shop.migration(2, "cents", "ALTER TABLE orders RENAME COLUMN total TO total_cents;")
    plan = shop.folder / "plan.yaml"
    text: dict[str, Any] = yaml.safe_load(plan.read_text())
    text["services"]["shop"]["queries"] = {"log": "asked.log"}  # which speaks for the live version alone
    plan.write_text(yaml.safe_dump(text, sort_keys=False))
    (shop.folder / "asked.log").write_text("SELECT id, total FROM orders WHERE id = 1\n")

    shown = split(shop, "00002_cents.sql")

    assert shown.exit_code == 0, shown.err
    assert "All of them wait; whether that is early enough for the new version, is unproven." in shown.out
    assert "`shop` 1.5: " in shown.out


def test_a_file_that_is_applied_already_is_not_edited(shop: Checkout) -> None:
    refused = split(shop, "00001_orders.sql", "--write")

    assert refused.exit_code == 2
    assert "is applied already, and what is applied is not edited" in refused.err


def test_the_second_half_comes_behind_everything_that_is_pending(shop: Checkout) -> None:
    shop.migration(2, "cents", BOTH)
    shop.migration(7, "notes", "CREATE TABLE notes (id integer);")

    shown = split(shop, "00002_cents.sql", "--output", "json").json("coordinator/split/1")

    assert Path(shown["files"][1]["path"]).name == "00008_cents_contract.sql"


def test_a_way_back_that_undoes_both_halves_at_once_is_told_and_left_out(
    checkout: Checkout, database_url: str
) -> None:
    checkout.environment["SHOP_URL"] = database_url
    shop = prepare(checkout, engine="postgresql")
    up = BOTH.partition("-- +goose Down")[0]
    shop.migration(
        2,
        "cents",
        f"{up}-- +goose Down\nALTER TABLE orders ADD COLUMN total numeric, DROP COLUMN total_cents;\n",
    )

    shown = split(shop, "00002_cents.sql")

    assert "The way back could not be cut" in shown.out
    assert "+goose Down" not in shown.out.partition("---")[2]


def test_both_files_of_golang_migrate_become_four(checkout: Checkout, database_url: str) -> None:
    checkout.environment["SHOP_URL"] = database_url
    shop = prepare(checkout, engine="postgresql", tool="golang-migrate")
    up, _, down = BOTH.partition("-- +goose Down")
    folder = shop.folder / "migrations"
    (folder / "2_cents.up.sql").write_text(up.replace("-- +goose Up", "BEGIN;") + "COMMIT;\n")
    (folder / "2_cents.down.sql").write_text(down)

    written = split(shop, "2_cents.up.sql", "--write")

    assert written.exit_code == 0, written.err
    assert sorted(texts(shop)) == [
        "1_orders.up.sql",
        "2_cents.down.sql",
        "2_cents.up.sql",
        "3_cents_contract.down.sql",
        "3_cents_contract.up.sql",
    ]
    assert "BEGIN" not in texts(shop)["2_cents.up.sql"]
    assert shop.release("1.5").exit_code == 0
    with psycopg.connect(database_url) as connection:
        described = connection.execute("SELECT * FROM orders").description or ()
    assert {column.name for column in described} == {"id", "total_cents"}


def test_a_server_whose_sql_may_be_another_one_than_the_live_servers_cuts_nothing(
    checkout: Checkout, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing breaks there for certain; that no statement has to wait would be the wrong thing to say."""
    checkout.environment["SHOP_URL"] = database_url
    prepare(checkout, engine="postgresql").migration(2, "cents", BOTH)
    settings, environment = {"VERSION": "1.5"}, checkout.environment
    plan = load_plan(checkout.folder / "plan.yaml", settings=settings, environment=environment)
    monkeypatch.setattr(PostgresqlRehearsal, "live_version", lambda *_: "postgresql 99.1")

    with pytest.raises(Usage, match="decides nothing") as refusal:
        split_file(
            ConnectedPorts(plan, environment=environment),
            checkout.folder / "migrations" / "00002_cents.sql",
            step_kinds(),
        )

    assert "the live server is postgresql 99.1" in refusal.value.why


@pytest.fixture
def postgresql_shop(checkout: Checkout, database_url: str) -> Checkout:
    checkout.environment["SHOP_URL"] = database_url
    return prepare(checkout, engine="postgresql")


def test_two_files_that_make_another_schema_than_the_one_are_refused(postgresql_shop: Checkout) -> None:
    postgresql_shop.migration(
        2,
        "cents",
        "ALTER TABLE orders ADD COLUMN total_cents bigint;\nALTER TABLE orders DROP COLUMN total;\n"
        "ALTER TABLE orders ADD COLUMN IF NOT EXISTS total text;\n",
    )
    before = texts(postgresql_shop)

    refused = split(postgresql_shop, "00002_cents.sql", "--write")

    assert refused.exit_code == 3
    assert "orders.total is made by the whole and missing with the two halves" in refused.err
    assert texts(postgresql_shop) == before


def test_what_is_set_for_the_statements_behind_it_stands_in_both_files(postgresql_shop: Checkout) -> None:
    postgresql_shop.migration(
        2,
        "cents",
        "CREATE SCHEMA other;\n-- Not for long.\nSET lock_timeout = '1s';\n"
        "SELECT set_config('search_path', 'other, public', true);\n"
        "ALTER TABLE orders ADD COLUMN total_cents bigint;\nCREATE TABLE cents (id integer);\n"
        "ALTER TABLE orders DROP COLUMN total;\n\n"
        "-- +goose Down\nALTER TABLE public.orders ADD COLUMN total numeric;\n"
        "SET search_path = other, public;\nDROP TABLE cents;\nDROP SCHEMA other;\n"
        "ALTER TABLE orders DROP COLUMN total_cents;\n",
    )

    written = split(postgresql_shop, "00002_cents.sql", "--write")

    assert written.exit_code == 0, written.err
    found = texts(postgresql_shop)
    settings = (
        "-- Not for long.\nSET lock_timeout = '1s';\n"
        "SELECT set_config('search_path', 'other, public', true);\n"
    )
    assert found["00002_cents.sql"] == (
        f"-- coordinator: phase=expand\n\n-- +goose Up\nCREATE SCHEMA other;\n{settings}"
        "ALTER TABLE orders ADD COLUMN total_cents bigint;\nCREATE TABLE cents (id integer);\n\n"
        "-- +goose Down\nSET search_path = other, public;\nDROP TABLE cents;\n"
        "DROP SCHEMA other;\nALTER TABLE orders DROP COLUMN total_cents;\n"
    )
    assert (
        f"-- +goose Up\n{settings}ALTER TABLE orders DROP COLUMN total;\n"
        in found["00003_cents_contract.sql"]
    )
    assert postgresql_shop.release("1.5").exit_code == 0
    with psycopg.connect(postgresql_shop.environment["SHOP_URL"]) as connection:
        assert connection.execute("SELECT to_regclass('other.cents') IS NOT NULL").fetchall() == [(True,)]


def test_a_file_that_is_no_transaction_becomes_two_that_are_none(postgresql_shop: Checkout) -> None:
    text = (
        "-- +goose NO TRANSACTION\n-- +goose Up\nALTER TABLE orders ADD COLUMN total_cents bigint;\n"
        "CREATE INDEX CONCURRENTLY by_cents ON orders (total_cents);\nALTER TABLE orders DROP COLUMN total;\n"
    )
    (postgresql_shop.folder / "migrations" / "00002_cents.sql").write_text(text)

    written = split(postgresql_shop, "00002_cents.sql", "--write")

    assert written.exit_code == 0, written.err
    found = texts(postgresql_shop)
    names = ("00002_cents.sql", "00003_cents_contract.sql")
    assert all("-- +goose NO TRANSACTION\n" in found[name] for name in names)
    assert postgresql_shop.release("1.5").exit_code == 0


@pytest.mark.parametrize("text", ["-- Nothing yet.\n", "PRAGMA foreign_keys = off;\n"])
def test_a_file_without_statements_is_not_cut(checkout: Checkout, text: str) -> None:
    shop = prepare(checkout, engine="sqlite")
    shop.migration(2, "cents", text)

    refused = split(shop, "00002_cents.sql")

    assert refused.exit_code == 2
    assert "`00002_cents` has no statements that could be cut." in refused.err
