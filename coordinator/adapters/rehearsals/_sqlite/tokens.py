"""SQLite's own tokens, as far as a question to the engine has to be rewritten before it is put.

coordinator/sql.py reads texts of every engine and cannot serve here: SQLite's comments do not nest, it quotes
names in four ways, and it has four kinds of parameters. Source: "The SQLite tokenizer" (tokenize.c) and
lang_expr.html.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token, read, replaced

_TOKEN: Final = re.compile(
    r"""
    (?P<blank>[ \t\n\f\r\ufeff]+|--[^\n]*|/\*(?:.*?\*/|.*))
  | (?P<blob>[xX]'[^']*')
  | (?P<string>'(?:[^']|'')*+')
  | (?P<quoted>"(?:[^"]|"")*+")
  | (?P<bracketed>\[[^\]]*\]|`(?:[^`]|``)*+`)
  | (?P<parameter>\?[0-9]*|[:@\#]\w+|\$\w+(?:::\w+)*(?:\([^\s)]*\))?)
  | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?))
  | (?P<word>[^\W\d][\w$]*)
  | (?P<other><<|>>|<=|>=|<>|==|!=|\|\||->>?|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens_of(text: str) -> tuple[Token, ...]:
    """Return the tokens of a text; what SQLite could not read comes as single characters."""
    return read(_TOKEN, text)


def parameters_of(tokens: Sequence[Token]) -> list[tuple[Token, int]]:
    """Return each parameter with its number, by SQLite's rules: `?` is one more than the greatest so far."""
    numbers: dict[str, int] = {}
    greatest = 0
    found: list[tuple[Token, int]] = []
    for token in tokens:
        if token.kind != "parameter":
            continue
        if token.text == "?":
            number = greatest + 1
        elif token.text.startswith("?"):
            number = int(token.text[1:])
        else:
            number = numbers.setdefault(token.text, greatest + 1)
        greatest = max(greatest, number)
        found.append((token, number))
    return found


def numbered(text: str, parameters: Sequence[tuple[Token, int]]) -> str:
    """Return the text with each parameter as `?NNN`, so that values are bound by their place alone."""
    return replaced(text, ((token, f"?{number}") for token, number in parameters))
