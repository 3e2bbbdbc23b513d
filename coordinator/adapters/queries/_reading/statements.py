"""The statements of a file of queries, each with the header that a generator reads (`-- name: X :one`).

Source of the headers: docs.sqlc.dev, "Query annotations", all comment styles (`#` is MySQL's).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.model import Engine
from coordinator.sql import split_statements, tokens

HEADER = re.compile(r"(?:--|/\*|#)\s*name:\s*(?P<name>\S+)\s+(?P<command>:\w+)")
_NO_RESULT = frozenset({":exec", ":execrows", ":execresult", ":execlastid", ":copyfrom", ":batchexec"})
"""The commands whose client looks at no column."""
_QUIET = frozenset({"space", "comment", "block"})


@dataclass(frozen=True, slots=True)
class Written:
    """A statement as it stands in a file, without its `;` and the comments around it."""

    text: str
    line: int
    """Of its header, or else of its first word; counts from 1."""
    name: str | None
    command: str | None
    obstacle: str | None = None
    """Why the engine cannot be asked about it, as far as the text says."""

    @property
    def reads_result(self) -> bool:
        """The client looks at the result's columns, as far as the header says."""
        return self.command not in _NO_RESULT


def statements_of(text: str, engine: Engine) -> Iterator[Written]:
    """Yield the statements of a file in their order."""
    for each in split_statements(text.replace("\r\n", "\n"), engine):
        start, header = _opening(each.text, engine)
        line = each.line - (each.text.count("\n", header.start(), start) if header else 0)
        obstacle = None if each.is_closed else "a quote or a comment in it is still open at the file's end"
        yield _written(each.text, start, header, line=line, obstacle=obstacle)


def only_statement_of(text: str, engine: Engine, *, line: int, obstacle: str | None) -> Written:
    """Return the statement of a text that holds one, as a generator left it."""
    start, header = _opening(text, engine)
    return _written(text, start, header, line=line, obstacle=obstacle)


def _written(
    text: str, start: int, header: re.Match[str] | None, *, line: int, obstacle: str | None
) -> Written:
    code = text[start:].rstrip().removesuffix(";").rstrip()
    if header is None:
        return Written(code, line, None, None, obstacle)
    return Written(code, line, header["name"], header["command"], obstacle)


def _opening(text: str, engine: Engine) -> tuple[int, re.Match[str] | None]:
    """Return where a statement's code begins, and the header in the comments before it."""
    header = None
    for kind, start, end, _ in tokens(text, engine):
        if kind not in _QUIET:
            return start, header
        if kind != "space":
            header = header or HEADER.match(text, start, end)
    return len(text), header
