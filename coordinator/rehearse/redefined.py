"""What a migration redefines for every query, and no state shows: settings, casts, operators. Pure.

The rehearsal's sessions are its own: `ALTER ROLE app SET search_path = …` is not for them. A cast or an
operator that is made anew is another function behind the same words, and sample rows seldom tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rehearse.recomputed import ALL, Concerns, Recomputed
from coordinator.sql import split_statements

_SETTING: Final = re.compile(
    r"\s*ALTER\s+(?:DATABASE|ROLE|USER|SYSTEM)\b.*?\bSET\s+"
    r"\"?(?P<name>search_path|time_?zone|datestyle|intervalstyle|bytea_output|extra_float_digits|array_nulls"
    r"|transform_null_equals|row_security|role|default_transaction_\w+|default_text_search_config"
    r"|standard_conforming_strings|lc_\w+|client_encoding|session_replication_role)\b",
    re.IGNORECASE | re.DOTALL,
)
"""PostgreSQL's, by which a query may answer or do something else. A scratch database of MySQL refuses
`SET GLOBAL`, so nothing is proven behind it."""
_CAST: Final = re.compile(
    r"\s*(?:CREATE|DROP)\s+CAST\b(?:\s+IF\s+EXISTS)?\s*(?P<types>\([^;]*?\))", re.IGNORECASE
)
_OPERATOR: Final = re.compile(
    r"\s*(?:CREATE|DROP)\s+OPERATOR\s+(?:IF\s+EXISTS\s+)?(?:\w+\.)?(?P<sign>[-+*/<>=~!@#%^&|`?]+)",
    re.IGNORECASE,
)


def redefined_by(statements: Sequence[StatementEvidence]) -> Iterator[Recomputed]:
    """Yield what a migration redefines, as columns of no table: an operator's name is its sign."""
    for piece in (one for each in statements for one in split_statements(each.statement.text)):
        if found := _SETTING.match(piece.text):
            yield Recomputed("", ALL, f"sets `{found['name']}` for new sessions")
        elif found := _CAST.match(piece.text):
            types = " ".join(found["types"].split()).replace("{", "{{").replace("}", "}}")
            yield Recomputed("", ALL, f"makes or drops the cast {types}")
        elif found := _OPERATOR.match(piece.text):
            yield Recomputed("", found["sign"], "makes or drops the operator `{column}`", Concerns.OPERATING)
