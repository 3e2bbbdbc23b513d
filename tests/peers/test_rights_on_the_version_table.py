"""The hook needs no more rights on golang-migrate's version table than the real tool does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from peers.golang_migrate_cases import A, B
from peers.real_tools import World, run_ours, run_real, write_files

from coordinator.model import Engine

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]
ROLE = "migrator_without_delete"
FILES = {"1_a.up.sql": A, "2_b.up.sql": B, "2_b.down.sql": "DROP TABLE b;", "3_c.up.sql": "VACUUM;"}


@contextmanager
def as_poor_role(world: World) -> Iterator[World]:
    """Yield the database for a role that may TRUNCATE the version table, and may not DELETE from it."""
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN")
        connection.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {ROLE}")
        connection.execute(f"GRANT SELECT, INSERT, TRUNCATE ON schema_migrations TO {ROLE}")
        connection.execute(f"ALTER TABLE a OWNER TO {ROLE}")
        parts = urlsplit(world.url)
        user = f"{ROLE}@{parts.netloc.rpartition('@')[2]}"
        try:
            yield replace(world, url=parts._replace(netloc=user).geturl())
        finally:
            connection.execute(f"REASSIGN OWNED BY {ROLE} TO CURRENT_USER")
            connection.execute(f"DROP OWNED BY {ROLE}")
            connection.execute(f"DROP ROLE {ROLE}")


@pytest.mark.parametrize("steps", [(1, 1), (1, -1), (2,)])
def test_a_role_that_may_truncate_and_not_delete_migrates_on_postgresql(
    steps: tuple[int, ...], new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", FILES)
    real, ours = new_world(Engine.POSTGRESQL), new_world(Engine.POSTGRESQL)
    for world in (real, ours):
        assert run_real("golang-migrate", world, folder, "up", "1") == 0

    with as_poor_role(real) as poor:
        for step in steps:
            command = ("up", str(step)) if step > 0 else ("down", str(-step))
            assert run_real("golang-migrate", poor, folder, *command) == 0
    with as_poor_role(ours) as poor:
        for step in steps:
            outcome = run_ours("golang-migrate", poor, folder, steps=step)
            assert outcome.is_done, outcome

    assert ours.snapshot("golang-migrate") == real.snapshot("golang-migrate")
