"""Columns of another collation or character set: which texts are alike, and which one comes first. Pure.

Rows are few in a sample, and in two of them hardly a text differs by its capitals or accents alone. So who
compares by the column is told, or sorts by it where that alone may be another; who only shows or sets it is
not, unless it is unique. A character set that lacks characters refuses them, or has `?` in their place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import SQLITE, bare, called, words_of
from coordinator.rehearse.labels import goes_by_order
from coordinator.rehearse.met import events_of
from coordinator.rehearse.recomputed import ALL, Concerns, Recomputed
from coordinator.rehearse.renewed import changed_columns
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.written import columns_by, items_of, targets_of

_COLLATE: Final = re.compile(r" collate (?P<name>(?:(?:\w+|\"[^\"]+\")\.)?(?:\w+|\"[^\"]+\"))")
_OF_A_SCHEMA: Final = re.compile(r"(?:\w+|\"[^\"]+\")\.")
"""PostgreSQL's own collations, which have none, all take two texts for alike only if they are the same."""
_UNICODE: Final = frozenset({"utf8", "utf8mb3", "utf8mb4"})
_HOLDS: Final = {"ascii": 0, "latin1": 1, "utf8": 2, "utf8mb3": 2, "utf8mb4": 3}
"""Character sets of MySQL and MariaDB, each of which has what those of smaller numbers have."""
_OTHERWISE: Final = "gives `{{table}}.{{column}}` another collation: `{before}` becomes `{after}`"
_LACKS: Final = "gives `{{table}}.{{column}}` a character set that lacks some: `{before}` becomes `{after}`"
_LETTERS: Final = re.compile(r"\b(?:LOWER|UPPER|INITCAP|ILIKE|SIMILAR)\b|~", re.IGNORECASE)
_SPELLS: Final = re.compile(
    r"\|\||~|\b(?:I?LIKE|REGEXP|RLIKE|SIMILAR)\b|(?<=[\w)\"\]])::\s*(?:text|(?:bp|var)?char\w*)\b"
    r"|\bCAST\s*\(.*\bAS\s+(?:text|n?(?:var)?char\w*)\b"
    r"|\b(?:(?:group_)?concat(?:_ws)?|to_char|format|string_agg|(?:char_|octet_)?length|left|right|[lr]pad"
    r"|substr(?:ing)?|replace|md5|sha\d*|hex|printf|quote\w*)\s*\(",
    re.IGNORECASE | re.DOTALL,
)
"""Where a number, a time or a JSON becomes a text, in whatever form its type gives it."""
_OF_PLAIN: Final = re.compile(
    r"\(?(?<!\w)(?:[\w\"]+\.)?\"?\w+\"?\)?::text\b"
    r"|\w+\([^()]*\)(?!\s+(?:NOT\s+)?(?:I?LIKE|REGEXP|RLIKE|SIMILAR)\b)"
    r"|[\w\"`.]+(?:\([^()]*\))?\s+(?:NOT\s+)?(?:I?LIKE|REGEXP|RLIKE|SIMILAR)\b",
    re.IGNORECASE,
)
"""What says by itself of which columns a text is made. PostgreSQL writes the first around each `varchar` of a
view that is compared."""
_UNSPOKEN: Final = re.compile(r"/\*.*?\*/|--[^\n]*|'(?:[^']|'')*'", re.DOTALL)
_SHOWN: Final = re.compile(
    r"\bSELECT\b(?:\s+ALL\b)?(?P<shown>.*?)\bFROM\b|\bRETURNING\b(?P<returned>.*)"
    r"|\bINTO\s+[^\s(]+\s*\((?P<into>[^)]*)\)|\bSET\b(?P<set>.*?)(?=\bWHERE\b|\bFROM\b|\bRETURNING\b|;?\s*$)",
    re.IGNORECASE | re.DOTALL,
)
_PLAIN: Final = re.compile(
    r"\s*(?:[\w\"`.]+(?:\s+(?:AS\s+)?[\w\"`]+)?|(?:[\w\"`]+\.)?\*)\s*;?\s*", re.IGNORECASE
)
_GIVES: Final = frozenset({"insert", "update"})
_MEETS_ROWS: Final = re.compile(r"\b(?:SELECT|CONFLICT|DUPLICATE|IGNORE|REPLACE)\b", re.IGNORECASE)
_COMPARES_ALL: Final = re.compile(
    r"\b(?:DISTINCT|UNION|INTERSECT|EXCEPT|NATURAL|MERGE|WITH)\b", re.IGNORECASE
)


def collated_by(statements: Sequence[StatementEvidence]) -> Iterator[Recomputed]:
    """Yield the columns whose collation or character set is another one behind a migration."""
    for (table, column), definitions in changed_columns(statements).items():
        first, last = definitions[0][0], definitions[-1][1]
        if first and last:
            before, after = (_collation(each) for each in (first, last))
            if before != after and (found := _differing(table, before, after)) is not None:
                clause, concerns = found
                yield Recomputed(bare(table), column, clause.format(before=before, after=after), concerns)


