"""MySQL's tokens, as far as a question to the server has to be rewritten before it is put.

With `sql_mode = ANSI_QUOTES` a double-quoted word is a name, and is read as a text here: what that costs is a
guess, which the server then refuses. Source: MySQL 8.0 Reference Manual, 9 "Language Structure".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token, read

_TOKEN: Final = re.compile(
    r"""
    (?P<blank>\s+|\#[^\n]*|--(?=[\s\x00-\x1f]|\Z)[^\n]*|/\*(?!M?!)(?:.*?\*/|.*))
  | (?P<blob>[xXbB]'[^']*')
  | (?P<string>'(?:[^'\\]|\\.|'')*+'|"(?:[^"\\]|\\.|"")*+")
  | (?P<bracketed>`(?:[^`]|``)*+`)
  | (?P<parameter>\?)
  | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<variable>@@?[\w$.]*)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<other><=>|<<|>>|<=|>=|<>|!=|:=|\|\||&&|->>?|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens_of(text: str) -> tuple[Token, ...]:
    """Return the tokens of a text; what is none of MySQL's comes as single characters."""
    return read(_TOKEN, text)


def name_in(tokens: Sequence[Token]) -> Token | None:
    """Return the token of the name that begins them; of `schema.name` the last."""
    names = [token for token in tokens if token.keyword not in ("IF", "EXISTS")]
    if len(names) > 2 and names[1].text == ".":  # noqa: PLR2004 - `schema.name`
        names = names[2:]
    return names[0] if names else None
