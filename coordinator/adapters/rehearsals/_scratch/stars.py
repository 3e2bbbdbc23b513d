"""Write the columns of each `*` into a text, as sqlc does when it generates a client.

The engine is asked what a star stands for: the query is put to it with nothing but that star in its list.
Only which of two joined tables a name belongs to is found source by source, as `source.*`. What cannot be
told stays a star, because a client that sends a star is at least what its author wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token, quoted, target_of, without_parameters

_BEFORE_LIST: Final = ("SELECT", "DISTINCT", "ALL", "RETURNING")
_AFTER_LIST: Final = (
    "FROM", "WHERE", "UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "GROUP", "WINDOW", ";",
)  # fmt: skip
_AFTER_SOURCES: Final = (*_AFTER_LIST[1:], "HAVING")
_BETWEEN_SOURCES: Final = (",", "JOIN")
_BEHIND_SOURCE: Final = (
    "ON", "USING", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "NATURAL", "INDEXED", "NOT",
)  # fmt: skip
_STATEMENTS: Final = ("SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class _Star:
    """A star in a list of columns: `list_begin` to `list_end` are the tokens of the list around it."""

    place: int
    prefix: str
    """`o.` of `o.*`, as it is written; empty for a star alone."""
    list_begin: int
    list_end: int


@dataclass(frozen=True, slots=True)
class Engine:
    """How an engine reads a text, and what it says of one."""

    tokens_of: Callable[[str], tuple[Token, ...]]
    names_of: Callable[[str], Sequence[str]]
    """The names of the columns of a SELECT without parameters; none if it does not compile."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A text whose stars are asked about; `common` is its WITH clause, which every part of it may need."""

    engine: Engine
    text: str
    tokens: Sequence[Token]
    common: str


def expand_star(engine: Engine, text: str) -> str:
    """Return the text with the columns that its stars stand for now, innermost first."""
    kept = 0
    while True:
        tokens = engine.tokens_of(text)
        stars = sorted(_stars(tokens), key=lambda star: (-tokens[star.place].depth, star.place))
        if kept >= len(stars):
            return text
        star = stars[kept]
        listed = _columns_of(_Asked(engine, text, tokens, _common(text, tokens)), star)
        if listed is None:
            kept += 1
            continue
        begin = tokens[star.place - 2] if star.prefix else tokens[star.place]
        text = text[: begin.start] + listed + text[tokens[star.place].end :]


def _common(text: str, tokens: Sequence[Token]) -> str:
    if not tokens or tokens[0].keyword != "WITH":
        return ""
    behind = (token for token in tokens if token.depth == 0 and token.keyword in _STATEMENTS)
    return text[: next((token.start for token in behind), 0)]


def _stars(tokens: Sequence[Token]) -> Iterator[_Star]:
    for place, token in enumerate(tokens):
        if token.text != "*" or place == 0:
            continue
        prefix = ""
        before = place - 1
        if tokens[before].text == "." and before >= 1:
            prefix = tokens[before - 1].text + "."
            before -= 2
        if before >= 0 and (tokens[before].keyword in _BEFORE_LIST or tokens[before].text == ","):
            around = _list_around(tokens, before, token.depth)
            if around is not None:
                yield _Star(place, prefix, *around)


def _list_around(tokens: Sequence[Token], before: int, depth: int) -> tuple[int, int] | None:
    """Return where the column list around a place begins and ends; None if it is another kind of list."""
    begin = before
    while begin >= 0 and not (tokens[begin].depth == depth and tokens[begin].keyword in _BEFORE_LIST):
        if tokens[begin].depth < depth or tokens[begin].keyword in _AFTER_LIST:
            return None
        begin -= 1
    if begin < 0:
        return None
    return begin + 1, _until(tokens, before + 1, depth, _AFTER_LIST)


def _until(tokens: Sequence[Token], place: int, depth: int, words: Sequence[str]) -> int:
    while place < len(tokens) and tokens[place].depth >= depth:
        if tokens[place].depth == depth and tokens[place].keyword in words:
            break
        place += 1
    return place


def _columns_of(asked: _Asked, star: _Star) -> str | None:
    if asked.tokens[star.list_begin - 1].keyword == "RETURNING":
        return _listed(asked.engine.names_of(f"SELECT * FROM {target_of(asked.tokens)}"))
    names = _names(asked, star, star.prefix)
    if star.prefix:
        return _listed(names, star.prefix)
    twice = {name for name, times in Counter(map(str.lower, names)).items() if times > 1}
    return _qualified(asked, star, names, twice) if twice else _listed(names)


def _names(asked: _Asked, star: _Star, prefix: str) -> list[str]:
    """Return the columns that the query around a star has with `prefix*` for its whole list."""
    tokens, text = asked.tokens, asked.text
    last, close = star.list_end - 1, _end_of_sources(tokens, star)
    sources = text[tokens[last].end : tokens[close - 1].end]
    alone = f"{asked.common} SELECT {prefix}* {sources}"
    return list(asked.engine.names_of(without_parameters(alone, asked.engine.tokens_of(alone))))


def _end_of_sources(tokens: Sequence[Token], star: _Star) -> int:
    return _until(tokens, star.list_end, tokens[star.place].depth, _AFTER_SOURCES)


def _qualified(asked: _Asked, star: _Star, names: list[str], twice: set[str]) -> str | None:
    """Return the list with the names that two sources have written as `source.name`."""
    found = [
        (source, name)
        for source in _sources(asked.tokens, star)
        for name in _names(asked, star, f"{source}.")
    ]
    if [name for _, name in found] != names:
        return None  # USING and NATURAL leave columns out
    return ", ".join(
        f"{source}.{quoted(name)}" if name.lower() in twice else quoted(name) for source, name in found
    )


def _sources(tokens: Sequence[Token], star: _Star) -> Iterator[str]:
    """Yield what each source of a FROM clause is called, as it is written."""
    depth = tokens[star.place].depth
    clause = tokens[star.list_end + 1 : _end_of_sources(tokens, star)]
    called = ""
    is_named = False
    for token in (token for token in clause if token.depth == depth):
        if token.keyword in _BETWEEN_SOURCES:
            yield called
            called, is_named = "", False
        elif token.keyword in _BEHIND_SOURCE:
            is_named = True
        elif not is_named and token.name is not None and token.keyword != "AS":
            called = token.text
    yield called


def _listed(names: Sequence[str], prefix: str = "") -> str | None:
    return ", ".join(prefix + quoted(name) for name in names) or None
