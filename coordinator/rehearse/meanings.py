"""What a query names, and what means something else than where its version was made. Pure.

The rows that it returns and writes are compared. Three rows of a sample seldom have what tells the two
meanings apart: a value between two limits, a label that changed places, the last number of a sequence. Each
check looks at one such thing in two states' schemas, and returns a sentence or None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from coordinator.rehearse.bodies import body_of, looking_elsewhere, otherwise, shown_otherwise
from coordinator.rehearse.catalogued import Room, bare, called, words_of
from coordinator.rehearse.counters import Numbers
from coordinator.rehearse.in_place import shows_otherwise
from coordinator.rehearse.labels import goes_by_order, moved, ordered_otherwise, replaced
from coordinator.rehearse.met import events_of
from coordinator.rehearse.nullable import denied_by
from coordinator.rehearse.overloads import ambiguous, capturing
from coordinator.rehearse.pair import Pair
from coordinator.rehearse.schema import is_computed
from coordinator.rehearse.written import columns_by, targets_of
from coordinator.wanted import tables_by_name

_ON_UPDATE: Final = " on update "
_ALL_OF_MANY: Final = re.compile(
    r"\b(?:INSERT|REPLACE|UNION|INTERSECT|EXCEPT|IN)\b.*\bSELECT\s+(?:(?:ALL|DISTINCT)\s+)?(?:[\w\"`]+\.)?\*",
    re.IGNORECASE | re.DOTALL,
)
_ROW_OF_ALL: Final = re.compile(r"(?:(?<![\w\"])|\bROW\s*)\(\s*[\w\"]+\.\*", re.IGNORECASE)
"""PostgreSQL compares rows column by column, the first one first."""
_WHOLE_ROW: Final = (
    r"(?:\bBY\b[^()]*?|[<>]=?\s*){name}\b(?!\s*\.)"
    r"|(?:(?<![\w.\"]){name}(?:\s*\.\s*\*)?\s*(?:::|[<>])|\bCAST\s*\(\s*{name}(?:\s*\.\s*\*)?\s+AS\b)"
)
"""A table's name where a value stands: as a text a row is its columns in turn, and so it is ordered."""
_OF_A_ROW: Final = re.compile(
    r"\bVALUES\s*\((?=[^()]*(?:'|(?<![\w$])\d))[^()]*\)\s*ON\s+CONFLICT\b", re.IGNORECASE
)
"""An upsert with a literal among its values, which may be its key. PostgreSQL does not tell what it did."""
_NATURAL: Final = re.compile(r"\bNATURAL\b", re.IGNORECASE)
_USED_UP: Final = (
    "`{name}` gives fewer numbers here than where the version was made, or gives them twice: whether they"
    " suffice is not known"
)
_COMES_AGAIN: Final = (
    "`{name}` may get the number of a row that is gone here, and never does where the version was made"
    " (AUTOINCREMENT): whether the version counts on that is not known"
)
_MADE_OTHERWISE: Final = (
    "`{name}` is made of something else here than where the version was made: whether it gives the same for"
    " rows that are no sample is not known"
)
_REORDERED: Final = (
    "the labels of `{column}` have another order here than where the version was made: whether the version"
    " finds the same rows by it is not known"
)
_REPLACED: Final = (
    "`{column}` has the label `{label}` where the version was made, and another one here: whether the version"
    " knows what it reads there, or finds what it looks for, is not known"
)
_DENIED: Final = (
    "`{column}` may be NULL here and not where the version was made: a single NULL there makes `NOT IN` find"
    " no row"
)
_IN_PLACE: Final = (
    "`{name}` is a view here or where the version was made, and a table in the other, of whose columns it"
    " asks or computes something: whether it shows the same for rows that are no sample is not known"
)
_STALE: Final = (
    "`{name}` is a materialized view here, which shows what was there when it was filled, and none where the"
    " version was made: whether that suffices is not known"
)
_CAPTURED: Final = (
    "`{name}` is a function here that is not there where the version was made, and may take a call of another"
    " one of that name: whether it gives the same is not known"
)
_CHOSEN: Final = (
    "`{name}` is several functions, and `{column}` is of another type here than where the version was made:"
    " whether the same one is called is not known"
)
_GIVEN: Final = (
    "`{column}` gets another value by itself here than where the version was made, and no sample row was"
    " written that shows it"
)
_LAID_OUT: Final = (
    "the columns of `{table}` stand in another order here than where the version was made, and a text without"
    " their names goes by it"
)
_JOINED: Final = "a NATURAL JOIN joins by `{column}` too, which more of its tables have than at its own state"


