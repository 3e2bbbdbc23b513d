"""A migration that fails half-way on MariaDB: what is there is told, to the statement; both ways on work."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.applying import apply_migration
from fixtures.local import until
from fixtures.mariadb import ADAPTER, ENGINE

from coordinator import discovery
from coordinator.apply import is_applied, read_ledger, revert_migration
from coordinator.errors import DatabaseError, StepFailed, Waiting
from coordinator.halfway import may_remain
from coordinator.model import Migration, SourceFile
from coordinator.ports.databases import Batch, Session
from coordinator.ports.migrations import MigrationTool
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
PATIENCE = timedelta(seconds=60)
SHORT = timedelta(milliseconds=100)
FIRST = "CREATE TABLE a (x int);\n"


@dataclass(frozen=True)
class Shop:
    """A database, a tool and two migrations: the first is applied."""

    tool: MigrationTool
    session: Session
    migrations: tuple[Migration, ...]

    @property
    def second(self) -> Migration:
        return self.migrations[1]

    def apply(self) -> None:
        self._perform(apply_migration)

    def revert(self) -> None:
        self._perform(revert_migration)

    def fails(self, perform: Callable[[], None]) -> DatabaseError:
        with pytest.raises(DatabaseError) as failure:
            perform()
        return failure.value

    def is_applied(self) -> bool | None:
        return is_applied(self.session, self.tool, self.second, migrations=self.migrations, table=None)

    def send(self, statements: str | Sequence[str]) -> None:
        texts = (statements,) if isinstance(statements, str) else tuple(statements)
        self.session.execute(Batch(texts, transaction=False))

    def columns(self) -> list[str]:
        query = (
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name = 'a' ORDER BY ordinal_position"
        )
        return [str(name) for [name] in self.session.query(query)]

    def _perform(self, perform) -> None:
        perform(
            self.session,
            self.tool,
            self.second,
            migrations=self.migrations,
            table=None,
            lock_timeout=PATIENCE,
        )


def source(name: str, text: str) -> SourceFile:
    content = text.encode()
    return SourceFile(f"migrations/{name}", content, hashlib.sha256(content).hexdigest())


def files_of(tool: str, ups: Sequence[str], down: str) -> list[SourceFile]:
    """Write migrations in the tool's form, with each first statement in line 2."""
    files = []
    for number, up in enumerate(ups, start=1):
        if tool == "goose":
            files.append(source(f"{number}_step.sql", f"-- +goose Up\n{up}-- +goose Down\n{down}"))
        else:
            files.append(source(f"{number}_step.up.sql", f"-- up\n{up}"))
            files.append(source(f"{number}_step.down.sql", f"-- down\n{down}"))
    return files


@pytest.fixture(params=["goose", "golang-migrate"])
def tool(request: pytest.FixtureRequest) -> MigrationTool:
    return discovery.migration_tool(request.param)


@pytest.fixture
def new_shop(tool: MigrationTool, mariadb_url: str) -> Iterator[Callable[..., Shop]]:
    with ADAPTER.connect(Secret(mariadb_url), lock_timeout=SHORT).session(label="test") as session:

        def make(up: str, down: str = "DROP TABLE a;\n") -> Shop:
            read = tool.read(files_of(tool.name, (FIRST, up), down), ENGINE)
            assert read.diagnostics == ()
            shop = Shop(tool, session, read.migrations)
            first = read.migrations[0]
            if not read_ledger(session, tool, session.target(None)).applied:
                apply_migration(
                    session, tool, first, migrations=read.migrations, table=None, lock_timeout=PATIENCE
                )
            return shop

        yield make


def sql_after(word: str, error: DatabaseError) -> list[str]:
    """Return the statements that a message prints after a word."""
    found = re.search(rf"{word}[^`]*`([^`]*(?:`schema_migrations`[^`]*)*)`", error.next_step)
    assert found, error.next_step
    return found[1].split("; ")


BREAKS = (
    "ALTER TABLE a ADD y int;\nALTER TABLE a ADD z int;\nINSERT INTO nowhere VALUES (1);\n"
    "ALTER TABLE a ADD last int;\n"
)


def test_says_which_lines_are_committed_and_from_which_on_nothing_is(new_shop):
    shop = new_shop(BREAKS)

    error = shop.fails(shop.apply)

    path = shop.second.files[0].path
    assert error.code == "half-applied"
    assert error.what.startswith(f"{path}:4: The database refused a statement: Table ")
    assert "for good: line 2 (ALTER TABLE a ADD y int;), line 3 (ALTER TABLE a ADD z int;)." in error.why
    assert error.why.endswith("From line 4 on nothing is.")
    assert shop.columns() == ["x", "y", "z"]


def test_goes_forward_by_hand_and_records_it_with_what_the_message_prints(new_shop):
    shop = new_shop(BREAKS)
    error = shop.fails(shop.apply)

    shop.send("ALTER TABLE a ADD last int")
    shop.send(sql_after("record it", error))

    assert shop.is_applied() is True


