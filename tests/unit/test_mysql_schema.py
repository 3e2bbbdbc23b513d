"""How the rows of information_schema come to be a schema: what is asked apart is put together here."""

from __future__ import annotations

from typing import Any

from coordinator.adapters.rehearsals._mysql.schema import ForeignKey, read_schema

ROWS: dict[str, list[tuple[Any, ...]]] = {
    "tables": [(name, "BASE TABLE", "InnoDB", "utf8mb4_bin", "") for name in ("customers", "orders")],
    "columns": [
        ("customers", "email", "varchar(80)", "varchar", "NO", None, "", "latin1_bin", 80, None),
        ("orders", "customer", "varchar(80)", "varchar", "NO", None, "", "utf8mb4_bin", 80, None),
        ("orders", "email", "int", "int", "NO", None, "", None, None, None),
    ],
    "key_column_usage": [
        ("orders", "bought", "customer", "customers", "email"),
        ("orders", "unseen", "customer", "customers", "email"),
    ],
    "referential_constraints": [
        ("customers", "bought", "CASCADE", "CASCADE"),
        ("orders", "bought", "RESTRICT", "SET NULL"),
    ],
    "statistics": [
        ("customers", "email", 0, "email", 10, "BTREE", None),
        ("orders", "email", 1, "email", None, "BTREE", None),
        ("orders", "low", 1, None, None, "BTREE", "lower(`email`)"),
    ],
}


def answer(sql: str) -> list[tuple[Any, ...]]:
    """Answer as a server does; of two tables that a query joins it would have no rows here."""
    if sql == "SELECT DATABASE()":
        return [("shop",)]
    if sql.lstrip().startswith("SELECT count(*)"):
        return [(1, 0) if "CHECK_CONSTRAINTS" in sql else (1,)]
    assert sql.count("information_schema.") == 1 or "check_constraints" in sql or "routines" in sql
    return next((rows for name, rows in ROWS.items() if f"information_schema.{name}" in sql), [])


def test_a_foreign_key_has_the_actions_of_its_own_table():
    _, orders = read_schema(answer).tables

    actions = "on update restrict on delete set null"
    assert orders.foreign_keys == (ForeignKey("bought", ("customer",), "customers", ("email",), actions),)


def test_a_part_of_an_index_has_the_collation_of_its_own_column():
    customers, orders = read_schema(answer).tables

    assert [each.compared for each in customers.indexes] == [("email(10) collate latin1_bin",)]
    assert [each.compared for each in orders.indexes] == [("email",), ("(lower(`email`))",)]