def _used_up(pair: Pair) -> str | None:
    """Numbers of a sequence or a column that counts, of which there are fewer."""
    before, now = pair.own.schema, pair.here.schema
    rooms = now.rooms_of(pair.here.names) if "insert" in events_of(pair.text) else []
    counted = {name: room for name, room in rooms if name in now.counted}
    for name, room in counted.items():
        if _ends_sooner(room, before.columns.get(name)):
            return _USED_UP.format(name=".".join(name))
    less = _ending_sooner(before.sequences, now.sequences)
    if not less:
        return None
    words, used = now.words_behind(pair.text), {now.counted[name] for name in counted}
    found = [name for name in less if name in used or bare(name) in words]
    return _USED_UP.format(name=found[0]) if found else None


def _comes_again(pair: Pair) -> str | None:
    """Numbers of rows that are gone, which a key of SQLite gets again."""
    before, now = pair.own.schema, pair.here.schema
    if before.never_again == now.never_again or "insert" not in events_of(pair.text):
        return None
    written = columns_by(pair.text) or frozenset()
    rooms = now.rooms_of(pair.here.tables & pair.own.tables)
    found = [name for name, _ in rooms if name in before.never_again - now.never_again]
    return _COMES_AGAIN.format(name=".".join(found[0])) if found and found[0][1] not in written else None


def _ending_sooner(before: Mapping[str, Numbers], now: Mapping[str, Numbers]) -> list[str]:
    if before == now:
        return []
    both = sorted(before.keys() & now.keys())
    return [name for name in both if now[name].gives_less_than(before[name])]


def _ends_sooner(room: Room | None, before: Room | None) -> bool:
    return room is not None and before is not None and room[-1] < before[-1]


def _made_otherwise(pair: Pair) -> str | None:
    """A function, an aggregate or a view of another body, or what a text is searched by."""
    before, now = pair.own.schema, pair.here.schema
    if not before.bodies:
        return None
    is_same = before.functions == now.functions and before.searches == now.searches
    texts = [pair.text] if is_same else [pair.text, *_given(pair), *_searching(pair)]
    behind = before.words_behind(" ".join(texts)) & before.bodies.keys()
    named = [name for name in behind if before.bodies[name] != now.bodies.get(name)]
    if not named:
        return None
    names = before.names | now.names
    found = [
        *otherwise(before.functions, now.functions, named=named, names=names),
        *otherwise(before.searches, now.searches, named=named, names=names),
        *looking_elsewhere(
            before.functions, now.functions, named=named, ambiguous=before.ambiguous | now.ambiguous
        ),
        *shown_otherwise(before.shown, now.shown, named=named, names=names),
    ]
    return _MADE_OTHERWISE.format(name=found[0]) if found else None


def _given(pair: Pair) -> Iterator[str]:
    """Yield what gives values to the rows that a query writes, and computes columns that it names.

    A default is for new rows, an expression for all.
    """
    schema, inserts = pair.own.schema, "insert" in events_of(pair.text)
    written = {name for name, _ in schema.rooms_of(pair.own.names)}
    for name, text in schema.given.items():
        is_given = name in written and (inserts or is_computed(text))
        if is_given or (is_computed(text) and schema.may_name(pair.text, *name)):
            yield text


def _searching(pair: Pair) -> Iterator[str]:
    """Yield by what triggers make what texts are searched in; what else they call, they are compared with."""
    schema, events = pair.own.schema, events_of(pair.text)
    for each in schema.acting if schema.searches else ():
        if each.table in pair.own.names and not events.isdisjoint(each.events):
            yield " ".join(words_of(each.text) & schema.searches.keys())


def _in_place(pair: Pair) -> str | None:
    """A view in the place of a table."""
    before, now = pair.own.schema, pair.here.schema
    for name in sorted((before.views.keys() ^ now.views.keys()) & before.words_behind(pair.text)):
        view, table = (before, now) if name in before.views else (now, before)
        columns = table.columns_of({name})
        if columns and shows_otherwise(view.views[name], columns=columns):
            return _IN_PLACE.format(name=name)
    return None


def _stale(pair: Pair) -> str | None:
    """A materialized view in the place of a view or a table."""
    before, now = pair.own.schema, pair.here.schema
    new = now.materialized - before.materialized
    names = {table for table, _ in before.columns} & new if new else new
    found = names & before.words_behind(pair.text) if names else names
    return _STALE.format(name=min(found)) if found else None


def _captured(pair: Pair) -> str | None:
    """A function for other types, which a call may take from then on."""
    before, now = pair.own.schema, pair.here.schema
    texts = " ".join([pair.text, *map(body_of, called(pair.text, before.functions))])
    names = capturing(texts, before.functions, now.functions)
    return next((_CAPTURED.format(name=name) for name in names), None)


def _chosen_otherwise(pair: Pair) -> str | None:
    """A function that is another one for a column's new type."""
    before, now = pair.own.schema, pair.here.schema
    if not before.functions or before.catalogue == now.catalogue:
        return None
    texts = " ".join([pair.text, *map(body_of, called(pair.text, before.bodies))])
    name = next(ambiguous(texts, before.functions), None)
    if name is None:
        return None
    words = words_of(texts)
    for (table, column), of in before.types.items():
        if table in words and column in words and now.types.get((table, column), of) != of:
            return _CHOSEN.format(name=name, column=f"{table}.{column}")
    return None


