"""What the rehearsal asks of the outside, as Protocols: scratch databases, and what was known before.

They stand apart from ports because a migration hook, a platform and a step know nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol, Self

from coordinator.evidence import Change, Objection, StatementEvidence
from coordinator.model import Layer
from coordinator.ports.databases import Session
from coordinator.secret import Secret
from coordinator.wanted import NOTHING, WantedRows

Tell = Callable[[str], None]
"""Is told what a rehearsal is at, a line in the place of the one before: it may take minutes."""

BOOKS: Final = frozenset(
    {
        "goose_db_version",
        "schema_migrations",
        "schema_lock",
        "alembic_version",
        "flyway_schema_history",
        "coordinator_applied",
        "coordinator_backfill",
        "coordinator_lease",
    }
)
"""Tables where migration tools and this program keep their books: no part of a service's schema."""

Origin = tuple[str, str]
"""A table, with its schema where the engine has several, and a column of it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result, with its type as the engine writes it (`character varying(20)`)."""

    name: str
    type: str
    origin: Origin | None = None
    """The column of a table that it shows, as far as the engine tells."""
    may_be_null: bool = True
    """Of its origin: a row may have NULL there."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a compiled client knows of a query. `columns` is None where it returns no rows."""

    parameters: tuple[str, ...]
    """Types, in the order of their numbers."""
    columns: tuple[Column, ...] | None
    strings: tuple[str, ...] = ()
    """Double-quoted words that SQLite took for text, because nothing has that name here: `"gone"`.

    Where they are others than at the version's own state the query means something else, and does not work,
    though it compiles: a matter of the layer prepare. Engines that read such a word as a name only have none.
    """


class Texts(Enum):
    """What the sample texts of a column are."""

    WORDS = auto()
    NUMBERS = auto()
    """Each spells one; and what is JSON is an array."""
    DOCUMENTS = auto()
    """Each is a JSON object."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which sample rows a database gets; tables and columns are in small letters and without schema."""

    with_nulls: bool = True
    """Each table gets a row with NULL wherever it is allowed."""
    wanted: WantedRows = field(default_factory=lambda: NOTHING)
    """Also what queries look for, as far as the engine takes it."""
    left_alone: Collection[str] = frozenset()
    """Parents that keep what they have; others get rows of ours beside one or two that are there."""
    without: Collection[str] = frozenset()
    """Tables that get no row."""
    lone: Mapping[str, int] = field(default_factory=dict)
    """Tables that get one row alone, each with its number: 1 or 2, which are full."""
    numbers: Collection[tuple[str, str]] = frozenset()
    """Columns, each with its table, whose texts are NUMBERS."""
    documents: Collection[str] = frozenset()
    """Columns of any table whose texts are DOCUMENTS, if they are no numbers."""

    def numbers_of(self, table: str, there: int, most: int) -> range:
        """Return the numbers of the rows that come to a table beside those that are there; the first is 1."""
        only = self.lone.get(table.lower())
        if only is not None:
            return range(only, only if there else only + 1)
        return range(there + 1, most + 1)

    def texts_of(self, table: str, column: str) -> Texts:
        """Return what the texts of a column are."""
        if (table.lower(), column.lower()) in self.numbers:
            return Texts.NUMBERS
        return Texts.DOCUMENTS if column.lower() in self.documents else Texts.WORDS


THREE_ROWS: Final = Sampling()
"""What a table gets of which nothing is said."""

Values = tuple[object, ...]
"""Sample values of a query's parameters; only their database reads them, and it may try several of each."""

VOLATILE: Final = "\0"
"""Stands for a value that differs from one run to the next in the same state: a time, a random number."""

PRESENT: Final = "\0present"
"""Stands for the present time in what a query writes, where the clock stands still."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a query did to a table that it does not name as the one that it writes.

    A trigger, a foreign key's action or a function did it. A row that was changed is both gone and new.
    """

    table: str
    """Its name without schema."""
    gone: int
    new: int


