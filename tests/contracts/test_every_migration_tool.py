"""What ports.MigrationTool and apply.py promise, held for every tool on every engine that it knows."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from fixtures.applying import apply_migration
from fixtures.mariadb import ADAPTER, ENGINE, TESTED

from coordinator import discovery
from coordinator.adapters.databases import postgresql, sqlite
from coordinator.apply import is_applied, read_ledger, revert_migration
from coordinator.errors import CoordinatorError, DatabaseError, StepFailed, Waiting
from coordinator.model import Engine, Migration, Phase, SourceFile
from coordinator.ports.databases import Batch, Session, TableLock
from coordinator.ports.migrations import MigrationTool
from coordinator.secret import Secret

TOOLS = {key: discovery.migration_tool(key) for key in discovery.names(discovery.MIGRATION_TOOLS)}
SENT = {key: tool for key, tool in TOOLS.items() if key not in discovery.names(discovery.RUNNERS)}
"""Those whose migrations we send ourselves; of Alembic's tests/integration/test_alembic_*.py has the rest."""
NOW = timedelta(0)
STEPS = (
    ("CREATE TABLE a (x integer);", "DROP TABLE a;"),
    ("INSERT INTO a VALUES (1);", "DELETE FROM a;"),
    ("ALTER TABLE a ADD COLUMN y integer;", "ALTER TABLE a DROP COLUMN y;"),
)


def source(name: str, text: str) -> SourceFile:
    content = text.encode()
    return SourceFile(f"migrations/{name}", content, hashlib.sha256(content).hexdigest())


def files(tool: str, version: int, up: str, down: str | None) -> list[SourceFile]:
    """Write one migration in the tool's own form."""
    if tool == "goose":
        return [
            source(
                f"{version:05}_step.sql",
                f"-- +goose Up\n{up}\n" + (f"-- +goose Down\n{down}\n" if down else ""),
            )
        ]
    if tool == "alembic":
        body = f'revision = "{version}"\ndef upgrade():\n    op.execute(r"""\n{up}\n""")\n'
        undo = f'def downgrade():\n    op.execute(r"""{down}""")\n' if down else ""
        return [source(f"{version:04}_step.py", body + undo)]
    name = f"{version:04}_step"
    return [source(f"{name}.up.sql", up), *([source(f"{name}.down.sql", down)] if down else [])]


@dataclass(frozen=True)
class Shop:
    """A database, and the migrations of one tool for it."""

    tool: MigrationTool
    session: Session
    migrations: tuple[Migration, ...]
    table: str | None = None

    def apply(self, version: int) -> None:
        self._perform(apply_migration, version)

    def revert(self, version: int) -> None:
        self._perform(revert_migration, version)

    def is_applied(self, version: int) -> bool | None:
        migration = self._migration(version)
        return is_applied(self.session, self.tool, migration, migrations=self.migrations, table=self.table)

    def with_step(self, version: int, up: str, down: str | None = None) -> Shop:
        others = [each for each in self.migrations if each.version != version]
        engine = self.session.target(None).engine
        added = self.tool.read(files(self.tool.name, version, up, down), engine).migrations
        migrations = tuple(sorted([*others, *added], key=lambda each: each.version))
        return Shop(self.tool, self.session, migrations, self.table)

    def columns(self) -> str:
        return " ".join(str(row) for row in self.session.query("SELECT * FROM a"))

    def _migration(self, version: int) -> Migration:
        return next(each for each in self.migrations if each.version == version)

    def _perform(self, perform, version: int) -> None:
        perform(
            self.session,
            self.tool,
            self._migration(version),
            migrations=self.migrations,
            table=self.table,
            lock_timeout=NOW,
        )


ADAPTERS = {
    Engine.POSTGRESQL: postgresql,
    Engine.SQLITE: sqlite,
    ENGINE: ADAPTER,
}
CASES = [
    pytest.param(
        (key, engine),
        id=f"{key} {engine}",
        marks=[pytest.mark.mariadb] if engine.speaks_mysql else [],
    )
    for key, tool in SENT.items()
    for engine in sorted(tool.engines)
    if engine in TESTED
]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path):
    key, engine = request.param
    if engine is Engine.SQLITE:
        return key, sqlite, Secret(f"sqlite://{tmp_path}/shop.db")
    url = request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url")
    return key, ADAPTERS[engine], Secret(url)


@contextmanager
def connected(case, *, table: str | None = None) -> Iterator[Shop]:
    key, adapter, url = case
    engine = next(each for each, module in ADAPTERS.items() if module is adapter)
    read = TOOLS[key].read(
        [file for number, (up, down) in enumerate(STEPS, start=1) for file in files(key, number, up, down)],
        engine,
    )
    assert read.diagnostics == ()
    with adapter.connect(url, lock_timeout=timedelta(seconds=20)).session(label="test") as session:
        yield Shop(TOOLS[key], session, read.migrations, table)


@pytest.fixture
def shop(case) -> Iterator[Shop]:
    with connected(case) as shop:
        yield shop