def _collation(definition: str) -> str:
    found = _COLLATE.search(definition)
    return found["name"] if found else "the default"


def _differing(table: str, before: str, after: str) -> tuple[str, Concerns] | None:
    """Return what another collation means, and whom it concerns; None where it compares as before."""
    if table.startswith(SQLITE):
        return _OTHERWISE, Concerns.COMPARING
    if "." in table:
        is_known = not any(map(_OF_A_SCHEMA.match, (before, after)))
        return _OTHERWISE, Concerns.ORDERING if is_known else Concerns.COMPARING
    (ours, _, mine), (theirs, _, others) = before.partition("_"), after.partition("_")
    if not (mine and others):
        return None
    if ours != theirs and _HOLDS.get(ours, inf) > _HOLDS.get(theirs, -inf):
        return _LACKS, Concerns.NAMING
    is_alike = mine == others and {ours, theirs} <= _UNICODE
    return None if is_alike else (_OTHERWISE, Concerns.COMPARING)


def concerns(text: str, each: Recomputed, schema: Schema) -> bool:
    """Tell whether a text that may name a column does with it what the migration means to change."""
    if each.concerns is Concerns.NAMING:
        return True
    if each.concerns in _BY_WHAT_IT_DOES:
        return _BY_WHAT_IT_DOES[each.concerns](text, each, schema)
    named = schema.bodies.keys() & words_of(text)
    bodies = " ".join(body for name in named for body in schema.bodies[name])
    whole = f"{text} {bodies}"
    if each.concerns is Concerns.ORDERING:
        return goes_by_order(whole) or _LETTERS.search(whole) is not None
    if each.concerns in (Concerns.DIVIDING, Concerns.SPELLING):
        return _uses_digits(text, bodies, each)
    if bodies:
        return True
    written = columns_by(text)
    is_set = written is None or each.column in written
    is_met = any(
        each.column in one.words and (one.keys is None or (each.column, "") in one.keys)  # else told by unmet
        for one in schema.constraints_of({each.table})
    )
    return each.column in _compared_by(text) or (is_set and is_met)


def _writes(text: str, each: Recomputed, schema: Schema) -> bool:
    """Tell whether a text gives a column a value, as far as what it names is not seen to do that."""
    columns = columns_by(text)
    is_set = columns is None or each.column in columns
    if not schema.bodies.keys().isdisjoint(words_of(text)):
        return True
    return is_set and each.table in targets_of(text) and not events_of(text).isdisjoint(_GIVES)


def _operates(text: str, each: Recomputed, schema: Schema) -> bool:
    return each.column in " ".join([text, *called(text, schema.bodies)])


def _reads(text: str, each: Recomputed, schema: Schema) -> bool:
    """Tell whether a text asks which value a column has, or which rows there are; what it writes asks not."""
    column = each.column
    if not schema.bodies.keys().isdisjoint(words_of(text)):
        return True
    if column == ALL:
        return events_of(text) != {"insert"} or _MEETS_ROWS.search(text) is not None
    read = _SHOWN.sub(_not_written, text)
    return "*" in read or column in words_of(read)


def _not_written(found: re.Match[str]) -> str:
    if found["set"] is not None:
        return " ".join(value.partition("=")[2] for value in items_of(found["set"]))
    return "" if found["into"] is not None else found[0]


def _uses_digits(text: str, bodies: str, each: Recomputed) -> bool:
    """Tell whether a text, or what it names, divides or makes a text of a value.

    In front of a view the column may have another name.
    """

    def of_column(found: re.Match[str]) -> str:
        return found[0] if each.column in words_of(found[0]) else " "

    spoken = [_UNSPOKEN.sub(" ", one) for one in (text, bodies)]
    plain = [_OF_PLAIN.sub(of_column, one) for one in spoken]
    whole = " ".join([spoken[0] if bodies else plain[0], plain[1]])
    divides = each.concerns is Concerns.DIVIDING and "/" in whole
    return divides or _SPELLS.search(whole) is not None


def _compared_by(text: str) -> frozenset[str]:
    """Return the words of a text without what it only shows or sets."""
    if _COMPARES_ALL.search(text):
        return words_of(text)
    return words_of(_SHOWN.sub(_not_plain, text))


def _not_plain(found: re.Match[str]) -> str:
    """Return what is computed of what a text shows or sets."""
    if found["set"] is not None:
        return " ".join(value.partition("=")[2] for value in items_of(found["set"]))
    return " ".join(
        each for each in items_of(found["shown"] or found["returned"] or "") if not _PLAIN.fullmatch(each)
    )


_BY_WHAT_IT_DOES: Final[Mapping[Concerns, Callable[[str, Recomputed, Schema], bool]]] = {
    Concerns.OPERATING: _operates,
    Concerns.READING: _reads,
    Concerns.WRITING: _writes,
}
