"""Texts that a release or its queries read as JSON: sample rows get documents there.

    ALTER TABLE log ALTER COLUMN body TYPE jsonb USING body::jsonb;

A made-up text is no JSON: the migration, or the query, would fail on every row, and nothing would be known of
it. Read by patterns; a column too many has a document where any text would have done. What a migration put
there is JSON already, and does not begin as our texts do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NAME: Final = r"""["`\[]?(?P<{}>[^\W\d]\w*)["`\]]?"""
_OWNER: Final = r"""(?:["`\[]?\w+["`\]]?\s*+\.\s*+)?"""
_READS: Final = re.compile(
    r"\bJSONB?(?!_(?:build|agg|object|quote|group|array\b))(?:_\w+)?\s*+\(\s*+"
    + _OWNER + _NAME.format("given") + "|" + _NAME.format("shown") + r"\s*+->"
    "|" + _NAME.format("cast") + r"\s*+::\s*+JSONB?\b"
    r"|\bCAST\s*+\(\s*+" + _OWNER + _NAME.format("turned") + r"\s++AS\s++JSONB?\b"
    r"|\bMODIFY\s++(?:COLUMN\s++)?" + _NAME.format("modified") + r"\s++JSON\b",
    re.IGNORECASE,
)  # fmt: skip


def read_as_documents(texts: Iterable[str]) -> frozenset[str]:
    """Return the columns, in small letters, of which a text reads a value as JSON."""
    found = (each for text in texts for each in _READS.finditer(text))
    return frozenset(name.lower() for each in found for name in each.groups() if name)
