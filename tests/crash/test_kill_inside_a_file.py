"""A file that is not one transaction, killed before each text that is sent: what is told is true, and the
release goes on at the right statement, by itself where that is certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.doomed import APPLY, Doom, context_of
from fixtures.mariadb import ADAPTER, ENGINE

from coordinator.adapters.databases import postgresql, sqlite
from coordinator.applied import TABLE
from coordinator.errors import DatabaseError, InDoubt
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Session
from coordinator.secret import Secret
from coordinator.steps import Observation
from coordinator.steps.apply import STEP
from coordinator.world import Seen

ADAPTERS = {Engine.POSTGRESQL: postgresql, Engine.SQLITE: sqlite, ENGINE: ADAPTER}
BUSY = timedelta(seconds=20)
MOST = 100
"""More texts than any of these files needs."""

CREATE = "CREATE TABLE a (x int);"
ROW = "INSERT INTO a (x) VALUES (1);"
COLUMN = "ALTER TABLE a ADD COLUMN y int;"
MORE = "INSERT INTO a (x) VALUES (2);"
INDEX = "CREATE INDEX CONCURRENTLY a_x ON a (x);"
SETTING = "SET lock_timeout = '3s';"
EFFECTS = {
    CREATE: "SELECT 1 = 1 OR count(*) > 0 FROM a",
    ROW: "SELECT count(*) = 1 FROM a WHERE x = 1",
    COLUMN: "SELECT 1 = 1 OR count(y) > 0 FROM a",
    MORE: "SELECT count(*) = 1 FROM a WHERE x = 2",
    INDEX: "SELECT count(*) = 1 FROM pg_indexes WHERE indexname = 'a_x'",
}
"""How it is seen that a statement ran; a failure says that it did not."""
CASES = [
    pytest.param("goose", Engine.POSTGRESQL, (CREATE, SETTING, INDEX, ROW), id="goose postgresql"),
    pytest.param("goose", Engine.SQLITE, (CREATE, ROW, COLUMN, MORE), id="goose sqlite"),
    *(
        pytest.param(
            tool, ENGINE, (CREATE, ROW, COLUMN, MORE), id=f"{tool} {ENGINE}", marks=pytest.mark.mariadb
        )
        for tool in ("goose", "golang-migrate")
    ),
]


class Shop:
    """A database, and what a person sees in it."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def has(self, query: str) -> bool:
        with suppress(DatabaseError):
            return bool(self.session.query(query)[0][0])
        return False

    def empty(self) -> None:
        for table in ("a", "goose_db_version", "schema_migrations", "coordinator_applied"):
            self.session.execute(Batch((f"DROP TABLE IF EXISTS {table}",), transaction=True))


@contextmanager
def opened(engine: Engine, url: str) -> Iterator[Shop]:
    with ADAPTERS[engine].connect(Secret(url), lock_timeout=BUSY).session(label="test") as session:
        yield Shop(session)


def write(folder: Path, tool: str, engine: Engine, statements: tuple[str, ...]) -> dict[int, str]:
    """Write a plan with one migration, a statement a line; return them by their lines."""
    (folder / "migrations").mkdir()
    (folder / "plan.yaml").write_text(
        "version: 1\nrelease: shop-1\ndatabases:\n"
        f"  shop: {{engine: {engine}, url: 'env:URL', migrations: {{tool: {tool}, dir: migrations}}}}\n"
    )
    head = {"goose": ["-- +goose Up"], "golang-migrate": ["-- up"]}[tool]
    if tool == "goose" and engine is not ENGINE:
        head.insert(0, "-- +goose NO TRANSACTION")
    name = "1_step.sql" if tool == "goose" else "1_step.up.sql"
    (folder / "migrations" / name).write_text("\n".join((*head, *statements)) + "\n")
    return dict(enumerate(statements, start=len(head) + 1))


def lines_in(pattern: str, text: str) -> list[int]:
    return [int(line) for line in re.findall(pattern, text)]


