"""What the rules make of what is known beside the evidence: sizes, the plan's wait, earlier migrations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.diagnostics import Place
from coordinator.evidence import FOREIGN_KEY_MOMENT, Change, Lock, StatementEvidence
from coordinator.model import Statement
from coordinator.rules import bare, find_hazards, quoted, schema_of

ORDERS = "public.orders"
SECONDS = timedelta(seconds=1)


def evidence(sql: str, *, migration: str = "00001", in_transaction: bool = True, **more) -> StatementEvidence:
    return StatementEvidence(migration, Statement(sql, 1), Place("m.sql", 1), in_transaction, 0.0, **more)


def exclusive(relation: str = ORDERS, *, is_new: bool = False) -> Lock:
    return Lock(relation, "AccessExclusiveLock", is_new)


REWRITE = evidence(
    "ALTER TABLE orders ADD a uuid DEFAULT gen_random_uuid()",
    locks=(exclusive(),),
    rewritten=(ORDERS,),
    changes=(Change("column", ORDERS, "a", None, "uuid default gen_random_uuid()"),),
)
ALTER = evidence("ALTER TABLE orders ADD a integer", locks=(exclusive(),))


def codes(*statements: StatementEvidence, sizes=None, wait=SECONDS, engine="postgresql 16.2") -> list[str]:
    return [each.code for each in find_hazards(statements, engine=engine, sizes=sizes, lock_timeout=wait)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (None, ["table-rewrite"]),
        ({ORDERS: 5_000_000}, ["table-rewrite"]),
        ({ORDERS: 50_000}, []),
        ({"public.other": 50_000}, ["table-rewrite"]),
    ],
)
def test_time_is_no_hazard_where_the_live_table_is_known_to_be_small(sizes, expected):
    assert codes(REWRITE, sizes=sizes) == expected


def test_says_how_large_the_live_table_is():
    [hazard] = find_hazards(
        [REWRITE], engine="postgresql 16.2", sizes={ORDERS: 12_400_000}, lock_timeout=SECONDS
    )

    assert "public.orders (12 MB live)" in hazard.what
    assert (hazard.migration, hazard.place) == ("00001", Place("m.sql", 1))


def test_another_engine_has_other_locks_and_no_rules_here():
    assert codes(REWRITE, engine="sqlite 3.45") == []


@pytest.mark.parametrize(
    ("wait", "expected"),
    [(SECONDS, []), (timedelta(seconds=2), []), (timedelta(minutes=1), ["lock-timeout-missing"]),
     (None, ["lock-timeout-missing"])],
)  # fmt: skip
def test_a_plan_that_waits_long_for_locks_is_a_hazard_of_each_strong_lock(wait, expected):
    assert codes(ALTER, wait=wait) == expected


def test_a_migration_may_wait_less_than_its_plan():
    assert codes(evidence("SET lock_timeout = '50ms'"), ALTER, wait=None) == []


def test_nobody_waits_for_what_the_release_made_in_an_earlier_migration():
    made = evidence("CREATE TABLE orders (id int)", locks=(exclusive(is_new=True),),
                    changes=(Change("table", ORDERS, ORDERS, None, "table"),))  # fmt: skip
    later = evidence(REWRITE.statement.text, migration="00002", locks=REWRITE.locks, rewritten=(ORDERS,))

    assert codes(made, later) == []


def test_a_table_with_a_new_name_is_an_old_table():
    renamed = evidence("ALTER TABLE o RENAME TO orders", locks=(exclusive("public.o"),),
                       changes=(Change("table", "public.o", "public.o", "table", None),
                                Change("table", ORDERS, ORDERS, None, "table")))  # fmt: skip
    later = evidence(REWRITE.statement.text, migration="00002", locks=REWRITE.locks, rewritten=(ORDERS,))

    assert codes(renamed, later) == ["table-rewrite"]


def test_a_transaction_ends_at_its_commit():
    other = evidence("ALTER TABLE lines ADD a integer", locks=(exclusive("public.lines"),))

    assert codes(ALTER, other) == ["several-locks-in-transaction"]
    assert codes(ALTER, evidence("COMMIT;"), evidence("BEGIN;"), other) == []


def test_names_are_taken_apart_and_put_together_as_sql_wants_them():
    assert [bare(each) for each in ("public.orders", 'public."Odd one"', '"S.x"."a""b"')] == [
        "orders", "Odd one", 'a"b',
    ]  # fmt: skip
    assert [schema_of(each) for each in ("public.orders", '"S.x".orders')] == ["public", '"S.x"']
    assert [quoted("a", "b"), quoted("Odd", "one"), quoted("1")] == ["a_b", '"Odd_one"', '"1"']


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE orders SET total = 0", "total IS DISTINCT FROM 0"),
        ("UPDATE orders SET total = 0 WHERE state = 'x'", "(state = 'x') AND total IS DISTINCT FROM 0"),
        ("DELETE FROM orders WHERE total < 5", "WHERE total < 5 LIMIT 1000"),
        ("UPDATE orders SET total = total + 1", "by ranges of the primary key"),
        ("UPDATE orders SET seen = now()", "by ranges of the primary key"),
        ("UPDATE orders SET a = 1, b = 2", "by ranges of the primary key"),
        ("UPDATE orders SET a = 1 -- all\nWHERE b = 2", "by ranges of the primary key"),
    ],
)
def test_a_batch_is_offered_only_where_it_ends_by_itself(sql, expected):
    whole = evidence(sql, scanned=(ORDERS,), written=(ORDERS,))

    [hazard] = find_hazards([whole], engine="postgresql 16.2", sizes=None, lock_timeout=SECONDS)

    assert expected in hazard.rewrite


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("SET lock_timeout = '50ms'", []),
        ("SET LOCAL lock_timeout TO 500", []),
        ("SET lock_timeout = '1h'", ["lock-timeout-missing"]),
        ("RESET lock_timeout", ["lock-timeout-missing"]),
        ("SET lock_timeout TO DEFAULT", ["lock-timeout-missing"]),
    ],
)
def test_the_wait_is_what_the_migration_set_last(setting, expected):
    assert codes(evidence("SET lock_timeout = '2s'"), evidence(setting), ALTER) == expected


@pytest.mark.parametrize(
    ("settings", "is_hazard"),
    [
        (("SET SESSION lock_wait_timeout = 1",), False),
        (("SET @@lock_wait_timeout := 1",), False),
        (("SET foreign_key_checks = 0, lock_wait_timeout = 1",), False),
        (("SET lock_wait_timeout = 600",), True),
        (("SET innodb_lock_wait_timeout = 1",), True),
        (("SET GLOBAL lock_wait_timeout = 1",), True),
        (("SET @@global.lock_wait_timeout = 1",), True),
        (("SET PERSIST lock_wait_timeout = 1",), True),
        (("SET lock_wait_timeout = 1", "SET lock_wait_timeout = DEFAULT"), True),
    ],
)
def test_on_mysql_a_short_wait_is_one_of_the_session(settings, is_hazard):
    key = "foreign key (customer) references customers (id) on update restrict on delete restrict"
    adds = evidence(
        "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers (id)",
        locks=(Lock("customers", FOREIGN_KEY_MOMENT, is_new=False),),
        changes=(Change("constraint", "orders", "k", None, key),),
    )

    found = codes(*map(evidence, settings), adds, engine="mysql 9.7.4", wait=None)

    assert found == ["foreign-key-locks-parent"] * is_hazard


def test_a_name_that_went_to_an_old_table_is_no_longer_new():
    def table(before: str | None, after: str | None) -> tuple[Change, ...]:
        gone = (Change("table", before, before, "table", None),) if before else ()
        return (*gone, *((Change("table", after, after, None, "table"),) if after else ()))

    release = [
        evidence("CREATE", changes=table(None, ORDERS)),
        evidence("RENAME", changes=table(ORDERS, "public.copy")),
        evidence("RENAME", changes=table("public.old", ORDERS)),
    ]
    later = evidence(REWRITE.statement.text, migration="00002", locks=REWRITE.locks, rewritten=(ORDERS,))

    assert codes(*release, later) == ["table-rewrite"]


def test_names_for_each_locked_parent_its_own_foreign_key():
    def key(column: str, parent: str) -> Change:
        return Change(
            "constraint",
            ORDERS,
            f"orders_{column}_fkey",
            f"FOREIGN KEY ({column}) REFERENCES {parent}(id)",
            None,
        )

    dropping = evidence(
        "ALTER TABLE orders DROP COLUMN a, DROP COLUMN b",
        locks=(exclusive(), exclusive("public.a"), exclusive("public.b")),
        changes=(key("a", "public.a"), key("b", "public.b")),
    )

    said = [
        each.what
        for each in find_hazards([dropping], engine="postgresql 16.2", sizes=None, lock_timeout=SECONDS)
        if each.code == "foreign-key-locks-parent"
    ]

    assert ["orders_a_fkey" in said[0], "public.a" in said[0]] == [True, True]
    assert ["orders_b_fkey" in said[1], "public.b" in said[1]] == [True, True]
