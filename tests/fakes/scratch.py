"""A scratch database that a test scripts: columns with a type and a value, and queries that name columns.

A query's text is the names of its columns: `id total`. A migration's statements are `add NAME TYPE`,
`drop NAME`, `type NAME TYPE`, `write NAME VALUE`, `deny NAME`, `fail`. It answers every layer from that, and
is no engine: what an engine promises is held in tests/contracts/test_every_rehearsal.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.evidence import Change, Objection, StatementEvidence
from coordinator.model import Migration, Statement
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import (
    THREE_ROWS,
    Column,
    Description,
    Lookup,
    Ran,
    RehearsalDatabase,
    Sampling,
    Values,
)
from coordinator.secret import Secret
from coordinator.sql import split_statements

STALE = Objection("0A000", "cached plan must not change result type")


@dataclass
class FakeScratch:
    """One database; `types` and `values` are its columns."""

    types: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    """The texts that were prepared, in order."""
    refuses: set[str] = field(default_factory=set)
    """Migrations that this very database refuses."""
    _seen: list[StatementEvidence] = field(default_factory=list)

    def apply(self, migration: Migration) -> DatabaseError | None:
        """Apply a migration as its tool would, which writes to a table of its own."""
        if migration.name in self.refuses:
            return DatabaseError("refused", f"{migration.name} is refused here.")
        for statement in migration.up.statements if migration.up else ():
            for piece in split_statements(statement.text):
                if piece.text == "fail":
                    return DatabaseError("refused", "no such thing")
                self._run(piece.text)
        self._saw("INSERT INTO versions")
        return None

    def _run(self, text: str) -> None:
        match text.rstrip(";").split():
            case ["add", name, kind] | ["type", name, kind]:
                before, self.types[name] = self.types.get(name), kind
                self.values.setdefault(name, "1")
                self._saw(text, changes=(Change("column", "t", name, before, kind),))
            case ["drop", name]:
                self._saw(text, changes=(Change("column", "t", name, self.types.pop(name), None),))
            case ["write", name, value]:
                self.values[name] = value
                self._saw(text, written=("t",))
            case ["deny", name]:
                self.denied.add(name)
                self._saw(text)
            case _:
                raise AssertionError(text)

    def _saw(self, text: str, *, changes: tuple[Change, ...] = (), written: tuple[str, ...] = ()) -> None:
        self._seen.append(
            StatementEvidence(
                "",
                Statement(text, 1),
                Place(""),
                in_transaction=True,
                seconds=0,
                changes=changes,
                written=written,
            )
        )

    # -- what a rehearsal asks -------------------------------------------------------------------------

    def session(self) -> AbstractContextManager[Session]:
        raise AssertionError("a test applies migrations with `apply`")

    def address(self, like: Secret) -> Secret:
        raise AssertionError(f"nobody else finds this database, and not {like}")

    def take_statements(self) -> tuple[StatementEvidence, ...]:
        seen, self._seen = tuple(self._seen), []
        return seen

    @contextmanager
    def clone(self) -> Iterator[RehearsalDatabase]:
        yield FakeScratch(dict(self.types), dict(self.values), set(self.denied))

    def prepare(self, texts: Sequence[str]) -> list[Description | Objection]:
        self.asked += texts
        return [self._describe(text) for text in texts]

    def _describe(self, text: str) -> Description | Objection:
        for name in text.split():
            if name not in self.types:
                return Objection("42703", f'column "{name}" does not exist')
        return Description((), tuple(Column(name, self.types[name]) for name in text.split()))

    def expand_star(self, texts: Sequence[str]) -> list[str]:
        return [" ".join(self.types) if text == "*" else text for text in texts]

    def plan(self, texts: Sequence[str], *, role: str | None) -> list[Objection | None]:
        return [
            Objection("42501", f"permission denied for {role}") if self.denied & set(text.split()) else None
            for text in texts
        ]

    def look_up(self, asks: Sequence[tuple[str, Values]]) -> list[Lookup | None]:
        return [None] * len(asks)

    def fill(self, sampling: Sampling = THREE_ROWS) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def choose(self, texts: Sequence[str], *, role: str | None) -> list[Values | Objection]:  # noqa: ARG002
        return [Objection("22012", "division by zero") if "odd" in text else () for text in texts]

    def execute(
        self,
        asks: Sequence[tuple[str, Values]],
        *,
        role: str | None,
    ) -> list[Ran | Objection]:
        denied = self.plan([text for text, _ in asks], role=role)
        return [
            objection
            or Ran((tuple(self.values[name] for name in text.split()),), 1, self._describe(text).columns)
            for (text, _), objection in zip(asks, denied, strict=True)
        ]

    @contextmanager
    def held(self, texts: Sequence[str]) -> Iterator[Callable[[], list[Objection | None]]]:
        then = [self._describe(text) for text in texts]
        yield lambda: [
            None if self._describe(text) == before else STALE
            for text, before in zip(texts, then, strict=True)
        ]

    def catalogue(self) -> Mapping[str, str]:
        return {f"column {name}": kind for name, kind in self.types.items()}