def line_to_go_on(seen: Observation, shop: Shop, statements: dict[int, str]) -> int:
    """Do as the message says, after its claims were held against the database."""
    if "may have stopped half-way" in seen.detail:
        assert not shop.has(EFFECTS[CREATE])
        assert not shop.has(
            f"SELECT 1 = 1 OR count(*) > 0 FROM {TABLE}"
        )  # it dies before the first table for marks is made
        return 0
    there, _, rest = seen.detail.partition("Behind line")
    claimed = lines_in(r"line (\d+) \(", there.partition("There for good:")[2])
    [cut_off] = lines_in(r"was cut off at line (\d+)", seen.detail)
    assert claimed == [line for line in statements if line < cut_off]
    for line, statement in statements.items():
        if statement in EFFECTS and line != cut_off:
            assert shop.has(EFFECTS[statement]) is (line < cut_off), (statement, seen.detail)
    is_there = shop.has(EFFECTS[statements[cut_off]])
    word = "It is:" if is_there else "It is not:"
    [line] = lines_in(rf"{word} `\S+ settle \S+ --as not-done --from-line (\d+)`", rest)
    return line


def url_of(engine: Engine, request: pytest.FixtureRequest, folder: Path) -> str:
    """Return the address of a new database."""
    fixtures = {Engine.POSTGRESQL: "database_url", ENGINE: "mariadb_url"}
    return request.getfixturevalue(fixtures[engine]) if engine in fixtures else f"sqlite://{folder}/shop.db"


@pytest.mark.parametrize(("tool", "engine", "statements"), CASES)
def test_a_file_killed_at_any_text_is_told_to_the_statement_and_gone_on_with(
    tool: str,
    engine: Engine,
    statements: tuple[str, ...],
    *,
    request: pytest.FixtureRequest,
    tmp_path: Path,
):
    url = url_of(engine, request, tmp_path)
    lines = write(tmp_path, tool, engine, statements)
    rows = sum(each in (ROW, MORE) for each in statements)
    ends: list[str] = []
    with opened(engine, url) as shop, closing(Doom()) as doom:
        for die_before in range(1, MOST):
            if not doom.apply_and_die(tmp_path, url, die_before):
                break
            seen = STEP.observe(APPLY, context_of(tmp_path, url, in_doubt=True))
            line = line_to_go_on(seen, shop, lines) if seen.seen is Seen.UNKNOWN else None
            ends.append(seen.seen if line is None else "asked")
            if seen.seen is not Seen.DONE:
                STEP.perform(APPLY, context_of(tmp_path, url, from_line=line))

            assert STEP.observe(APPLY, context_of(tmp_path, url)).seen is Seen.DONE
            assert shop.has(f"SELECT count(*) = {rows} FROM a"), die_before
            assert all(shop.has(effect) for statement, effect in EFFECTS.items() if statement in statements)
            shop.empty()

    assert die_before < MOST - 1
    assert {"asked", Seen.NOT_DONE} <= set(ends)
    assert ends[-1] in (Seen.DONE, Seen.NOT_DONE)  # all ran, or are recorded


@pytest.mark.parametrize(("tool", "engine", "statements"), CASES)
def test_a_line_behind_the_file_is_no_line_to_go_on_at_and_records_nothing(
    tool: str,
    engine: Engine,
    statements: tuple[str, ...],
    *,
    request: pytest.FixtureRequest,
    tmp_path: Path,
):
    url = url_of(engine, request, tmp_path)
    behind = max(write(tmp_path, tool, engine, statements)) + 1

    with pytest.raises(InDoubt) as caught:
        STEP.perform(APPLY, context_of(tmp_path, url, from_line=behind + 1))

    assert caught.value.code == "line-behind-file"
    assert STEP.observe(APPLY, context_of(tmp_path, url)).seen is Seen.NOT_DONE
    STEP.perform(APPLY, context_of(tmp_path, url, from_line=behind))  # all of it ran, says who settled it
    assert STEP.observe(APPLY, context_of(tmp_path, url)).seen is Seen.DONE
