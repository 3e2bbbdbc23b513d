"""A query that takes a row away meets the sample rows of a new child, whose real rows nobody knows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fakes.scratch import FakeScratch

from coordinator.diagnostics import Place
from coordinator.evidence import Objection
from coordinator.model import Layer
from coordinator.queries import Query
from coordinator.rehearsal_ports import Ran, Values
from coordinator.rehearse.ask import ask_queries, compile_queries
from coordinator.rehearse.between import Between
from coordinator.rehearse.state import State
from coordinator.rehearse.subject import Answer

PARENT = "Cannot delete or update a parent row: a foreign key constraint fails"
NAMED = f"{PARENT} (`visits`, CONSTRAINT `v` FOREIGN KEY (`c`) REFERENCES `customers` (`id`))"


class Refusing(FakeScratch):
    """A scratch database in which each query fails, once it has an objection."""

    objection: Objection | None = None

    def execute(self, asks: Sequence[tuple[str, Values]], *, role: str | None) -> list[Ran | Objection]:
        if self.objection is None:
            return super().execute(asks, role=role)
        return [self.objection] * len(asks)


def answer_to(code: str, message: str, *, new_tables: set[str]) -> Answer:
    database = Refusing({"id": "integer"}, {"id": "1"})
    own, state = (State(database, frozenset({Layer.EXECUTE})) for _ in range(2))
    query = Query("Delete", "id", Place("q.sql", 1))
    compiled = compile_queries(own, [query], role=None)
    database.objection = Objection(code, message)
    between = Between(new_tables=frozenset(new_tables))
    [answer] = ask_queries(state, compiled, role=None, between=between)
    return answer


@pytest.mark.parametrize(
    ("code", "message", "table"),
    [
        ("1451", NAMED, "table `visits`"),
        ("1217", PARENT, "tables"),  # MySQL, of an account that may not see the child
        ("SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed", "tables"),
    ],
)
def test_a_row_of_a_new_child_leaves_it_open_whether_the_row_may_go(code: str, message: str, table: str):
    answer = answer_to(code, message, new_tables={"visits"})

    assert answer.broken is None
    [(layer, reason)] = answer.unchecked
    assert layer is Layer.EXECUTE
    assert f"a row of the new {table} refers to its row" in reason


@pytest.mark.parametrize(
    ("code", "message", "new_tables"),
    [
        ("1451", NAMED, {"others"}),
        ("1217", PARENT, set()),
        ("1216", "Cannot add or update a child row: a foreign key constraint fails", {"visits"}),
    ],
)
def test_a_refusal_that_no_new_child_explains_is_a_break(code: str, message: str, new_tables: set[str]):
    answer = answer_to(code, message, new_tables=new_tables)

    assert answer.broken is not None
    assert answer.broken[1].code == code
