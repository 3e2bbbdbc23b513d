"""What is known about each version at each schema state, and what that knowledge rests on.

The rest of the line asks only this matrix. Its cells come from the engine's answers (rehearse), or, for a
version whose queries nobody knows, from declarations and statement classes (classify), and then none of
them is *proven*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from coordinator.diagnostics import Place
from coordinator.model import DatabaseName, Layer, Migration, Phase, Role, ServiceName, Statement


class Verdict(StrEnum):
    """Whether a version works at a state. Unproven is never called safe."""

    PROVEN = "proven"
    BROKEN = "broken"
    UNPROVEN = "unproven"


class Basis(StrEnum):
    """What a verdict rests on, strongest first."""

    REHEARSED = "rehearsed"
    """The engine was asked."""
    OBSERVED = "observed"
    """The version runs on this very schema now; of a migration's phase: nothing is in its database yet."""
    DECLARED = "declared"
    """The migration's author wrote its phase down."""
    CLASSIFIED = "classified"
    """Guessed from the class of the migration's statements."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One cell: the verdict, its basis, and the sentence that a person reads."""

    verdict: Verdict
    basis: Basis
    reason: str


@dataclass(frozen=True, slots=True)
class Phased:
    """A pending migration with the phase that it was given, and why."""

    migration: Migration
    phase: Phase
    basis: Basis
    reason: str
    place: Place


Use = tuple[DatabaseName, ServiceName, Role]
"""A version of a service on a database that it uses."""


@dataclass(frozen=True, slots=True)
class Span:
    """The schema states `first` to `last`, at which the same is known about a version."""

    first: int
    last: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Objection:
    """The engine's own refusal: its code (SQLSTATE, or SQLite's name of the result code) and its message."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Break:
    """A query that a version needs and that does not work at a state; `migration` is the one to blame."""

    use: Use
    state: int
    query: str
    place: Place
    layer: Layer
    objection: Objection
    migration: str | None
    """For a live version the one that led to the state, for a next one the first that mends it."""


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A question that could not be put to the engine, so that its answer is not known."""

    use: Use
    query: str
    layer: Layer
    reason: str
    """A clause: `no sample row passes the check orders_total_check`."""
    state: int | None = None
    """None: at no state."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that a statement took on a table or index; `mode` in the engine's words: AccessExclusiveLock.

    On MySQL and MariaDB it is how the server did it: `ALGORITHM=COPY LOCK=SHARED`.
    """

    relation: str
    mode: str
    is_new: bool
    """The relation was made by the same migration, so nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference in the catalogue that a statement made.

    `kind` is `table`, `column`, `constraint`, `index`, `view`, `function`, `trigger`, `policy`, `type`,
    `enum-value`, `sequence`, `domain`, `rule`, `privilege`, `partition`, `extension` or `schema`; `before`
    and `after` are the thing's definition, None where it was not there.
    """

    kind: str
    relation: str | None
    name: str
    before: str | None
    after: str | None


LOCK_TABLES: Final = "LOCK TABLES"
"""The mode of a lock that MySQL and MariaDB hold until UNLOCK TABLES or the session's end."""
FOREIGN_KEY_MOMENT: Final = "metadata lock (of a foreign key)"
"""MySQL: on a table that the statement does not name, for a moment, against everybody."""
FOREIGN_KEY_COPY: Final = "foreign key LOCK=SHARED"
"""MySQL and MariaDB: writers of a table that the statement does not name wait until its child is copied."""
PARTITION_CHECK: Final = "partition check"
"""MySQL and MariaDB: begins the mode of a lock on what becomes a partition, until its rows are read."""


