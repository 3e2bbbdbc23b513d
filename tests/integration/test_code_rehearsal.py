"""Code is rehearsed by its program where that surely goes to the scratch database; else it is unproven."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.checkout import Checkout

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.evidence import Verdict
from coordinator.load import load_plan
from coordinator.model import DatabaseName
from coordinator.ports import programs

PROGRAM = """
import json, os, pathlib, sqlite3, sys, time
version, address = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else os.environ["SHOP_URL"]
place = pathlib.Path(__file__).parent
(place / "seen").write_text(json.dumps(dict(os.environ)))
with (place / "asked").open("a") as asked:
    asked.write(address + "\\n")
while (place / "hang").exists():
    time.sleep(0.1)
if not (place / "idle").exists():
    with sqlite3.connect(address.removeprefix("sqlite://")) as connection:
        rows = [row[0] for row in connection.execute("SELECT version_id FROM goose_db_version ORDER BY id")]
        (place / "rows").write_text(json.dumps(rows))
        connection.execute("ALTER TABLE users ADD COLUMN age integer")
        connection.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)", [version])
"""
QUERIES = {"1.4": "SELECT name FROM users", "1.5": "SELECT age FROM users"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Checkout]:
    """Yield a checkout at 1.4, whose 1.5 needs a column that a migration in code adds."""
    with closing(Checkout(tmp_path / "shop")) as made:
        made.released("1.4")
        with_code(made)
        yield made


def with_code(shop: Checkout) -> None:
    """Write a migration in code, its program, and the queries of both versions."""
    (shop.folder / "migrate.py").write_text(PROGRAM)
    (shop.folder / "migrations" / "00002_age.go").write_text("package migrations\n")
    for version, query in QUERIES.items():
        (shop.folder / "queries" / version).mkdir(parents=True)
        (shop.folder / "queries" / version / "q.sql").write_text(f"-- name: Get :one\n{query};\n")


def name_program(
    shop: Checkout, *arguments: str, program: tuple[str, ...] = ("python", "migrate.py"), **settings: object
) -> None:
    file = shop.folder / "plan.yaml"
    plan: dict[str, Any] = yaml.safe_load(file.read_text())
    plan["services"]["shop"]["queries"] = {"sql": "queries/{version}"}
    command = [*program, "{version}", *arguments]
    plan["databases"]["shop"]["migrations"] |= {"command": command, **settings}
    file.write_text(yaml.safe_dump(plan, sort_keys=False))


def planned(shop: Checkout) -> dict[str, Any]:
    ended = shop.run("plan", "--set", "VERSION=1.5", "--output", "json")
    return ended.json("coordinator/plan/1")


def asked(shop: Checkout) -> list[str]:
    file = shop.folder / "asked"
    return file.read_text().splitlines() if file.exists() else []


def test_the_program_is_tried_on_scratch_databases_and_what_it_does_is_proven(shop: Checkout) -> None:
    name_program(shop, "{url}")

    found = planned(shop)

    assert found["verdict"] == "proven"
    [note] = [each for each in found["rehearsals"]["shop"]["notes"] if "is code" in each]
    assert "`00002_age` is code: what it locks" in note
    assert shop.columns() == {"id", "name"}
    assert asked(shop)
    assert not any(str(shop.database) in each for each in asked(shop))


def test_a_rehearsal_with_code_is_never_recalled(shop: Checkout) -> None:
    name_program(shop, rehearse=True)

    assert planned(shop)["verdict"] == "proven"
    before = len(asked(shop))
    assert planned(shop)["verdict"] == "proven"

    assert len(asked(shop)) == 2 * before


def test_without_a_promise_the_program_is_not_started_and_nothing_is_proven_behind_it(shop: Checkout) -> None:
    name_program(shop)
    (shop.folder / "migrations" / "00002_age.go").write_text("// coordinator: phase=expand\n")

    found = planned(shop)

    assert found["verdict"] == "unproven"
    assert any("was not rehearsed: it is code" in each["reason"] for each in found["findings"])
    assert asked(shop) == []


def test_a_program_that_does_not_record_the_version_there_proves_nothing(shop: Checkout) -> None:
    name_program(shop, "{url}")
    (shop.folder / "idle").touch()

    found = planned(shop)

    assert found["verdict"] == "unproven"
    assert any("was to record version 2 and recorded nothing" in each["reason"] for each in found["findings"])


def test_a_program_that_cannot_be_started_is_no_matter_of_rows(shop: Checkout) -> None:
    name_program(shop, "{url}", program=("./migrate",))
    (shop.folder / "migrate").write_text("#!/nowhere/interpreter\n")
    (shop.folder / "migrate").chmod(0o755)

    code = shop.folder / "migrations" / "00002_age.go"
    code.write_text("// coordinator: phase=expand\npackage migrations\n")

    reasons = " ".join(each["reason"] for each in planned(shop)["findings"])

    assert "was not rehearsed: it is code, and" in reasons
    assert "could not be started" in reasons
    assert "sample rows" not in reasons


def test_applied_code_is_a_part_of_the_base(shop: Checkout) -> None:
    name_program(shop, "{url}")
    assert shop.release("1.5").exit_code == 0
    shop.migration(3, "index", "CREATE INDEX ages ON users (age);")
    (shop.folder / "queries" / "1.6").mkdir()
    (shop.folder / "queries" / "1.6" / "q.sql").write_text("-- name: Get :one\nSELECT age FROM users;\n")

    ended = shop.run("plan", "--set", "VERSION=1.6", "--output", "json")

    found = ended.json("coordinator/plan/1")
    assert found["verdict"] == "proven", found["findings"]
    assert found["rehearsals"]["shop"]["drift"] == []


def rehearse_on_a_dump(shop: Checkout) -> None:
    file = shop.folder / "plan.yaml"
    plan = yaml.safe_load(file.read_text())
    plan["databases"]["shop"]["rehearsal"] = {"base": "dump"}
    file.write_text(yaml.safe_dump(plan, sort_keys=False))


def test_on_a_dump_the_program_finds_what_is_applied_and_is_tried_as_well(shop: Checkout) -> None:
    name_program(shop, "{url}")
    rehearse_on_a_dump(shop)

    found = planned(shop)

    assert found["verdict"] == "proven", found["findings"]
    assert found["rehearsals"]["shop"]["base"] == "from the schema of the live database"
    assert asked(shop)


def test_on_a_dump_where_nothing_is_applied_a_program_that_comes_first_is_tried(tmp_path: Path) -> None:
    """goose counts from its row for version 0, which the live table has, and a dump of the schema has not."""
    with closing(Checkout(tmp_path / "first")) as shop:
        (shop.folder / "migrations" / "00001_users.sql").unlink()
        with closing(sqlite3.connect(shop.database)) as connection:
            connection.executescript(
                "CREATE TABLE users (id integer PRIMARY KEY, name text);"
                "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT,"
                " version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL,"
                " tstamp TIMESTAMP DEFAULT (datetime('now')));"
                "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1);"
            )
        shop.released("1.4")
        with_code(shop)
        name_program(shop, "{url}")
        rehearse_on_a_dump(shop)

        found = planned(shop)

        assert found["verdict"] == "proven", found["findings"]
        assert json.loads((shop.folder / "rows").read_text()) == [0]


def test_the_live_address_is_kept_from_the_program_in_whatever_variable_it_stands(shop: Checkout) -> None:
    name_program(shop, "{url}")
    shop.environment |= {
        "GOOSE_DBSTRING": str(shop.database),
        "OTHER_URL": f"sqlite://{shop.database}",
        "PGPASSWORD": "s3cret",
        "KEPT": "yes",
    }

    found = planned(shop)

    seen = (shop.folder / "seen").read_text()
    assert found["verdict"] == "proven", found["findings"]
    assert '"KEPT": "yes"' in seen
    assert str(shop.database) not in seen
    assert "s3cret" not in seen
    assert shop.release("1.5").exit_code == 0
    assert str(shop.database) in (shop.folder / "seen").read_text(), "a release keeps nothing from it"


@pytest.mark.parametrize("write", [str, lambda file: f"sqlite://{file}", lambda _: "--db=shop.db"])
def test_a_command_that_names_the_live_database_itself_is_not_rehearsed(
    shop: Checkout, write: Callable[[Path], str]
) -> None:
    name_program(shop, "{url}", write(shop.database))

    found = planned(shop)

    assert (found["verdict"], asked(shop)) == ("unproven", [])
    assert any(
        "`00002_age` was not rehearsed: it is code, and its `command` has the live database's address"
        in each["reason"]
        for each in found["findings"]
    )


@pytest.mark.parametrize("deadline", ["1h", "5s"])
def test_a_program_that_hangs_is_ended_and_proves_nothing_whatever_its_deadline(
    shop: Checkout, monkeypatch: pytest.MonkeyPatch, deadline: str
) -> None:
    name_program(shop, "{url}", deadline=deadline)
    (shop.folder / "hang").touch()
    if deadline == "1h":
        monkeypatch.setattr(programs, "ON_SCRATCH", timedelta(seconds=5))
    plan = load_plan(shop.folder / "plan.yaml", settings={"VERSION": "1.5"}, environment=shop.environment)

    proof, _ = plan_release(ConnectedPorts(plan, environment=shop.environment), step_kinds())

    notes = " ".join(proof.evidence.rehearsals[DatabaseName("shop")].notes)
    assert proof.verdict is Verdict.UNPROVEN
    assert "its program did not come to its end: it was killed because its time was up" in notes
    assert ("a rehearsal gives it" in notes) is (deadline == "1h")
    assert len(asked(shop)) == 1, "other rows would not help"