def test_goes_back_by_hand_and_runs_the_corrected_file(new_shop):
    shop = new_shop(BREAKS)
    error = shop.fails(shop.apply)

    shop.send("ALTER TABLE a DROP y, DROP z")
    if shop.tool.records_start:
        shop.send(sql_after("what is committed", error))
    shop = new_shop(BREAKS.replace("nowhere VALUES (1)", "a VALUES (1, 2, 3)"))
    shop.apply()

    assert shop.is_applied() is True
    assert shop.columns() == ["x", "y", "z", "last"]


def test_a_failed_way_down_says_the_same(new_shop):
    shop = new_shop("ALTER TABLE a ADD y int;\n", down="ALTER TABLE a DROP y;\nDROP TABLE nowhere;\n")
    shop.apply()

    error = shop.fails(shop.revert)

    assert error.code == "half-applied"
    assert "(ALTER TABLE a DROP y;)" in error.why
    shop.send(sql_after("record it", error))
    assert shop.is_applied() is False


def test_rows_before_the_failure_are_taken_back_where_the_tool_sends_them_alone(new_shop):
    shop = new_shop(
        "ALTER TABLE a ADD y int;\nINSERT INTO a VALUES (1, 2);\nINSERT INTO nowhere VALUES (1);\n"
    )

    error = shop.fails(shop.apply)

    rows = shop.session.query("SELECT * FROM a")
    if shop.tool.name == "goose":
        assert (error.why.endswith("From line 3 on nothing is."), rows) == (True, [])
    else:
        assert (error.why.endswith("From line 4 on nothing is."), rows) == (True, [(1, 2)])


def test_says_nothing_of_what_it_cannot_count(new_shop):
    own = "START TRANSACTION;\nINSERT INTO a VALUES (1);\nCOMMIT;\nDROP TABLE nowhere;\n"
    shop = new_shop("-- +goose NO TRANSACTION\n" + own)

    error = shop.fails(shop.apply)

    assert error.code == "statement-failed"
    assert "what stood before the failure stays" in error.why


def test_a_file_that_fails_at_its_first_statement_leaves_nothing_to_tell(new_shop):
    shop = new_shop("DROP TABLE nowhere;\nALTER TABLE a ADD y int;\n")

    error = shop.fails(shop.apply)

    assert error.code == "statement-failed"
    assert shop.columns() == ["x"]


