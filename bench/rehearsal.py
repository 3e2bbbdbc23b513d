"""How long 170 queries of two versions take at three states, the start of a PostgreSQL of our own included.

Three tables, each through the very stage that `plan` goes through: the layers prepare and describe, all six
layers with sample data, and the same again out of the cache. The schema and the queries are made up, in the
proportions of a service of that size. Parts that hold others (a clone's questions) are counted once.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from coordinator.adapters.clock import SystemClock
from coordinator.adapters.evidence_cache import EvidenceFile
from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.app.recalling import Recall
from coordinator.diagnostics import Place
from coordinator.model import (
    DatabaseName,
    DatabaseSpec,
    Engine,
    Layer,
    Migration,
    MigrationsSpec,
    Role,
    SecretRef,
    ServiceName,
    SourceFile,
)
from coordinator.queries import Catalogue, Query
from coordinator.rehearse import Found, Subject, Task, rehearse_database
from migrations_hooks.goose import TOOL

TABLES = 34
PENDING = (
    "ALTER TABLE thing_0 ADD COLUMN note text",
    "ALTER TABLE thing_1 RENAME COLUMN label TO title",
)
CHEAP = (Layer.PREPARE, Layer.DESCRIBE)
AT = Place("bench", 1)


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


def task(layers: tuple[Layer, ...]) -> Task:
    """Return a release with both versions' queries and two pending migrations."""
    name = DatabaseName("bench")
    files = tuple(migration(number, text) for number, text in enumerate((schema(), *PENDING), 1))
    asked = tuple(Query(f"Q{n}", text, AT, freezes_star=True) for n, text in enumerate(queries()))
    return Task(
        DatabaseSpec(
            name,
            Engine.POSTGRESQL,
            SecretRef("env", "NOT_SET"),
            MigrationsSpec("goose", Path("migrations"), None, AT),
            timedelta(seconds=5),
            AT,
        ),
        TOOL,
        applied=files[:1],
        pending=files[1:],
        subjects=tuple(
            Subject((name, ServiceName("app"), role), Catalogue("the bench", asked)) for role in Role
        ),
        layers=layers,
    )


def migration(number: int, text: str) -> Migration:
    """Read a migration as goose would."""
    content = f"-- +goose Up\n{text};\n".encode()
    return TOOL.read((SourceFile(f"{number:05}_bench.sql", content, str(number)),)).migrations[0]


class Watch:
    """Adds up how long each part took, without the parts inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._inside = [0.0]

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what happens here as `part`."""
        began = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self.seconds[part] += took - self._inside.pop()
            self.calls[part] += 1
            self._inside[-1] += took

    def show(self, title: str) -> None:
        """Print a table, the longest part first."""
        print(title)
        for part, seconds in sorted(self.seconds.items(), key=lambda each: -each[1]):
            print(f"  {part:28} {self.calls[part]:4} x {seconds:8.3f} s")
        print(f"  {'together':28}        {sum(self.seconds.values()):7.3f} s\n")


class Watched:
    """A scratch server, database or session whose every call is timed, and those of what it returns."""

    def __init__(self, inner: Any, watch: Watch, what: str = "") -> None:
        self._inner = inner
        self._watch = watch
        self._what = what

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        if name in ("database", "clone", "session"):
            return lambda *given, **named: self._opened(name, found, given, named)

        def timed(*given: Any, **named: Any) -> Any:
            with self._watch.on(self._what + name):
                return found(*given, **named)

        return timed

    @contextmanager
    def _opened(self, name: str, found: Callable[..., Any], given: Any, named: Any) -> Iterator[Any]:
        with self._watch.on(name):
            context = found(*given, **named)
            opened = context.__enter__()
        try:
            yield Watched(opened, self._watch, "migrate: " if name == "session" else "")
        finally:
            with self._watch.on(f"close {name}"):
                context.__exit__(None, None, None)


def rehearse(asked: Task, watch: Watch) -> Found:
    """Rehearse on a server of our own."""
    with (
        watch.on("start and stop the server"),
        REHEARSAL.server(url=None, live_version=None) as server,
        watch.on("our own code"),
    ):
        return rehearse_database(Watched(server, watch), asked)  # type: ignore[arg-type]


def main() -> None:
    """Print the tables."""
    for title, layers in (("prepare and describe", CHEAP), ("all six layers", tuple(Layer))):
        asked, watch = task(layers), Watch()
        rehearse(asked, watch)
        watch.show(f"{title}: {len(queries())} queries x 2 versions x {len(PENDING) + 1} states")
    with tempfile.TemporaryDirectory() as folder:
        recall = Recall(EvidenceFile(Path(folder) / "evidence", tell=print), SystemClock())
        for title in ("all six layers, nothing kept", "the same again"):
            watch = Watch()
            with watch.on("cache"):
                recall.or_rehearse(
                    asked, REHEARSAL, live_version=None, rehearse=lambda: rehearse(asked, Watch())
                )
            watch.show(title)


if __name__ == "__main__":
    main()
