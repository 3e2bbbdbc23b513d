"""What CREATE INDEX CONCURRENTLY leaves when it is killed or fails: an index that nobody reads by, and that
every write still maintains. It is found, named, and dropped before the same index is built again.

PostgreSQL's manual ("Building Indexes Concurrently") recommends exactly that. With IF NOT EXISTS the ruin
would otherwise be taken for the index. An index that somebody still builds is invalid as well; its table is
then locked against a second build, and it is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final, Protocol

from coordinator.errors import DatabaseError
from coordinator.sql import SqlStatement, tokens

_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_BUILD: Final = re.compile(
    rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{_NAME})\s+ON\s+"
    rf"(?:ONLY\s+)?(?P<table>{_NAME}(?:\s*\.\s*{_NAME})?)",
    re.IGNORECASE,
)
_ALL = "SELECT indexrelid::regclass::text FROM pg_catalog.pg_index WHERE NOT indisvalid"
_LEFT = """
SELECT i.indexrelid::regclass::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND i.indrelid = to_regclass({table})
  AND c.relname = (parse_ident({name}))[1]
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.relation = i.indrelid AND l.granted
                  AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid())
"""


class Session(Protocol):
    """What is needed of a PostgresqlSession."""

    def send(self, text: str, *, index: int | None = None, commits: bool = False) -> list[tuple[object, ...]]:
        """Send one text as it is."""
        ...


class InvalidIndexes:
    """Those of the session's database."""

    def __init__(self, session: Session, *, note: Callable[[str], None]) -> None:
        self._session = session
        self._note = note

    def all(self) -> set[str]:
        """Return their names."""
        return {str(name) for [name] in self._session.send(_ALL)}

    def drop_what_a_build_left(self, build: SqlStatement) -> None:
        """Drop the invalid index of the name that `build` is about to give, if one is there."""
        match = _BUILD.match(_without_comments(build.text))
        if match is None:
            return
        question = _LEFT.format(name=_literal(match["name"]), table=_literal(match["table"]))
        for [index] in self._session.send(question):
            self._note(
                f"Dropping the invalid index `{index}`, which an earlier attempt left, to build it again."
            )
            self._session.send(f"DROP INDEX CONCURRENTLY {index}")

    def explain(self, error: DatabaseError, before: Collection[str]) -> None:
        """Add to a build's failure the name of the invalid index that it left, if it left one."""
        left = sorted(self.all() - set(before))
        if left:
            names = " and ".join(f"`{each}`" for each in left)
            error.why = f"{error.why} It left the invalid index {names}, which every write still maintains."
            error.next_step = (
                f"{error.next_step} Sent again, it is dropped first and built anew; by hand:"
                f" DROP INDEX CONCURRENTLY {left[0]}."
            ).strip()


def _without_comments(text: str) -> str:
    kept = (" " if kind in ("comment", "block") else text[start:end] for kind, start, end, _ in tokens(text))
    return "".join(kept).strip()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
