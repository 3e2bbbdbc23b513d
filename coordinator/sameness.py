"""Whether a query still sees and writes what it did at its own state, as a sentence for a person. Pure.

Two runs are compared by the columns that both have: which columns there are is told by `describe`, and a
column that came or went is not a second break here. A column in which either run has a volatile value says
nothing and is left out; so is a column of another type, because its text may only look new: that it has
another type is told by `describe` as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from coordinator.rehearsal_ports import PRESENT, VOLATILE, Column, Effect, Ran
from coordinator.wording import counted

_Row = tuple[str | None, ...]
_JSON = ("json", "jsonb")
_ALIKE = (
    frozenset({"smallint", "integer", "bigint"}),
    frozenset({"text", "character varying", "name", "citext"}),
    frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"}),
    frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}),
)
"""Types that write the same value in the same way."""
_CONVERTED = (
    frozenset({"date", "datetime", "timestamp"}),
    frozenset({"decimal", "double", "float", "tinyint", "smallint", "mediumint", "int", "bigint"}),
    frozenset({"INTEGER", "NUMERIC", "REAL", "TEXT"}),
    frozenset({"numeric", "smallint", "integer", "bigint"}),
)
"""Types into which a value is turned without a word when it is written: a time loses its day's hour, a number
its fraction, `007` its zeros. On MySQL, MariaDB and SQLite no type of a parameter tells of it, and nowhere
does one where the value is computed. PostgreSQL writes other numbers and times in more than one way."""
_FRACTION = re.compile(r"-?\d+\.\d+")
_MOVING = frozenset({VOLATILE, PRESENT})
_SHOWN = 60
"""Characters of a value in a sentence."""


def difference(own: Ran, here: Ran, *, named: Collection[str] = ()) -> str | None:
    """Return what a query sees or writes here that it did not at its own state; None if it is the same.

    A clause whose subject is the query: ``returned 3 rows, of which 2 are gone``. Of the columns that are
    `named` it is not told that one state alone puts a value of its own there: see `overwritten`.
    """
    pairs = _pairs(own.columns, here.columns) if own.columns and here.columns else _by_place(own, here)
    if clause := _difference_of_rows(own, here, pairs, verb="returned"):
        return clause
    # What a SELECT picks without an order may be NULL in one row and not in another.
    if own.written is not None and (clause := _fixed(own, here, pairs, verb="returned", but=named)):
        return clause
    if None not in (own.growth, here.growth) and own.growth != here.growth:
        return f"changed the number of rows in its table by {own.growth:+d}, now by {here.growth:+d}"
    if own.written is None or here.written is None:
        return None
    ours, theirs, pairs = _written_alike(own.written, here.written)
    if clause := _fixed(ours, theirs, pairs, verb="wrote", but=named):
        return clause
    kept = _steady(ours, theirs, pairs)
    if ours.only_changed or theirs.only_changed:
        ours = _changed_alone(ours, [place for place, _ in kept])
        theirs = _changed_alone(theirs, [place for _, place in kept])
    return _difference_of_rows(ours, theirs, kept, verb="wrote")


def loss(own: Ran, here: Ran, *, missing: Collection[str]) -> str | None:
    """Return what a query does to other tables at its own state, and not here; None if nothing is lost.

    A clause whose subject is the query. `missing` are tables that are not there here: what would be gone from
    such a one is. What is done here alone is none of the version's losses, nor is a table of another name.
    """
    if own.count is None or here.count is None:
        return None
    ours, theirs = ({each.table: each for each in ran.beside} for ran in (own, here))
    elsewhere = Counter((each.gone, each.new) for each in here.beside if each.table not in ours)
    for each in own.beside:
        now = theirs.get(each.table) or Effect(each.table, 0, 0)
        if elsewhere[each.gone, each.new] and now.gone == now.new == 0:
            elsewhere[each.gone, each.new] -= 1
            continue
        for verb, before, after in zip(_DONE, _done(each), _done(now), strict=True):
            if before > after and not (each.table in missing and verb != _DONE[0]):
                return f"{verb.format(rows=counted(before, 'row'), table=each.table)}, now {after}"
    return None


_DONE = ("added {rows} to `{table}`", "changed {rows} of `{table}`", "took {rows} away from `{table}`")


def _done(effect: Effect) -> tuple[int, int, int]:
    """Return how many rows were added, changed and taken away."""
    changed = min(effect.gone, effect.new)
    return effect.new - changed, changed, effect.gone - changed


def _written_alike(own: Ran, here: Ran) -> tuple[Ran, Ran, list[tuple[int, int]]]:
    """Pair columns as with results, and those whose values were turned into another type, as plain texts."""
    places = {key: place for place, key in enumerate(_numbered(here.columns))}
    named = [(place, places[key]) for place, key in enumerate(_numbered(own.columns)) if key in places]
    alike = _pairs(own.columns, here.columns)
    turned = [
        (ours, theirs)
        for ours, theirs in named
        if (ours, theirs) not in alike
        and any({own.columns[ours].type, here.columns[theirs].type} <= family for family in _CONVERTED)
    ]
    own = _in_plain_texts(own, {ours for ours, _ in turned})
    return own, _in_plain_texts(here, {theirs for _, theirs in turned}), sorted([*alike, *turned])


def _in_plain_texts(ran: Ran, places: Collection[int]) -> Ran:
    return replace(
        ran,
        rows=tuple(
            tuple(_plain(cell) if at in places else cell for at, cell in enumerate(row)) for row in ran.rows
        ),
    )


def _plain(cell: str | None) -> str | None:
    """Return a value without quotes, and a fraction without its last zeros."""
    if cell is None or cell == VOLATILE:
        return cell
    text = cell.strip("'")
    return text.rstrip("0").rstrip(".") if _FRACTION.fullmatch(text) else text


def _changed_alone(written: Ran, places: Sequence[int]) -> Ran:
    """Leave out the rows that were there before, as far as these columns tell."""
    present = {tuple(row[place] for place in places) for row in written.present}
    rows = tuple(row for row in written.rows if tuple(row[place] for place in places) not in present)
    return replace(written, rows=rows, count=None if written.count is None else len(rows))


def _pairs(own: Sequence[Column], here: Sequence[Column]) -> list[tuple[int, int]]:
    """Pair columns by name, and the n-th of a name with the n-th of it, if they write values alike."""
    places = {key: place for place, key in enumerate(_numbered(here))}
    found = [(place, places[key]) for place, key in enumerate(_numbered(own)) if key in places]
    return [(ours, theirs) for ours, theirs in found if _are_alike(own[ours].type, here[theirs].type)]


def _are_alike(own: str, here: str) -> bool:
    return own == here or any({own, here} <= family for family in _ALIKE)


def _numbered(columns: Sequence[Column]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    keys = []
    for column in columns:
        keys.append((column.name, seen[column.name]))
        seen[column.name] += 1
    return keys


def _by_place(own: Ran, here: Ran) -> list[tuple[int, int]]:
    width = min((len(row) for row in own.rows + here.rows), default=0)
    return [(place, place) for place in range(width)]


def _difference_of_rows(own: Ran, here: Ran, pairs: list[tuple[int, int]], *, verb: str) -> str | None:
    if own.count is None or here.count is None:
        return None
    steady = _steady(own, here, pairs)
    before = Counter(tuple(row[ours] for ours, _ in steady) for row in own.rows)
    after = Counter(tuple(row[theirs] for _, theirs in steady) for row in here.rows)
    gone = sorted((before - after).elements(), key=_sortable)
    new = sorted((after - before).elements(), key=_sortable)
    is_json = [bool(own.columns) and own.columns[ours].type in _JSON for ours, _ in steady]
    gone, new = _without_grown(gone, new, is_json)
    if gone and own.count > here.count:
        return f"{verb} {counted(own.count, 'row')}, of which {_are(own.count - here.count)} gone"
    if own.count != here.count:
        return f"{verb} {counted(own.count, 'row')}, now {here.count}"
    return _changed(gone, new, _names(own, steady), verb=verb) if gone and new else None


def _fixed(
    own: Ran, here: Ran, pairs: Sequence[tuple[int, int]], *, verb: str, but: Collection[str]
) -> str | None:
    """Tell of a column whose values differ from run to run at the own state, and none of them here."""
    if own.count is None or own.count != here.count or len(own.rows) != len(here.rows):
        return None
    for ours, theirs in pairs:
        before, after = ([row[at] for row in ran.rows] for ran, at in ((own, ours), (here, theirs)))
        [name] = _names(own, [(ours, theirs)])
        if VOLATILE in before and not _MOVING & {*after} and name.lower() not in but:
            now = None if before.count(None) < after.count(None) else after[before.index(VOLATILE)]
            return f"{verb} `{name}` as a value of its own, now {_text(now)}"
    return None


def overwritten(own: Ran, here: Ran, *, named: Collection[str] | None) -> str | None:
    """Return a column that a query gives a value which one of two states alone replaces by another each time.

    A clause whose subject is the query. `named` are the columns that it gives values, None if it may be any.
    """
    if own.written is None or here.written is None:
        return None
    for ours, theirs in _pairs(own.written.columns, here.written.columns):
        cells = [
            {row[at] for row in ran.rows} - {None}
            for ran, at in ((own.written, ours), (here.written, theirs))
        ]
        [name] = _names(own.written, [(ours, theirs)])
        if (named is None or name.lower() in named) and all(cells):
            replaces = [each <= _MOVING for each in cells]
            if replaces in ([True, False], [False, True]) and not _MOVING & cells[replaces.index(False)]:
                where = "here" if replaces[1] else "where it was made"
                return f"gives `{name}` a value, and {where} another one replaces it, new each time"
    return None


def moving(written: Ran | None) -> frozenset[str]:
    """Return the columns, in small letters, of which a row has a value that differs from run to run."""
    if written is None:
        return frozenset()
    return frozenset(
        column.name.lower()
        for column, cells in zip(written.columns, zip(*written.rows, strict=True), strict=False)
        if not _MOVING.isdisjoint(cells)
    )


def _steady(own: Ran, here: Ran, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pairs of columns that have the same values whenever they are asked.

    A column that gets the present time here, as `ON UPDATE` and triggers do, and did not, is none of them.
    """

    def is_steady(ours: int, theirs: int) -> bool:
        before, after = {row[ours] for row in own.rows}, {row[theirs] for row in here.rows}
        return VOLATILE not in before | after and (PRESENT in before or PRESENT not in after)

    return [pair for pair in pairs if is_steady(*pair)]


