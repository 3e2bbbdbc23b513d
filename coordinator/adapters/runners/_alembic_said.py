"""Whether a process of Alembic sent the statements that its offline mode had said, on a scratch database.

Rows are compared by the rehearsal, and a step of data on an empty table leaves none. So the statements are
compared as well, each by its first words: values are written out offline and bound online, so that whole
texts differ where nothing does. What only reads is left out (SQLAlchemy looks whether a type is there), and
so is what Alembic itself does to its version table. SQLAlchemy makes the indexes of a table in no order,
another one in each process: indexes that are made one after the other are compared in any. What a hook sends
past SQLAlchemy, by the driver's own cursor, nobody hears.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Final

from coordinator.model import Engine, Migration
from coordinator.sql import split_statements

Sent = tuple[int | None, str]
"""The line of the revision's file that sent a statement, None where another one did; and its text."""
_Written = tuple[tuple[str, ...], str]
"""The first words of a statement, and its text."""

_FIRST: Final = 3
_READING: Final = frozenset(
    {"BEGIN", "COMMIT", "DESCRIBE", "EXPLAIN", "PRAGMA", "RELEASE", "ROLLBACK", "SAVEPOINT", "SELECT", "SHOW"}
)
_MOST_LETTERS: Final = 100


def sent_otherwise(sent: Iterable[Sent], migration: Migration, *, engine: Engine, table: str) -> str | None:
    """Return a clause about the first statement that was sent and not said, or said and not sent.

    `table` is the version table's name, without its schema.
    """
    assert migration.up is not None, "its statements are known"
    said = _in_order(_written((each.text for each in migration.up.statements), engine))
    books = table.upper()
    ran = _in_order(
        (words, text)
        for line, whole in sent
        for words, text in _written((whole,), engine)
        if line is not None or books not in words
    )
    match = SequenceMatcher(None, _heads(said), _heads(ran), autojunk=False)
    for kind, first, until, begin, end in match.get_opcodes():
        if kind != "equal":
            more = [f"it sends `{_shown(text)}`, which it had not said" for _, text in ran[begin:end]]
            less = [f"it does not send `{_shown(text)}`, which it had said" for _, text in said[first:until]]
            return (more + less)[0]
    return None


def _written(texts: Iterable[str], engine: Engine) -> Iterator[_Written]:
    """Yield the first words and the text of each statement that does more than read."""
    for text in texts:
        for each in split_statements(text, engine):
            if each.words[:1] and each.words[0] not in _READING:
                yield each.words[:_FIRST], each.text


def _in_order(statements: Iterable[_Written]) -> list[_Written]:
    """Return the statements with each row of new indexes sorted."""
    found: list[_Written] = []
    for makes_index, group in groupby(statements, key=lambda each: _makes_index(each[0])):
        row = list(group)
        found += sorted(row) if makes_index else row
    return found


def _makes_index(words: tuple[str, ...]) -> bool:
    return words[:2] == ("CREATE", "INDEX") or words[:3] == ("CREATE", "UNIQUE", "INDEX")


def _heads(statements: Sequence[_Written]) -> list[tuple[str, ...]]:
    return [words for words, _ in statements]


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}…"