def test_a_fresh_database_has_no_ledger_and_everything_pending(shop: Shop):
    ledger = read_ledger(shop.session, shop.tool, shop.session.target(None))

    assert not ledger.exists
    assert shop.tool.pending(shop.migrations, ledger).migrations == shop.migrations
    assert [shop.is_applied(version) for version in (1, 2, 3)] == [False, False, False]


def test_applies_one_migration_and_records_it(shop: Shop):
    shop.apply(1)

    assert [shop.is_applied(version) for version in (1, 2, 3)] == [True, False, False]
    assert shop.columns() == ""


def test_applies_a_whole_history_in_order(shop: Shop):
    for version in (1, 2, 3):
        shop.apply(version)

    ledger = read_ledger(shop.session, shop.tool, shop.session.target(None))
    assert ledger.applied[0] == 3
    assert shop.tool.pending(shop.migrations, ledger).migrations == ()
    assert shop.columns() == "(1, None)"


def test_undoes_in_the_opposite_order(shop: Shop):
    for version in (1, 2, 3):
        shop.apply(version)

    shop.revert(3)
    shop.revert(2)

    assert [shop.is_applied(version) for version in (1, 2, 3)] == [True, False, False]
    assert shop.columns() == ""


def test_goes_down_to_nothing_and_up_again(shop: Shop):
    shop.apply(1)
    shop.revert(1)
    assert shop.is_applied(1) is False

    shop.apply(1)

    assert shop.is_applied(1) is True


@pytest.mark.parametrize("table", ["versions", "Versions_2"])
def test_keeps_its_ledger_in_the_table_that_the_plan_names(case, table: str):
    with connected(case, table=table) as shop:
        shop.apply(1)

        assert shop.is_applied(1) is True
        assert not read_ledger(shop.session, shop.tool, shop.session.target(None)).exists


def test_refuses_to_apply_twice(shop: Shop):
    shop.apply(1)
    shop.apply(2)

    with pytest.raises(StepFailed) as refusal:
        shop.apply(2)

    assert refusal.value.code == "already-applied"
    assert shop.columns() == "(1,)"


def test_refuses_to_skip_a_migration(shop: Shop):
    with pytest.raises(StepFailed) as refusal:
        shop.apply(2)

    assert refusal.value.code == "migration-order"
    assert not read_ledger(shop.session, shop.tool, shop.session.target(None)).exists


def test_refuses_to_undo_anything_but_the_last(shop: Shop):
    shop.apply(1)
    shop.apply(2)

    with pytest.raises(StepFailed) as refusal:
        shop.revert(1)

    assert refusal.value.code == "migration-order"
    assert shop.columns() == "(1,)"


def test_refuses_to_undo_what_does_not_say_how(shop: Shop):
    shop = shop.with_step(1, "CREATE TABLE a (x integer);")
    shop.apply(1)

    with pytest.raises(StepFailed) as refusal:
        shop.revert(1)

    assert refusal.value.code == "no-down-migration"
    assert shop.is_applied(1) is True


def test_leaves_nothing_of_a_migration_that_fails_and_names_its_line(shop: Shop):
    shop.apply(1)
    shop = shop.with_step(2, "INSERT INTO a VALUES (1);\n\nINSERT INTO nowhere\n  VALUES (1);")

    with pytest.raises(DatabaseError) as failure:
        shop.apply(2)

    line = 4 if shop.tool.name == "goose" else 3
    assert failure.value.what.startswith(f"{shop.migrations[1].files[0].path}:{line}: ")
    assert shop.columns() == ""
    assert shop.is_applied(2) is False


def test_says_what_a_file_without_a_transaction_left_behind_and_how_to_record_the_rest(shop: Shop):
    if shop.tool.name != "goose":
        return  # its files are one text, which PostgreSQL takes back; test_mariadb_halfway.py has MariaDB
    shop.apply(1)
    up = "-- +goose NO TRANSACTION\nINSERT INTO a VALUES (1);\nINSERT INTO nowhere VALUES (1);"
    broken = shop.with_step(2, up)

    with pytest.raises(DatabaseError) as failure:
        broken.apply(2)

    assert failure.value.code == "half-applied"
    assert "line 3 (INSERT INTO a VALUES (1);). From line 4 on nothing is." in failure.value.why
    record = failure.value.next_step.partition("record it: `")[2].partition("`")[0]
    shop.session.execute(Batch((record,), transaction=True))
    assert shop.is_applied(2) is True
    assert shop.columns() == "(1,)"


def test_goes_on_after_a_failed_migration_was_corrected(shop: Shop):
    shop.apply(1)
    with pytest.raises(DatabaseError):
        shop.with_step(2, "INSERT INTO nowhere VALUES (1);").apply(2)

    shop.apply(2)

    assert shop.columns() == "(1,)"


