"""Evidence from the cache is the evidence that the engine gives: random releases, rehearsed with and without.

The releases share tables, migrations and queries, so that they differ in little, as neighbouring commits do;
and they go through one cache, so that a key which leaves something out gives one of them another's evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.adapters.rehearsals.postgresql import REHEARSAL as POSTGRESQL
from coordinator.adapters.rehearsals.sqlite import REHEARSAL as SQLITE
from coordinator.app.recalling import Recall
from coordinator.diagnostics import Place
from coordinator.model import (
    DatabaseName,
    DatabaseSpec,
    Engine,
    Layer,
    Migration,
    MigrationsSpec,
    Role,
    SecretRef,
    ServiceName,
    SourceFile,
)
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import RehearsalEngine
from coordinator.rehearse import Found, Live, Subject, Task, rehearse_database
from migrations_hooks.goose import TOOL

DB, APP = DatabaseName("shop"), ServiceName("orders")
BASE = "CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT NOT NULL, age INTEGER)"
MIGRATIONS = (
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, total NUMERIC)",
    "ALTER TABLE customers ADD COLUMN note TEXT",
    "ALTER TABLE customers ADD COLUMN note INTEGER",
    "ALTER TABLE customers RENAME COLUMN age TO years",
    "ALTER TABLE customers DROP COLUMN age",
    "CREATE UNIQUE INDEX by_age ON customers (age)",
    "INSERT INTO customers (email, age) VALUES ('a', 7)",
    "UPDATE customers SET email = 'b'",
    "DROP TABLE customers",
    "not SQL",
)
QUERIES = (
    "SELECT * FROM customers WHERE id = ?",
    "SELECT email, age FROM customers ORDER BY id",
    "INSERT INTO customers (email, age) VALUES (?, ?)",
    "SELECT total FROM orders",
    "UPDATE customers SET note = ? WHERE id = ?",
    "SELECT count(*) FROM customers",
)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

migrations = st.lists(st.sampled_from(MIGRATIONS), max_size=3)
catalogues = st.lists(
    st.builds(
        Query,
        name=st.sampled_from(("Get", "Add")),
        text=st.sampled_from(QUERIES),
        place=st.just(Place("queries.sql", 1)),
        reads_result=st.booleans(),
        freezes_star=st.booleans(),
        obstacle=st.sampled_from((None, None, "it is made at run time")),
    ),
    max_size=3,
)
layers = st.sampled_from(
    (
        (Layer.PREPARE,),
        (Layer.PREPARE, Layer.DESCRIBE),
        (Layer.PREPARE, Layer.DESCRIBE, Layer.EXECUTE, Layer.RESULT),
    )
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    texts = [BASE, *draw(migrations)]
    applied = draw(st.integers(1, len(texts)))
    files = [_migration(number, text) for number, text in enumerate(texts, 1)]
    return Task(
        DatabaseSpec(
            DB,
            Engine.SQLITE,
            SecretRef("env", "URL"),
            MigrationsSpec("goose", Path("migrations"), None, Place("plan.yaml")),
            timedelta(seconds=5),
            Place("plan.yaml"),
        ),
        TOOL,
        applied=tuple(files[:applied]),
        pending=tuple(files[applied:]),
        subjects=tuple(
            Subject((DB, APP, role), Catalogue("a test", tuple(queries)), None)
            for role in draw(st.lists(st.sampled_from(Role), unique=True))
            for queries in [draw(catalogues)]
        ),
        layers=draw(layers),
        live=Live(draw(st.sampled_from((None, {}, {"column main.customers.id": "INTEGER"})))),
    )


def _migration(version: int, text: str) -> Migration:
    content = f"-- +goose Up\n{text};\n".encode()
    [migration] = TOOL.read((SourceFile(f"m/{version:05}_m.sql", content, str(hash(content))),)).migrations
    return migration


@dataclass
class Shelf:
    """rehearsal_ports.EvidenceCache, in memory."""

    answers: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> str | None:
        return self.answers.get(key)

    def put(self, key: str, answer: str) -> None:
        self.answers[key] = answer


@dataclass
class Clockwork:
    """ports.Clock: it stands until somebody sets it, or goes on by itself at each look."""

    time: datetime = NOW
    step: timedelta = timedelta()

    def now(self) -> datetime:
        self.time += self.step
        return self.time

    def sleep(self, duration: timedelta) -> None:
        self.time += duration


def rehearse(task: Task, engine: RehearsalEngine = SQLITE) -> Found:
    with engine.server(url=None, live_version=None) as server:
        return rehearse_database(server, task)


@dataclass
class Desk:
    """Somebody who asks through the cache, and counts what the engine was asked."""

    shelf: Shelf = field(default_factory=Shelf)
    clock: Clockwork = field(default_factory=Clockwork)
    engine: RehearsalEngine = SQLITE
    asked: int = 0

    def ask(self, task: Task) -> Found:
        def rehearse_and_count() -> Found:
            self.asked += 1
            return rehearse(task, self.engine)

        recall = Recall(self.shelf, self.clock)
        return recall.or_rehearse(task, self.engine, live_version=None, rehearse=rehearse_and_count)


def timeless(found: Found) -> Found:
    """Leave out how long each statement took."""
    rehearsal, spans = found
    statements = tuple(replace(each, seconds=0.0) for each in rehearsal.statements)
    return replace(rehearsal, statements=statements), spans


SHARED = Desk()


@settings(max_examples=60)
@given(tasks())
def test_is_what_the_engine_says_whatever_was_asked_before(task):
    fresh = rehearse(task)

    first, second = SHARED.ask(task), SHARED.ask(task)

    assert timeless(first) == timeless(fresh)
    assert timeless(second) == timeless(fresh)


RELEASE = Task(
    DatabaseSpec(
        DB,
        Engine.SQLITE,
        SecretRef("env", "URL"),
        MigrationsSpec("goose", Path("migrations"), None, Place("plan.yaml")),
        timedelta(seconds=5),
        Place("plan.yaml"),
    ),
    TOOL,
    applied=(_migration(1, BASE),),
    pending=(_migration(2, MIGRATIONS[1]), _migration(3, MIGRATIONS[3])),
    subjects=(
        Subject(
            (DB, APP, Role.LIVE),
            Catalogue(
                "a test", (Query("Get", QUERIES[0], Place("q.sql", 1)), Query("All", QUERIES[1], Place("q")))
            ),
        ),
    ),
    layers=(Layer.PREPARE, Layer.DESCRIBE, Layer.EXECUTE, Layer.RESULT),
)


def test_what_was_asked_today_is_not_asked_again():
    desk = Desk()

    found = desk.ask(RELEASE)

    assert desk.ask(RELEASE) == found
    assert found[0].breaks
    assert found[0].statements
    assert desk.asked == 1


def test_tomorrow_everything_is_asked_anew():
    desk = Desk()
    desk.ask(RELEASE)

    desk.clock.time += timedelta(days=1)
    desk.ask(RELEASE)

    assert desk.asked == 2


def test_what_was_asked_around_midnight_is_not_kept():
    desk = Desk(clock=Clockwork(step=timedelta(hours=9)))

    desk.ask(RELEASE)

    assert desk.shelf.answers == {}


def test_a_release_that_does_not_apply_is_rehearsed_each_time():
    desk = Desk()
    broken = replace(RELEASE, pending=(_migration(2, "not SQL"),))

    assert desk.ask(broken)[0].is_whole is False
    assert desk.ask(replace(RELEASE, applied=broken.pending))[0].is_whole is False

    assert desk.shelf.answers == {}


def test_no_text_of_a_query_or_migration_is_kept():
    desk = Desk()

    desk.ask(RELEASE)

    [answer] = desk.shelf.answers.values()
    assert "ALTER TABLE" not in answer
    assert "SELECT" not in answer


def test_hazards_follow_the_sizes_of_now():
    desk = Desk(engine=POSTGRESQL)
    indexed = replace(RELEASE, pending=(_migration(2, MIGRATIONS[5]),))
    found, _ = desk.ask(indexed)

    large = replace(indexed, live=Live(None, {"public.customers": 10**12}))
    of_large, _ = desk.ask(large)

    assert desk.asked == 1
    assert of_large.hazards == rehearse(large, POSTGRESQL)[0].hazards
    assert of_large.hazards != found.hazards == desk.ask(indexed)[0].hazards


def test_an_answer_that_cannot_be_read_is_asked_again():
    desk = Desk()
    desk.ask(RELEASE)
    [key] = desk.shelf.answers

    for spoilt in ("", "{}", "null", desk.shelf.answers[key].replace('"00002_m"', '"00009_m"')):
        desk.shelf.answers[key] = spoilt
        desk.ask(RELEASE)

    assert desk.asked == 5
