"""A migration's file that nobody could apply today, as a person meets it before and after it is applied."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.checkout import EMAIL, USERS, Checkout

OWN_TRANSACTION = f"-- +goose Up\nBEGIN;\n{USERS}\nCOMMIT;\n"
REFUSED = f"-- +goose Up\n{USERS}\nVACUUM;\n"
CUT = f"-- +goose Up\n{USERS.rstrip(';')}\n"


@pytest.mark.parametrize("text", [OWN_TRANSACTION, REFUSED])
def test_a_file_that_is_applied_is_replayed_as_the_database_took_it(checkout: Checkout, text: str):
    checkout.released("1.4")
    checkout.migration(1, "users", text)
    checkout.migration(2, "email", EMAIL)

    ended = checkout.run("plan", "--set", "VERSION=1.5")

    assert ended.exit_code == 0, ended.err
    assert "error[" not in ended.err
    assert "base      from 1 migration file, replayed" in ended.out
    assert "not rehearsed" not in ended.out
    assert "s1  00002_email" in ended.out


def test_an_applied_file_that_cannot_be_read_is_named_where_its_schema_is_missed(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(1, "users", CUT)
    checkout.migration(2, "email", EMAIL)

    planned = checkout.run("plan", "--set", "VERSION=1.5")

    told = " ".join(planned.out.split())
    assert planned.exit_code == 0, planned.err
    assert "`00001_users` was not rehearsed: " in told
    assert "migrations/00001_users.sql:2: The statement that begins here does not end" in told
    assert "Verdict: unproven" in told

    released = checkout.release("1.5", "--accept-unproven")

    assert released.exit_code == 0, released.err
    assert "email" in checkout.columns()


def test_the_error_counts_where_the_migration_is_still_to_be_applied(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "email", EMAIL.replace("text;", "text"))

    ended = checkout.release("1.5", "--accept-unproven")

    assert ended.exit_code == 2
    assert "00002_email.sql:3 error[goose-syntax]" in ended.err
    assert checkout.serving() == "1.4"
    with closing(sqlite3.connect(checkout.database)) as database:
        assert database.execute("SELECT max(version_id) FROM goose_db_version").fetchall() == [(1,)]


def test_doctor_says_where_the_error_is(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "email", EMAIL.replace("text;", "text"))

    ended = checkout.run("doctor", "--set", "VERSION=1.5")

    assert ended.exit_code == 1
    assert "✘ database shop: error[goose-syntax]: migrations/00002_email.sql:3: The statement" in ended.out


def test_validate_says_that_it_knows_of_no_database(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(1, "users", CUT)

    ended = checkout.run("validate", "--set", "VERSION=1.5")

    assert ended.exit_code == 2
    assert "00001_users.sql:2 error[goose-syntax]" in ended.err
    assert "counts as one that is still to be applied" in " ".join(ended.err.split())


@pytest.fixture
def committed(checkout: Checkout) -> Checkout:
    """Return a checkout in git, with a tag at which the first migration's file cannot be read."""
    checkout.released("1.4")
    checkout.migration(1, "users", CUT)
    for words in (
        ("init", "--quiet"),
        ("config", "user.name", "somebody"),
        ("config", "user.email", "somebody@example.org"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "1.4"),
        ("tag", "v1.4"),
    ):
        subprocess.run(["git", *words], cwd=checkout.folder, check=True, capture_output=True)
    return checkout


def test_validate_leaves_out_what_a_commit_has_as_well(committed: Checkout):
    committed.migration(2, "email", EMAIL)

    ended = committed.run("validate", "--set", "VERSION=1.5", "--against", "v1.4")

    assert ended.exit_code == 0
    assert re.fullmatch(r"Left out: 1 problem that git v1\.4 \(\w+\) has as well\.\n", ended.err)


def test_validate_minds_what_a_commit_does_not_have(committed: Checkout):
    committed.migration(1, "users", CUT.replace("Up\n", "Up\n\n"))
    committed.migration(2, "email", EMAIL.replace("text;", "text"))

    ended = committed.run("validate", "--set", "VERSION=1.5", "--against", "v1.4", "--output", "json")

    shown = json.loads(ended.out)
    assert (ended.exit_code, shown["valid"], shown["left_out"]) == (2, False, 0)
    assert [Path(each["file"]).name for each in shown["diagnostics"]] == [
        "00001_users.sql",
        "00002_email.sql",
    ]


def test_a_new_file_with_the_number_of_an_old_one_is_minded(committed: Checkout):
    committed.migration(1, "again", EMAIL)

    ended = committed.run("validate", "--set", "VERSION=1.5", "--against", "v1.4")

    assert ended.exit_code == 2
    assert "duplicate" in ended.err
    assert "goose-syntax" not in ended.err


def test_validate_against_what_is_no_commit_exits_with_2(committed: Checkout):
    ended = committed.run("validate", "--set", "VERSION=1.5", "--against", "v0")

    assert ended.exit_code == 2
    assert "error[unknown-ref]" in ended.err
