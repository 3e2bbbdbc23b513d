"""A role from which row security keeps rows: a backfill that does not see what is left is not complete."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures.backfilling import Items, items

from coordinator.errors import StepFailed
from coordinator.model import Engine

ROWS = 300


@pytest.fixture
def table(database_url: str) -> Items:
    return items(Engine.POSTGRESQL, database_url, rows=ROWS)


@pytest.fixture
def one_tenant(table: Items) -> Iterator[Items]:
    """The table as a role sees it from which row security keeps all but some rows."""
    role = "one_" + str(table.query("SELECT current_database()")[0][0])
    table.execute(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}",
        f"ALTER TABLE items OWNER TO {role}",
        "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY tenant ON items USING (id < 100)",
    )
    yield Items(Engine.POSTGRESQL, table.url.replace("//postgres:@", f"//{role}@"))
    table.execute(f"REASSIGN OWNED BY {role} TO postgres", f"DROP OWNED BY {role}")
    table.execute(f"DROP ROLE {role}")


def test_a_table_whose_rows_may_be_hidden_is_not_called_complete(one_tenant: Items, table: Items) -> None:
    table.execute("ALTER TABLE items FORCE ROW LEVEL SECURITY")

    with pytest.raises(StepFailed, match="may not see all rows of `items`") as caught:
        one_tenant.work().run()
    done = table.times_done()
    table.execute("CREATE POLICY migrator ON items TO current_user USING (true)")
    with pytest.raises(StepFailed):
        one_tenant.work().run()
    [[role]] = one_tenant.query("SELECT current_user")
    table.execute(f"ALTER POLICY migrator ON items TO {role}")
    told = one_tenant.work().run()

    assert caught.value.code == "backfill-hidden-rows"
    assert done == {0: ROWS}
    assert told == f"{ROWS} rows passed, none left"


def test_an_owner_whom_row_security_leaves_alone_sees_all_rows(one_tenant: Items) -> None:
    assert one_tenant.work().run() == f"{ROWS} rows passed, none left"
