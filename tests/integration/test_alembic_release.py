"""Alembic's revisions are applied by Alembic, with the user's env.py, on the database of the plan alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from fixtures.alembic_project import (
    ENV,
    INI,
    LINE,
    SHOP,
    apply_next,
    heads,
    plan_in,
    revision,
    rows,
    write_project,
)
from fixtures.audience import Audience
from fixtures.code_release import release
from fixtures.local import until

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.errors import ExitCode, StepFailed
from coordinator.journal.events import Outcome
from coordinator.load import load_plan
from coordinator.model import Role, ServiceName


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("database_url")
    return f"sqlite:///{tmp_path}/shop.db"


EXPAND = "coordinator: phase=expand"


def done(ended) -> bool:
    return ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE


def test_a_release_applies_revision_by_revision(url: str, tmp_path: Path):
    ports = plan_in(write_project(tmp_path, LINE), url)
    audience = Audience()

    ended = release(ports, audience)

    assert done(ended)
    told = [each.detail for step, each in ended.state.steps.items() if step.startswith("expand:")]
    assert told == [f"state {at}: Alembic has applied it" for at in (1, 2, 3)]
    assert heads(ports) == {"c3"}
    assert rows(ports, "SELECT * FROM item") == [(1, "100%; one", None)]
    assert any("Running upgrade a1 -> b2" in each for each in audience.notes)


@pytest.mark.parametrize("names_driver", [True, False])
def test_an_address_as_env_py_has_it_is_taken_and_reaches_env_py_unchanged(
    url: str, tmp_path: Path, names_driver: bool
):
    scheme, _, rest = url.partition("://")
    driver = "+psycopg" if scheme == "postgresql" else "+pysqlite"
    written = f"{scheme}{driver if names_driver else ''}://{rest}"
    told = 'import os\nprint("told", os.environ["SHOP_URL"].partition("://")[0])\n'
    ports = plan_in(write_project(tmp_path, LINE, env=told + ENV), written)
    audience = Audience()

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)
    ended = release(ports, audience)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert (rehearsal.is_whole, done(ended), heads(ports)) == (True, True, {"c3"})
    told_of = {each.rpartition("told ")[2] for each in audience.notes if "told " in each}
    assert told_of == {written.partition("://")[0]}


def test_three_slashes_are_a_file_of_the_current_folder_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    ports = plan_in(write_project(tmp_path, LINE), "sqlite:///shop.db")

    assert done(release(ports))

    assert heads(ports) == {"c3"}
    assert (tmp_path / "here" / "shop.db").exists()


def test_a_failed_revision_leaves_the_ones_before_it(url: str, tmp_path: Path):
    broken = revision("d4", "c3", up='op.execute("SELECT nothing FROM nowhere")', said=EXPAND)
    ports, audience = plan_in(write_project(tmp_path, {**LINE, **broken}), url), Audience()

    ended = release(ports, audience)

    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED
    [failed] = audience.failed
    assert re.search(r"exit code 1; it said: \w+: .*nowhere", failed.reason)
    frames = [Path(note.split('"')[1]).name for note in audience.notes if ' File "' in note]
    assert (frames[-1], set(frames)) == ("d4.py", {"env.py", "d4.py"})
    assert ("nothing of it is there" in failed.reason) is url.startswith("postgresql")
    assert heads(ports) == {"c3"}


def test_an_env_that_exits_or_goes_elsewhere_changes_nothing(url: str, tmp_path: Path):
    elsewhere = tmp_path / "other.db"
    other = f"config.set_main_option('sqlalchemy.url', 'sqlite:///{elsewhere}')\n"
    env = ENV.replace("target_metadata = None", other)
    first = revision("a1", up='op.execute("CREATE TABLE item (id integer)")', said=EXPAND)
    ports = plan_in(write_project(tmp_path, first, env=env), url)
    audience = Audience()

    assert not done(release(ports, audience))

    [failed] = audience.failed
    assert "another database than the one that it was told" in failed.reason
    assert not elsewhere.exists() or elsewhere.stat().st_size == 0


def warned(diagnostics) -> list[str]:
    return [each.what for each in diagnostics if each.code == "migration-sql-unknown"]


READS = """\
for [x] in op.get_bind().execute(sa.text("SELECT 1")):
    op.add_column("item", sa.Column("seen", sa.Text))"""
INDEX = 'op.create_index("item_name", "item", ["name"])'


def test_statements_are_rehearsed_one_by_one_and_what_asks_is_run_as_a_whole(
    database_url: str, tmp_path: Path
):
    files = {
        **LINE,
        **revision("d4", "c3", up=READS, said=EXPAND),
        **revision("e5", "d4", up=INDEX),
        **revision("f6", "e5", up='op.execute("UPDATE item SET seen = 1")'),
    }
    ports = plan_in(write_project(tmp_path, files), database_url)
    for version in ("a1", "b2"):
        apply_next(ports, version)

    proof, diagnostics = plan_release(ports, step_kinds(), watches_statements=True)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert rehearsal.is_whole
    assert ["d4" in each and "get_bind" in each for each in warned(diagnostics)] == [True]
    [index] = [each for each in rehearsal.statements if each.statement.text.startswith("CREATE INDEX")]
    place = index.place
    assert (Path(place.file).name, files["e5.py"].splitlines()[place.line - 1].strip()) == ("e5.py", INDEX)


QUERIES = """
services:
  shop:
    version: "2"
    uses: [shop]
    queries: {sql: queries}
    platform: {local: {command: [./shop]}}
