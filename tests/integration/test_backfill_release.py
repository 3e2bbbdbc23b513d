"""A release with a backfill, from the plan to its end: rehearsed, proven or refused, done, and waited for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from fixtures.audience import Audience
from fixtures.backfilling import Items
from fixtures.mariadb import ENGINE

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place
from coordinator.app.planning import plan_release
from coordinator.app.running import Ended, Runner
from coordinator.diagnostics import Diagnostic
from coordinator.errors import ExitCode, PlanInvalid, Refused
from coordinator.evidence import Verdict
from coordinator.journal.events import Outcome
from coordinator.load import load_plan
from coordinator.model import Engine
from coordinator.prove import Proof, risks
from coordinator.report.standing import what_stands_where

PLAN = """\
version: 1
release: shop-2
databases:
  shop:
    engine: {engine}
    url: env:URL
    migrations: {{tool: goose, dir: migrations}}
    backfills:
      - name: cents
        after: 3_cents
        table: orders
        key: id
        sql: UPDATE orders SET cents = total * 100 WHERE {{range}}
        remaining: SELECT count(*) FROM orders WHERE cents IS NULL
"""
SERVICE = """services:
  api: {version: "2", uses: [shop], queries: {sql: queries}, platform: {local: {command: [none]}}}
"""
BASE = "CREATE TABLE orders (id integer NOT NULL PRIMARY KEY, total integer NOT NULL, note varchar(500))"
LESS = "ALTER TABLE orders DROP COLUMN total"
ROWS = 2500


@dataclass
class Shop:
    folder: Path
    engine: str
    url: str
    audience: Audience = field(default_factory=Audience)

    def write(self, *, contract: str = LESS, more: str = "", **replaced: str) -> None:
        text = PLAN.format(engine=self.engine)
        for key, value in replaced.items():
            old = next(line for line in text.splitlines() if f" {key}: " in line)
            text = text.replace(old, f"{old.partition(':')[0]}: {value}")
        (self.folder / "plan.yaml").write_text(text + more)
        self._add("3_cents", "expand", "ALTER TABLE orders ADD COLUMN cents integer")
        self._add("4_less", "contract", contract)

    def _add(self, name: str, phase: str, sql: str) -> None:
        text = f"-- +goose Up\n-- coordinator: phase={phase}\n{sql};\n"
        (self.folder / "migrations" / f"{name}.sql").write_text(text)

    def begin(self) -> None:
        """Release the table with its rows, before there is a backfill."""
        into = "INTO orders (id, total)"
        counted = (
            f"WITH RECURSIVE t (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < {ROWS}) SELECT i, i"
        )
        rows = {
            Engine.MARIADB: f"INSERT {into} SELECT seq, seq FROM seq_1_to_{ROWS}",
            Engine.MYSQL: f"INSERT /*+ SET_VAR(cte_max_recursion_depth = {ROWS}) */ {into} {counted} FROM t",
        }.get(Engine(self.engine), f"INSERT {into} {counted} FROM t")
        (self.folder / "migrations").mkdir()
        (self.folder / "plan.yaml").write_text(PLAN.format(engine=self.engine).partition("    backfills")[0])
        self._add("1_base", "expand", BASE)
        self._add("2_rows", "migrate", rows)
        assert self.run().exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    @property
    def ports(self) -> ConnectedPorts:
        environment = {"URL": self.url}
        plan = load_plan(self.folder / "plan.yaml", settings={}, environment=environment)
        return ConnectedPorts(plan, environment=environment)

    def plan(self) -> tuple[Proof, tuple[Diagnostic, ...]]:
        return plan_release(self.ports, step_kinds())

    def run(self, *, accept_unproven: bool = False) -> Ended:
        runner = Runner(
            place=Place(self.folder / "plan.yaml"),
            ports=self.ports,
            settings={},
            kinds=step_kinds(),
            audience=self.audience,
            is_stopping=lambda: False,
        )
        return runner.run_release(supersede=False, show=lambda *_: None, accept_unproven=accept_unproven)

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        if self.engine == "sqlite":
            with closing(sqlite3.connect(self.url.removeprefix("sqlite://"), isolation_level=None)) as file:
                return file.execute(sql).fetchall()
        if Engine(self.engine).speaks_mysql:
            return Items(ENGINE, self.url).query(sql)
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path, "sqlite", f"sqlite://{tmp_path}/shop.db")
    made.begin()
    return made


@pytest.fixture
def postgresql_shop(tmp_path: Path, database_url: str) -> Shop:
    made = Shop(tmp_path, "postgresql", database_url)
    made.begin()
    return made


@pytest.fixture
def mariadb_shop(tmp_path: Path, mariadb_url: str) -> Shop:
    made = Shop(tmp_path, ENGINE.value, mariadb_url)
    made.begin()
    return made


@pytest.fixture(params=["shop", "postgresql_shop", pytest.param("mariadb_shop", marks=pytest.mark.mariadb)])
def any_shop(request: pytest.FixtureRequest) -> Shop:
    return request.getfixturevalue(request.param)


def test_a_release_with_a_backfill_is_proven_and_released_and_then_there_is_nothing_to_do(
    any_shop: Shop,
) -> None:
    any_shop.write()

    proof, warnings = any_shop.plan()
    ended = any_shop.run()

    assert (warnings, proof.diagnostics, risks(proof)) == ((), (), ())
    assert proof.evidence.backfills["shop", "cents"].verdict is Verdict.PROVEN  # type: ignore[index]
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE, ended.problems
    assert any_shop.execute("SELECT count(*), sum(cents) FROM orders") == [
        (ROWS, 100 * ROWS * (ROWS + 1) // 2)
    ]
    assert ended.state is not None
    assert list(what_stands_where(ended.state)) == ["database shop: 2 of 2 migrations applied"]
    assert any_shop.audience.progressed[0].step == "backfill:shop:cents"
    assert any_shop.audience.progressed[-1].passed > 0
    assert any_shop.run().state is None


SETS_NOT_NULL = {
    Engine.POSTGRESQL: "ALTER TABLE orders ALTER COLUMN cents SET NOT NULL",
    Engine.SQLITE: "CREATE TABLE other (id integer NOT NULL PRIMARY KEY, total integer NOT NULL,"
    " note varchar(500), cents integer NOT NULL); INSERT INTO other SELECT * FROM orders;"
    " DROP TABLE orders; ALTER TABLE other RENAME TO orders",
    ENGINE: "ALTER TABLE orders MODIFY cents integer NOT NULL",
}


def test_a_column_that_is_not_null_when_its_backfill_is_complete_is_proven_and_released(
    any_shop: Shop,
) -> None:
    any_shop.write(contract=SETS_NOT_NULL[Engine(any_shop.engine)])

    proof, warnings = any_shop.plan()
    ended = any_shop.run()

    assert (warnings, proof.diagnostics, risks(proof)) == ((), (), ())
    assert proof.evidence.backfills["shop", "cents"].verdict is Verdict.PROVEN  # type: ignore[index]
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE, ended.problems


def test_a_migration_that_fails_on_undone_rows_and_does_not_wait_for_them_is_unproven(
    postgresql_shop: Shop,
) -> None:
    postgresql_shop.write()
    postgresql_shop._add("4_less", "expand", SETS_NOT_NULL[Engine.POSTGRESQL])
    plan = postgresql_shop.folder / "plan.yaml"

    before, _ = postgresql_shop.plan()
    plan.write_text(plan.read_text() + "        before: 4_less\n")
    after, _ = postgresql_shop.plan()

    [risk] = risks(before)
    assert "`4_less` fails where rows are left to be done, and does not wait for it" in risk.why
    assert (risks(after), after.diagnostics) == ((), ())


def test_a_release_with_a_backfill_in_several_sessions_is_proven_where_its_batches_share_nothing(
    postgresql_shop: Shop,
) -> None:
    postgresql_shop.write()
    plan = postgresql_shop.folder / "plan.yaml"
    plan.write_text(plan.read_text() + "        sessions: 2\n")

    proof, _ = postgresql_shop.plan()
    ended = postgresql_shop.run()

    assert (proof.diagnostics, risks(proof)) == ((), ())
    assert proof.evidence.backfills["shop", "cents"].verdict is Verdict.PROVEN  # type: ignore[index]
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE, ended.problems
    assert postgresql_shop.execute("SELECT count(*), sum(cents) FROM orders") == [
        (ROWS, 50 * ROWS * (ROWS + 1))
    ]


def test_a_release_whose_batches_may_read_of_each_other_is_unproven_and_released_where_that_is_accepted(
    postgresql_shop: Shop,
) -> None:
    sql = "UPDATE orders SET cents = (SELECT total FROM orders o WHERE o.id = orders.id) * 100 WHERE {range}"
    postgresql_shop.write(sql=f'"{sql}"')
    plan = postgresql_shop.folder / "plan.yaml"
    plan.write_text(plan.read_text() + "        sessions: 2\n")

    proof, _ = postgresql_shop.plan()
    with pytest.raises(Refused) as refused:
        postgresql_shop.run()
    ended = postgresql_shop.run(accept_unproven=True)

    [risk] = risks(proof)
    assert "2 are under way at once: it reads its table more than once" in risk.why
    assert [each.code for each in refused.value.diagnostics] == ["unproven"]
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE, ended.problems
    assert postgresql_shop.execute("SELECT count(*), sum(cents) FROM orders") == [
        (ROWS, 50 * ROWS * (ROWS + 1))
    ]


PROGRAM = """
import os, sqlite3, sys
with sqlite3.connect(os.environ["URL"].removeprefix("sqlite://")) as connection:
    done = connection.execute(f"UPDATE orders SET cents = total * 100 WHERE {sys.argv[1]}").rowcount
