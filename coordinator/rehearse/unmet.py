"""Why a query that works at another state may not do so with what a client sends. Pure.

A new CHECK, UNIQUE or FOREIGN KEY that refuses a sample is a break. One that refuses none may still refuse
what a client sends: three rows that are alike in no column cannot show that two rows of the client's are
alike in two. The engine has no answer to that, so the query is unproven. Only what a query writes counts, as
far as its text names it, and of the tables that it writes beside: a word too many costs a proof and no truth.
A trigger that refuses or leaves out rows is such a constraint as well, whatever it asks for; what gives a
column a value, or hides rows, at one of two states says as little with sample values.

Each check looks at one thing in which the two states' schemas differ, and returns a sentence or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from coordinator.rehearsal_ports import Ran
from coordinator.rehearse.by_table import lone
from coordinator.rehearse.catalogued import Constraint, bare, comes_into, is_narrower
from coordinator.rehearse.conflicts import differing
from coordinator.rehearse.found_twice import found_twice
from coordinator.rehearse.givers import Giver, altering, filling, given_by, replacing
from coordinator.rehearse.meanings import CHECKS as MEANINGS
from coordinator.rehearse.met import asks_for_null, done_by, events_of
from coordinator.rehearse.pair import At, Pair
from coordinator.rehearse.policies import hidden_otherwise
from coordinator.rehearse.referring import CHECKS as REFERRING
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.shifted import shifted
from coordinator.rehearse.unreached import is_unreached
from coordinator.rehearse.written import columns_by, literals_by, made_by, sent_by, targets_of

_LONGEST: Final = 80
"""Characters of a definition in a sentence."""
_NEW: Final = re.compile(r"\b(?:INSERT|UPDATE|MERGE)\b", re.IGNORECASE)
_IGNORES: Final = re.compile(r"\bCONFLICT\b|\bIGNORE\b|\bREPLACE\b|\bDUPLICATE\b", re.IGNORECASE)
_REPLACES: Final = re.compile(r"\b(?:OR\s+REPLACE|REPLACE\s+\w)", re.IGNORECASE)
_SELECT: Final = re.compile(r"\bSELECT\b", re.IGNORECASE)
_MAKES_NULL: Final = re.compile(r"\bNULLIF\b|->|#>", re.IGNORECASE)
"""Of what is there: a function may as well, and few do."""
_NULL: Final = re.compile(r"=\s*NULL\b", re.IGNORECASE)
_NO_PARTITION: Final = (
    "no sample value meets the partition `{text}`, which is there where the version was made and not here:"
    " whether every row still has a partition is not known"
)
_NOT_SET_OFF: Final = (
    "no sample row was written that shows what a trigger or rule of `{table}` does, which is another one here"
    " than where the version was made, or gone: whether the version counts on it is not known"
)
_NULL_REFUSED: Final = (
    "`{column}` may not be NULL here, and may be where the version was made, and no sample row was written"
    " that has NULL there: whether what the version writes has is not known"
)
_LEFT_ALONE: Final = (
    "no sample value meets the foreign key of `{table}` that takes or changes its rows with the ones that go,"
    " where the version was made and not here: whether the version counts on it is not known"
)
_TAKEN_ALONG: Final = (
    "the row that it replaces is deleted, and a foreign key of `{table}`, which is not there where the"
    " version was made, takes or changes the rows that refer to it: an UPDATE would leave them alone"
)
_REFUSES: Final = (
    "no sample value meets `{text}`, which `{table}` has here and not where the version was made: whether it"
    " refuses what a client writes is not known"
)
_IGNORED: Final = (
    "no sample value meets `{text}`, which `{table}` has where the version was made and not here: whether a"
    " row is written that was left out is not known"
)
_NARROWER: Final = (
    "no sample value is too large for `{column}`, which has place for less here than where the version was"
    " made: whether all that it computes fits is not known"
)
_ASKED: Final = (
    "no sample value meets `{text}`, which is asked here and not where the version was made: whether it"
    " refuses what a client sends is not known"
)
_SHIFTED: Final = (
    "`{column}` gets another time by itself here than where the version was made, and both differ from run to"
    " run: whether they mean the same is not known"
)
_REPLACED: Final = (
    "a trigger gives `{column}` a value here or where the version was made, and does not so in both: whether"
    " what a client sends for it stays is not known"
)
_ALTERED: Final = (
    "a trigger gives `{column}` a value here or where the version was made when other columns of a row are"
    " written, and does not so in both: whether rows keep what they have is not known"
)
_FILLED: Final = (
    "a trigger gives `{column}` a value here or where the version was made where it is NULL, and not in both:"
    " whether a row that the version writes has NULL there is not known"
)
_DIVERTED: Final = (
    "`{table}` has `{rule}` here or where the version was made, not in both: whether a row is left out or"
    " replaced is not known"
)
_GOES_ALONG: Final = (
    "rows of `{table}` refused that what they refer to goes or changes, where the version was made, and here"
    " go or change with it: whether the version counts on the refusal is not known"
)
_HIDDEN: Final = (
    "the row security of `{table}` is another one here than where the version was made: whether it hides"
    " rows that the version needs, or shows others, is not known"
)


def unmet(
    text: str, *, own: tuple[Schema, Ran], here: tuple[Schema, Ran], may_have_twice: bool = True
) -> str | None:
    """Return why a query may not do with other values what it does at its own state; None if it does.

    `may_have_twice` tells that there may be rows here which a UNIQUE of the own state would refuse.
    """
    pair = Pair(At(text, *own), At(text, *here))
    checks = (*CHECKS, found_twice) if may_have_twice else CHECKS
    return next((why for check in checks if (why := check(pair)) is not None), None)


def hidden(text: str, *, own: Schema, here: Schema) -> str | None:
    """Return what hides rows from a query that runs as a role here or at its own state, not in both."""
    if not own.policies and not here.policies:
        return None
    is_read = not events_of(text)
    table = hidden_otherwise(here.with_views(text), own.policies, here.policies, is_read=is_read)
    return _HIDDEN.format(table=table) if table else None


def ignores(text: str) -> bool:
    """Tell whether a text leaves out or changes a row that is there already."""
    return _IGNORES.search(text) is not None


def _lost_partition(pair: Pair) -> str | None:
    """Rows that no partition has room for any more."""
    now, before = pair.here.schema, pair.own.schema
    if not _NEW.search(pair.text):
        return None
    for table in sorted(pair.own.names):
        left = now.bounds_of({table} if table in pair.here.tables else pair.here.names)
        gone = {each for each in before.bounds_of({table}) - left if not comes_into(each, left)}
        if gone and left and "DEFAULT" not in left:
            return _NO_PARTITION.format(text=min(gone))
    return None


def _not_set_off(pair: Pair) -> str | None:
    """A trigger or rule that is gone or another one, and was not seen to do anything."""
    ran, events = pair.own.ran, events_of(pair.text)
    done = {bare(each.table): done_by(each) for each in ran.beside}
    reached = done.keys() | pair.own.names
    ours = [each for each in pair.own.schema.acting if each.table in reached]
    if not ours:
        return None
    theirs = [each for each in pair.here.schema.acting if each.table in done.keys() | pair.here.names]
    for each in lone(ours, theirs, pair.here.tables | done.keys()):
        shows_nowhere = each.tells or each.acts_instead
        is_hidden = shows_nowhere or (each.writes_others and not ran.beside) or not ran.count
        if each.table in pair.own.names and is_hidden and not events.isdisjoint(each.events):
            return _NOT_SET_OFF.format(table=each.table)
        if shows_nowhere and not done.get(each.table, frozenset()).isdisjoint(each.events):
            return _NOT_SET_OFF.format(table=each.table)
    return None


def _null_refused(pair: Pair) -> str | None:
    """A NOT NULL that is new here, where no set of values has NULL for what is written."""
    before, now = pair.own.schema, pair.here.schema
    events, columns = events_of(pair.text), columns_by(pair.text)
    new = now.never_null - before.never_null
    if not new:
        return None
    made = _made_of_others(pair)
    for name in sorted(new if not _tries_null(pair) else {each for each in new if each[1] in made}):
        if columns is None or name[1] in columns:
            is_met = name in before.columns
        else:
            is_met = "insert" in events and name not in now.given and name not in now.counted
        if is_met and name[0] in targets_of(pair.text) and not _sets_literals(pair, {name[1]}):
            return _NULL_REFUSED.format(column=".".join(name))
    return None


def _tries_null(pair: Pair) -> bool:
    """Tell whether a row was written with NULL wherever a parameter stands, and nothing else makes one."""
    return bool(pair.own.ran.count) and not _SELECT.search(pair.text) and not _MAKES_NULL.search(pair.text)


def _made_of_others(pair: Pair) -> frozenset[str]:
    """Return the columns that an UPDATE makes of what may be NULL, and was in no row that it wrote."""
    schema, names = pair.here.schema, pair.here.names
    free = {column for name, column in schema.columns.keys() - schema.never_null if name in names}
    met = _null_in(pair.own) | _null_in(pair.here)
    return frozenset(column for column, words in made_by(pair.text).items() if words & free - met)


def _null_in(at: At) -> frozenset[str]:
    """Return the columns that have NULL in a row as it was written."""
    if at.ran.written is None:
        return frozenset()
    cells = zip(*at.ran.written.rows, strict=True)
    pairs = zip(at.ran.written.columns, cells, strict=False)
    return frozenset(bare(column.name) for column, values in pairs if None in values)


def _sets_literals(pair: Pair, columns: Collection[str]) -> bool:
    """Tell whether each row that is written gets a literal in some columns, and not NULL."""
    return not _NULL.search(pair.text) and literals_by(pair.text).issuperset(columns)


def _left_alone(pair: Pair) -> str | None:
    """Rows of other tables that went or changed with the ones that a query deletes, and stay here."""
    now, before = pair.here.schema, pair.own.schema
    if "delete" not in events_of(pair.text):
        return None
    gone = before.following.gone_with(pair.own.names, unlike=now.following)
    left = {each for each in gone if now.constraints_of({each})}
    return _LEFT_ALONE.format(table=min(left)) if left else None


def _taken_along(pair: Pair) -> str | None:
    """Rows of other tables that go or change newly, where a row is replaced by deleting it."""
    if not _REPLACES.search(pair.text):
        return None
    now, before = pair.here.schema, pair.own.schema
    more = now.following.gone_with(pair.here.names, unlike=before.following)
    return _TAKEN_ALONG.format(table=min(more)) if more else None


def _refused(pair: Pair) -> str | None:
    """A constraint that is new here."""
    tries_null = _tries_null(pair) and not _made_of_others(pair)
    differing = pair.met_here.differing(pair.met_before, pair.text, pair.columns, tries_null=tries_null)
    for each in differing:
        is_literal = asks_for_null(each) and _sets_literals(pair, each.words & (pair.columns or each.words))
        if not is_literal and not _was_met(each, pair.here) and not is_unreached(each, pair):
            return _REFUSES.format(text=_shown(each.text), table=each.table)
    return None


def _was_met(constraint: Constraint, at: At) -> bool:
    """Tell whether a CHECK or a type is of literals of the text alone: then all rows meet it, or none."""
    table, schema = constraint.table, at.schema
    columns = constraint.words & schema.columns_of({table})
    return (
        constraint.text.upper().startswith(("CHECK ", "STRICT "))
        and targets_of(at.text) == {table}
        and bool(columns)
        and columns <= literals_by(at.text).difference(*(each.columns for each in schema.givers))
        and constraint.words.isdisjoint(schema.functions)
        and at.ran.written is not None
        and bool(at.ran.written.count)
    )


def _ignored(pair: Pair) -> str | None:
    """A UNIQUE that is gone, where a query leaves out or changes the row that is there already."""
    if not ignores(pair.text):
        return None
    for each in pair.met_before.differing(pair.met_here, pair.text, pair.columns):
        if each.is_unique:
            return _IGNORED.format(text=_shown(each.text), table=each.table)
    return None


def _narrower(pair: Pair) -> str | None:
    """A column that is written and has no place here for all values that it had place for."""
    beside = {bare(each.table) for each in pair.here.ran.beside if each.new}
    before = pair.own.schema.columns
    for (table, column), room in pair.here.schema.rooms_of(pair.here.names | beside):
        is_written = table in beside or pair.columns is None or column in pair.columns
        if is_written and is_narrower(room, before.get((table, column))):
            return _NARROWER.format(column=f"{table}.{column}")
    return None


def _asked(pair: Pair) -> str | None:
    """What a domain or a function that a query names asks newly."""
    new = pair.here.schema.asked_by(pair.text) - pair.own.schema.asked_by(pair.text)
    return _ASKED.format(text=_shown(min(new))) if new else None


def _shifted(pair: Pair) -> str | None:
    """A default, or what a trigger gives, that lies another time before or behind the present."""
    ours, theirs = pair.own.schema, pair.here.schema
    by_trigger = _given_values(pair.own), _given_values(pair.here)
    for name in sorted(by_trigger[0].keys() & by_trigger[1].keys()):
        if by_trigger[0][name] != by_trigger[1][name] and name[1] in pair.own.moving & pair.here.moving:
            return _SHIFTED.format(column=".".join(name))
    if not (ours.shifts or theirs.shifts):
        return None
    tables = pair.here.tables & pair.own.tables
    new = (pair.here.moving | pair.own.moving) - (columns_by(pair.text) or frozenset())
    for each in shifted(ours.shifts, theirs.shifts, tables=tables, columns=new):
        if each in ours.columns and each in theirs.columns:  # one that comes or goes had no other default
            return _SHIFTED.format(column=".".join(each))
    return None


def _given_values(at: At) -> Mapping[tuple[str, str], frozenset[str]]:
    """Return what triggers give the columns of what is written."""
    givers = [each for each in at.schema.givers if each.table in at.names]
    return given_by(givers, events=events_of(at.text), written=columns_by(at.text)) if givers else {}


def _replaced(pair: Pair) -> str | None:
    """A trigger that gives a column another value than the one that a client sends.

    Of one that is new each time sameness.overwritten tells.
    """
    lone_ones = _lone_givers(pair)
    if not lone_ones:
        return None
    columns = columns_by(pair.text) or pair.here.schema.columns_of(pair.here.names)
    column = replacing(
        lone_ones,
        columns=columns.difference(pair.here.moving, pair.own.moving),
        unknown=pair.own.schema.columns_of(pair.own.names) ^ pair.here.schema.columns_of(pair.here.names),
        events=events_of(pair.text),
        written=columns_by(pair.text),
    )
    return _REPLACED.format(column=column) if column else None


def _altered(pair: Pair) -> str | None:
    """A trigger that gives a column which the version does not write another value than the row has."""
    lone_ones = _lone_givers(pair) if "update" in events_of(pair.text) else ()
    if not lone_ones:
        return None
    ours, theirs = (each.schema.columns_of(each.names) for each in (pair.own, pair.here))
    written = columns_by(pair.text)
    column = altering(
        [each for each in lone_ones if _is_written(pair, each.table)],
        columns=(ours & theirs).difference(written or (), pair.here.moving, pair.own.moving),
        unknown=ours ^ theirs,
        written=written,
    )
    return _ALTERED.format(column=column) if column else None


def _is_written(pair: Pair, table: str) -> bool:
    """Tell whether rows of a table may be written: of the tables of a view, an UPDATE writes one."""
    return pair.named is None or any(
        not pair.named.isdisjoint(each.schema.columns_of({table})) for each in (pair.own, pair.here)
    )


def _filled(pair: Pair) -> str | None:
    """A trigger that gives a column a value where a row has NULL, which no sample row that was met has."""
    lone_ones = _lone_givers(pair)
    if not lone_ones:
        return None
    before, now = pair.own.schema, pair.here.schema
    ours, theirs = before.columns_of(pair.own.names), now.columns_of(pair.here.names)
    steady = pair.here.moving | pair.own.moving | literals_by(pair.text)
    columns = {
        (each.table, column)
        for each in lone_ones
        for column in each.columns & ours & theirs - steady
        if (each.table, column) not in before.never_null | now.never_null
    }
    events, written = events_of(pair.text), columns_by(pair.text)
    # Of what a row has that is there, or that a SELECT finds, a condition may leave out each NULL.
    found = {name for name in columns if name[1] not in sent_by(pair.text)}
    untried = events & ({"update", "insert"} if _SELECT.search(pair.text) else {"update"})
    fill = partial(filling, lone_ones, unknown=ours ^ theirs, written=written)
    column = fill(columns=found, events=untried)
    column = column or fill(columns=columns, events=events, only_conditional=True)
    return _FILLED.format(column=column) if column else None


def _lone_givers(pair: Pair) -> Sequence[Giver]:
    """Return the triggers that give columns values here or at the own state, not in both."""
    ours = [each for each in pair.own.schema.givers if each.table in pair.own.names]
    theirs = [each for each in pair.here.schema.givers if each.table in pair.here.names]
    return [*lone(ours, theirs, pair.here.tables), *lone(theirs, ours, pair.own.tables)]


def _diverted(pair: Pair) -> str | None:
    """Rows that break a constraint, with which SQLite does something else."""
    ours, theirs = pair.own.schema.conflicts, pair.here.schema.conflicts
    if ours == theirs or not _NEW.search(pair.text):
        return None
    written = pair.here.names | pair.own.names
    inserts = "insert" in events_of(pair.text)
    for table, rule in differing(ours, theirs, pair.text, columns=pair.columns, inserts=inserts):
        if table in written:
            return _DIVERTED.format(table=table, rule=rule)
    return None


def _goes_along(pair: Pair) -> str | None:
    """Rows of other tables that refused what is done to those that they refer to, and here go along."""
    now, before = pair.here.schema, pair.own.schema
    for event in sorted(events_of(pair.text) & {"delete", "update"}):
        done = now.following.going(pair.here.names, pair.columns, event)
        found = now.following.acts(done, unlike=before.following) & before.refusing
        if found:
            return _GOES_ALONG.format(table=min(child for _, child in found))
    return None


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


CHECKS: Final[tuple[Callable[[Pair], str | None], ...]] = (
    _lost_partition,
    _not_set_off,
    _null_refused,
    _left_alone,
    _taken_along,
    _refused,
    _ignored,
    _narrower,
    _asked,
    _shifted,
    _replaced,
    _altered,
    _filled,
    _diverted,
    _goes_along,
    *REFERRING,
    *MEANINGS,
)
"""In the order in which they are asked: a query has one reason, the first."""