"""
HOOK = """
from sqlalchemy import event as seen
from sqlalchemy.engine import Engine

@seen.listens_for(Engine, "before_cursor_execute", retval=True)
def more(connection, cursor, text, values, context, many):
    return text.replace("price INTEGER", "price TEXT"), values
"""


OTHER_ROWS = HOOK.replace('"price INTEGER", "price TEXT"', '"; one", "; two"')
MORE_ROWS = """
from sqlalchemy import event as seen
from sqlalchemy.engine import Engine

@seen.listens_for(Engine, "after_cursor_execute")
def more(connection, cursor, text, *_):
    if "price" in text:
        getattr(cursor, "exec" "ute")("DELETE FROM item")  # hidden, as in what env.py imports
"""


MORE_STATEMENTS = MORE_ROWS.replace(
    'getattr(cursor, "exec" "ute")("DELETE FROM item")',
    'getattr(connection, "exec" "_driver_sql")("DELETE FROM item WHERE id > 99")',
)


def test_what_is_not_known_for_one_reason_is_one_warning(database_url: str, tmp_path: Path):
    files = {
        **LINE,
        **revision("d4", "c3", up="op.get_bind()", said=EXPAND),
        **revision("e5", "d4", up="op.get_bind()", said=EXPAND),
        **revision("f6", "e5", up='op.bulk_insert(sa.table("item"), [])', said=EXPAND),
    }
    ports = plan_in(write_project(tmp_path, files), database_url)

    _, diagnostics = plan_release(ports, step_kinds(), watches_statements=True)

    both, alone = warned(diagnostics)
    assert both.startswith("What `d4` and 1 more, up to `e5`, send is not known before they run: it asks the")
    assert alone.startswith("What `f6` sends is not known before it runs: it inserts values")


def test_a_revision_that_alembic_s_transaction_refuses_does_not_apply_in_the_rehearsal_either(
    database_url: str, tmp_path: Path
):
    alone = "op.execute('CREATE INDEX CONCURRENTLY item_name ON item (name)')"
    files = {"a1.py": LINE["a1.py"], **revision("b2", "a1", up=alone, said=EXPAND)}
    ports = plan_in(write_project(tmp_path, files), database_url)

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert rehearsal.failed == "b2"
    assert "b2.py:17: The database refused a statement: CREATE INDEX CONCURRENTLY" in rehearsal.notes[0]


def planned(folder: Path, url: str, env: str, files=LINE, *, applied=(), rehearsal: str = ""):
    """Return what is found of the next version, and the rehearsal."""
    ports = plan_in(write_project(folder, files, env=env), url, locks=rehearsal)
    for version in applied:
        apply_next(ports, version)
    (folder / "queries").mkdir()
    (folder / "queries" / "items.sql").write_text("-- name: List :many\nSELECT price FROM item;\n")
    (folder / "plan.yaml").write_text((folder / "plan.yaml").read_text() + QUERIES)
    environment = {"SHOP_URL": url, "PATH": "/usr/bin:/bin"}
    plan = load_plan(folder / "plan.yaml", settings={}, environment=environment)

    proof, diagnostics = plan_release(ConnectedPorts(plan, environment=environment), step_kinds())

    assert not [each for each in diagnostics if each.code in ("migration-sql-unknown", "not-rehearsed")]
    [rehearsal] = proof.evidence.rehearsals.values()
    state = len(files) - len(applied)
    return proof.evidence.finding((SHOP, ServiceName("shop"), Role.NEXT), state), rehearsal


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("", None),
        (HOOK, "column"),
        (OTHER_ROWS, "1 are missing, and 1 are there"),
        (MORE_ROWS, "1 are missing, and 0 are there"),
        (MORE_STATEMENTS, "it sends `DELETE FROM item WHERE id > 99`, which it had not said"),
    ],
    ids=["none", "schema", "other-rows", "less-rows", "more-statements"],
)
def test_what_alembic_says_is_compared_with_what_it_does(
    url: str, tmp_path: Path, hook: str, said: str | None
) -> None:
    found, rehearsal = planned(tmp_path, url, hook + ENV)

    assert found.verdict == ("unproven" if said else "proven"), (found, rehearsal.notes)
    notes = [each for each in rehearsal.notes if "than the SQL that it says" in each]
    assert [(said or "") in each for each in notes] == [True] * bool(said)


ORDINARY = """\
kind = sa.Enum("a", "b", name="kind")
op.create_table(
    "Order",
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("kind", kind, nullable=False, index=True),
    sa.Column("at", sa.DateTime, server_default=sa.func.now(), index=True),
    sa.Column("item", sa.Integer, sa.ForeignKey("item.id", ondelete="CASCADE"), comment="whose", index=True),
    sa.CheckConstraint("item > 0", name="known"),
)
table = sa.table("Order", sa.column("kind", kind), sa.column("item", sa.Integer))
op.execute(table.insert().values(kind="a", item=1))
op.execute(table.update().where(table.c.item == 1).values(kind="b"))
op.execute(sa.text("DELETE FROM item WHERE name = :name").bindparams(name="it's; none"))
op.alter_column("item", "name", type_=sa.String(80), nullable=True, new_column_name="title")
op.create_unique_constraint("one", "Order", ["item"])
op.create_table_comment("item", "what is sold")
with op.batch_alter_table("item") as batch:
    batch.add_column(sa.Column("more", sa.Text))