print("cents of", done, "orders")
"""


def write_with_program(shop: Shop, *more: str) -> None:
    """Write the project with a program in place of the SQL; `more` are further lines of its backfill."""
    shop.write()
    (shop.folder / "fill.py").write_text(PROGRAM)
    plan = shop.folder / "plan.yaml"
    [sql] = [line for line in plan.read_text().splitlines() if " sql: " in line]
    lines = ('command: [python, fill.py, "{range}"]', *more)
    plan.write_text(plan.read_text().replace(sql, "\n".join(f"        {each}" for each in lines)))


def test_a_release_whose_backfill_is_a_program_is_unproven_and_released_where_that_is_accepted(
    shop: Shop,
) -> None:
    write_with_program(shop)

    proof, _ = shop.plan()
    with pytest.raises(Refused) as refused:
        shop.run()
    rows_then = shop.execute("SELECT count(*) FROM pragma_table_info('orders') WHERE name = 'cents'")
    ended = shop.run(accept_unproven=True)

    [risk] = risks(proof)
    assert "nothing says that it may work on a scratch database (`rehearse: true`)" in risk.why
    assert [each.code for each in refused.value.diagnostics] == ["unproven"]
    assert rows_then == [(0,)], "nothing was done"
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE, ended.problems
    assert shop.execute("SELECT count(*), sum(cents) FROM orders") == [(ROWS, 50 * ROWS * (ROWS + 1))]


def test_a_release_whose_backfill_is_a_program_that_is_rehearsed_is_released_without_a_word(
    shop: Shop,
) -> None:
    write_with_program(shop, "rehearse: true", "before: 4_less")

    proof, _ = shop.plan()
    rows_then = shop.execute("SELECT count(*) FROM pragma_table_info('orders') WHERE name = 'cents'")
    ended = shop.run()

    assert (proof.diagnostics, risks(proof)) == ((), ())
    assert rows_then == [(0,)], "nothing was done"
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE, ended.problems
    assert shop.execute("SELECT count(*), sum(cents) FROM orders") == [(ROWS, 50 * ROWS * (ROWS + 1))]


def test_a_program_that_is_not_there_is_missed_before_anything_runs(shop: Shop) -> None:
    shop.write()
    plan = shop.folder / "plan.yaml"
    [sql] = [line for line in plan.read_text().splitlines() if " sql: " in line]
    plan.write_text(plan.read_text().replace(sql, '        command: [./fill, "{range}"]'))

    with pytest.raises(PlanInvalid) as caught:
        shop.plan()

    assert [each.code for each in caught.value.diagnostics] == ["program-missing"]


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"sql": "UPDATE orders SET pence = total WHERE {range}"}, "pence"),
        ({"remaining": "SELECT count(*) FROM orders WHERE pence IS NULL"}, "pence"),
        ({"key": "total"}, "no unique index"),
        ({"table": "order"}, "`order`, which is not there"),
    ],
)
def test_what_the_engine_refuses_is_refused_with_its_words_before_anything_runs(
    shop: Shop, replaced: dict[str, str], said: str
) -> None:
    shop.write(**replaced)

    proof, _ = shop.plan()

    assert [each.code for each in proof.diagnostics] == ["backfill-breaks"]
    assert said in proof.diagnostics[0].what
    assert proof.verdict is Verdict.BROKEN


@pytest.mark.parametrize("name", ["shop", "postgresql_shop"])
def test_one_whose_batches_read_a_large_table_is_a_hazard_and_no_break(
    request: pytest.FixtureRequest, name: str
) -> None:
    shop: Shop = request.getfixturevalue(name)

    def hazards_of(sql: str) -> list[str]:
        shop.write(sql=sql)
        proof, _ = shop.plan()
        assert proof.diagnostics == ()
        hazards = proof.evidence.rehearsals["shop"].hazards  # type: ignore[index]
        return [f"{each.place.line} {each.code}" for each in hazards if "batch" in each.code]

    reading = "UPDATE orders SET cents = total * 100 WHERE {range} OR total < 0"
    while_small = hazards_of(reading)
    shop.execute(f"UPDATE orders SET note = '{'a note ' * 70}'")

    assert while_small == []
    assert hazards_of(reading) == ["9 batch-scans-table"]
    assert hazards_of("UPDATE orders SET cents = total * 100 WHERE {range}") == []


def test_one_that_says_it_is_repeatable_and_is_not_is_refused(shop: Shop) -> None:
    shop.write(
        sql="UPDATE orders SET cents = coalesce(cents, 0) + 1 WHERE {range}",
        more="        repeatable: true\n",
    )
    lying, _ = shop.plan()
    shop.write(
        sql="UPDATE orders SET cents = 1 WHERE {range} AND cents IS NULL", more="        repeatable: true\n"
    )
    honest, _ = shop.plan()

    assert "changes rows again" in lying.diagnostics[0].what
    assert honest.diagnostics == ()


def test_one_whose_column_goes_away_while_it_may_run_is_refused_at_that_state(shop: Shop) -> None:
    shop.write(contract="DROP TABLE orders")
    (shop.folder / "migrations" / "4_less.sql").write_text(
        "-- +goose Up\n-- coordinator: phase=expand\nALTER TABLE orders RENAME COLUMN total TO price;\n"
    )

    proof, _ = shop.plan()

    assert [each.code for each in proof.diagnostics] == ["backfill-breaks"]
    assert "at state 2" in proof.diagnostics[0].what


def test_one_that_cannot_complete_on_the_sample_rows_is_unproven(shop: Shop) -> None:
    shop.write(sql="UPDATE orders SET cents = total WHERE {range} AND total > 1000000000")

    proof, _ = shop.plan()

    assert proof.verdict is Verdict.UNPROVEN
    assert "does not complete" in risks(proof)[0].why


@pytest.mark.parametrize("waits", ["contract", "switch"])
def test_a_version_that_would_see_rows_that_are_not_done_is_unproven_unless_it_starts_later(
    shop: Shop, waits: str
) -> None:
    shop.write(more=f"        before: {waits}\n" + SERVICE)
    (shop.folder / "queries").mkdir()
    (shop.folder / "queries" / "2.sql").write_text("SELECT cents FROM orders ORDER BY id;\n")

    proof, _ = shop.plan()

    assert proof.diagnostics == (), "on the first release the drop is no contract, and waits all the same"
    told = [each.why for each in risks(proof) if "until it is complete" in each.why]
    assert len(told) == (waits == "contract")
    assert proof.evidence.backfills["shop", "cents"].verdict is (  # type: ignore[index]
        Verdict.UNPROVEN if told else Verdict.PROVEN
    )


def test_one_that_contract_waits_for_cannot_begin_after_contract(shop: Shop) -> None:
    shop.write(after="4_less")

    with pytest.raises(PlanInvalid) as caught:
        shop.plan()

    assert [each.code for each in caught.value.diagnostics] == ["backfill-order"]


def test_what_is_wrong_with_one_whose_migration_is_applied_is_said_at_its_line(shop: Shop) -> None:
    shop.write()
    shop.run()
    shop.write(table="order")

    with pytest.raises(PlanInvalid) as caught:
        shop.plan()

    assert [(each.code, each.place.line) for each in caught.value.diagnostics] == [("backfill-changed", 9)]


def test_contract_waits_for_a_row_that_came_since_and_goes_on_when_it_is_mended(shop: Shop) -> None:
    shop.write()
    shop.audience.acts["complete:shop:cents"] = once(
        lambda: shop.execute("INSERT INTO orders (id, total) VALUES (-1, 5), (9999, 7)")
    )

    waiting = shop.run()
    behind = shop.execute("SELECT cents FROM orders WHERE id = 9999")
    applied = shop.execute("SELECT max(version_id) FROM goose_db_version")
    shop.execute("UPDATE orders SET cents = 500 WHERE id = -1")
    ended = shop.run()

    assert waiting.exit_code(wanted=Outcome.RELEASED) is ExitCode.WAITING
    assert [each.code for each in waiting.problems] == ["backfill-incomplete"]
    assert behind == [(700,)], "a row behind the cursor is done at the gate"
    assert applied == [(3,)]
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE


def once(act: Callable[[], object]) -> Callable[[], object]:
    acts = [act]
    return lambda: acts.pop()() if acts else None
