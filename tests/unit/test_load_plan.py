"""From a plan file to a Plan: types, defaults, places, and a message for each thing that can be wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.diagnostics import Place
from coordinator.errors import PlanInvalid
from coordinator.load import load, load_plan
from coordinator.model import Engine, LocksSpec, OnFailure, SecretRef

PLAN = """\
version: 1
release: shop-${VERSION}
databases:
  shop:
    engine: sqlite
    url: env:SHOP_DATABASE_URL
    migrations: {tool: goose, dir: migrations}
services:
  shop:
    version: ${VERSION}
    uses: [shop]
    platform: {local: {command: [./serve, 8080]}}
    verify: [{http: /ready}, {command: [./smoke.sh]}]
    monitor: {for: 10s, checks: [{http: /ready}]}
"""
DATABASE = "{engine: sqlite, url: env:A, migrations: {tool: goose, dir: m}}"


def loaded(tmp_path, text=PLAN, *, settings=None, environment=None):
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, settings=settings or {}, environment={"VERSION": "1.5", **(environment or {})})


def plan_of(tmp_path, text=PLAN, **outside):
    result = loaded(tmp_path, text, **outside)
    assert result.diagnostics == ()
    assert result.plan is not None
    return result.plan


def problems_of(tmp_path, text, **outside):
    result = loaded(tmp_path, text, **outside)
    assert result.plan is None
    return [(each.code, each.place.line, each.place.column) for each in result.diagnostics]


def changed(old, new):
    assert old in PLAN
    return PLAN.replace(old, new, 1)


def test_reads_a_whole_plan(tmp_path):
    plan = plan_of(tmp_path)

    database, service = plan.databases["shop"], plan.services["shop"]
    assert plan.release == "shop-1.5"
    assert database.engine is Engine.SQLITE
    assert database.url == SecretRef("env", "SHOP_DATABASE_URL")
    assert database.migrations.folder == tmp_path / "migrations"
    assert service.version == "1.5"
    assert service.uses == ("shop",)
    assert service.platform == "local"
    assert [each.kind for each in service.verify] == ["http", "command"]
    assert service.monitor.duration == timedelta(seconds=10)


def test_fills_in_the_defaults(tmp_path):
    plan = plan_of(tmp_path)

    service = plan.services["shop"]
    assert plan.databases["shop"].lock_timeout == timedelta(seconds=2)
    assert plan.databases["shop"].locks == LocksSpec(
        timedelta(milliseconds=100), timedelta(milliseconds=500), timedelta(minutes=2)
    )
    assert plan.databases["shop"].migrations.table is None
    assert (service.monitor.every, service.monitor.failures) == (timedelta(seconds=1), 1)
    assert (service.deploy_deadline, service.drain_deadline) == (timedelta(seconds=60), timedelta(seconds=30))
    assert service.keep_blue == timedelta()
    assert plan.approve_contract == ()
    assert plan.on_failure is OnFailure.ROLLBACK


def test_remembers_where_things_stand(tmp_path):
    plan = plan_of(tmp_path)

    file = str(tmp_path / "plan.yaml")
    service = plan.services["shop"]
    assert plan.databases["shop"].place == Place(file, 4, 3)
    assert plan.databases["shop"].migrations.place == Place(file, 7, 36)
    assert service.place == Place(file, 9, 3)
    assert [each.place for each in service.verify] == [Place(file, 13, 14), Place(file, 13, 30)]


def test_shows_the_path_as_it_was_typed(tmp_path, monkeypatch):
    (tmp_path / "plan.yaml").write_text("version: 2")
    monkeypatch.chdir(tmp_path)

    result = load(Path("plan.yaml"), settings={}, environment={})

    assert {each.place.file for each in result.diagnostics} == {"plan.yaml"}


def test_one_database_is_a_plan(tmp_path):
    plan = plan_of(tmp_path, f"version: 1\nrelease: r\ndatabases:\n  a: {DATABASE}\n")

    assert plan.services == {}


@pytest.mark.parametrize("version", ["1.10", "1e3", "010", "0x1f", "12345678901234567890", "1.0"])
def test_keeps_the_text_of_a_version_that_yaml_reads_as_a_number(tmp_path, version):
    plan = plan_of(tmp_path, changed("version: ${VERSION}", f"version: {version}"))

    assert plan.services["shop"].version == version


def test_reads_a_number_from_a_variable_where_a_number_is_wanted(tmp_path):
    text = changed("for: 10s", 'for: 10s, failures: "${N}"')

    assert plan_of(tmp_path, text, environment={"N": "3"}).services["shop"].monitor.failures == 3
    assert problems_of(tmp_path, text, environment={"N": "three"}) == [("wrong-type", 14, 35)]


def test_sets_the_version_of_a_service(tmp_path):
    plan = plan_of(tmp_path, settings={"shop.version": "1.60"})

    assert plan.services["shop"].version == "1.60"


def test_digest_changes_with_a_value_and_not_with_the_writing(tmp_path):
    digest = plan_of(tmp_path).digest

    rewritten = "# a comment\n" + changed("uses: [shop]", "uses:\n    - 'shop'\n    keep_blue: 0s")
    assert plan_of(tmp_path, rewritten).digest == digest
    assert plan_of(tmp_path, changed("for: 10s", "for: 10000ms")).digest == digest
    for different in (
        changed("for: 10s", "for: 11s"),
        changed("env:SHOP", "env:SHIP"),
        changed("8080", "8081"),
        changed("/ready}, {command", "/readyz}, {command"),
    ):
        assert plan_of(tmp_path, different).digest != digest
    assert plan_of(tmp_path, environment={"VERSION": "1.6"}).digest != digest


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1\n", "version: 2\n", ("unsupported-version", 1, 10)),
        ("version: 1\n", "version: 1.0\n", ("wrong-type", 1, 10)),
        ("version: 1\n", "version: '1'\n", ("wrong-type", 1, 10)),
        ("version: 1\n", "version: true\n", ("wrong-type", 1, 10)),
        ("version: 1\n", "", ("missing-key", 1, 1)),
        ("release: shop-${VERSION}", "release: a/b", ("bad-release", 2, 10)),
        ("release: shop-${VERSION}", "release: ''", ("bad-release", 2, 1)),
        ("release: shop-${VERSION}", f"release: {'x' * 101}", ("bad-release", 2, 10)),
        ("release: shop-${VERSION}", "relase: x\nrelease: y", ("unknown-key", 2, 1)),
        ("databases:\n", f"databases:\n  Two: {DATABASE}\n", ("bad-name", 4, 3)),
        ("engine: sqlite", "engine: mssql", ("unknown-value", 5, 13)),
        ("engine: sqlite", "engine: 5", ("unknown-value", 5, 13)),
        ("    engine: sqlite\n", "", ("missing-key", 4, 3)),
        ("url: env:SHOP_DATABASE_URL", "url: hunter2", ("literal-secret", 6, 10)),
        ("url: env:SHOP_DATABASE_URL", "url: env:A B", ("literal-secret", 6, 10)),
        ("url: env:SHOP_DATABASE_URL", "url:", ("literal-secret", 6, 5)),
        ("tool: goose", "tool: gose", ("unknown-name", 7, 24)),
        ("tool: goose", "tool: 1", ("unknown-name", 7, 24)),
        ("dir: migrations", "dir: ' '", ("empty-text", 7, 36)),
        ("{tool: goose, dir: migrations}", "migrations", ("wrong-type", 7, 17)),
        ("version: ${VERSION}", "version: a b", ("bad-version", 10, 14)),
        ("version: ${VERSION}", "version: true", ("wrong-type", 10, 14)),
        ("version: ${VERSION}", "version:", ("wrong-type", 10, 5)),
        ("uses: [shop]", "uses: shop", ("wrong-type", 11, 11)),
        ("uses: [shop]", "uses: [shpo]", ("unknown-name", 11, 12)),
        ("uses: [shop]", "uses: [shop, shop]", ("repeated-value", 11, 5)),
        ("{local: {command: [./serve, 8080]}}", "{locl: {}}", ("unknown-name", 12, 16)),
        ("{local: {command: [./serve, 8080]}}", "{}", ("one-key", 12, 5)),
        ("{local: {command: [./serve, 8080]}}", "local", ("wrong-type", 12, 15)),
        ("command: [./serve, 8080]", "command: [./serve], prt: 1", ("unknown-key", 12, 44)),
        ("command: [./serve, 8080]", "port: 1", ("missing-key", 12, 16)),
        ("command: [./serve, 8080]", "command: [./serve, [x]]", ("wrong-type", 12, 43)),
        ("{http: /ready}, {command", "{htp: /ready}, {command", ("unknown-name", 13, 15)),
        ("[./smoke.sh]}", "[./smoke.sh], http: /x}", ("one-key", 13, 30)),
        ("for: 10s, ", "", ("idle-monitor", 14, 5)),
        (", checks: [{http: /ready}]", "", ("idle-monitor", 14, 5)),
        ("for: 10s", "for: 10", ("bad-duration", 14, 20)),
        ("for: 10s", "for: 10y", ("bad-duration", 14, 20)),
        ("for: 10s", "for: 367d", ("bad-duration", 14, 20)),
        ("for: 10s", "for: 10s, every: 0s", ("bad-duration", 14, 32)),
        ("for: 10s", "for: 10s, failures: 0", ("out-of-range", 14, 35)),
        ("for: 10s", "for: 10s, failures: 1.5", ("wrong-type", 14, 35)),
        ("for: 10s", "for: 10s, for: 11s", ("duplicate-key", 14, 25)),
        ("    monitor", "    keep_blue: -1s\n    monitor", ("bad-duration", 14, 16)),
        ("services:", "on_failure: panic\nservices:", ("unknown-value", 8, 13)),
        ("services:", "gates: {contract: {approve: [a, a]}}\nservices:", ("repeated-value", 8, 20)),
        ("services:", "gates: {contract: {approve: [1.5, '']}}\nservices:", ("empty-text", 8, 35)),
    ],
)
def test_refuses_at_the_place_of_the_problem(tmp_path, old, new, expected):
    assert problems_of(tmp_path, changed(old, new)) == [expected]


@pytest.mark.parametrize(
    ("text", "code"),
    [("[1]", "wrong-type"), ("a", "wrong-type"), ("version: 1\nrelease: r\n", "nothing-to-release")],
)
def test_refuses_a_file_that_is_no_release(tmp_path, text, code):
    assert [each[0] for each in problems_of(tmp_path, text)] == [code]


def test_shows_all_problems_at_once_in_the_order_of_the_file(tmp_path):
    text = changed("engine: sqlite", "engine: oracle").replace("uses: [shop]", "uses: [shp]\n    retries: 3")

    assert problems_of(tmp_path, text.replace("10s", "10")) == [
        ("unknown-value", 5, 13),
        ("unknown-name", 11, 12),
        ("unknown-key", 12, 5),
        ("bad-duration", 15, 20),
    ]


def test_guesses_what_was_meant(tmp_path):
    [problem] = loaded(tmp_path, changed("uses: [shop]", "usses: [shop]")).diagnostics

    assert str(problem) == (
        f"{tmp_path}/plan.yaml:11:5 error[unknown-key]: `services.shop` has no key `usses`. "
        "Did you mean `uses`?"
    )


def test_lists_what_is_possible_when_nothing_is_close(tmp_path):
    [problem] = loaded(tmp_path, changed("engine: sqlite", "engine: zzz")).diagnostics

    assert problem.next_step == "Possible: `mariadb`, `mysql`, `postgresql`, `sqlite`."


def test_message_quotes_the_file_and_not_the_variables_value(tmp_path):
    text = changed("tool: goose", 'tool: "${TOOL}"')

    [problem] = loaded(tmp_path, text, environment={"TOOL": "hunter2"}).diagnostics

    assert "`${TOOL}`" in problem.what
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "leak",
    [
        "postgres://shop:hunter2@db/shop",
        "postgresql://:hunter2@db",
        "https://user:hunter2@example.com/x",
        "host=db password=hunter2 user=x",
        "host=db PASSWORD = 'hunter2'",
        "postgres://db/shop?user=a&password=hunter2",
        "jdbc:postgresql://db/?sslpassword=hunter2",
        "PGPASSWORD=hunter2 psql",
        "postgres://u:hun/ter2@db",
    ],
)
@pytest.mark.parametrize("place", ["url", "key", "command", "release", "uses", "variable", "setting"])
def test_refuses_a_literal_password_wherever_it_stands_and_never_shows_it(tmp_path, leak, place):
    quoted = '"' + leak + '"'
    text = {
        "url": changed("env:SHOP_DATABASE_URL", quoted),
        "key": changed("services:", f"{quoted}: 1\nservices:"),
        "command": changed("./smoke.sh", quoted),
        "release": changed("shop-${VERSION}", quoted),
        "uses": changed("uses: [shop]", f"uses: [{quoted}]"),
        "variable": changed("./smoke.sh", '"x ${LEAK}"'),
        "setting": PLAN,
    }[place]
    settings = {"shop.version": leak} if place == "setting" else {}

    diagnostics = loaded(tmp_path, text, settings=settings, environment={"LEAK": leak}).diagnostics

    assert "literal-secret" in {each.code for each in diagnostics}
    assert "ter2" not in repr(diagnostics)


@pytest.mark.parametrize(
    "text", ["https://host:8080/@scope", "http://a/b:c", "password=$PGPASSWORD", "env:A", "a@b:c"]
)
def test_takes_text_without_a_password_for_what_it_is(tmp_path, text):
    plan_of(tmp_path, changed("./smoke.sh", '"' + text + '"'))


def test_raises_all_problems_together(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("version: 1\nreleas: x\n")

    with pytest.raises(PlanInvalid) as refused:
        load_plan(path, settings={}, environment={})

    assert [each.code for each in refused.value.diagnostics] == ["missing-key", "unknown-key"]