def _without_grown(gone: list[_Row], new: list[_Row], is_json: list[bool]) -> tuple[list[_Row], list[_Row]]:
    """Leave out the pairs of rows that differ in JSON alone, and there only by what is new in it."""
    still_gone, still_new = [], list(new)
    for row in gone:
        grown = next((each for each in still_new if _has_grown(row, each, is_json)), None)
        if grown is None:
            still_gone.append(row)
        else:
            still_new.remove(grown)
    return still_gone, still_new


def _has_grown(was: _Row, now: _Row, is_json: list[bool]) -> bool:
    return all(
        old == fresh
        or (
            json
            and old is not None
            and fresh is not None
            and not Counter(old.split()) - Counter(fresh.split())
        )
        for old, fresh, json in zip(was, now, is_json, strict=True)
    )


def _changed(gone: list[_Row], new: list[_Row], names: list[str], *, verb: str) -> str:
    """Name the column of the two rows that are most alike."""
    _, was, now = min(
        ((sum(x != y for x, y in zip(a, b, strict=True)), a, b) for a in gone for b in new),
        key=lambda each: each[0],
    )
    name, old, fresh = next(each for each in zip(names, was, now, strict=True) if each[1] != each[2])
    more = f" (of {counted(len(gone), 'row')} that differ)" if len(gone) > 1 else ""
    return f"{verb} `{name}` as {_text(old)}, now {_text(fresh)}{more}"


def _names(ran: Ran, pairs: list[tuple[int, int]]) -> list[str]:
    return [ran.columns[ours].name if ran.columns else f"column {ours + 1}" for ours, _ in pairs]


def _are(count: int) -> str:
    return "1 is" if count == 1 else f"{count} are"


def _text(value: str | None) -> str:
    if value is None:
        return "NULL"
    if value == PRESENT:
        return "the present time"
    return f"`{value}`" if len(value) <= _SHOWN else f"`{value[:_SHOWN]}…`"


def _sortable(row: _Row) -> list[tuple[bool, str]]:
    return [(cell is None, cell or "") for cell in row]
