"""goose's grammar: how its parser cuts a file into statements, line by line, without knowing SQL.

Written from the behaviour of goose v3.29.0 (docs/reference/migration-tools.md): a statement ends where the
last word before a `--` comment ends in `;`, whatever quotes are open; leading comments are dropped; a
comment that mentions +goose is an annotation or an error. One thing is refused that goose accepts: after a
StatementBegin block without content goose drops the next line, statement or not. Many people end a
section with such a block; no line is left to drop there, and none before another block. A file is written
for the same parser: what it would cut elsewhere is put into a block.

Going up, goose reads the annotations of a Down section and forgets its statements. So one that does not end
is a warning: the file is applied, as goose applies it, and has no way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.model import Script, Statement
from coordinator.pieces import NewMigration, Piece

_MAX_LINE_BYTES = 4 * 1024 * 1024 - 1
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space as Go's unicode.IsSpace has it; Python's own `strip` takes four control characters more."""
_AS_BLANKS = str.maketrans(dict.fromkeys(_SPACE, " "))


class _State(Enum):
    START = auto()
    UP = auto()
    UP_BLOCK = auto()
    DOWN = auto()
    DOWN_BLOCK = auto()


_S = _State
_NEXT = {
    ("up", _S.START): _S.UP,
    ("down", _S.UP): _S.DOWN,
    ("statementbegin", _S.UP): _S.UP_BLOCK,
    ("statementbegin", _S.DOWN): _S.DOWN_BLOCK,
    ("statementend", _S.UP_BLOCK): _S.UP,
    ("statementend", _S.DOWN_BLOCK): _S.DOWN,
}
_MISPLACED = {
    "up": "A second `-- +goose Up`: goose wants one, before everything else.",
    "down": "`-- +goose Down` belongs after the Up section, once, and outside a statement block.",
    "statementbegin": "`-- +goose StatementBegin` belongs into a section, and blocks do not nest.",
    "statementend": "`-- +goose StatementEnd` without `-- +goose StatementBegin`.",
}
_SWITCHES = frozenset({"no transaction", "envsub on", "envsub off"})


@dataclass(frozen=True, slots=True)
class GooseFile:
    """A file as goose reads it; `down` is None where the file has no Down section that goose can read."""

    up: Script
    down: Script | None
    problems: tuple[Diagnostic, ...]


