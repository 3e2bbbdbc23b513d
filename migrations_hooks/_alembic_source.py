"""A revision file of Alembic and an env.py as their syntax trees say it: nothing of them is executed here.

What a revision is called, what stands before it and what it is about is literal in every file that Alembic
writes. What its code does is not known from its text; what is said here is the contrary alone: which words
in it show that it may do something else without a database than with one, or leave something behind when it
is cut off. A word too many makes a release slower to rehearse, never safer than it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from coordinator.diagnostics import Diagnostic, Place
from coordinator.migration_files import decode
from coordinator.model import Engine, Phase, SourceFile
from coordinator.sql import ends_transaction, split_statements

_NAMES: Final = ("revision", "down_revision", "branch_labels", "depends_on")
_LABELS: Final = {"EXPAND_BRANCH": "expand", "CONTRACT_BRANCH": "contract"}
"""What OpenStack calls its labels (neutron.db.migration.cli); Alembic's process sees whether they are."""
_DECLARATION = re.compile(r"[ \t]*(?:#|--|)[ \t]*coordinator:(?P<rest>.*)")
_PHASE = re.compile(r"\s*phase\s*=\s*(?P<phase>\w+)\s*")
_DATE = re.compile(r"^Create Date: *(\S.*)$", re.MULTILINE)
_NO_IDENTIFIER = re.compile(r"[@:+-]|^$")

_ASKS: Final = {
    "get_bind": "it asks the database (`get_bind`)",
    "get_context": "it looks at how it is run (`get_context`)",
    "is_offline_mode": "it looks whether there is a database (`is_offline_mode`)",
    "as_sql": "it looks whether there is a database (`as_sql`)",
    "inspect": "it inspects the database",
    "Inspector": "it inspects the database",
    "Session": "it opens a session",
    "sessionmaker": "it opens a session",
    "connection": "it uses the connection",
    "invoke": "it invokes an operation of its own",
    "bulk_insert": "it inserts values of which offline SQL may be another text",
    "open": "it reads a file",
}
"""Words with which a revision may do something else offline than online."""
_COMMITS: Final = frozenset(
    (
        "AUTOCOMMIT",
        "Session",
        "autocommit",
        "autocommit_block",
        "begin",
        "commit",
        "connect",
        "create_engine",
        "execution_options",
        "get_context",
        "isolation_level",
        "requests",
        "rollback",
        "sessionmaker",
        "set_isolation_level",
        "subprocess",
        "transactional_ddl",
    )
)
"""Words with which something may stay although the revision failed."""
_ENDS: Final = re.compile(r"\b(?:COMMIT|END|ROLLBACK|ABORT|PREPARE)\b", re.IGNORECASE)
_COMMAND: Final = re.compile(r"(?:COMMIT|ROLLBACK)(?: WORK| TRANSACTION)?")
_SENDS: Final = frozenset({"exec_driver_sql", "execute", "text"})
"""What is called with SQL."""
_KNOWN_MODULES: Final = frozenset(
    (
        "__future__",
        "alembic",
        "collections",
        "datetime",
        "decimal",
        "enum",
        "functools",
        "itertools",
        "json",
        "logging",
        "math",
        "operator",
        "pgvector",
        "re",
        "sqlalchemy",
        "sqlalchemy_utils",
        "sqlmodel",
        "string",
        "textwrap",
        "typing",
        "typing_extensions",
        "uuid",
    )
)
"""What a revision may import without doing something that its own text does not show."""
_ALIKE: Final = frozenset(
    (
        "compare_server_default",
        "compare_type",
        "connection",
        "dialect_name",
        "dialect_opts",
        "include_name",
        "include_object",
        "include_schemas",
        "literal_binds",
        "process_revision_directives",
        "render_as_batch",
        "render_item",
        "target_metadata",
        "url",
        "user_module_prefix",
    )
)
"""Settings of `context.configure` that do not change what is sent by a revision that is run."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision file says about itself."""

    file: SourceFile
    id: str
    down: tuple[str, ...]
    depends: tuple[str, ...]
    labels: tuple[str, ...]
    date: str
    phase: Phase | None
    phase_at: Place | None
    places: Mapping[str, Place]
    """Where each of the names is assigned."""
    asks: str | None
    """Why its SQL without a database need not be what it sends; None: no word of it says so."""
    may_commit: bool

    @property
    def name(self) -> str:
        """Return the file's name without its extension."""
        return self.file.path.rpartition("/")[2].removesuffix(".py")

    def place(self, name: str) -> Place:
        """Return where one of the names is assigned, else the file."""
        return self.places.get(name, Place(self.file.path))


@dataclass(frozen=True, slots=True)
class Environment:
    """What env.py says about how revisions are run."""

    asks: str | None
    may_commit: bool


