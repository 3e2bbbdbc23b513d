"""`coordinator plan` for pipelines: one form on stdout, further ones in files, also for an invalid plan."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from fixtures.checkout import DROP, Checkout

FORMS = ("github", "gitlab", "sarif", "junit")


def planned(checkout: Checkout, *arguments: str) -> str:
    ended = checkout.run("plan", "--set", "VERSION=1.5", *arguments)
    assert ended.exit_code == 0, ended.err
    return ended.out


@pytest.fixture
def shop(checkout: Checkout) -> Checkout:
    """Return a checkout that serves 1.4 and has a migration that 1.4 does not survive."""
    checkout.released("1.4")
    checkout.migration(2, "drop", DROP)
    return checkout


def test_prints_one_form_and_writes_the_others(shop: Checkout):
    reports = [part for form in FORMS for part in ("--report", f"{form}={form}.out")]

    printed = planned(shop, "--output", "gitlab", *reports)

    written = {form: (shop.folder / f"{form}.out").read_text() for form in FORMS}
    assert written["gitlab"] == printed
    [finding] = [each for each in json.loads(printed) if each["check_name"] == "migration-phase"]
    assert finding["location"] == {"path": "migrations/00002_drop.sql", "lines": {"begin": 1}}
    assert "::notice file=migrations/00002_drop.sql,line=1," in written["github"]
    assert "Verdict: " in written["github"]
    assert json.loads(written["sarif"])["version"] == "2.1.0"
    assert ET.fromstring(written["junit"]).find("testsuite/testcase[@name='00002_drop']") is not None


def test_names_files_from_the_root_of_the_repository(shop: Checkout):
    subprocess.run(["git", "init", "--quiet", shop.folder.parent], check=True)

    findings = json.loads(planned(shop, "--output", "gitlab"))

    paths = {each["location"]["path"] for each in findings}
    assert "shop/migrations/00002_drop.sql" in paths
    assert not [path for path in paths if Path(path).is_absolute()]


@pytest.mark.parametrize("form", FORMS)
def test_an_invalid_plan_is_reported_too(checkout: Checkout, form: str):
    checkout.migration(2, "odd", "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;")

    ended = checkout.run("plan", "--set", "VERSION=1.5", "--output", form)

    assert ended.exit_code == 2
    assert "00002_odd.sql" in ended.out
    assert "00002_odd.sql" in ended.err


def test_says_what_a_report_must_look_like(checkout: Checkout):
    ended = checkout.run("plan", "--set", "VERSION=1.5", "--report", "sarfi=x")

    assert ended.exit_code == 2
    assert "Did you mean `sarif`?" in ended.err


def test_says_that_a_report_cannot_be_written(checkout: Checkout):
    ended = checkout.run("plan", "--set", "VERSION=1.5", "--report", "json=nowhere/plan.json")

    assert ended.exit_code == 2
    assert "error[file-unwritable]" in ended.err
    assert ended.out == ""
