"""Migrations that are begun together: their intents are durable before the first of them, so a kill may come
where several are said to have begun and some have run. What then holds is what the database says of each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fixtures.local import until
from shop import FILES, LEDGERS, connect, instant, worth_a_kill

from coordinator.app.place import Place, newest_first
from coordinator.engine.ahead import NOT_BEGUN
from coordinator.journal import events
from coordinator.journal.events import Outcome, from_wire
from coordinator.journal.fold import Status

_PLAN = """
version: 1
release: many
databases:
  shop: {engine: ENGINE, url: "env:URL", migrations: {tool: TOOL, dir: migrations}}
"""
COUNT, FIRST_OF_LAST = 7, 4
"""Groups of one, two and four. The database gets the last two groups in one go each."""
_IS_SLOW = "EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'pause')"
_NUMBERS = f"SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE {_IS_SLOW}"
_SLOW = {
    "postgresql": "SELECT 1 AS id FROM pg_sleep(current_setting('shop.pause')::float)",
    "sqlite": f"WITH n (id) AS ({_NUMBERS}) SELECT max(id) AS id FROM n",
}
BROKEN = "CREATE TABLE thing_6 (id integer PRIMARY KEY); SELECT nothing FROM nowhere;"


@dataclass
class Many:
    """A release of a database alone, in a folder."""

    folder: Path
    url: str
    tool: str
    order: Callable[..., dict[str, Any]]

    @property
    def engine(self) -> str:
        return self.url.partition(":")[0]

    def write(self, version: int, sql: str) -> None:
        phase = "-- coordinator: phase=expand\n"
        name, text = FILES[self.tool](f"{version}_m", sql)
        (self.folder / "migrations" / name).write_text(phase + text)

    def run(self, *, kill_at: list[str] | None = None) -> dict[str, Any]:
        return self.order(command="run", folder=str(self.folder), kill_at=kill_at, blind=False)

    def run_and_die_behind(self, version: int) -> None:
        """Run, and be killed in the last group, at work on what comes after a version."""
        self.write(version + 1, f"CREATE TABLE thing_{version + 1} AS {_SLOW[self.engine]};")
        self.be_slow(600)
        is_there = self.is_in_last_group if self.engine == "sqlite" else lambda: version in self.things()
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(self.run)
            try:
                until(is_there)
            finally:
                os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
            assert running.result()["killed"]
        self.be_slow(0)

    def is_in_last_group(self) -> bool:
        """Tell whether the transaction of the last group is open and has written, without a lock of ours."""
        begun = {_version(each) for each in self.past() if isinstance(each, events.StepStarted)}
        return COUNT in begun and (self.folder / "shop.db-journal").exists()

    def there_behind(self, version: int) -> set[int]:
        """Return what is there after `run_and_die_behind`: SQLite has all of a group or nothing."""
        return set(range(1, FIRST_OF_LAST if self.engine == "sqlite" else version + 1))

    def be_slow(self, seconds: int) -> None:
        """Let the database pause for so long in what is `_SLOW`, in sessions that begin from now on.

        SQLite cannot pause: it works until it is killed.
        """
        setting = f"format('ALTER DATABASE %I SET shop.pause = {seconds}', current_database())"
        sql = f"DO $$ BEGIN EXECUTE {setting}; END $$"
        if self.engine == "sqlite":
            sql = "CREATE TABLE pause (x)" if seconds else "DROP TABLE pause"
        with closing(connect(self.url)) as connection:
            connection.execute(sql)
            connection.commit()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(connect(self.url)) as connection:
            return list(connection.execute(sql))

    def things(self) -> set[int]:
        catalogue = (
            "SELECT name FROM sqlite_master" if self.engine == "sqlite" else "SELECT tablename FROM pg_tables"
        )
        names = [name for (name,) in self.rows(catalogue)]
        return {int(name.removeprefix("thing_")) for name in names if name.startswith("thing_")}

    def past(self) -> list[events.Event]:
        journal = Place(self.folder / "plan.yaml").journal
        return [from_wire(record) for run in journal.runs() for record in journal.records(run)]

    def problems_of_what_is_said(self) -> Iterator[str]:
        """Yield what the journal says to be there and is not, and what is there and never was announced."""
        finished = {_version(each) for each in self.past() if isinstance(each, events.StepFinished)}
        begun = {_version(each) for each in self.past() if isinstance(each, events.StepStarted)}
        if not finished - {0} <= self.things() <= begun:
            yield f"finished {finished}, there {self.things()}, begun {begun}"

    def problems_at_the_end(self) -> Iterator[str]:
        ended = self.run()
        if ended["code"] != 0:
            yield f"the run ended with {ended['code']}: {(self.folder / 'error').read_text()}"
            return
        if self.things() != set(range(1, COUNT + 1)):
            yield f"there are {self.things()}"
        query, _, _ = LEDGERS[self.tool, self.engine]
        versions = [version for (version,) in self.rows(query)]
        if versions != (list(range(COUNT + 1)) if self.tool == "goose" else [COUNT]):
            yield f"the version table has {versions}"
        journal = Place(self.folder / "plan.yaml").journal
        state = next(newest_first(journal))
        if state.outcome is not Outcome.RELEASED:
            yield f"the run ended {state.outcome}"
        last = map(from_wire, journal.records(state.run))
        finished = Counter(each.step for each in last if isinstance(each, events.StepFinished))
        if any(times > 1 for times in finished.values()):
            yield f"finished more than once: {finished}"


def _version(event: events.StepStarted | events.StepFinished) -> int:
    return _version_of(event.step)


def _version_of(step: str) -> int:
    name = step.rpartition(":")[2]
    return int(name.removesuffix("_m")) if name.endswith("_m") else 0


def _text(version: int) -> str:
    return f"CREATE TABLE thing_{version} (id integer PRIMARY KEY);"


@pytest.fixture(params=[("goose", "postgresql"), ("golang-migrate", "sqlite")], ids=lambda each: each[1])
def new_release(
    request: pytest.FixtureRequest, tmp_path: Path, forker: Callable[..., dict[str, Any]]
) -> Callable[[], Many]:
    tool, engine = request.param
    server = request.getfixturevalue("database_url") if engine == "postgresql" else None
    numbers = count()

    def make() -> Many:
        folder = tmp_path / str(next(numbers))
        (folder / "migrations").mkdir(parents=True)
        url = server or f"sqlite://{folder}/shop.db"
        release = Many(folder, url, tool, forker)
        (folder / "plan.yaml").write_text(_PLAN.replace("ENGINE", engine).replace("TOOL", tool))
        (folder / "environment.json").write_text(json.dumps({"URL": url}))
        for version in range(1, COUNT + 1):
            release.write(version, _text(version))
        if server:
            with closing(connect(server)) as connection:
                connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
                connection.commit()
        return release

    return make


def test_a_kill_anywhere_in_a_group_leaves_nothing_unknown(new_release: Callable[[], Many]) -> None:
    undisturbed = new_release()
    names = undisturbed.run()["passed"]
    assert list(undisturbed.problems_at_the_end()) == []
    begun = [name for name in names if name.startswith("before step-started expand:shop:")]
    first, last = names.index(begun[0]), names.index("after execute_all", names.index(begun[-1]))
    problems: dict[str, list[str]] = {}
    in_doubt = Counter[int]()

    for kill_at in worth_a_kill(names):
        if not first < kill_at <= last:
            continue
        release = new_release()
        assert release.run(kill_at=instant(names, kill_at))["killed"]
        state = next(newest_first(Place(release.folder / "plan.yaml").journal))
        in_doubt[sum(each.status is Status.STARTED for each in state.steps.values())] += 1
        said = list(release.problems_of_what_is_said())
        problems[f"{kill_at} {names[kill_at - 1]}"] = [*said, *release.problems_at_the_end()]

    assert {kill_at: found for kill_at, found in problems.items() if found} == {}
    assert max(in_doubt) == COUNT - FIRST_OF_LAST + 1, "kills met all of the last group in doubt"


def test_a_kill_in_a_group_whose_journal_is_lost_is_recovered_from_the_world(
    new_release: Callable[[], Many],
) -> None:
    problems: list[str] = []

    for version in range(FIRST_OF_LAST, COUNT):
        release = new_release()
        release.run_and_die_behind(version)
        assert release.things() == release.there_behind(version)
        shutil.rmtree(release.folder / ".coordinator")
        problems += release.problems_at_the_end()

    assert problems == []


def test_a_kill_between_two_of_a_group_leaves_the_rest_of_it_in_doubt(
    new_release: Callable[[], Many],
) -> None:
    release = new_release()
    release.run_and_die_behind(FIRST_OF_LAST + 1)

    state = next(newest_first(Place(release.folder / "plan.yaml").journal))
    in_doubt = {_version_of(step) for step, each in state.steps.items() if each.status is Status.STARTED}
    assert in_doubt >= set(range(FIRST_OF_LAST, COUNT + 1))
    assert release.things() == release.there_behind(FIRST_OF_LAST + 1)
    assert list(release.problems_of_what_is_said()) == []
    assert list(release.problems_at_the_end()) == []


def test_what_comes_after_a_failure_in_a_group_is_said_not_to_have_begun(
    new_release: Callable[[], Many],
) -> None:
    release = new_release()
    release.write(6, BROKEN)

    assert release.run()["code"] == 1
    state = next(newest_first(Place(release.folder / "plan.yaml").journal))
    statuses = {_step.migration: state.status(_step.id) for _step in state.graph if _step.migration}
    assert release.things() == {1, 2, 3, 4, 5}
    assert (statuses[5], statuses[6], statuses[7]) == (Status.DONE, Status.FAILED, Status.PENDING)
    assert state.steps[_id_of(state, 7)].detail == NOT_BEGUN

    release.write(6, _text(6))
    assert list(release.problems_at_the_end()) == []


def _id_of(state: Any, version: int) -> Any:
    return next(step.id for step in state.graph if step.migration == version)