def read_revision(file: SourceFile) -> tuple[Revision | None, tuple[Diagnostic, ...]]:
    """Return what a file says, or what is wrong with it."""
    tree, text, problems = _parsed(file)
    if tree is None:
        return None, problems
    found: dict[str, tuple[str, ...]] = {}
    places: dict[str, Place] = {}
    wrong: list[Diagnostic] = []
    for name, value in _assignments(tree):
        places[name] = Place(file.path, value.lineno, value.col_offset + 1)
        names = _literal(value, _LABELS if name == "branch_labels" else {})
        if names is None or (name == "revision" and (len(names) != 1 or _NO_IDENTIFIER.search(names[0]))):
            wrong.append(_no_literal(name, places[name]))
        else:
            found[name] = names
    if "revision" not in places:
        wrong.append(_no_revision(file))
    phase, phase_at, bad = _declared(text, file.path)
    if wrong or bad:
        return None, (*wrong, *bad)
    words = frozenset(_words(tree))
    foreign = _foreign_import(tree)
    asks = next((why for word, why in _ASKS.items() if word in words), None)
    return (
        Revision(
            file,
            found["revision"][0],
            found.get("down_revision", ()),
            found.get("depends_on", ()),
            found.get("branch_labels", ()),
            _date(tree),
            phase,
            phase_at,
            places,
            asks or (foreign and f"it imports `{foreign}`, which may ask the database"),
            foreign is not None or bool(words & _COMMITS),
        ),
        (),
    )


def read_environment(file: SourceFile) -> tuple[Environment, tuple[Diagnostic, ...]]:
    """Return what env.py does that a revision's SQL alone does not show."""
    tree, _, problems = _parsed(file)
    if tree is None:
        return Environment("env.py cannot be read", may_commit=True), problems
    words = frozenset(_words(tree))
    if "upgrade_token" in words:
        return Environment(None, may_commit=True), (_several(file),)
    may_commit = bool(words & {"AUTOCOMMIT", "isolation_level", "autocommit", "transactional_ddl", "commit"})
    return Environment(_own_ways(tree, words), may_commit=may_commit), ()


def _own_ways(tree: ast.Module, words: frozenset[str]) -> str | None:
    """Return what env.py does differently with a database and without one; None: nothing that is seen."""
    sends = words & {"execute", "exec_driver_sql", "scalar", "scalars", "executescript"}
    if sends:
        return f"env.py sends SQL of its own (`{min(sends)}`)"
    if words & {"schema_translate_map", "execution_options", "begin_nested"}:
        return "env.py sets options of the connection"
    asked = [each for each in ast.walk(tree) if _is_offline(each)]
    top = [each for each in tree.body if isinstance(each, ast.If) and _is_offline(each.test)]
    if not asked:
        return "env.py has no way of its own without a database (`is_offline_mode`)"
    if len(asked) != 1 or len(top) != 1:
        return "env.py looks whether there is a database (`is_offline_mode`)"
    calls = [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr == "configure"
    ]
    settings = {frozenset(_settings(each)) for each in calls}
    if len(settings) != 1:
        return "env.py configures runs with and without a database differently"
    return None


def _is_offline(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "is_offline_mode"
    )


def _settings(call: ast.Call) -> Iterator[str]:
    for each in call.keywords:
        if each.arg is None:
            yield f"** at {call.lineno}"  # like nothing else: nobody knows what is in it
        elif each.arg not in _ALIKE:
            yield f"{each.arg}={ast.dump(each.value)}"