def test_does_nothing_when_the_ledger_moved_after_it_was_read(shop: Shop):
    shop.apply(1)
    target = shop.session.target(None)
    ledger = read_ledger(shop.session, shop.tool, target)
    [batch] = shop.tool.up(shop.migrations[1], target=target, ledger=ledger)
    shop.apply(2)

    with pytest.raises(DatabaseError) as refusal:
        shop.session.execute(batch)

    assert refusal.value.code == "ledger-changed"
    assert shop.columns() == "(1,)"


def test_does_not_undo_twice_when_the_ledger_moved(shop: Shop):
    shop.apply(1)
    shop.apply(2)
    target = shop.session.target(None)
    ledger = read_ledger(shop.session, shop.tool, target)
    [batch] = shop.tool.down(shop.migrations[1], migrations=shop.migrations, target=target, ledger=ledger)
    shop.revert(2)
    shop.session.execute(Batch(("INSERT INTO a VALUES (7)",), transaction=True))

    with pytest.raises(DatabaseError) as refusal:
        shop.session.execute(batch)

    assert refusal.value.code == "ledger-changed"
    assert shop.columns() == "(7,)"


def test_waits_for_whoever_migrates_already(case):
    with connected(case) as first, connected(case) as second:
        lock_ids = [
            each
            for each in first.tool.lock_ids(first.session.target(None))
            if not isinstance(each, TableLock)  # its table is not there: tests/integration has one
        ]
        if not lock_ids:
            assert first.session.target(None).engine is Engine.SQLITE
            return
        for lock_id in lock_ids:
            with first.session.locked([lock_id], timeout=NOW), pytest.raises(Waiting) as waiting:
                second.apply(1)
            assert waiting.value.code == "migration-lock-held"

        second.apply(1)


def test_one_of_many_applies_a_migration_and_the_others_do_no_harm(case):
    barrier = threading.Barrier(6)
    outcomes: list[str] = []

    def compete() -> None:
        with connected(case) as shop:
            barrier.wait(60)
            try:
                shop.apply(1)
                outcomes.append("done")
            except CoordinatorError as error:
                outcomes.append(error.code)

    threads = [threading.Thread(target=compete) for _ in range(barrier.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "already-applied", "ledger-changed", "migration-lock-held"}
    with connected(case) as shop:
        shop.apply(2)
        assert shop.columns() == "(1,)"


def test_an_older_checkout_sees_that_the_database_is_newer(shop: Shop):
    for version in (1, 2, 3):
        shop.apply(version)
    ledger = read_ledger(shop.session, shop.tool, shop.session.target(None))

    pending = shop.tool.pending(shop.migrations[:2], ledger)

    assert pending.migrations == ()
    assert [each.code for each in pending.diagnostics] == ["database-newer"]


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_reads_the_declared_phase_and_its_place(tool: MigrationTool):
    [migration] = tool.read(files(tool.name, 1, "-- coordinator: phase=contract\nSELECT 1;", None)).migrations

    assert migration.declared is Phase.CONTRACT
    assert migration.declared_at is not None
    assert migration.declared_at.line == {"goose": 2, "alembic": 4}.get(tool.name, 1)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
@pytest.mark.parametrize(
    ("comment", "column"),
    [("-- coordinator: phase=later", 1), ("  -- coordinator: fase=expand", 3), ("-- coordinator:", 1)],
)
def test_refuses_a_phase_that_does_not_exist(tool: MigrationTool, comment: str, column: int):
    diagnostics = tool.read(files(tool.name, 1, f"SELECT 1;\n{comment}\n", None)).diagnostics

    assert [(each.code, each.place.column) for each in diagnostics] == [("bad-phase", column)]


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_refuses_two_different_phases(tool: MigrationTool):
    same, other = "-- coordinator: phase=expand\n", "--coordinator: phase = contract\n"

    diagnostics = tool.read(files(tool.name, 1, same + same + other, None)).diagnostics

    assert [each.code for each in diagnostics] == ["bad-phase"]


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_reads_a_folder_in_any_order(tool: MigrationTool):
    shuffled = [
        file for version in (10, 2, 1) for file in files(tool.name, version, "SELECT 1;", "SELECT 2;")
    ]

    migrations = tool.read(shuffled).migrations

    assert [int(each.version) for each in migrations] == [1, 2, 10]
    assert [each.name.rpartition("_")[2] for each in migrations] == ["step"] * 3


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_the_digest_changes_with_any_byte(tool: MigrationTool):
    [one] = tool.read(files(tool.name, 1, "SELECT 1;", "SELECT 2;")).migrations
    [other] = tool.read(files(tool.name, 1, "SELECT 1;", "SELECT 3;")).migrations

    assert one.digest != other.digest


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfSELECT 1;", b"SELECT '\x00';", b"-- gr\xfcn\nSELECT 1;", b"-- a\rSELECT 1;"]
)
def test_refuses_bytes_that_tools_and_engines_read_differently(tool: MigrationTool, content: bytes):
    [file, *_] = files(tool.name, 1, "", None)

    diagnostics = tool.read([SourceFile(file.path, content, "0" * 64)]).diagnostics

    assert [each.code for each in diagnostics] == ["migration-encoding"]
