"""plans/shop, the example to copy: each release is proven, and its generated code is what is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml
from fixtures.local import taken_down
from fixtures.shop_image import SHOP, VERSIONS
from fixtures.shop_local import LocalShop

STUB = [sys.executable, str(SHOP.parent / "stub.py")]
COLUMNS = {
    "1.4": {"id", "customer", "total", "status", "fax", "created_at"},
    "1.5": {"id", "customer", "total_cents", "status", "fax", "created_at"},
    "1.6": {"id", "customer", "total_cents", "status", "email", "created_at"},
}


def columns_of(database: str) -> set[str]:
    with psycopg.connect(database) as connection:
        return {column.name for column in connection.execute("SELECT * FROM orders").description or ()}


def test_each_release_is_proven_and_leaves_the_schema_of_its_version(
    tmp_path: Path, database_url: str
) -> None:
    shop = LocalShop(tmp_path / "shop", database_url)

    with taken_down(shop.platform, shop.folder):
        for version in VERSIONS:
            shop.check_out(version, STUB, is_real=False)
            ended = shop.release(version)

            assert ended.returncode == 0, ended.stdout + ended.stderr
            assert "Verdict: proven" in ended.stdout + ended.stderr
            assert "warning" not in ended.stdout + ended.stderr
            assert "‼ plans" not in ended.stdout + ended.stderr
            assert columns_of(database_url) == COLUMNS[version]


def test_the_backfill_reaches_every_row_of_every_batch_and_may_be_repeated(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in ("00001_orders", "00002_add_total_cents"):
            connection.execute(up_of(name))
        connection.execute("ALTER TABLE orders DISABLE TRIGGER orders_copy_total")
        connection.execute("ALTER TABLE orders DROP CONSTRAINT orders_total_cents_present")
        connection.execute(
            "INSERT INTO orders (customer, total) SELECT 'x', i / 100.0 FROM generate_series(1, 2500) i"
        )
        connection.execute("ALTER TABLE orders ENABLE TRIGGER orders_copy_total")
        connection.execute("UPDATE orders SET total_cents = 7 WHERE id BETWEEN 1001 AND 1003")
        fill = up_of("00003_fill_total_cents").partition("ALTER TABLE")[0]

        for _ in range(2):
            connection.execute(fill)

        wrong = connection.execute(
            "SELECT count(*) FROM orders WHERE total_cents IS DISTINCT FROM total * 100"
        ).fetchone()
        seven = connection.execute("SELECT count(*) FROM orders WHERE total_cents = 7").fetchone()
    assert wrong == (0,)
    assert seven == (4,)  # the three that were written before, and the one whose total is 0.07


def up_of(name: str) -> str:
    text = (SHOP / "migrations" / f"{name}.sql").read_text("utf-8")
    return text.partition("-- +goose Up")[2].partition("-- +goose Down")[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_generated_code_asks_what_the_queries_say(version: str) -> None:
    folder = SHOP / "queries" / version
    (entry,) = yaml.safe_load((folder / "sqlc.yaml").read_text("utf-8"))["sql"]
    code = (folder / entry["gen"]["go"]["out"] / "orders.sql.go").read_text("utf-8")
    written = (folder / entry["queries"]).read_text("utf-8")

    sent = re.findall(r"const \w+ = `(.*?)\n?`", code, re.DOTALL)

    assert sorted(sent) == sorted(each.strip().rstrip(";") for each in written.split("\n\n"))


@pytest.mark.parametrize("version", VERSIONS)
def test_sqlc_reads_the_schema_that_the_version_finds(version: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SHOP / "checkout.py"), version, str(tmp_path)], check=True)
    folder = tmp_path / "queries" / version
    (entry,) = yaml.safe_load((folder / "sqlc.yaml").read_text("utf-8"))["sql"]

    assert [(folder / each).resolve() for each in entry["schema"]] == sorted(
        (tmp_path / "migrations").iterdir()
    )


def test_a_checkout_keeps_what_coordinator_wrote_and_drops_migrations_of_later_versions(
    tmp_path: Path,
) -> None:
    def check_out(version: str) -> int:
        subprocess.run([sys.executable, str(SHOP / "checkout.py"), version, str(tmp_path)], check=True)
        return len(list((tmp_path / "migrations").iterdir()))

    first = check_out("1.6")
    (tmp_path / ".coordinator").mkdir()
    (tmp_path / ".coordinator" / "journal").touch()

    assert (first, check_out("1.4"), check_out("1.5")) == (6, 1, 4)
    assert (tmp_path / ".coordinator" / "journal").exists()
