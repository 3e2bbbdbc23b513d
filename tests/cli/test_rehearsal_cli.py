"""A rehearsal as a person meets it on the command line: what is said, what is refused, what stays behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fixtures.checkout import Checkout

from coordinator.errors import ExitCode

MAKES_A_FOLDER = """
import sys, tempfile, time
from coordinator.cli.edge import exit_with

def command():
    with tempfile.TemporaryDirectory(dir=sys.argv[1]):
        print("made", flush=True)
        while True:
            time.sleep(0.1)

exit_with(command)
"""


_FOLDERS = shutil.ignore_patterns("1.*")


def change_plan(checkout: Checkout, *, database: dict[str, Any] | None = None, **service: object) -> None:
    """Add keys to the plan's database and service."""
    file = checkout.folder / "plan.yaml"
    plan = yaml.safe_load(file.read_text())
    plan["databases"]["shop"] |= database or {}
    plan["services"]["shop"] |= service
    file.write_text(yaml.safe_dump(plan, sort_keys=False))


@pytest.fixture
def shop(checkout: Checkout, database_url: str) -> Checkout:
    """Return a checkout whose database is a PostgreSQL, and empty; its first release is to come."""
    checkout.write_plan(engine="postgresql")
    checkout.environment["SHOP_URL"] = database_url
    queries = checkout.folder / "queries"
    queries.mkdir()
    (queries / "users.sql").write_text("-- name: GetUser :one\nSELECT name FROM users WHERE id = $1;\n")
    change_plan(checkout, queries={"sql": "queries"})
    return checkout


def test_never_rehearses_on_the_live_server(shop: Checkout, postgres: str):
    change_plan(shop, database={"rehearsal": {"url": "env:SCRATCH_URL"}})

    ended = shop.run("plan", "--set", "VERSION=1.4", SCRATCH_URL=postgres)

    assert ended.exit_code == 0
    assert "warning[not-rehearsed]" in ended.err
    assert "The scratch server of `shop` is the live one." in ended.err
    assert "Verdict: unproven" in ended.out


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://someone:s3c-r3t@127.0.0.1:1/postgres", "port 1 failed: Connection refused"),
        ("postgresql://someone:s3c-r3t/a:b@127.0.0.1/postgres", "is no PostgreSQL URL"),
    ],
)
def test_says_why_the_scratch_server_cannot_be_reached_and_no_secret(shop: Checkout, url: str, said: str):
    change_plan(shop, database={"rehearsal": {"url": "env:SCRATCH_URL"}})

    ended = shop.run("plan", "--set", "VERSION=1.4", SCRATCH_URL=url)

    assert said in ended.err
    assert "s3c-r3t" not in ended.err + ended.out


def test_advises_a_default_for_a_dropped_column_that_the_new_version_leaves_out(shop: Checkout):
    shop.migration(2, "items", "CREATE TABLE items (id integer, price integer NOT NULL);")
    for version, query in {
        "1.4": "INSERT INTO items (id, price) VALUES ($1, $2)",
        "1.5": "INSERT INTO items (id) VALUES ($1)",
    }.items():
        (shop.folder / "queries" / version).mkdir()
        (shop.folder / "queries" / version / "add.sql").write_text(f"-- name: AddItem :exec\n{query};\n")
    change_plan(shop, queries={"sql": "queries/{version}"})
    shop.released("1.4")
    shop.migration(3, "drop_price", "ALTER TABLE items DROP COLUMN price;")

    ended = shop.run("plan", "--set", "VERSION=1.5")

    assert ended.exit_code == 3
    assert (
        "In this release keep column `public.items.price`, and give it a default, because query `AddItem`"
        " leaves it out; remove column `public.items.price` in a later one"
    ) in ended.err


def test_says_of_a_schema_that_was_changed_by_hand_that_the_answers_are_those_of_the_files(
    shop: Checkout, database_url: str
):
    shop.released("1.4")
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE users ADD COLUMN vip boolean")
    shop.migration(2, "phone", "ALTER TABLE users ADD COLUMN phone text;")
    change_plan(shop, queries={"sql": "queries/{version}"})
    for version in ("1.4", "1.5"):
        shutil.copytree(shop.folder / "queries", shop.folder / "queries" / version, ignore=_FOLDERS)

    of_files = shop.run("plan", "--set", "VERSION=1.5").out
    change_plan(shop, database={"rehearsal": {"base": "dump"}})
    of_live = shop.run("plan", "--set", "VERSION=1.5").out

    drift = "drift: column public.users.vip is in the live database and in no file: boolean"
    assert drift in of_files
    assert drift in of_live
    assert "note: the answers are those of the schema that the files make" in of_files
    assert "Verdict: unproven" in of_files
    assert "Verdict: proven" in of_live
    assert "note:" not in of_live


def test_doctor_tells_what_a_database_would_be_rehearsed_on(shop: Checkout, database_url: str):
    here = shop.run("doctor", "--set", "VERSION=1.4")
    change_plan(shop, database={"rehearsal": {"url": "env:SCRATCH_URL"}})
    on_live = shop.run("doctor", "--set", "VERSION=1.4", SCRATCH_URL=database_url)

    assert (here.exit_code, on_live.exit_code) == (0, 1)
    assert re.search(r"✔ rehearsal shop: postgresql \d+\.\d+ on this machine", here.out)
    assert "✘ rehearsal shop: error[rehearsal-url-is-live]" in on_live.out


def test_says_that_warnings_tell_why_no_query_was_asked(shop: Checkout, postgres: str):
    shop.released("1.4")
    shop.migration(2, "phone", "ALTER TABLE users ADD COLUMN phone text;")
    change_plan(shop, database={"rehearsal": {"url": "env:SCRATCH_URL"}})

    ended = shop.run("run", "--set", "VERSION=1.5", SCRATCH_URL=postgres)

    assert ended.exit_code == 3
    assert "Verdict: unproven: no query was checked; the warnings say why." in ended.err
    assert "Mend what the warnings say about the service's queries or the rehearsal" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_asked_to_end_removes_what_it_made(tmp_path: Path, number: signal.Signals):
    command = subprocess.Popen(
        [sys.executable, "-c", MAKES_A_FOLDER, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    command.stdout.readline()
    assert list(tmp_path.iterdir())

    command.send_signal(number)
    _, said = command.communicate(timeout=60)

    assert command.returncode == ExitCode.INTERRUPTED
    assert not list(tmp_path.iterdir())
    assert said == (
        "stopped[interrupted]: Stopped on request. Run the command again, if it is still wanted.\n"
    )


def test_ctrl_c_while_a_command_only_starts_ends_it_without_a_traceback(tmp_path: Path):
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-m", "coordinator", "validate"], env=environment, capture_output=True, check=False
    )

    assert ended.returncode == -signal.SIGINT, "a shell calls it 130"
    assert (ended.stdout, ended.stderr) == (b"", b"")


def test_says_beside_a_phase_that_must_be_declared_whose_queries_are_not_known(checkout: Checkout):
    checkout.released("1.4")
    (checkout.folder / "queries").mkdir()
    (checkout.folder / "queries" / "users.sql").write_text("-- name: GetUser :one\nSELECT id FROM users;\n")
    change_plan(checkout, queries={"sql": "queries"})
    checkout.migration(
        2, "mixed", "ALTER TABLE users ADD COLUMN mail text;\nALTER TABLE users DROP COLUMN name;"
    )

    ended = checkout.run("plan", "--set", "VERSION=1.5")

    assert ended.exit_code == 2
    assert "error[phases-mixed]" in ended.err
    assert "warning[not-a-repository]: The queries of `shop` 1.4 are not known" in ended.err
