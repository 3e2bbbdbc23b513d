"""Parameters as people write them, turned into the engine's own: `@name`, `:name`, `?`, sqlc's macros.

PostgreSQL gets `$1`, SQLite gets `?1`; the same name is the same number. MySQL and MariaDB know no numbers:
each occurrence is a `?` of its own, and `@name` is a variable there. Strings, quoted names, comments and
operators (`@>`, `<@`, `@@`, `?|`, `::`, a slice `a[1:n]`) stay as they are. What is ambiguous is read as the
engine itself would read it: a query that then fails does so on its own version's schema too, and is reported.

Source of the macros and of the numbering: docs.sqlc.dev, "Macros" and "Naming parameters" (a name takes the
first number that is not written out in the query).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from coordinator.model import Engine
from coordinator.sql import tokens

_QUOTED = frozenset({"escaped", "string", "identifier", "backtick", "dollar", "comment", "block"})
_NUMBERED = re.compile(r"\$([0-9]+)")
_MACRO = re.compile(
    r"sqlc\s*\.\s*(?P<macro>arg|narg|embed|slice)\s*\(\s*(?P<quote>['\"]?)(?P<name>\w+)(?P=quote)\s*\)",
    re.IGNORECASE,
)
_CANDIDATE = re.compile(r"[@:?$]|(?<![\w$.])sqlc", re.IGNORECASE)
_MAY_CHANGE = re.compile(r"[@?]|sqlc", re.IGNORECASE)
_AFTER_VALUE = re.compile(r"[\w$.)\]:]")
"""What stands before a `:` that is a cast's or a slice's."""
_AT = re.compile(r"@(?P<name>[^\W\d]\w*)")
_COLON = re.compile(r":(?P<name>[^\W\d]\w*)(?!:)")
_DOLLAR = re.compile(r"\$(?P<name>[^\W\d]\w*)")
_OPEN = re.compile(
    r"(?i)\b(select|where|and|or|not|on|when|then|else|in|i?like|between|limit|offset|set|values|returning|as|from"
    r"|by|having|is|distinct|interval|first|next|any|all|some|case|union|using|to|escape|default)$"
)
"""Words after which a value begins, so that a `?` there is one."""
_CLOSE = re.compile(
    r"(?i)(and|or|as|from|where|group|order|having|limit|offset|fetch|rows?|then|else|end|when|is|not|in|i?like"
    r"|between|asc|desc|nulls|for|union|except|intersect|collate|returning|on|escape|window|at|similar)\b"
)
"""Words before which a value ends."""
_VALUE_ENDS = re.compile(r"[\w$)\]'\"?]$")
_VALUE_BEGINS = re.compile(r"[\w$('\"?@]|:(?!:)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which forms of parameters a kind of source has beside the engine's own."""

    engine: Engine
    macros: bool = False
    """sqlc's functions."""
    names: bool = False
    """`:name`, and on SQLite `$name`; `@name` is one everywhere."""
    marks: bool = False
    """`?` on PostgreSQL, where it is an operator too."""


@dataclass(slots=True)
class _Numbers:
    """Gives each name its number; `taken` are those that the query writes out."""

    engine: Engine
    taken: set[int]
    names: dict[str, int] = field(default_factory=dict)

    def of(self, name: str | None) -> str:
        """Return the parameter for a name, or for one without."""
        if self.engine.speaks_mysql:
            return "?"
        number = self.names.get(name) if name else None
        if number is None:
            number = next(each for each in count(1) if each not in self.taken)
            self.taken.add(number)
            if name:
                self.names[name] = number
        return f"{'$' if self.engine is Engine.POSTGRESQL else '?'}{number}"


def with_engine_parameters(text: str, dialect: Dialect) -> str:
    """Return one statement with the engine's own parameters."""
    if not dialect.names and not _MAY_CHANGE.search(text):
        return text
    code = "".join(_code_of(text, dialect.engine))
    numbers = _Numbers(dialect.engine, _numbers_in(code, dialect.engine))
    marks = dialect.marks and not numbers.taken  # a query that writes numbers has no `?` but the operator
    rewritten: list[str] = []
    done = 0
    for candidate in _CANDIDATE.finditer(code):
        if candidate.start() < done:
            continue
        found = _found_at(text, code, candidate.start(), dialect=dialect, marks=marks)
        if found is not None:
            rewritten += (text[done : candidate.start()], found.written or numbers.of(found.name))
            done = found.end
    return "".join([*rewritten, text[done:]])


@dataclass(frozen=True, slots=True)
class _Found:
    name: str | None
    end: int
    written: str = ""
    """What is written in its place, if it is no parameter."""


def _found_at(text: str, code: str, position: int, *, dialect: Dialect, marks: bool) -> _Found | None:
    """Return the parameter or macro that begins at a candidate; None if it is something else."""
    before = code[position - 1 : position]
    match code[position]:
        case "?":
            is_mark = _is_mark(code, position, is_sqlite=dialect.engine is Engine.SQLITE, marks=marks)
            return _Found(None, position + 1) if is_mark else None
        case "@":
            is_variable = dialect.engine.speaks_mysql or _ends_operator(before, dialect.engine)
            named = None if is_variable else _AT.match(code, position)
        case ":":
            named = None if not dialect.names or _AFTER_VALUE.match(before) else _COLON.match(code, position)
        case "$":
            is_name = dialect.names and dialect.engine is Engine.SQLITE and not _AFTER_VALUE.match(before)
            named = _DOLLAR.match(code, position) if is_name else None
        case _:  # the name of a macro may stand in quotes, which `code` does not show
            macro = _MACRO.match(text, position) if dialect.macros else None
            if macro and macro["macro"].lower() == "embed":
                return _Found(None, macro.end(), written=f"{macro['name']}.*")
            named = macro
    return _Found(named["name"], named.end()) if named else None


def _ends_operator(before: str, engine: Engine) -> bool:
    """Tell whether `@` ends PostgreSQL's `@@` or `<@`, which SQLite does not have."""
    return engine is Engine.POSTGRESQL and before in ("<", "@")


def _is_mark(code: str, position: int, *, is_sqlite: bool, marks: bool) -> bool:
    """Tell whether a `?` is a parameter without a number."""
    after = code[position + 1 : position + 3]
    if is_sqlite:
        return not after[:1].isdigit()
    if not marks or code[position - 1 : position] in ("@", "?"):
        return False
    if after[:1] in ("|", "&", "?") and after != "||":
        return False
    left, right = code[:position].rstrip(), code[position + 1 :].lstrip()
    follows_value = _VALUE_ENDS.search(left) and not _OPEN.search(left)
    precedes_value = _VALUE_BEGINS.match(right) and not _CLOSE.match(right)
    return not (follows_value and precedes_value)


def _numbers_in(code: str, engine: Engine) -> set[int]:
    pattern = _NUMBERED if engine is Engine.POSTGRESQL else re.compile(r"\?([0-9]+)")
    return {int(number) for number in pattern.findall(code)}


def _code_of(text: str, engine: Engine) -> Iterator[str]:
    """Yield the text in pieces, as long as they are, in which only code shows what it is."""
    for kind, start, end, _ in tokens(text, engine):
        yield _blank(text[start:end]) if kind in _QUOTED else text[start:end]


def _blank(piece: str) -> str:
    """Return a piece of the same length in which nothing is code: a comment is blanks, the rest a value."""
    return (" " if piece.startswith(("--", "/*", "#")) else "'") * len(piece)
