"""The type of a result's column, as a client can tell it from what the server says of the column.

A client sees no `varchar(20)`: it sees a text. So the name of a type is that of what it becomes in a program.
"""

from __future__ import annotations

from typing import Any, Final

from pymysql.constants import FIELD_TYPE, FLAG

_BINARY_CHARSET: Final = 63
_INTEGERS: Final = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
}
_OTHERS: Final = {
    FIELD_TYPE.DECIMAL: "decimal",
    FIELD_TYPE.NEWDECIMAL: "decimal",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.NULL: "null",
    FIELD_TYPE.TIMESTAMP: "date-time",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.NEWDATE: "date",
    FIELD_TYPE.TIME: "time-of-day",
    FIELD_TYPE.DATETIME: "date-time",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.BIT: "bits",
    FIELD_TYPE.JSON: "json",
    FIELD_TYPE.GEOMETRY: "geometry",
}


def type_of(field: Any) -> str:
    """Return the name of a column's type; `bool` is what `tinyint(1)` is to most clients."""
    code = field.type_code
    if code in _INTEGERS:
        if code == FIELD_TYPE.TINY and field.length == 1:
            return "bool"
        return _INTEGERS[code] + (" unsigned" if field.flags & FLAG.UNSIGNED else "")
    if code in _OTHERS:
        return _OTHERS[code]
    return "bytes" if field.charsetnr == _BINARY_CHARSET else "string"