REFUSED = {
    "alter": "ALTER TABLE a MODIFY x int NOT NULL;\n",
    "index": "CREATE UNIQUE INDEX a_x ON a (x, (1/0));\n",
    "with more behind it": "ALTER TABLE a ADD y int, ADD x int;\nINSERT INTO a VALUES (1, 2);\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_a_change_of_one_table_that_was_refused_first_leaves_no_mark(new_shop, text: str):
    shop = new_shop(text)
    shop.send("INSERT INTO a VALUES (NULL)")

    error = shop.fails(shop.apply)

    assert error.code == "statement-failed"
    assert "stays" not in error.why
    assert (shop.is_applied(), shop.columns()) == (False, ["x"])


def test_a_file_that_was_refused_at_its_start_is_applied_when_the_cause_is_gone(new_shop):
    shop = new_shop("ALTER TABLE a MODIFY x int NOT NULL;\nALTER TABLE a ADD y int;\n")
    shop.send("INSERT INTO a VALUES (NULL)")
    shop.fails(shop.apply)

    shop.send("DELETE FROM a")
    shop.apply()

    assert (shop.is_applied(), shop.columns()) == (True, ["x", "y"])


@pytest.mark.parametrize("text", ["DROP TABLE a, nowhere;\n", "CREATE OR REPLACE TABLE a AS SELECT 1 / z;\n"])
def test_what_may_have_happened_in_part_keeps_the_mark_of_the_tool(new_shop, text: str):
    shop = new_shop(text)

    error = shop.fails(shop.apply)

    assert error.code == "statement-failed"
    assert shop.is_applied() is (None if shop.tool.name == "golang-migrate" else False)


def test_a_busy_table_leaves_no_mark_and_the_step_may_be_tried_again(new_shop, mariadb_url: str):
    shop = new_shop("ALTER TABLE a ADD y int;\n")
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with ADAPTER.connect(Secret(mariadb_url), lock_timeout=PATIENCE).session(label="holder") as holder:
            holder._connection.query("LOCK TABLE a WRITE")
            is_held.set()
            is_over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_held.wait(60)
        error = shop.fails(shop.apply)
    finally:
        is_over.set()
        thread.join()

    assert (error.code, error.is_busy) == ("lock-timeout", True)
    assert shop.is_applied() is False
    shop.apply()
    assert shop.columns() == ["x", "y"]


@contextmanager
def reading(url: str, table: str) -> Iterator[None]:
    """Let a transaction that has read a table stay open: whoever changes its schema waits."""
    with ADAPTER.connect(Secret(url), lock_timeout=PATIENCE).session(label="reader") as reader:
        reader._send("START TRANSACTION")
        reader._send(f"SELECT * FROM {table}")
        yield


def test_rows_before_a_change_that_is_refused_a_busy_table_are_known_to_be_committed(new_shop, mariadb_url):
    """The server commits what stood before such a statement, and only then waits for the table."""
    shop = new_shop("INSERT INTO b VALUES (5);\nALTER TABLE a ADD y int;\n")
    shop.send("CREATE TABLE b (n int)")

    with reading(mariadb_url, "a"):
        error = shop.fails(shop.apply)

    assert shop.session.query("SELECT n FROM b") == [(5,)]
    assert (error.code, error.is_busy) == ("half-applied", False)
    assert ".sql:3: " in error.what


ENDLESS = "CREATE TABLE b AS SELECT SLEEP(600) AS slept;\n"
AT_WORK = """
SELECT id FROM information_schema.processlist
WHERE info LIKE '%CREATE TABLE b AS%SLEEP(600)%' AND db = DATABASE() AND id <> CONNECTION_ID()
"""


def test_a_lost_connection_says_what_is_there_and_what_was_under_way(new_shop, mariadb_url: str):
    shop = new_shop(f"ALTER TABLE a ADD y int;\n{ENDLESS}")

    def end_it() -> None:
        with ADAPTER.connect(Secret(mariadb_url), lock_timeout=PATIENCE).session(label="other") as other:
            until(lambda: other.query(AT_WORK), seconds=PATIENCE.total_seconds())
            [[process]] = other.query(AT_WORK)
            other.execute(Batch((f"KILL {process}",), transaction=False))

    thread = threading.Thread(target=end_it)
    thread.start()
    error = shop.fails(shop.apply)
    thread.join()

    assert (error.code, error.ambiguous) == ("half-applied", True)
    assert "The connection to the database was lost" in error.what
    assert "line 2 (ALTER TABLE a ADD y int;)" in error.why
    assert "From line 3 on nothing is, but for the first statement there: it was under way" in error.why


TESTS = Path(__file__).parents[1]
CHILD = """
import sys
from datetime import timedelta
from coordinator import discovery
from coordinator.adapters.databases import KIND as adapter
from fixtures.applying import apply_migration
from coordinator.model import Engine, SourceFile
from coordinator.secret import Secret

url, tool, *files = sys.stdin.read().split("|")
tool = discovery.migration_tool(tool)
pairs = zip(files[::2], files[1::2])
files = [SourceFile(name, text.encode(), "0") for name, text in pairs]
migrations = tool.read(files, Engine("KIND")).migrations
limit = timedelta(seconds=60)
with adapter.connect(Secret(url), lock_timeout=limit).session(label="doomed") as session:
    apply_migration(session, tool, migrations[1], migrations=migrations, table=None, lock_timeout=limit)
"""


def as_input(file: SourceFile) -> str:
    return f"{file.path}|{file.content.decode()}"


def test_a_killed_coordinator_leaves_a_doubt_and_its_lock_until_the_server_is_done(
    new_shop, mariadb_url: str
):
    shop = new_shop(f"ALTER TABLE a ADD y int;\n{ENDLESS}")
    files = [file for each in shop.migrations for file in each.files]

    with subprocess.Popen(
        [sys.executable, "-c", CHILD.replace("KIND", ENGINE)], stdin=subprocess.PIPE, text=True, cwd=TESTS
    ) as child:
        assert child.stdin is not None
        child.stdin.write("|".join([mariadb_url, shop.tool.name, *map(as_input, files)]))
        child.stdin.close()
        until(lambda: shop.session.query(AT_WORK), seconds=PATIENCE.total_seconds())
        child.kill()

    [[orphan]] = shop.session.query(AT_WORK)
    with pytest.raises(Waiting, match="holds the migration lock") as held:
        apply_migration(
            shop.session, shop.tool, shop.second, migrations=shop.migrations, table=None, lock_timeout=SHORT
        )
    assert f"process {orphan} (" in str(held.value)
    shop.send(f"KILL {orphan}")

    with shop.session.locked(shop.tool.lock_ids(shop.session.target(None)), timeout=PATIENCE):
        assert shop.is_applied() is (None if shop.tool.records_start else False)
    assert may_remain(shop.second.up, ENGINE)
    assert shop.columns() == ["x", "y"]
    if shop.tool.records_start:
        with pytest.raises(StepFailed, match="stopped half-way"):
            shop.apply()


def test_rows_alone_can_be_taken_back_and_leave_no_doubt(new_shop):
    shop = new_shop("INSERT INTO a VALUES (1);\nINSERT INTO nowhere VALUES (1);\n")

    error = shop.fails(shop.apply)

    assert error.code == "statement-failed"
    assert not may_remain(shop.second.up, ENGINE)
    assert shop.session.query("SELECT * FROM a") == []
    assert shop.is_applied() is False
