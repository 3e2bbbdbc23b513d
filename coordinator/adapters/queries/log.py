"""A file of statements that the live version was seen to send: PostgreSQL's log, or one statement a line.

Read are the log with `log_statement = all` (or durations of all statements) in its text form, whatever
`log_line_prefix` is, its CSV form, and plain lines. A value that was written into a statement stays in it; a
prepared statement has its `$n`. It speaks for the live version alone.

Source of the forms: the PostgreSQL manual, 19.8 "Error Reporting and Logging", and postgres.c: a message's
further lines begin with a tab; `execute <name>: text` is followed by a DETAIL line of parameters.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Final

from pydantic import Field

from coordinator.adapters.queries._reading.files import text_of
from coordinator.adapters.queries._reading.observed import queries_among
from coordinator.adapters.queries._reading.parameters import Dialect, with_engine_parameters
from coordinator.adapters.queries._reading.settings import PathSettings
from coordinator.diagnostics import Place
from coordinator.model import Role
from coordinator.queries import Catalogue, Query
from coordinator.query_ports import QuerySource, Wanted

_MESSAGE = re.compile(
    r"(?:duration: [0-9.]+ ms\s+)?(?:statement|execute [^:\n]*|parse [^:\n]*|bind [^:\n]*): (?P<text>.*)",
    re.DOTALL,
)
_LINE = re.compile(r"(?:^|.*?[\s\]:>])LOG:\s+(?P<message>.*)")
_OTHER_LINE = re.compile(
    r"(?:^|.*?[\s\]:>])(?:LOG|DETAIL|HINT|CONTEXT|STATEMENT|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG[1-5]?|QUERY):\s"
)
_CSV_FIELDS = range(22, 30)
"""How many columns csvlog has had, from PostgreSQL 8.3 to now; the 14th is the message."""
_CSV_MESSAGE = 13


class LogSettings(PathSettings):
    """`{log: statements.log}`, or a mapping with more to say."""

    main: ClassVar[str] = "file"

    file: str = Field(
        min_length=1,
        description="PostgreSQL's log (text or CSV) or a file with a statement on each line, relative to the "
        "plan file; what the live version sent.",
        examples=["statements.log"],
    )


class Log:
    """The source `log`."""

    spec: type = LogSettings
    roles: frozenset[Role] = frozenset({Role.LIVE})

    def is_versioned(self, spec: object) -> bool:
        """Tell whether the path holds `{version}`."""
        assert isinstance(spec, LogSettings)
        return spec.is_versioned

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return each different query of the file. Raises: Usage where it cannot be read."""
        assert isinstance(spec, LogSettings)
        path = spec.path_for(wanted)
        text = text_of(wanted.tree, path)
        return Catalogue(f"the log {path}", tuple(_queries_of(text, wanted.tree.place(path), wanted)))


def _queries_of(log: str, place: str, wanted: Wanted) -> Iterator[Query]:
    dialect = Dialect(wanted.engine, names=True, marks=True)
    texts = ((text, Place(place, line)) for text, line in _statements_in(log))
    for query in queries_among(texts, wanted.engine, cut_off="the log has only its beginning"):
        yield replace(query, text=with_engine_parameters(query.text, dialect))


def _statements_in(log: str) -> Iterator[tuple[str, int]]:
    """Yield each statement with its line, in whichever of the three forms the file is."""
    messages = list(_csv_messages(log)) or list(_text_messages(log))
    if not messages:
        yield from ((line, number) for number, line in enumerate(log.splitlines(), start=1) if line.strip())
    for message, line in messages:
        if found := _MESSAGE.fullmatch(message):
            yield found["text"], line


def _csv_messages(log: str) -> Iterator[tuple[str, int]]:
    rows = csv.reader(io.StringIO(log, newline=""))
    line = 1
    try:
        for row in rows:
            if len(row) not in _CSV_FIELDS:
                return
            if row[_CSV_MESSAGE - 2] == "LOG":
                yield row[_CSV_MESSAGE], line
            line = rows.line_num + 1
    except csv.Error:  # a statement longer than the library takes; what follows is not known either
        yield "statement: SELECT 'too long", line


def _text_messages(log: str) -> Iterator[tuple[str, int]]:
    message: list[str] = []
    begun = 0
    for number, line in enumerate(log.split("\n"), start=1):
        if _OTHER_LINE.match(line):
            if message:
                yield "\n".join(message), begun
            found = _LINE.fullmatch(line)
            message, begun = ([found["message"]], number) if found else ([], 0)
        elif message and line.startswith("\t"):
            message.append(line.removeprefix("\t"))
    if message:
        yield "\n".join(message), begun


QUERIES: Final[QuerySource] = Log()
