"""A release on MariaDB with its queries, from the command line: proven, refused, and rehearsed in a past."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from fixtures.checkout import Checkout
from fixtures.mariadb import ENGINE, found, root_connection
from fixtures.repository import Repository

pytestmark = pytest.mark.mariadb
USERS = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, name varchar(40) NOT NULL, note text);"
GET = "-- name: GetUser :one\nSELECT name FROM users WHERE id = ?;\n"
ADD = "-- name: AddUser :exec\nINSERT INTO users (name) VALUES (?);\n"
GET_EMAIL = "-- name: GetEmail :one\nSELECT email FROM users WHERE id = ?;\n"


@pytest.fixture
def shop(tmp_path: Path, mariadb_url: str) -> Iterator[Checkout]:
    """Yield a checkout whose database is a MariaDB, with 1.4 released on it."""
    with closing(Checkout(tmp_path / "shop")) as checkout:
        checkout.write_plan(engine=ENGINE.value)
        file = checkout.folder / "plan.yaml"
        plan = yaml.safe_load(file.read_text())
        plan["services"]["shop"]["queries"] = {"sql": "queries/{version}"}
        file.write_text(yaml.safe_dump(plan, sort_keys=False))
        checkout.environment["SHOP_URL"] = mariadb_url
        checkout.migration(1, "users", USERS)
        queries_of(checkout, "1.4", GET, ADD)
        checkout.released("1.4")
        yield checkout


def queries_of(checkout: Checkout, version: str, *queries: str) -> None:
    folder = checkout.folder / "queries" / version
    folder.mkdir(parents=True)
    (folder / "all.sql").write_text("\n".join(queries))


def test_an_expand_and_a_contract_are_found_by_evidence_and_released(shop: Checkout, mariadb_url: str):
    shop.migration(2, "email", "ALTER TABLE users ADD COLUMN email varchar(80);")
    shop.migration(3, "note", "ALTER TABLE users DROP COLUMN note;")
    queries_of(shop, "1.5", GET, ADD, GET_EMAIL)
    (shop.folder / "queries" / "1.4" / "note.sql").write_text(
        "-- name: GetNote :one\nSELECT note FROM users WHERE id = ?;\n"
    )

    planned = shop.run("plan", "--set", "VERSION=1.5", COLUMNS="300")
    assert "Verdict: proven" in planned.out, planned.out + planned.err
    assert "s1  00002_email  expand   ✔ works          ✔ works" in planned.out
    assert "s2  00003_note  contract  ✘ breaks         ✔ works" in planned.out

    shop.released("1.5")

    assert shop.serving() == "1.5"
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SHOW COLUMNS FROM {mariadb_url.rpartition('/')[2]}.users")
        assert [row[0] for row in cursor.fetchall()] == ["id", "name", "email"]


def test_a_column_without_a_default_that_the_old_version_leaves_out_is_refused(shop: Checkout):
    shop.migration(2, "email", "ALTER TABLE users ADD COLUMN email varchar(80) NOT NULL;")
    queries_of(
        shop,
        "1.5",
        GET_EMAIL,
        "-- name: AddUser :exec\nINSERT INTO users (name, email) VALUES (?, ?);\n",
    )

    ended = shop.release("1.5")

    assert ended.exit_code == 3
    assert "Field 'email' doesn't have a default value (1364)" in " ".join(ended.err.split())
    assert shop.serving() == "1.4"


def test_the_same_evidence_is_not_asked_for_twice(shop: Checkout):
    shop.migration(2, "email", "ALTER TABLE users ADD COLUMN email varchar(80);")
    queries_of(shop, "1.5", GET, ADD, GET_EMAIL)
    first = shop.run("plan", "--set", "VERSION=1.5")
    # The server is found, and MariaDB's installer cannot work without the system's programs.
    shop.environment["PATH"] = str(Path(str(found())).parent)

    again = shop.run("plan", "--set", "VERSION=1.5")

    assert again.out == first.out


def test_a_backtest_tells_which_order_a_past_release_needed(tmp_path: Path):
    past = Repository(tmp_path / "past")
    past.write("migrations/1_users.up.sql", USERS)
    past.write("queries/all.sql", GET + "-- name: Note :one\nSELECT note FROM users;\n")
    past.commit("v1", day=1)
    past.write("migrations/2_email.up.sql", "ALTER TABLE users ADD COLUMN email varchar(80);")
    past.write("queries/all.sql", GET + GET_EMAIL)
    past.commit("v2", day=2)
    past.write("migrations/3_note.up.sql", "ALTER TABLE users RENAME COLUMN name TO called;")
    past.write("queries/all.sql", GET.replace("name FROM", "called FROM") + GET_EMAIL)
    past.commit("v3", day=3)

    words = ["--engine", ENGINE.value, "--tool", "golang-migrate", "--migrations", "migrations"]
    command = [sys.executable, "-m", "coordinator", "backtest", *words, "--queries", "queries"]
    ended = subprocess.run(
        [*command, "--output", "json"], cwd=past.folder, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    verdicts = [(each["verdict"], each["switch_window"]) for each in document["releases"]]
    assert verdicts == [("ordered", [1]), ("impossible", [])]