@dataclass(frozen=True, slots=True)
class Ran:
    """How a query ended that was executed; `rows` are sorted comparable texts, None is NULL."""

    rows: tuple[tuple[str | None, ...], ...]
    count: int | None
    """How many rows it returned or touched; None where that, and so the rows, cannot be compared."""
    columns: tuple[Column, ...] = ()
    """Those of `rows`, where they are known; the same column has the same name in another state."""
    written: Ran | None = None
    """Rows of the table that it writes, also those that it wrote as they were; None where it writes none."""
    only_changed: bool = False
    """Of `written`: those that it wrote as they were are not among the rows, for the engine cannot tell."""
    table: str | None = None
    """Of `written`: the table, as it is written in the origin of a column."""
    present: tuple[tuple[str | None, ...], ...] = ()
    """Of `written`: what was there before, where others may be of the kind that `only_changed` means."""
    growth: int | None = None
    """By how many rows the table grew that it writes; None where that is not known."""
    beside: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """How a query finds its rows, in tables written as `Lock.relation` is."""

    indexed: frozenset[str]
    """Tables of which it reads a part, by an index, at one place at least."""
    whole: frozenset[str]
    """Tables that it reads from end to end at one place at least, because no index can serve there."""

    @classmethod
    def of(cls, reads: Iterable[tuple[str, bool]]) -> Self:
        """Return what the places make together at which tables are read; each says whether all of one is."""
        found = frozenset(reads)
        return cls(
            frozenset(table for table, is_whole in found if not is_whole),
            frozenset(table for table, is_whole in found if is_whole),
        )


class RehearsalDatabase(Protocol):
    """One scratch database. Nothing that is asked here stays in it; only what `session` applies does.

    Lists of answers are as long as the lists of questions, in their order. An Objection is the engine's own.
    """

    def session(self) -> AbstractContextManager[Session]:
        """Connect as the owner, to apply migrations; each statement that runs is watched."""
        ...

    def address(self, like: Secret) -> Secret:
        """Return where another program finds this database, written as the live address `like` is."""
        ...

    def take_statements(self) -> tuple[StatementEvidence, ...]:
        """Return what was seen since the last call; `migration` and `place` are for the caller to fill in.

        Watching costs time and begins with the first call: nobody wants to know what the base did.
        """
        ...

    def clone(self) -> AbstractContextManager[RehearsalDatabase]:
        """Make a second database with the same schema and rows."""
        ...

    def prepare(self, texts: Sequence[str]) -> list[Description | Objection]:
        """Ask whether each text parses and binds (layers 1 and 2)."""
        ...

    def expand_star(self, texts: Sequence[str]) -> list[str]:
        """Return each text with the columns that its `*` stand for now, as sqlc writes them into a client.

        A `*` whose columns cannot be told stays.
        """
        ...

    def plan(self, texts: Sequence[str], *, role: str | None) -> list[Objection | None]:
        """Ask whether each text can be planned, and whether `role` has the privileges (layer 3)."""
        ...

    def look_up(self, asks: Sequence[tuple[str, Values]]) -> list[Lookup | None]:
        """Ask how each text finds its rows; None where the engine does not say.

        A planner reads a table of a few sample rows whole, whatever indexes it has. So the question is where
        it has to; what it makes of an index that can serve is a matter of the live table's statistics.
        """
        ...

    def fill(self, sampling: Sampling = THREE_ROWS) -> tuple[str, ...]:
        """Insert sample rows into empty tables, and into parents up to three of them.

        Return a clause for each empty table that should have some and could not be filled.
        What was there at an earlier call, also of the database that this one is a clone of, is left alone.
        """
        ...

    def choose(self, texts: Sequence[str], *, role: str | None) -> list[Values | Objection]:
        """Find sample values with which each text runs here; the last objection where none does."""
        ...

    def execute(self, asks: Sequence[tuple[str, Values]], *, role: str | None) -> list[Ran | Objection]:
        """Run each text with its values in a transaction of its own that is rolled back (layers 4 and 5)."""
        ...

    def held(self, texts: Sequence[str]) -> AbstractContextManager[Callable[[], list[Objection | None]]]:
        """Prepare each text in a session that stays; the function asks again after a migration (layer 6)."""
        ...

    def catalogue(self) -> Mapping[str, str]:
        """Return the schema as name → definition (`column public.orders.total` → `bigint not null`)."""
        ...


