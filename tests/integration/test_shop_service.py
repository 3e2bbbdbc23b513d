"""The shop of plans/shop as Kubernetes meets it: probes, SIGTERM, metrics, faults, and a release under load.

Built by Go, so these run with the tests on a cluster.
"""

from __future__ import annotations

import json
import runpy
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from fixtures.local import taken_down, until
from fixtures.shop_image import SHOP, VERSIONS, build_shop
from fixtures.shop_local import LocalShop
from fixtures.shop_process import ShopProcess, answer_on, shop_process

pytestmark = pytest.mark.cluster
ORDER = {"customer": "Ada", "total": "12.50"}
NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"
"""A database that is away: nothing listens on port 1."""


@pytest.fixture
def migrated(database_url: str) -> str:
    """Return a database with the schema that 1.5 finds when it starts: both totals are there."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for path in sorted((SHOP / "migrations").iterdir())[:3]:
            connection.execute(path.read_text("utf-8").partition("-- +goose Down")[0])
    return database_url


@pytest.fixture
def shop(migrated: str, tmp_path: Path) -> Iterator[ShopProcess]:
    with shop_process(build_shop("1.5"), tmp_path, DATABASE_URL=migrated) as shop:
        yield shop


def sessions_of(version: str, database: str) -> int:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database()",
            (f"shop-{version}",),
        ).fetchone()
    assert found
    return int(found[0])


# -- orders ---------------------------------------------------------------------------------------------


def test_an_order_is_made_read_listed_and_changed(shop: ShopProcess) -> None:
    made = shop.ask("POST", "/orders", {**ORDER, "fax": "12-34"})
    path = f"/orders/{made.body['id']}"
    paid = shop.ask("PUT", f"{path}/status", {"status": "paid"})

    assert made.status == 201
    assert made.body | ORDER | {"status": "new", "fax": "12-34"} == made.body
    assert paid.body == made.body | {"status": "paid"}
    assert shop.ask("GET", path).body == paid.body
    assert shop.ask("GET", "/orders").body == [paid.body]


def test_both_versions_read_what_the_other_one_wrote(migrated: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
        old = stack.enter_context(shop_process(build_shop("1.4"), tmp_path / "old", DATABASE_URL=migrated))
        new = stack.enter_context(shop_process(build_shop("1.5"), tmp_path / "new", DATABASE_URL=migrated))

        for total in ("0.00", "0.07", "12.50", "300.00", "999999999.99"):
            for writer, reader in ((old, new), (new, old)):
                written = writer.ask("POST", "/orders", {"customer": "Ada", "total": total}).body
                assert written["total"] == total
                assert reader.ask("GET", f"/orders/{written['id']}").body == written


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        (("GET", "/orders/7"), 404, "no such order"),
        (("GET", "/orders/many"), 404, "no such order"),
        (("PUT", "/orders/7/status", {"status": "paid"}), 404, "no such order"),
        (("PUT", "/orders/7/status", {"status": "eaten"}), 400, "eaten"),
        (("POST", "/orders", {"total": "12.50"}), 400, "needs a customer"),
        (("POST", "/orders", {"customer": "Ada", "total": 12.5}), 400, "total"),
        (("POST", "/orders", {"customer": "Ada", "total": "12,50"}), 400, "is no amount"),
    ],
)
def test_says_what_is_wrong_with_a_request(
    shop: ShopProcess, request_: tuple[str, ...], status: int, says: str
) -> None:
    answer = shop.ask(*request_)

    assert answer.status == status
    assert says in answer.body["error"]


def test_every_answer_says_which_version_gave_it(shop: ShopProcess) -> None:
    answers = [shop.ask("GET", path) for path in ("/orders", "/health", "/ready", "/version", "/nowhere")]

    assert [each.headers["X-Version"] for each in answers] == ["1.5"] * 5
    assert answers[3].body == {"version": "1.5", "color": "green", "release": "shop-1.5@2"}
    assert answers[4].status == 404


# -- probes ---------------------------------------------------------------------------------------------


def test_a_database_that_is_away_makes_it_unready_and_not_unhealthy(tmp_path: Path) -> None:
    with shop_process(build_shop("1.5"), tmp_path, DATABASE_URL=NOBODY) as shop:
        assert shop.ask("GET", "/ready").status == 503
        assert shop.ask("GET", "/health").status == 200


def test_a_program_refuses_to_be_another_version_than_it_was_built_as(tmp_path: Path) -> None:
    with shop_process(build_shop("1.4"), tmp_path, wait=False, DATABASE_URL=NOBODY, VERSION="1.5") as shop:
        assert shop.ended() == 2
        (line,) = shop.lines()

    assert line["error"] == "this is 1.4, and VERSION asks for 1.5: the image has the wrong tag"


# -- the end of a Pod -----------------------------------------------------------------------------------


def test_sigterm_loses_neither_a_request_that_is_half_sent_nor_a_connection_that_is_kept(
    shop: ShopProcess, migrated: str
) -> None:
    body = json.dumps(ORDER).encode()
    head = f"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    listing = b"GET /orders HTTP/1.1\r\nHost: shop\r\n\r\n"
    with shop.connected() as half, shop.connected() as kept:
        half.sendall(head + body[:5])
        kept.sendall(listing)
        before = answer_on(kept)

        shop.terminate()
        until(lambda: shop.ask("GET", "/ready").status == 503)
        kept.sendall(listing)
        after = answer_on(kept)
        half.sendall(body[5:])
        answer = answer_on(half)

    assert [each.status for each in (before, after, answer)] == [200, 200, 201]
    assert [each.headers["Connection"] for each in (before, after, answer)] == [None, "close", "close"]
    assert shop.ended() == 0
    assert shop.lines()[-1]["msg"] == "stopped, every request answered"
    until(lambda: sessions_of("1.5", migrated) == 0)  # the server notices it in its own time


def test_it_can_sleep_in_an_image_without_a_shell() -> None:
    slept = subprocess.run([build_shop("1.5"), "sleep", "1ms"], capture_output=True, check=False)
    confused = subprocess.run([build_shop("1.5"), "sleep", "long"], capture_output=True, check=False)

    assert (slept.returncode, slept.stdout + slept.stderr) == (0, b"")
    assert confused.returncode == 2
    assert b"long" in confused.stderr


# -- what can be seen of it -----------------------------------------------------------------------------


def test_the_gauge_counts_the_clients_that_are_connected(shop: ShopProcess) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(shop.connected())
        until(lambda: shop.metric("shop_open_connections") == 3)

    until(lambda: shop.metric("shop_open_connections") == 0)


def test_requests_are_counted_and_timed_by_path_and_status(shop: ShopProcess) -> None:
    for number in (7, 8):
        shop.ask("GET", f"/orders/{number}")
    labels = '{path="GET /orders/{id}",status="404"}'

    assert shop.metric(f"shop_requests_total{labels}") == 2
    assert shop.metric(f"shop_request_seconds_count{labels}") == 2
    assert shop.metric('shop_info{env="green",release="shop-1.5@2",version="1.5"}') == 1


def test_every_line_of_the_log_says_who_wrote_it(shop: ShopProcess, migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders RENAME TO orders_of_another_shop")
    answer = shop.ask("GET", "/orders")
    shop.terminate()
    shop.ended()
    lines = shop.lines()

    assert answer.status == 500
    assert "relation" not in json.dumps(answer.body)
    assert "relation" in next(each["error"] for each in lines if each["level"] == "ERROR")
    assert {(each["env"], each["version"], each["release"]) for each in lines} == {
        ("green", "1.5", "shop-1.5@2")
    }


def test_its_sessions_carry_its_version(shop: ShopProcess, migrated: str) -> None:
    shop.ask("GET", "/orders")

    assert sessions_of("1.5", migrated) > 0


def test_a_kept_connection_is_ended_with_an_answer_when_it_is_old(migrated: str, tmp_path: Path) -> None:
    with (
        shop_process(build_shop("1.5"), tmp_path, DATABASE_URL=migrated, CONNECTION_AGE="1ns") as shop,
        shop.connected() as raw,
    ):
        raw.sendall(b"GET /orders HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert answer_on(raw).headers["Connection"] == "close"
        assert raw.recv(1) == b""


# -- broken on purpose ----------------------------------------------------------------------------------


def test_the_fault_crash_ends_it_with_one_line(tmp_path: Path) -> None:
    with shop_process(
        build_shop("1.5"), tmp_path, wait=False, DATABASE_URL=NOBODY, SHOP_FAULT="crash"
    ) as shop:
        assert shop.ended() == 3
        assert len(shop.lines()) == 1


def test_the_fault_unready_never_lets_it_be_ready(migrated: str, tmp_path: Path) -> None:
    with shop_process(build_shop("1.5"), tmp_path, DATABASE_URL=migrated, SHOP_FAULT="unready") as shop:
        assert [shop.ask("GET", path).status for path in ("/ready", "/health", "/orders")] == [503, 200, 200]


def test_the_fault_errors_fails_orders_while_it_looks_ready(migrated: str, tmp_path: Path) -> None:
    with shop_process(build_shop("1.5"), tmp_path, DATABASE_URL=migrated, SHOP_FAULT="errors") as shop:
        assert [shop.ask("GET", path).status for path in ("/ready", "/health", "/orders")] == [200, 200, 500]


def test_a_fault_can_begin_later(migrated: str, tmp_path: Path) -> None:
    with shop_process(
        build_shop("1.5"), tmp_path, DATABASE_URL=migrated, SHOP_FAULT="errors-after=1s"
    ) as shop:
        assert shop.ask("GET", "/version").status == 200
        until(lambda: shop.ask("GET", "/orders").status == 500)

        assert shop.metric('shop_requests_total{path="GET /orders",status="200"}') > 0


# -- the whole ------------------------------------------------------------------------------------------


def test_two_releases_under_load_fail_no_request(tmp_path: Path, database_url: str) -> None:
    load = runpy.run_path(str(SHOP / "load.py"))["Load"]
    shop = LocalShop(tmp_path / "shop", database_url)

    def release(version: str) -> None:
        shop.check_out(version, [str(build_shop(version))])
        ended = shop.release(version)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    with taken_down(shop.platform, shop.folder):
        release("1.4")
        with load(shop.platform.public_address()) as tally:
            for version in ("1.5", "1.6"):
                release(version)
                until(lambda version=version: tally.served[version] > 100)
        left = [sessions_of(version, database_url) for version in VERSIONS]

    assert tally.failures == []
    assert set(tally.served) == set(VERSIONS)
    assert left[:2] == [0, 0]
    assert left[2] > 0
