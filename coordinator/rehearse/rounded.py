"""Columns whose values a migration rounds or cuts off along with their type. Pure.

`numeric(10,2)` that becomes `numeric(10,1)` has 1.2 where 1.25 was. Sample rows have few digits, and hide it
from a query that only compares (`WHERE price = 1.25`). So who names the column is told. A type that has place
for less of a number before its point is none of them: the engine refuses what does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log2
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.catalogued import bare
from coordinator.rehearse.recomputed import Recomputed

_SIZES: Final = r"(?:\((?P<size>-?\d+)(?:,(?P<scale>-?\d+))?\))?"
_TYPE: Final = re.compile(
    r"(?:(?P<whole>tinyint|smallint|mediumint|integer|int|bigint)"
    r"|(?P<exact>numeric|decimal)"
    r"|(?P<single>real|float)"
    r"|(?P<double>double(?: precision)?)"
    r"|(?P<moment>timestamp|datetime)"
    r"|(?P<day>date)"
    r"|(?P<hour>time)"
    r"|(?P<text>text|character(?: varying)?))"
    rf"(?![^ (]){_SIZES}(?!\[)(?P<of_postgresql> with(?:out)? time zone)?"
)
_BITS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 24, "integer": 32, "int": 32, "bigint": 64}
_SINGLE: Final = (24, 6)
_DOUBLE: Final = (53, 15)
"""Bits of a whole number, and decimal digits of any number, that come back as they were."""
_CUT: Final = "rounds or cuts off values of `{{table}}.{{column}}`: `{before}` becomes `{after}`"


@dataclass(frozen=True, slots=True)
class _Grain:
    """What a type keeps of a value."""

    kind: str
    scale: float
    """Digits behind the point, or of a second; of a text its length."""
    bits: float = inf
    """Of a number that is not exact, or is a whole one."""
    digits: float = inf
    is_exact: bool = True


def rounded_by(statements: Sequence[StatementEvidence]) -> Iterator[Recomputed]:
    """Yield the columns whose new type keeps less of each value than the one before."""
    for each in statements:
        for change in each.changes:
            if change.kind != "column" or not change.relation or not change.before or not change.after:
                continue
            before, after = _TYPE.match(change.before), _TYPE.match(change.after)
            if before and after and _keeps_less(_grain(after), _grain(before), text=each.statement.text):
                clause = _CUT.format(before=before[0], after=after[0])
                yield Recomputed(bare(change.relation), bare(change.name), clause)


def _keeps_less(after: _Grain, before: _Grain, *, text: str) -> bool:
    if after.kind != before.kind:
        return (before.kind, after.kind) == ("moment", "hour")
    if after.kind == "text" and "USING" not in text.upper():
        return False  # only a cast that is written out cuts off what does not fit
    if after.scale < before.scale:
        return True
    if after.is_exact:
        return not before.is_exact
    return before.digits > after.digits if before.scale or not before.is_exact else before.bits > after.bits


def _grain(found: re.Match[str]) -> _Grain:
    size = found["size"]
    if found["text"]:
        return _Grain("text", int(size) if size else 1 if found["text"] == "character" else inf)
    if found["day"]:
        return _Grain("moment", -1)
    if found["moment"] or found["hour"]:
        default = 6 if found["of_postgresql"] else 0
        return _Grain("moment" if found["moment"] else "hour", default if size is None else int(size))
    return _of_number(found)


def _of_number(found: re.Match[str]) -> _Grain:
    size, scale = found["size"], int(found["scale"] or 0)
    if found["whole"]:
        return _Grain("number", 0, bits=_BITS[found["whole"]] - 1)
    if found["exact"]:
        digits = inf if size is None else int(size)
        return _Grain("number", inf if size is None else scale, bits=digits * log2(10), digits=digits)
    bits, digits = _SINGLE if found["single"] else _DOUBLE
    return _Grain("number", scale if found["scale"] else inf, bits=bits, digits=digits, is_exact=False)
