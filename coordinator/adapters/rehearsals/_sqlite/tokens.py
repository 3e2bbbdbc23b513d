"""SQLite's own tokens, as far as a question to the engine has to be rewritten before it is put.

coordinator/sql.py reads texts of every engine and cannot serve here: SQLite's comments do not nest, it quotes
names in four ways, and it has four kinds of parameters. What a text means is never read from the tokens; they
say only where a word or a parameter stands. Source: "The SQLite tokenizer" (tokenize.c) and lang_expr.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Token:
    """One token that is neither blank nor comment; `depth` counts the parentheses around it."""

    kind: str
    text: str
    start: int
    depth: int

    @property
    def end(self) -> int:
        """Return the offset behind it."""
        return self.start + len(self.text)

    @property
    def keyword(self) -> str:
        """Return a bare word in capitals, any other token as it stands."""
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def name(self) -> str | None:
        """Return the name that it is, without its quotes and in lower case; None if it can be none."""
        if self.kind == "word":
            return self.text.lower()
        if self.kind in ("quoted", "bracketed"):
            return unquoted(self.text).lower()
        return None


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a text; what SQLite could not read comes as single characters."""
    found: list[Token] = []
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "blank":
            continue
        depth -= match[0] == ")"
        found.append(Token(kind, match[0], match.start(), depth))
        depth += match[0] == "("
    return found


def unquoted(name: str) -> str:
    """Return a quoted name's letters."""
    close = {"[": "]"}.get(name[0], name[0])
    return name[1:-1] if close == "]" else name[1:-1].replace(close * 2, close)


def quoted(name: str) -> str:
    """Return a name for SQL, in the one form that SQLite never takes for text."""
    return "`" + name.replace("`", "``") + "`"


def replaced(text: str, tokens: Iterable[tuple[Token, str]]) -> str:
    """Return the text with each of some tokens, given in their order, replaced."""
    parts: list[str] = []
    position = 0
    for token, new in tokens:
        parts += [text[position : token.start], new]
        position = token.end
    return "".join([*parts, text[position:]])


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
