"""The key of a rehearsal's evidence: whatever changes alone, the key is another one.

The places to change are found by walking the task here, by other means than the key's own, so that a field
which somebody adds is tried as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.diagnostics import Diagnostic, Place
from coordinator.model import (
    DatabaseName,
    DatabaseSpec,
    Engine,
    Layer,
    Migration,
    MigrationsSpec,
    Phase,
    RehearsalSpec,
    Role,
    Script,
    SecretRef,
    ServiceName,
    SourceFile,
    Statement,
)
from coordinator.queries import Catalogue, Query
from coordinator.rehearse import Circumstances, Live, Subject, Task, key_of
from coordinator.rehearse.key import _pieces
from migrations_hooks.golang_migrate import TOOL as GOLANG_MIGRATE
from migrations_hooks.goose import TOOL as GOOSE


def migration(version: int, text: str) -> Migration:
    content = text.encode()
    return Migration(
        version,
        f"0000{version}_m",
        Script((Statement(text, 1),), transaction=True),
        Script((Statement("SELECT 1", 1), Statement("SELECT 2", 2)), transaction=False),
        (SourceFile(f"migrations/0000{version}_m.sql", content, "aa"),),
        Phase.EXPAND,
        Place("m.sql", 1),
    )


def query(name: str, text: str) -> Query:
    return Query(name, text, Place("queries.sql", 3), freezes_star=True, obstacle="it is made at run time")


DB, APP = DatabaseName("shop"), ServiceName("orders")
TASK = Task(
    DatabaseSpec(
        DB,
        Engine.POSTGRESQL,
        SecretRef("env", "URL"),
        MigrationsSpec(
            "goose",
            Path("migrations"),
            "versions",
            Place("plan.yaml", 5),
            x_arguments={"tenant": "acme", "zone": "eu"},
        ),
        timedelta(seconds=5),
        Place("plan.yaml", 4),
        RehearsalSpec(layers=(Layer.PREPARE, Layer.EXECUTE)),
    ),
    GOOSE,
    applied=(migration(1, "CREATE TABLE a (id int)"), migration(2, "CREATE TABLE b (id int)")),
    pending=(migration(3, "ALTER TABLE a ADD c int"), migration(4, "ALTER TABLE b ADD c int")),
    subjects=(
        Subject(
            (DB, APP, Role.LIVE),
            Catalogue(
                "sqlc.yaml",
                (query("Get", "SELECT * FROM a"), query("Add", "INSERT INTO a VALUES ($1)")),
                (Diagnostic("x", Place("p", 1), "what", "why", "next"),),
            ),
            "app",
        ),
        Subject((DB, APP, Role.NEXT), Catalogue("sql", (query("Get", "SELECT id FROM a"),)), None),
    ),
    layers=(Layer.PREPARE, Layer.EXECUTE),
    live=Live({"table a": "a", "table b": "b"}, {"a": 1}, "CREATE TABLE a ();"),
)
AT = Circumstances("program", "engine", "postgresql 18.6", date(2026, 11, 23))


def changes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the value with one thing in it changed, each in turn, and what that was."""
    if is_dataclass(value):
        for each in fields(value):
            for what, changed in changes(getattr(value, each.name)):
                yield f"{each.name}{what}", replace(value, **{each.name: changed})
    elif isinstance(value, Mapping):
        yield from _of_mapping(value)
    elif isinstance(value, tuple):
        yield "[+]", (*value, *value[-1:]) if value else ("more",)
        if len(value) > 1:
            yield "[reversed]", value[::-1]
        for place, each in enumerate(value):
            yield f"[-{place}]", value[:place] + value[place + 1 :]
            for what, changed in changes(each):
                yield f"[{place}]{what}", (*value[:place], changed, *value[place + 1 :])
    else:
        yield from ((f" to {changed!r}", changed) for changed in _others(value))


def _of_mapping(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "{}", {}
    yield "{+}", {**value, "more": "more"}
    for name in value:
        without = {key: each for key, each in value.items() if key != name}
        yield f"{{-{name}}}", without
        yield f"{{{name}'}}", {**without, f"{name}'": value[name]}
        for what, changed in changes(value[name]):
            yield f"{{{name}}}{what}", {**value, name: changed}


def _others(value: Any) -> Iterator[Any]:
    match value:
        case Enum():
            yield from (each for each in type(value) if each is not value)
        case bytes():
            yield from (
                value[:at] + bytes([value[at] ^ bit]) + value[at + 1 :]
                for at in range(len(value))
                for bit in (1, 32, 128)
            )
            yield from (value + b"\0", value[:-1])
        case str():
            yield from (value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] for at in range(len(value)))
            yield from (f"{value} ", f" {value}", value[:-1], f"{value}\0")
        case None:
            yield from ("", "None", 0, False)
        case bool():
            yield not value
        case int():
            yield from (value + 1, value - 1, str(value))
        case timedelta():
            yield value + timedelta(microseconds=1)
        case date():
            yield value + timedelta(days=1)
        case Path():
            yield value / "other"
        case _:
            raise AssertionError(f"no other {type(value).__name__} is known")


def keys() -> Iterator[tuple[str, str]]:
    yield "as it is", key_of(TASK, AT)
    for each in fields(Task):
        if each.name in ("tool", "run_code", "run_range"):
            continue
        for what, changed in changes(getattr(TASK, each.name)):
            if not what.startswith(("sizes", "changes_left")):
                yield f"{each.name} {what}", key_of(replace(TASK, **{each.name: changed}), AT)
    yield "tool", key_of(replace(TASK, tool=GOLANG_MIGRATE), AT)
    for what, changed in changes(AT):
        yield what, key_of(TASK, changed)


def test_no_two_changes_have_the_same_key():
    named: dict[str, str] = {}

    same = [(what, named[key]) for what, key in keys() if named.setdefault(key, what) != what]

    assert same == []
    assert len(named) > 1000


def test_a_migration_that_goes_from_pending_to_applied_changes_the_key():
    moved = replace(TASK, applied=(*TASK.applied, TASK.pending[0]), pending=TASK.pending[1:])

    assert key_of(moved, AT) != key_of(TASK, AT)


def test_live_sizes_are_not_in_the_key_because_hazards_are_found_anew():
    larger = replace(TASK, live=replace(TASK.live, sizes={"a": 2}, changes_left={"a": 3}))

    assert key_of(larger, AT) == key_of(TASK, AT)


def dumped(token: str, *, column: str = "int") -> Task:
    text = f"\\restrict {token}\n\nCREATE TABLE a (id {column});\n\n\\unrestrict {token}\n"
    return replace(TASK, live=replace(TASK.live, dump=text))


def test_the_word_that_pg_dump_draws_anew_each_time_is_not_in_the_key():
    assert key_of(dumped("a" * 63), AT) == key_of(dumped("B" * 63), AT)
    assert key_of(dumped("a" * 63), AT) != key_of(dumped("a" * 63, column="bigint"), AT)


def test_what_might_hide_something_has_no_place_in_a_key():
    with pytest.raises(TypeError, match="object has no place in a key"):
        key_of(replace(TASK, layers=(object(),)), AT)  # type: ignore[arg-type]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(values, values)
def test_two_values_run_together_into_the_same_bytes_only_if_they_are_the_same(one, other):
    are_same = repr(one) == repr(other)

    assert (b"".join(_pieces(one)) == b"".join(_pieces(other))) == are_same
