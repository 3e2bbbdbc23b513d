"""A migration that is code: the team's program applies it, and only the version table is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.audience import Audience
from fixtures.code_release import checkout, release, world

from coordinator.errors import ExitCode, PlanInvalid
from coordinator.journal.events import Outcome
from coordinator.model import DatabaseName
from coordinator.ports.databases import Batch

SHOP = DatabaseName("shop")
MOVE = "expand:shop:00002_move"


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("database_url")
    return f"sqlite://{tmp_path}/shop.db"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/shop.db"


def versions(ports) -> list[int]:
    with ports.session(SHOP, label="test") as session:
        return [
            int(version) for [version] in session.query("SELECT version_id FROM goose_db_version ORDER BY id")
        ]


def moved(ports) -> list[int]:
    with ports.session(SHOP, label="test") as session:
        return [int(version) for [version] in session.query("SELECT version FROM moved ORDER BY version")]


def doubt(ended) -> str:
    return str(ended.state.steps[MOVE].detail)


def test_the_program_applies_code_between_files_that_we_apply(url: str, tmp_path: Path):
    ports, audience = checkout(tmp_path, url), Audience()

    ended = release(ports, audience)

    assert ended.state is not None
    assert ended.state.outcome is Outcome.RELEASED
    assert (versions(ports), moved(ports)) == ([0, 1, 2, 3], [2])
    assert audience.notes == [f"{MOVE}: moving rows at ********"]


def test_the_address_may_be_an_argument(url: str, tmp_path: Path):
    ports = checkout(tmp_path, url, arguments=("{version}", "{url}"))

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE
    assert moved(ports) == [2]


def test_a_program_that_fails_fails_the_step_with_its_last_words(url: str, tmp_path: Path):
    ports, audience = checkout(tmp_path, url, trouble="fails"), Audience()

    ended = release(ports, audience)

    [failed] = audience.failed
    assert (failed.step, failed.code) == (MOVE, "program-failed")
    assert "exit code 3; it said: moving rows at ******** | no such customer" in failed.reason
    assert url not in failed.reason
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED
    assert versions(ports) == [0, 1]


def test_a_program_that_recorded_its_version_has_applied_it_whatever_it_says(file: str, tmp_path: Path):
    ended = release(checkout(tmp_path, file, trouble="2:fails late"))

    assert ended.state is not None
    assert ended.state.outcome is Outcome.RELEASED
    assert "exit code 4" in doubt(ended)


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("forgets", "did not record it: it ended with exit code 0"),
        ("kills itself", "it was ended by signal 9"),
        ("goes on", "to apply that alone, and the version table changed by more: 00003_more"),
    ],
)
def test_what_the_version_table_does_not_confirm_is_in_doubt(
    trouble: str, told: str, file: str, tmp_path: Path
):
    ended = release(checkout(tmp_path, file, trouble=trouble))

    assert told in doubt(ended)
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.IN_DOUBT


def test_a_program_that_applied_more_stays_a_persons_matter_though_the_version_table_has_it(
    file: str, tmp_path: Path
):
    ports = checkout(tmp_path, file, trouble="goes on")

    ends = [release(ports).exit_code(wanted=Outcome.RELEASED) for _ in range(3)]

    assert ends == [ExitCode.IN_DOUBT] * 3
    assert versions(ports) == [0, 1, 2, 3]


def test_what_a_program_did_not_record_is_done_when_the_version_table_has_it_by_then(
    file: str, tmp_path: Path
):
    ports = checkout(tmp_path, file, trouble="forgets")
    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.IN_DOUBT

    with ports.session(SHOP, label="test") as session:
        session.execute(
            Batch(
                ("INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)",), transaction=True
            )
        )

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE
    assert moved(ports) == [2]


def test_a_program_whose_time_is_up_is_ended_and_in_doubt(file: str, tmp_path: Path):
    ports = checkout(tmp_path, file, trouble="sleeps", more="deadline: 1s")

    ended = release(ports)

    assert "its time was up" in doubt(ended)
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.IN_DOUBT


def test_what_may_be_repeated_only_failed_when_it_was_cut_off(file: str, tmp_path: Path):
    ports = checkout(tmp_path, file, trouble="kills itself", more="repeatable: true")

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED


def test_a_relative_file_is_the_same_one_for_the_program(tmp_path: Path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ports = checkout(tmp_path, "sqlite://shop.db")

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE
    assert (elsewhere / "shop.db").exists()
    assert not (tmp_path / "shop.db").exists()


def test_a_program_that_is_not_there_is_told_before_anything_is_done(file: str, tmp_path: Path):
    ports = checkout(tmp_path, file)
    plan = tmp_path / "plan.yaml"
    plan.write_text(plan.read_text().replace('["python"', '["./bin/migrate"'))
    with pytest.raises(PlanInvalid) as refused:
        release(world(tmp_path, {"SHOP_URL": file}))

    [problem] = refused.value.diagnostics
    assert (problem.code, problem.place.line) == ("program-missing", 8)
    with ports.session(SHOP, label="test") as session:
        assert session.query("SELECT name FROM sqlite_master") == []