class RehearsalServer(Protocol):
    """A place for scratch databases."""

    version: str
    """Name and version: `postgresql 18.6`."""
    notes: tuple[str, ...]
    """What a verdict must say about it: a setting that differs from the live server's."""
    doubt: str | None
    """Why nothing that it answers decides anything: its SQL may be another one than the live server's."""

    def database(self, dump: str | None = None) -> AbstractContextManager[RehearsalDatabase]:
        """Make a scratch database, empty or with the schema of a dump; it is removed at the end."""
        ...


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Finds the rows of a database that a change of its schema does not bear."""

    rows: str
    """Which ones, for a person: "rows of `orders` where `customer` is NULL"."""
    columns: str
    source: str
    """`SELECT columns source` shows them: `FROM orders WHERE customer IS NULL`."""


class EvidenceCache(Protocol):
    """Answers of earlier rehearsals. It may forget any of them at any time, and never gives a wrong one."""

    def get(self, key: str) -> str | None:
        """Return the answer that was put under a key; None if there is none."""
        ...

    def put(self, key: str, answer: str) -> None:
        """Keep an answer; never an error."""
        ...


class RehearsalEngine(Protocol):
    """`REHEARSAL: Final[RehearsalEngine]`, last line of adapters/rehearsals/<engine>.py.

    Whatever it makes is removed when its context ends; what a killed command left, by the next command.
    """

    layers: frozenset[Layer]
    """Those that the engine can answer."""

    def server(
        self, *, url: Secret | None, live_version: str | None
    ) -> AbstractContextManager[RehearsalServer]:
        """Find or start a server: the team's at `url`, else one of the live server's major version."""
        ...

    def identity(self, *, live_version: str | None) -> str | None:
        """Return what changes with anything of this machine that its own server's answers depend on.

        Nothing is started for it. None where it cannot be told: then no answer may be used again.
        """
        ...

    def is_live_server(self, url: Secret, session: Session) -> bool:
        """Tell whether the team's URL, however it is spelled, leads to the server of a live session."""
        ...

    def live_version(self, session: Session) -> str:
        """Return the version of the live server, as `RehearsalServer.version` writes it.

        Behind it stands, as the engine likes, what else of the live server its answers depend on.
        """
        ...

    def has_sql_of(self, version: str, live_version: str) -> bool:
        """Tell whether SQL of `version`, as `RehearsalServer.version` writes it, is the live server's."""
        ...

    def live_catalogue(self, session: Session) -> Mapping[str, str]:
        """Return the live schema as `RehearsalDatabase.catalogue` writes it; only reads."""
        ...

    def live_sizes(self, session: Session) -> Mapping[str, int]:
        """Return the size of each live table in bytes, its indexes included, by `schema.name`; only reads."""
        ...

    def live_changes_left(self, session: Session) -> Mapping[str, int]:
        """Return how many more times each live table can get or lose a column without its rows being written
        anew, by `schema.name`, where the engine counts them and tells us; only reads.
        """
        ...

    def rows_against(self, change: Change) -> RowQuery | None:
        """Return what finds the rows that a change does not bear; None: it bears all, or it is not known."""
        ...

    def dump(self, url: Secret) -> str:
        """Return the live schema as SQL. Raises: DatabaseError or Usage where no tool for it is found."""
        ...
