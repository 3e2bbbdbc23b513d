"""`--output json` of a command that a problem ends: one document all the same, and the same exit code."""

from __future__ import annotations

import pytest
from fixtures.checkout import Checkout

SCHEMA = "coordinator/problems/1"
READ_THE_PLAN = (
    "plan",
    "run",
    "doctor",
    "split migrations/00001_users.sql",
    "local status",
)


@pytest.mark.parametrize("command", READ_THE_PLAN)
def test_an_invalid_plan_is_told_with_every_problem_at_its_line(checkout: Checkout, command: str):
    plan = checkout.folder / "plan.yaml"
    plan.write_text("# ours\nversion: 1\nrelease: shop\nfoo: 1\nbar: 2\n")

    ended = checkout.run(*command.split(), "--output", "json")

    document = ended.json(SCHEMA)
    assert document["exit_code"] == ended.exit_code == 2
    unknown = [each for each in document["diagnostics"] if each["code"] == "unknown-key"]
    assert [(each["file"], each["line"], each["column"]) for each in unknown] == [
        ("plan.yaml", 4, 1),
        ("plan.yaml", 5, 1),
    ]
    assert all(each["what"] and each["next"] for each in unknown)
    assert "plan.yaml:4:1 error[unknown-key]" in ended.err, "people read it as before"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("approve approve:contract", "no-open-run"),
        ("rollback", "no-open-run"),
        ("abort", "no-open-run"),
        ("settle expand:shop:00001_users --as done", "no-open-run"),
        ("history --run shop-9@9", "no-such-run"),
        ("plan --migrations elsewhere", "only-with-against"),
        ("parse nowhere.sql --tool goose --engine sqlite", "file-missing"),
        ("backtest --migrations nowhere --tool goose --layers all", "unknown-name"),
    ],
)
def test_a_problem_of_no_file_has_no_place(checkout: Checkout, command: str, code: str):
    ended = checkout.run(*command.split(), "--output", "json")

    document = ended.json(SCHEMA)
    [problem] = document["diagnostics"]
    assert document["exit_code"] == ended.exit_code == 2
    assert problem["code"] == code
    assert (problem["severity"], problem["line"], problem["column"]) == ("error", None, None)
    assert problem["what"]


def test_a_refused_run_says_what_refuses_it(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(2, "email", "ALTER TABLE users ADD COLUMN email text;")

    ended = checkout.release("1.5", "--output", "json")

    document = ended.json(SCHEMA)
    assert document["exit_code"] == ended.exit_code == 3
    assert document["diagnostics"][0]["code"] in {"unproven", "release-unproven"}


def test_a_file_that_a_tool_cannot_read_is_told_at_its_line(checkout: Checkout):
    checkout.migration(2, "bad", "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n")

    ended = checkout.run(
        "parse", "migrations/00002_bad.sql", "--tool", "goose", "--engine", "sqlite", "--output", "json"
    )

    [problem] = ended.json(SCHEMA)["diagnostics"]
    assert (ended.exit_code, problem["code"], problem["file"]) == (
        2,
        "goose-syntax",
        "migrations/00002_bad.sql",
    )
    assert problem["line"]


def test_where_a_page_cannot_be_written_there_is_one_document(checkout: Checkout):
    plan = ("plan", "--set", "VERSION=1.4", "--output", "json")

    for option in (("--html", "nowhere/page.html"), ("--report", "text=nowhere/plan.txt")):
        ended = checkout.run(*plan, *option)

        [problem] = ended.json(SCHEMA)["diagnostics"]
        assert problem["code"] == "file-unwritable"


def test_a_report_of_an_invalid_plan_has_the_document_too(checkout: Checkout):
    (checkout.folder / "plan.yaml").write_text("version: 1\nrelease: shop\nfoo: 1\n")

    ended = checkout.run("plan", "--output", "json", "--report", "json=plan.json")

    assert (checkout.folder / "plan.json").read_text() == ended.out
    assert ended.json(SCHEMA)["exit_code"] == 2
