"""How long 170 queries of two versions take at three states, the start of a PostgreSQL of our own included.

The first table is what every `plan` pays (layers prepare and describe), the second all six layers with
sample data. The schema and the queries are made up, in the proportions of a service of that size.
"""

from __future__ import annotations

import time

from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.evidence import Objection
from coordinator.ports import Batch
from coordinator.rehearsal_ports import RehearsalDatabase

TABLES = 34
PENDING = (
    "ALTER TABLE thing_0 ADD COLUMN note text",
    "ALTER TABLE thing_1 RENAME COLUMN label TO title",
)


def schema() -> str:
    """Return the tables, each with a parent but for the first."""
    return "\n".join(
        f"CREATE TABLE thing_{n} (id bigint PRIMARY KEY, label varchar(80) NOT NULL, total numeric(10,2)"
        f" CHECK (total >= 0), made timestamptz NOT NULL DEFAULT now(), parent bigint"
        f" REFERENCES thing_{max(n - 1, 0)});"
        for n in range(TABLES)
    )


def queries() -> list[str]:
    """Return five queries for each table."""
    return [
        text
        for n in range(TABLES)
        for text in (
            f"SELECT * FROM thing_{n} WHERE id = $1",
            f"SELECT made, count(*) FROM thing_{n} WHERE total > $1 GROUP BY made ORDER BY 2 DESC LIMIT $2",
            f"INSERT INTO thing_{n} (id, label, total) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
            f"UPDATE thing_{n} SET total = $1 WHERE id = $2 RETURNING *",
            f"DELETE FROM thing_{n} WHERE made < $1",
        )
    ]


class Watch:
    """Prints how long each part took."""

    def __init__(self) -> None:
        self.began = self.last = time.perf_counter()

    def lap(self, what: str) -> None:
        """Print the time since the last lap."""
        now = time.perf_counter()
        print(f"{what:32} {now - self.last:7.3f} s")
        self.last = now

    def total(self) -> None:
        """Print the time since the beginning."""
        print(f"{'together':32} {time.perf_counter() - self.began:7.3f} s\n")


def prepare_everywhere() -> None:
    """Ask the layers prepare and describe."""
    watch, texts = Watch(), queries()
    with REHEARSAL.server(url=None, live_version=None) as server:
        watch.lap(f"start {server.version}")
        with server.database() as database:
            apply(database, schema())
            watch.lap("database and base schema")
            for state in range(len(PENDING) + 1):
                if state:
                    apply(database, PENDING[state - 1])
                answers = database.prepare(texts) + database.prepare(texts)
                refused = sum(isinstance(each, Objection) for each in answers)
                watch.lap(f"state {state}: {len(answers)} asked, {refused} refused")
        watch.lap("drop")
    watch.lap("stop")
    watch.total()


def every_layer() -> None:
    """Ask all six layers, on a database and on a clone of it, as a rehearsal does."""
    watch, texts = Watch(), queries()
    with REHEARSAL.server(url=None, live_version=None) as server, server.database() as database:
        apply(database, schema())
        database.fill()
        watch.lap("start, base schema, sample data")
        with database.clone() as ahead:
            apply(ahead, *PENDING)
            for each in (database, ahead):
                ask(each, watch)
        with database.held(texts) as held:
            for text in PENDING:
                apply(database, text)
                ask(database, watch)
                held()
                watch.lap("session")
    watch.lap("stop")
    watch.total()


def ask(database: RehearsalDatabase, watch: Watch) -> None:
    """Put every query to one database, layer by layer."""
    texts = queries()
    texts = [
        text
        for text, answer in zip(texts, database.prepare(texts), strict=True)
        if not isinstance(answer, Objection)
    ]
    watch.lap("prepare, describe")
    database.plan(texts, role=None)
    watch.lap("plan")
    values = database.choose(texts, role=None)
    watch.lap("choose")
    asks = [
        (text, chosen)
        for text, chosen in zip(texts, values, strict=True)
        if not isinstance(chosen, Objection)
    ]
    database.execute(asks, role=None)
    watch.lap(f"execute {len(asks)}")


def apply(database: RehearsalDatabase, *texts: str) -> None:
    """Apply migrations."""
    with database.session() as session:
        session.execute(Batch(texts, transaction=True))


if __name__ == "__main__":
    prepare_everywhere()
    every_layer()