"""


def test_what_ordinary_revisions_send_is_what_they_say(database_url: str, tmp_path: Path):
    files = {**LINE, **revision("d4", "c3", up=ORDINARY, said=EXPAND)}

    found, rehearsal = planned(tmp_path, database_url, ENV, files)

    assert found.verdict == "proven", rehearsal.notes
    assert sum("Order" in each.statement.text for each in rehearsal.statements) >= 5


@pytest.mark.parametrize(("hook", "verdict"), [("", "proven"), (HOOK, "unproven")], ids=["same", "other"])
def test_on_a_dump_of_the_live_schema_the_revisions_are_compared_as_well(
    url: str, tmp_path: Path, hook: str, verdict: str
):
    found, rehearsal = planned(
        tmp_path, url, hook + ENV, applied=("a1", "b2"), rehearsal="rehearsal: {base: dump}"
    )

    assert (found.verdict, rehearsal.base) == (verdict, "from the schema of the live database")
    assert rehearsal.drift == ()
    assert any("when it runs" in each for each in rehearsal.notes) is bool(hook), rehearsal.notes


def test_a_revision_that_asks_is_run_on_a_dump_as_a_whole(url: str, tmp_path: Path):
    files = {**LINE, **revision("d4", "c3", up=READS, said=EXPAND)}
    ports = plan_in(write_project(tmp_path, files), url, locks="rehearsal: {base: dump}")
    for version in ("a1", "b2"):
        apply_next(ports, version)

    proof, diagnostics = plan_release(ports, step_kinds(), watches_statements=True)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert (rehearsal.is_whole, rehearsal.failed) == (True, None), rehearsal.notes
    assert ["get_bind" in each for each in warned(diagnostics)] == [True]


def test_what_is_new_each_time_is_not_compared_and_named(url: str, tmp_path: Path):
    random = "random()::text" if url.startswith("postgresql") else "hex(randomblob(8))"
    files = {
        **LINE,
        **revision("d4", "c3", up=f'op.execute("UPDATE item SET name = {random}, price = 7")', said=EXPAND),
    }

    found, rehearsal = planned(tmp_path, url, ENV, files)

    assert found.verdict == "proven", rehearsal.notes
    [note] = [each for each in rehearsal.notes if "not compared" in each]
    assert note.endswith(("it is new each time: `public.item.name`", ": `main.item.name`"))


def test_branches_give_the_phases_and_the_order(database_url: str, tmp_path: Path):
    files = {
        **revision("a1", labels=("contract",), up='op.execute("SELECT 1")'),
        **revision("z1", labels=("expand",), up='op.execute("CREATE TABLE z (x integer)")'),
    }
    ports = plan_in(write_project(tmp_path, files), database_url)

    assert done(release(ports))

    assert heads(ports) == {"a1", "z1"}


@pytest.mark.parametrize(("label", "is_done"), [("expand", True), ("contract", False)])
def test_labels_that_are_constants_must_be_what_they_are_called(label: str, is_done: bool, tmp_path: Path):
    named = (
        revision("a1").popitem()[1].replace("branch_labels = None", "branch_labels = (names.EXPAND_BRANCH,)")
    )
    files = {"a1.py": f"import names\n{named}"}
    ini = INI.replace("[alembic]", "[alembic]\nprepend_sys_path = .")
    ports = plan_in(write_project(tmp_path, files, ini=ini), f"sqlite:///{tmp_path}/shop.db")
    (tmp_path / "names.py").write_text(f"EXPAND_BRANCH = {label!r}\n")
    audience = Audience()

    assert done(release(ports, audience)) is is_done

    reasons = [each.reason for each in audience.failed]
    assert all("are contract, and expand where it was read" in each for each in reasons)
    assert len(reasons) == (not is_done)
    if is_done:
        assert heads(ports) == {"a1"}


def test_a_branch_goes_on_beside_another_one_that_is_applied_already(url: str, tmp_path: Path):
    first = {
        **revision("e1", labels=("expand",), up='op.execute("CREATE TABLE e1 (x integer)")'),
        **revision(
            "c1", labels=("contract",), depends=("e1",), up='op.execute("CREATE TABLE c1 (x integer)")'
        ),
    }
    assert done(release(plan_in(write_project(tmp_path, first), url)))
    second = {
        **revision("e2", "e1", up='op.execute("CREATE TABLE e2 (x integer)")'),
        **revision("c2", "c1", depends=("e2",), up='op.execute("CREATE TABLE c2 (x integer)")'),
    }
    ports = plan_in(write_project(tmp_path, second), url)

    assert done(release(ports))

    assert heads(ports) == {"c2"}  # Alembic keeps no row of what another head depends on


def test_another_version_table_than_the_plan_reads_is_refused_before_anything(
    database_url: str, tmp_path: Path
):
    first = revision("a1", up='op.execute("CREATE TABLE item (id integer)")')
    ports, audience = (
        plan_in(write_project(tmp_path, first), database_url, more="table: versions"),
        Audience(),
    )

    assert not done(release(ports, audience))

    [failed] = audience.failed
    assert "in the table alembic_version, and what is read is versions" in failed.reason
    assert rows(ports, "SELECT to_regclass('item'), to_regclass('alembic_version')") == [(None, None)]


def test_a_busy_table_is_tried_again_and_left_to_its_users(database_url: str, tmp_path: Path):
    ports = plan_in(write_project(tmp_path, LINE), database_url, locks="locks: {try: 20ms, budget: 40ms}")
    for version in ("a1", "b2"):
        apply_next(ports, version)
    audience = Audience()

    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE item IN ACCESS SHARE MODE")
        ended = release(ports, audience)

    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.WAITING
    assert sum("did not get a lock" in each for each in audience.notes) == 1
    assert heads(ports) == {"b2"}
    assert done(release(ports))


def test_an_env_that_hangs_is_ended_at_the_deadline(database_url: str, tmp_path: Path):
    first = revision("a1", up='op.execute("SELECT pg_sleep(600)")', said=EXPAND)
    ports = plan_in(write_project(tmp_path, first), database_url, more="deadline: 5s")

    with pytest.raises(StepFailed) as failure:
        apply_next(ports, "a1")

    assert "its time was up" in failure.value.what
    assert rows(ports, "SELECT to_regclass('alembic_version')") == [(None,)]


def test_a_killed_coordinator_leaves_nothing_and_either_side_goes_on(database_url: str, tmp_path: Path):
    slow = revision("d4", "c3", up=f'{INDEX}\nop.execute("SELECT pg_sleep(600)")', said=EXPAND)
    ports = plan_in(write_project(tmp_path, {**LINE, **slow}), database_url)
    for version in ("a1", "b2", "c3"):
        apply_next(ports, version)
    command = [sys.executable, "-m", "coordinator", "run", "plan.yaml", "--accept-unproven"]
    environment = {**os.environ, "SHOP_URL": database_url}
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )

    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=-3, stderr=-3) as process:
        try:
            until(lambda: rows(ports, sleeping) == [(1,)], seconds=120)
        finally:
            process.kill()
    until(lambda: rows(ports, sleeping) == [(0,)])

    assert heads(ports) == {"c3"}
    assert rows(ports, "SELECT to_regclass('item_name')") == [(None,)]
    quick = revision("d4", "c3", up=INDEX, said=EXPAND)
    ports = plan_in(write_project(tmp_path, quick), database_url)
    runner = ports.runner(SHOP)
    assert runner is not None
    runner.demand_gone(timedelta(seconds=30))
    apply_next(ports, "d4")
    assert heads(ports) == {"d4"}


COUNTED = """
import os
with open(__file__ + ".ran", "a") as ran:
    ran.write(f"{os.getpid()}\\n")
"""


def test_a_schema_to_which_nothing_is_added_takes_no_program_for_each_of_its_revisions(
    url: str, tmp_path: Path
):
    found, rehearsal = planned(tmp_path, url, ENV + COUNTED, applied=("a1", "b2", "c3"))

    assert (found.verdict, rehearsal.base) == ("proven", "from 3 migration files, replayed")
    processes = set((tmp_path / "migrations" / "env.py.ran").read_text().split())
    assert len(processes) == len(("a1", "b2", "c3", "the SQL of all"))


def test_a_schema_to_which_nothing_is_added_and_that_alembic_makes_otherwise_is_no_proof(
    database_url: str, tmp_path: Path
):
    found, _ = planned(tmp_path, database_url, HOOK + ENV, applied=("a1", "b2", "c3"))

    assert found.verdict == "unproven"