def _given_otherwise(pair: Pair) -> str | None:
    """A default, or an ON UPDATE of MySQL, where a query found no row that it would write.

    Or where an INSERT whose own values name a row may have met it each time (`VALUES ('paid') ON CONFLICT`).
    """
    before, now = pair.own.schema.given, pair.here.schema.given
    columns, events = columns_by(pair.text), events_of(pair.text)
    grew = pair.own.ran.growth
    adds_none = "insert" in events and (grew == 0 if grew is not None else bool(_OF_A_ROW.search(pair.text)))
    if before == now or columns is None or (pair.own.ran.count and not adds_none):
        return None
    for name in sorted(before.keys() | now.keys()):
        ours, theirs = before.get(name, ""), now.get(name, "")
        if ours == theirs or name[1] in columns or name[0] not in targets_of(pair.text):
            continue
        is_each_time = _ON_UPDATE in ours + theirs or any(map(is_computed, (ours, theirs)))
        is_met = "insert" in events or ("update" in events and is_each_time)
        if is_met and name in pair.own.schema.columns and name in pair.here.schema.columns:
            return _GIVEN.format(column=".".join(name))
    return None


def _laid_out(pair: Pair) -> str | None:
    """Columns in another order, where a text writes or unites them by it."""
    targets = targets_of(pair.text)
    tables = targets if columns_by(pair.text) is None else frozenset[str]()
    if _ALL_OF_MANY.search(pair.text) or _ROW_OF_ALL.search(pair.text):
        tables |= words_of(pair.text) - targets
    tables |= _whole_rows(pair)
    for table in sorted(tables):
        ours, theirs = (
            [column for (_, column), _ in at.schema.rooms_of({table})] for at in (pair.own, pair.here)
        )
        both = {*ours} & {*theirs}
        if [each for each in ours if each in both] != [each for each in theirs if each in both]:
            return _LAID_OUT.format(table=table)
    return None


def _whole_rows(pair: Pair) -> set[str]:
    """Return the tables of which PostgreSQL orders whole rows, or makes a text of them."""
    named = tables_by_name(pair.text)
    columns = pair.own.schema.columns_of({*named.values()})
    return {
        table
        for name, table in named.items()
        if name not in columns
        and re.search(_WHOLE_ROW.format(name=re.escape(name)), pair.text, re.IGNORECASE)
    }


def _reordered(pair: Pair) -> str | None:
    """Labels of an enum that changed places, have a new one before them, or other names."""
    before, now = pair.own.schema, pair.here.schema
    if before.labels == now.labels:
        return None
    for (table, column), label in replaced(before.labels, now.labels):
        if now.may_name(pair.text, table, column):
            return _REPLACED.format(column=f"{table}.{column}", label=label)
    found = moved(before.labels, now.labels, types=before.types, text=pair.text)
    if goes_by_order(pair.text):
        found += ordered_otherwise(before.labels, now.labels, columns=now.columns)
    for table, column in found:
        if now.may_name(pair.text, table, column):
            return _REORDERED.format(column=f"{table}.{column}")
    return None


def _denied(pair: Pair) -> str | None:
    """A column that may be NULL newly, of a subquery behind NOT IN."""
    before, now = pair.own.schema, pair.here.schema
    words = denied_by(now.with_views(pair.text))
    if not words:
        return None
    tables = now.words_behind(pair.text)
    new = (before.never_null - now.never_null) & now.columns.keys()
    found = sorted(
        (table, column)
        for table, column in new
        if column in words and table in tables and table not in now.views
    )
    return _DENIED.format(column=".".join(found[0])) if found else None


def _joined(pair: Pair) -> str | None:
    """A column that two tables have newly, where a join names no columns."""
    if not _NATURAL.search(pair.text):
        return None
    words = pair.here.schema.words_behind(pair.text)
    ours, theirs = (_shared(at.schema.columns, words) for at in (pair.own, pair.here))
    return _JOINED.format(column=min(theirs - ours)) if theirs - ours else None


def _shared(columns: Iterable[tuple[str, str]], tables: Collection[str]) -> frozenset[str]:
    """Return the columns that more than one of some tables has."""
    many = Counter(column for table, column in columns if table in tables)
    return frozenset(column for column, times in many.items() if times > 1)


CHECKS: Final[tuple[Callable[[Pair], str | None], ...]] = (
    _used_up,
    _comes_again,
    _made_otherwise,
    _in_place,
    _stale,
    _captured,
    _chosen_otherwise,
    _given_otherwise,
    _laid_out,
    _reordered,
    _denied,
    _joined,
)