@dataclass(slots=True)
class _Parser:
    """The state of one pass; it ends at the first problem, as goose does."""

    path: str
    state: _State = _State.START
    transaction: bool = True
    envsub: bool = False
    buffer: list[tuple[int, str]] = field(default_factory=list)
    up: list[Statement] = field(default_factory=list)
    down: list[Statement] | None = None
    empty_block: int | None = None
    """The line that ended a block without content, if nothing came after it so far."""

    def take(self, number: int, line: str) -> Diagnostic | None:
        """Take one line and return what is wrong with it."""
        stripped = line.strip(_SPACE)
        is_comment = stripped.startswith("--")
        if self.empty_block and stripped and not is_comment:
            return self._empty_block(self.empty_block)
        if is_comment and "+goose" in line:
            return self._take_annotation(number, line)
        is_outside = self.state is _State.START
        if (not self.buffer and (is_comment or not line)) or (is_outside and not stripped):
            return None
        if is_outside:
            return self.problem_at(number, "SQL stands before `-- +goose Up`, outside every section.")
        if self.envsub and "$" in line:
            return self._envsub_problem(number)
        self.buffer.append((number, line))
        if self.state in (_State.UP, _State.DOWN) and _ends_statement(line):
            self._store()
        return None

    def finish(self, number: int) -> Diagnostic | None:
        """Return what is wrong with the end of the file."""
        if self.state is _State.START:
            return self.problem_at(0, "The file has no `-- +goose Up` line.")
        if self.state in (_State.UP_BLOCK, _State.DOWN_BLOCK):
            return self.problem_at(number, "A `-- +goose StatementBegin` has no `-- +goose StatementEnd`.")
        return self._unfinished()

    def _take_annotation(self, number: int, line: str) -> Diagnostic | None:
        command = line.replace("--", "").replace("+goose", "", 1).strip(_SPACE).lower()
        if line.startswith((" ", "\t")) or not (command in _MISPLACED or command in _SWITCHES):
            return self.problem_at(
                number, f"goose takes the comment `{line.strip()}` for an annotation and knows none like it."
            )
        if command in _SWITCHES:
            self.transaction = self.transaction and command != "no transaction"
            self.envsub = command == "envsub on" or (self.envsub and command != "envsub off")
            return None
        if command == "down" and (problem := self._unfinished()):
            return problem
        if (following := _NEXT.get((command, self.state))) is None:
            return self.problem_at(number, _MISPLACED[command])
        self.empty_block = None
        self.state = following
        if command == "down":
            self.down = []
            self.buffer.clear()  # blanks alone, which goose drops with the rest of the Up section
        if command == "statementend":
            return self._end_block(number)
        return None

    def _end_block(self, number: int) -> Diagnostic | None:
        if not self._is_blank():
            self._store()
        else:
            self.buffer.clear()
            self.empty_block = number
        return None

    def _store(self) -> None:
        text = "".join(f"{line}\n" for _, line in self.buffer).strip(_SPACE)
        first = next((number for number, line in self.buffer if line.strip(_SPACE)), 0)
        section = self.up if self.down is None else self.down
        section.append(Statement(text, first))
        self.buffer.clear()

    def _is_blank(self) -> bool:
        return not any(line.strip(_SPACE) for _, line in self.buffer)

    def _unfinished(self) -> Diagnostic | None:
        if self._is_blank():
            return None
        first = next(number for number, line in self.buffer if line.strip(_SPACE))
        problem = self.problem_at(
            first,
            "The statement that begins here does not end: its last line must end in `;`.",
        )
        if self.down is None:
            return problem
        why = "goose applies this file, and cannot read it when it is to be undone."
        return replace(problem, why=why, severity=Severity.WARNING)

    def problem_at(self, number: int, what: str) -> Diagnostic:
        """Return a problem of a line; line 0 is the whole file."""
        return Diagnostic(
            "goose-syntax",
            Place(self.path, number),
            what,
            "goose cannot read this file.",
            "Correct it; `coordinator parse FILE --tool goose` shows how goose cuts a file.",
        )

    def _empty_block(self, number: int) -> Diagnostic:
        return Diagnostic(
            "goose-empty-block",
            Place(self.path, number),
            "This StatementBegin block holds no statement.",
            "goose goes wrong with it: mostly it silently drops the line that follows.",
            "Remove the block, or write its statement.",
        )

    def _envsub_problem(self, number: int) -> Diagnostic:
        return Diagnostic(
            "goose-envsub",
            Place(self.path, number),
            "This line takes text from the environment (`-- +goose ENVSUB ON`).",
            "The same file would do different things in different places, and a value can inject SQL.",
            "Write the text into the migration, or keep the value in a table or a server setting.",
        )


def parse_file(text: str, path: str) -> GooseFile:
    """Return both directions of a file, or the first problem of it."""
    parser = _Parser(path)
    number = 0
    problem: Diagnostic | None = None
    for number, line in _lines(text):
        if len(line) * 4 > _MAX_LINE_BYTES and len(line.encode()) > _MAX_LINE_BYTES:
            problem = parser.problem_at(number, "This line is longer than 4 MiB.")
        else:
            problem = parser.take(number, line.removesuffix("\r"))
        if problem:
            break
    problem = problem or parser.finish(number)
    down = None if parser.down is None or problem else Script(tuple(parser.down), parser.transaction)
    return GooseFile(Script(tuple(parser.up), parser.transaction), down, (problem,) if problem else ())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return iter(enumerate(lines, start=1))


def _ends_statement(line: str) -> bool:
    last = ""
    for word in line.translate(_AS_BLANKS).split(" "):
        if word.startswith("--"):
            break
        last = word or last
    return last.endswith(";")


def written(new: NewMigration) -> str:
    """Return a migration as a file that `parse_file` cuts into the very pieces of it."""
    lines = [f"-- coordinator: phase={new.phase}"]
    if not new.transaction:
        lines.append("-- +goose NO TRANSACTION")
    for section, pieces in (("Up", new.up), ("Down", new.down)):
        if pieces is not None:
            lines += ["", f"-- +goose {section}", *(line for each in pieces for line in _lines_of(each))]
    return "\n".join(lines) + "\n"


def _lines_of(piece: Piece) -> Iterator[str]:
    yield from piece.comments
    alone = parse_file(f"-- +goose Up\n{piece.text}\n", "")
    if not alone.problems and [each.text for each in alone.up.statements] == [piece.text]:
        yield piece.text
        return
    yield from ("-- +goose StatementBegin", piece.text, "-- +goose StatementEnd")