def _parsed(file: SourceFile) -> tuple[ast.Module | None, str, tuple[Diagnostic, ...]]:
    text, problems = decode(file.content, file.path)
    if problems:
        return None, "", problems
    try:
        return ast.parse(text), text, ()
    except (SyntaxError, ValueError, RecursionError) as error:
        place = Place(file.path, (isinstance(error, SyntaxError) and error.lineno) or 1)
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        problem = Diagnostic(
            "alembic-syntax",
            place,
            f"This is no Python: {why}.",
            "Alembic imports every file of its folder, so it cannot do anything.",
            "Correct the file.",
        )
        return None, text, (problem,)


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for each in tree.body:
        match each:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from _bound(target, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in _NAMES:
                yield name, value


def _bound(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is assigned to each of the names, also in `revision, down_revision = "b", "a"`."""
    targets, values = _items(target), _items(value)
    if isinstance(target, ast.Name):
        if target.id in _NAMES:
            yield target.id, value
    elif targets and len(targets) == len(values):
        for each, its_value in zip(targets, values, strict=True):
            yield from _bound(each, its_value)
    else:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and node.id in _NAMES:
                yield node.id, node  # what it becomes is not to be read


def _items(sequence: ast.expr) -> list[ast.expr]:
    """Return the items of a tuple or a list that stand there one by one; none of anything else."""
    items = sequence.elts if isinstance(sequence, ast.Tuple | ast.List) else []
    return [] if any(isinstance(each, ast.Starred) for each in items) else items


def _literal(value: ast.expr, constants: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the names that an expression is: none, one, or a sequence of them; None for anything else.

    `constants` says what a name stands for, whatever module has it.
    """
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in constants:
            return (constants[name],)
        case ast.Constant(value=None):
            return ()
        case ast.Constant(value=str() as name):
            return (name,)
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            found = [_literal(each, constants) for each in items]
            return None if None in found else tuple(name for each in found if each for name in each)
    return None


def _words(tree: ast.Module) -> Iterator[str]:
    of_blocks: set[ast.AST] = set()
    for each in ast.walk(tree):
        match each:
            case _ if each in of_blocks:
                continue
            case ast.Attribute(ast.Call(ast.Attribute(attr="get_context") as asked), "autocommit_block"):
                of_blocks.add(asked)  # nothing is asked of it, and its SQL is the same without a database
                yield "autocommit_block"
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.keyword(arg=str() as word):
                yield word
            case ast.alias(name=name, asname=other):
                yield from name.split(".")
                if other:
                    yield other
            case ast.Constant(value="AUTOCOMMIT"):
                yield "AUTOCOMMIT"
            case ast.Constant(value=str() as text) if _ends_transaction(text, is_sql=False):
                yield "commit"
            case ast.Call(
                ast.Name(id=word) | ast.Attribute(attr=word), [ast.Constant(value=str() as text), *_]
            ) if word in _SENDS and _ends_transaction(text, is_sql=True):
                yield "commit"


def _ends_transaction(text: str, *, is_sql: bool) -> bool:
    """Tell whether a text ends the transaction around it, as `op.execute("COMMIT")` does.

    One that may be no SQL (`Column("end")`, "Commit hash" in a comment) has to have the command alone.
    """
    if not _ENDS.search(text):
        return False
    ends = [each.words for each in split_statements(text, Engine.POSTGRESQL) if ends_transaction(each)]
    return any(is_sql or _COMMAND.fullmatch(" ".join(each)) for each in ends)


def _foreign_import(tree: ast.Module) -> str | None:
    """Return a module that is imported and may do anything; None: there is none."""
    for each in ast.walk(tree):
        names: list[str] = []
        if isinstance(each, ast.Import):
            names = [alias.name for alias in each.names]
        elif isinstance(each, ast.ImportFrom):
            names = ["." * each.level + (each.module or "")]
        for name in names:
            if name.partition(".")[0] not in _KNOWN_MODULES:
                return name
    return None


def _date(tree: ast.Module) -> str:
    match = _DATE.search(ast.get_docstring(tree) or "")
    return match[1] if match else ""


def _declared(text: str, path: str) -> tuple[Phase | None, Place | None, tuple[Diagnostic, ...]]:
    """Return the phase of the file's `coordinator: phase=…` lines, of comments or of its docstring."""
    found: tuple[Phase, Place] | None = None
    problems: list[Diagnostic] = []
    for number, line in enumerate(text.split("\n"), start=1):
        comment = _DECLARATION.match(line)
        if comment is None:
            continue
        place = Place(path, number, len(line) - len(line.lstrip()) + 1)
        phase = _PHASE.fullmatch(comment["rest"])
        if phase is None or phase["phase"] not in tuple(Phase):
            problems.append(bad_phase(place, f"`{line.strip()}` declares no phase that exists."))
        elif found is not None and found[0] != phase["phase"]:
            problems.append(bad_phase(place, f"Line {found[1].line} already declares `{found[0]}`."))
        else:
            found = found or (Phase(phase["phase"]), place)
    return (*(found or (None, None)), tuple(problems))


def bad_phase(place: Place, what: str) -> Diagnostic:
    """Return what is wrong with a declared phase."""
    return Diagnostic(
        "bad-phase",
        place,
        what,
        "The phase decides whether the migration runs before or after the switch of traffic.",
        "Write one line `coordinator: phase=expand`, `phase=migrate` or `phase=contract` as a comment or into"
        " the docstring, or use the branch labels `expand` and `contract`.",
    )


def _no_literal(name: str, place: Place) -> Diagnostic:
    return Diagnostic(
        "alembic-revision",
        place,
        f"`{name}` is nothing that can be read without running the file.",
        "Which revision comes after which is read from the files, and none is run for that.",
        "Write a text in quotes, None, or a tuple of texts; an identifier has no `@`, `-`, `+` or `:`.",
    )


def _several(file: SourceFile) -> Diagnostic:
    return Diagnostic(
        "alembic-config",
        Place(file.path),
        "This env.py migrates several databases in one run (`upgrade_token`, the template multidb).",
        "Each has a version table of its own, and a release must know which of them has a revision.",
        "Give each database a script location of its own, and the plan a database for each.",
    )


def _no_revision(file: SourceFile) -> Diagnostic:
    return Diagnostic(
        "alembic-revision",
        Place(file.path, 1),
        "The file does not say which revision it is.",
        "Alembic refuses to work with such a file in its folder of versions.",
        'Write `revision = "…"` at the top, or move the file out of the folder.',
    )