@dataclass(frozen=True, slots=True)
class StatementEvidence:
    """What one statement of a migration did to the scratch database. Relations are written `schema.name`; on
    MySQL and MariaDB, where a database is its only schema, `name`.
    """

    migration: str
    statement: Statement
    place: Place
    in_transaction: bool
    """It ran in a transaction with others, so its locks are held until that one ends."""
    seconds: float
    locks: tuple[Lock, ...] = ()
    rewritten: tuple[str, ...] = ()
    """Tables and indexes that were there before and got a new file."""
    scanned: tuple[str, ...] = ()
    """Tables that were there before and were read from one end to the other."""
    written: tuple[str, ...] = ()
    """Tables that were there before and of which it inserted, updated or deleted rows, or would have."""
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the server said of values that it changed to make them fit (MySQL and MariaDB)."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """What a statement would do to the live service while it runs, and how to do it without."""

    code: str
    place: Place
    migration: str
    what: str
    why: str
    rewrite: str = ""
    """SQL that can be pasted; comments in it say what goes into another migration."""
    rows: str = ""
    """The query that finds the rows of the live database on which the statement fails."""
    fails: bool = False
    """It fails on rows that the live database has, or that live writes as long as it serves: so nobody can
    say that the release gets to its end.
    """


@dataclass(frozen=True, slots=True)
class LostIndex:
    """A query that works at a state, and reads a table from end to end that it finds its rows in by an index
    at its version's own state.
    """

    use: Use
    state: int
    query: str
    table: str
    """As `Lock.relation` is written."""
    migration: str
    """The one that takes the index away from a live version, or gives it to a next one."""
    is_for_good: bool = False
    """Of a live version: a next one asks the same, so it is without an index whenever it serves."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the engine answered about one database, beside the matrix, for those who want to know why."""

    engine: str
    """Name and version of what was asked: `postgresql 18.6`."""
    base: str
    """A sentence: what the scratch database was made from."""
    layers: tuple[Layer, ...]
    """Those that were asked for and that the engine can answer."""
    catalogues: Mapping[Use, tuple[str, int]]
    """Source and number of queries of each version that was asked about."""
    breaks: tuple[Break, ...] = ()
    already_failing: tuple[Break, ...] = ()
    """Queries that fail where they belong (live at the first state, next at the last): nobody's fault."""
    unchecked: tuple[Unchecked, ...] = ()
    statements: tuple[StatementEvidence, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    drift: tuple[str, ...] = ()
    """Differences between the live schema and the files, a line each."""
    notes: tuple[str, ...] = ()
    """What limits this evidence: another major version, a table that could not be filled."""
    backfills: tuple[tuple[str, int, Finding], ...] = ()
    """What each backfill did at each state from the one that it needs."""
    needs: tuple[tuple[str, str], ...] = ()
    """A migration that fails on sample rows, and a backfill that was done before it so that it did not."""
    batch_scans: tuple[tuple[str, str], ...] = ()
    """A backfill, and a table that each of its batches reads from end to end, because no index serves it."""
    lost_indexes: tuple[LostIndex, ...] = ()
    is_whole: bool = True
    """The base could be made and every pending migration applied; else nothing is known behind the first
    that did not."""
    failed: str | None = None
    """The pending migration that the scratch database refused."""
    doubt: str | None = None
    """Why no answer decides anything: the SQL of the server that gave it may not be that of the live one."""

    @property
    def failing(self) -> tuple[Hazard, ...]:
        """The hazards of statements that fail on rows that live has, or writes."""
        return tuple(each for each in self.hazards if each.fails)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The matrix, and the pending migrations m1..mk of each database in the order of the tool.

    The matrix is kept in spans, ascending and apart: a version knows two or three kinds of state, however
    many migrations are pending. A state in no span is one that nobody looked at, and unproven.
    """

    phased: Mapping[DatabaseName, tuple[Phased, ...]]
    spans: Mapping[Use, tuple[Span, ...]] = field(repr=False)
    rehearsals: Mapping[DatabaseName, Rehearsal] = field(default_factory=dict, repr=False)
    backfills: Mapping[tuple[DatabaseName, str], Finding] = field(default_factory=dict)
    """Whether each can be run at all states that it may meet; one that is not here was not asked about."""

    def between(self, use: Use, first: int, last: int) -> Iterator[Span]:
        """Yield spans that cover the states `first` to `last`, and no other, without a gap."""
        for span in self.spans.get(use, ()):
            if span.last < first or span.first > last:
                continue
            if first < span.first:
                yield Span(first, span.first - 1, NOTHING_KNOWN)
            yield Span(max(first, span.first), min(last, span.last), span.finding)
            first = span.last + 1
        if first <= last:
            yield Span(first, last, NOTHING_KNOWN)

    def finding(self, use: Use, state: int) -> Finding:
        """Return what is known at one state."""
        return next(self.between(use, state, state)).finding

    def breaks(self, use: Use, state: int) -> tuple[Break, ...]:
        """Return the queries of a version that the engine refused at a state."""
        rehearsal = self.rehearsals.get(use[0])
        found = rehearsal.breaks if rehearsal else ()
        return tuple(each for each in found if each.use == use and each.state == state)

    def only_sessions_break(self, use: Use, state: int) -> bool:
        """Tell whether the version itself bears a state, and only what was prepared before it breaks."""
        breaks = self.breaks(use, state)
        return bool(breaks) and all(each.layer is Layer.SESSION for each in breaks)


NOTHING_KNOWN = Finding(Verdict.UNPROVEN, Basis.CLASSIFIED, "nothing was asked")
