"""What live writes behind a copy: a migration fills a new column or table once, of which live knows nothing.

Every query of both versions works all the while, so no verdict tells. But what live writes from the copy to
its own end next does not find, or finds as it was. A trigger that keeps the two in step, a backfill (which
counts once more what is left) and a second copy behind live's end are answers: nothing is said then. In turn
live does not find what next changes in the copy alone, while both serve and after a way back. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.evidence import Hazard, Rehearsal, StatementEvidence, Use
from coordinator.model import BackfillSpec, Migration, Role
from coordinator.rehearse.catalogued import ANY, bare, words_of
from coordinator.rehearse.live_nulls import DEFAULT
from coordinator.rehearse.lost_indexes import last_of_live, named_queries
from coordinator.rehearse.nullable import shown_by
from coordinator.rehearse.touched import pieces_of
from coordinator.rehearse.written import columns_by, items_of, targets_of

_UPDATE: Final = re.compile(
    r"\s*UPDATE\s+(?:ONLY\s+)?(?P<table>[^\s,]+)\s+(?:AS\s+)?(?:\w+\s+)?SET\s+(?P<set>.*?)"
    r"(?:\bFROM\b.*?)?(?:\bWHERE\b(?P<where>.*?))?;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_COPY: Final = re.compile(
    r"\s*INSERT\s+INTO\s+(?P<into>[^\s(]+)\s*(?:\([^()]*\)\s*)?SELECT\b.*?\bFROM\s+(?P<source>[^\s,;()]+).*",
    re.IGNORECASE | re.DOTALL,
)
_IS_NULL: Final = re.compile(r"\s*\(?\s*[\w.\"`]+\s+IS\s+NULL\s*\)?\s*", re.IGNORECASE)
_READS: Final = re.compile(r"\s*(?:SELECT|WITH)\b", re.IGNORECASE)
_MINDS: Final = frozenset({"case", "coalesce", "ifnull", "null"})
"""Words of a query that was written with rows in mind that have no value yet."""
_KEEPERS: Final = frozenset({"trigger", "rule"})
_INSTEAD: Final = """-- before it, until live is gone: a trigger on {source} that keeps {copy} in step
-- or once more when live is gone: in a file with `phase=contract`, or a backfill with `before: contract`"""
_BACK: Final = """-- before it, until live is gone: a trigger on {source} that writes {copy} back
-- or a release in between, whose version writes both"""

_Texts = Mapping[tuple[Use, str], str]


@dataclass(frozen=True, slots=True)
class _Copied:
    """What a statement fills, and from what."""

    statement: StatementEvidence
    table: str
    source: str
    column: str | None
    """None: the rows of a new table."""
    of: frozenset[str]
    """Words among which the columns are that its value is made of."""
    has_default: bool
    """A new row has a value of its own, which may be meant."""

    @property
    def name(self) -> str:
        return self.table if self.column is None else f"{self.table}.{self.column}"


def hazards_of_left_behind(
    rehearsal: Rehearsal, backfills: Sequence[BackfillSpec], pending: Sequence[Migration], texts: _Texts
) -> Iterator[Hazard]:
    """Yield a hazard for each new column or table that is filled while live writes what it is filled from,
    and for each column that next changes in its place.

    `texts` are those of the queries.
    """
    last = last_of_live(rehearsal, pending)
    names = [each.name for each in pending]
    beside = [each for each in rehearsal.statements if each.migration in names[:last]]
    behind = [each for each in rehearsal.statements if each.migration in names[last:]]
    new = _new_things([*beside, *behind])
    in_step, counted = _kept(beside), {bare(each.table) for each in backfills}
    again = {copied.name for copied in _copies(behind, new)}
    live, next_ = (
        {(use, name): text for (use, name), text in texts.items() if use[2] is role}
        for role in (Role.LIVE, Role.NEXT)
    )
    told = set[str]()
    for copied in _copies(beside, new):
        tables = {copied.table, copied.source}
        if copied.name in told or not in_step.isdisjoint(tables):
            continue
        told.add(copied.name)
        if copied.name not in again and counted.isdisjoint(tables):
            yield from _behind_live(copied, live, next_)
        yield from _behind_next(copied, live, next_)


def _behind_live(copied: _Copied, live: _Texts, next_: _Texts) -> Iterator[Hazard]:
    """Yield what live writes past, and next reads."""
    writers = _names(live, lambda text: _writes(text, copied), other_than=next_)
    readers = _names(next_, lambda text: _reads(text, copied))
    if writers and readers:
        yield _hazard(
            copied,
            what=f"{copied.name} is filled here, once, and live goes on writing {copied.source} without it by"
            f" {named_queries(writers)}. Next reads it by {named_queries(readers)}.",
            why="What live writes until it is gone next does not find there, or finds as it was.",
            rewrite=_INSTEAD,
        )


def _behind_next(copied: _Copied, live: _Texts, next_: _Texts) -> Iterator[Hazard]:
    """Yield what next changes in the copy alone, and live reads where it was made from."""
    known = {column for text in live.values() for column in _changed(text, copied.source)}
    sources = copied.of & known
    writers = _names(
        next_,
        lambda text: (
            (columns := _changed(text, copied.table)) >= {copied.column} and sources.isdisjoint(columns)
        ),
        other_than=live,
    )
    readers = _names(live, lambda text: _asks(text, copied.source) and not sources.isdisjoint(words_of(text)))
    if writers and readers:
        source = ", ".join(sorted(sources))
        yield _hazard(
            copied,
            what=f"{copied.name} takes the place of {source}, and next changes it alone by"
            f" {named_queries(writers)}. Live reads {source} by {named_queries(readers)}.",
            why="What next writes live does not find while both serve, and not after a way back.",
            rewrite=_BACK,
        )


def _hazard(copied: _Copied, *, what: str, why: str, rewrite: str) -> Hazard:
    return Hazard(
        code="rows-left-behind",
        place=copied.statement.place,
        migration=copied.statement.migration,
        what=what,
        why=why,
        rewrite=rewrite.format(source=copied.source, copy=copied.name),
    )


def _names(
    texts: _Texts, is_meant: Callable[[str], bool], *, other_than: _Texts | None = None
) -> Sequence[str]:
    """Return the names of queries, of those alone that no query of the `other_than` version is."""
    known = frozenset((other_than or {}).values())
    return sorted({name for (_, name), text in texts.items() if text not in known and is_meant(text)})


def _new_things(statements: Sequence[StatementEvidence]) -> Mapping[tuple[str, str | None], str]:
    """Return the columns, each with its table, and the tables that a release brings and keeps, as they are
    defined in the end.
    """
    first: dict[tuple[str, str | None], str | None] = {}
    last: dict[tuple[str, str | None], str | None] = {}
    for each in (change for one in statements for change in one.changes):
        if each.kind in ("column", "table"):
            is_column = each.kind == "column"
            key = (bare(each.relation or ""), bare(each.name)) if is_column else (bare(each.name), None)
            first.setdefault(key, each.before)
            last[key] = each.after
    return {key: after for key, after in last.items() if after is not None and first[key] is None}


def _kept(statements: Sequence[StatementEvidence]) -> set[str]:
    """Return the tables with a trigger or a rule of the release, which may keep a copy in step."""
    changes = (change for each in statements for change in each.changes)
    return {bare(each.relation or "") for each in changes if each.kind in _KEEPERS and each.after}


def _copies(
    statements: Sequence[StatementEvidence], new: Mapping[tuple[str, str | None], str]
) -> Iterator[_Copied]:
    """Yield what statements fill of what is new, in all rows; of a part of them others may be meant."""
    for each in statements:
        text = "".join(piece.text for piece in pieces_of(each.statement.text))
        if update := _UPDATE.fullmatch(text):
            table = bare(update["table"])
            is_whole = update["where"] is None or _IS_NULL.fullmatch(update["where"])
            for item in items_of(update["set"]) if is_whole and (table, None) not in new else ():
                name, _, value = item.partition("=")
                column = bare(name.strip())
                if definition := new.get((table, column)):
                    has_default = DEFAULT.search(definition) is not None
                    yield _Copied(each, table, table, column, words_of(value), has_default=has_default)
        elif copy := _COPY.fullmatch(text):
            table, source = bare(copy["into"]), bare(copy["source"])
            if (table, None) in new and (source, None) not in new:
                yield _Copied(each, table, source, None, words_of(text), has_default=False)


def _writes(text: str, copied: _Copied) -> bool:
    """Tell whether a query of live writes what the copy is made of, and leaves the copy as it is."""
    columns = columns_by(text)
    if columns is None or copied.source not in targets_of(text) or copied.column in columns:
        return False
    if "insert" in words_of(text) and not copied.has_default:
        return True
    return not _changed(text, copied.source).isdisjoint(copied.of)


def _changed(text: str, table: str) -> frozenset[str]:
    """Return the words among which the columns are that an UPDATE of a table changes; none of other texts."""
    if "update" not in words_of(text) or table not in targets_of(text):
        return frozenset()
    return columns_by(text) or frozenset()


def _reads(text: str, copied: _Copied) -> bool:
    """Tell whether a query of next asks for the copy, and was written without a row in mind that has none."""
    words = words_of(text)
    if not _asks(text, copied.table) or not _MINDS.isdisjoint(words):
        return False
    return copied.column is None or copied.column in words or not ANY.isdisjoint(shown_by(text))


def _asks(text: str, table: str) -> bool:
    return _READS.match(text) is not None and table in words_of(text)
