"""The statements of a file of queries, each with the header that a generator reads (`-- name: X :one`).

Source of the headers: docs.sqlc.dev, "Query annotations"; both comment styles, and `#` for MySQL's sake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.sql import split_statements, tokens

HEADER = re.compile(r"(?:--|/\*|#)\s*name:\s*(?P<name>\S+)\s+(?P<command>:\w+)")
NO_RESULT = frozenset({":exec", ":execrows", ":execresult", ":execlastid", ":copyfrom", ":batchexec"})
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
    is_closed: bool

    @property
    def reads_result(self) -> bool:
        """The client looks at the result's columns, as far as the header says."""
        return self.command not in NO_RESULT


def statements_of(text: str) -> Iterator[Written]:
    """Yield the statements of a file in their order."""
    for each in split_statements(text.replace("\r\n", "\n")):
        start, end = _code_between(each.text)
        header = next(_headers(each.text), None)
        if header is None:
            yield Written(each.text[start:end], each.line, None, None, each.is_closed)
            continue
        line = each.line - each.text.count("\n", header.start(), start)
        yield Written(each.text[start:end], line, header["name"], header["command"], each.is_closed)


def _headers(text: str) -> Iterator[re.Match[str]]:
    for kind, start, end, _ in tokens(text):
        if kind in ("comment", "block") and (found := HEADER.match(text, start, end)):
            yield found


def _code_between(text: str) -> tuple[int, int]:
    code = [
        (start, end)
        for kind, start, end, _ in tokens(text)
        if kind not in _QUIET and not (kind == "other" and text[start:end] == ";")
    ]
    return code[0][0], code[-1][1]
