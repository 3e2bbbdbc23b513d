"""The queries of a project that uses sqlc, found by its configuration.

What the program really sends stands in the generated code, where the columns of each `*` are written out; it
is used where it lies in the same tree. Else the .sql files are, their macros rewritten as sqlc does it, and
the rehearsal writes the columns of `*` out at the version's own state.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from pydantic import Field

from coordinator.adapters.queries._reading.files import beside, files_of, folder_of, text_of
from coordinator.adapters.queries._reading.go_constants import is_generated, queries_of_go, source_of
from coordinator.adapters.queries._reading.parameters import Dialect, with_engine_parameters
from coordinator.adapters.queries._reading.settings import PathSettings
from coordinator.adapters.queries._reading.sqlc_config import Entry, entries_of, unfit
from coordinator.adapters.queries._reading.statements import statements_of
from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.model import Engine, Role
from coordinator.queries import Catalogue, Query
from coordinator.query_ports import QuerySource, Tree, Wanted

_NAMES = ("sqlc.yaml", "sqlc.yml", "sqlc.json")
_SHARED_CODE = (None, "batch.go", "copyfrom.go")
"""What generated code says of its source where it is made from all files of queries together."""
_FEW = 5


class SqlcSettings(PathSettings):
    """`{sqlc: sqlc.yaml}`, or a mapping with more to say."""

    main: ClassVar[str] = "config"

    config: str = Field(
        min_length=1,
        description="sqlc's configuration (`sqlc.yaml`, `sqlc.json`), relative to the plan file.",
        examples=["sqlc.yaml"],
    )
    entry: str | None = Field(
        default=None,
        description="One of the configuration's entries, by its name, schema path, package or output folder. "
        "Without it: every entry of the database's engine.",
    )


class Sqlc:
    """The source `sqlc`."""

    spec: type = SqlcSettings
    roles: frozenset[Role] = frozenset(Role)

    def is_versioned(self, spec: object) -> bool:
        """Tell whether the configuration's path holds `{version}`."""
        assert isinstance(spec, SqlcSettings)
        return spec.is_versioned

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return the queries of the configuration's entries that fit.

        Raises: Usage where a file is missing or the configuration cannot be read.
        """
        assert isinstance(spec, SqlcSettings)
        config, content = _config_in(wanted.tree, spec.path_for(wanted))
        queries: list[Query] = []
        problems: list[Diagnostic] = []
        for entry in _fitting(entries_of(content, config), spec, wanted, config=config):
            written = tuple(_queries_of(entry, wanted, config))
            code = _code_of(entry, wanted, config)
            queries.extend((*_as_sent(written, code.generated), *code.by_hand))
            if code.generated and (names := code.generated.keys() ^ {each.name for each in written}):
                problems.append(_out_of_date(wanted.tree.place(config), entry, sorted(names)))
        return Catalogue(
            f"{config} in {wanted.tree.label}", tuple(queries), tuple(problems), is_of_files=True
        )


def _config_in(tree: Tree, config: str) -> tuple[str, bytes]:
    """Return the configuration, which an earlier version may have under one of its other names."""
    folder, name = posixpath.split(config)
    others = (posixpath.join(folder, each) for each in _NAMES if name in _NAMES)
    for path in (config, *others):
        content = tree.read(path)
        if content is not None:
            return path, content
    raise unfit(config, f"is not in {tree.label}")


def _fitting(
    entries: tuple[Entry, ...], spec: SqlcSettings, wanted: Wanted, *, config: str
) -> tuple[Entry, ...]:
    engine = Engine.MYSQL if wanted.engine.speaks_mysql else wanted.engine  # sqlc has no other word for it
    found = tuple(
        each for each in entries if each.engine == engine and (spec.entry is None or spec.entry in each.names)
    )
    if not found:
        called = f" that is called `{spec.entry}`" if spec.entry else ""
        raise unfit(config, f"has no entry for {engine}{called} in {wanted.tree.label}")
    return found


def _queries_of(entry: Entry, wanted: Wanted, config: str) -> Iterator[Query]:
    dialect = Dialect(wanted.engine, macros=True)
    for file in _files_of(entry, wanted.tree, config):
        place = wanted.tree.place(file)
        for each in statements_of(text_of(wanted.tree, file), wanted.engine):
            if each.name is not None:  # sqlc makes nothing of a statement without a name
                yield Query(
                    name=each.name,
                    text=with_engine_parameters(each.text, dialect),
                    place=Place(place, each.line),
                    reads_result=each.reads_result,
                    freezes_star=True,
                    obstacle=each.obstacle,
                )


def _files_of(entry: Entry, tree: Tree, config: str) -> Iterator[str]:
    """Yield the files that sqlc reads: of a folder neither hidden ones nor migrations down."""
    paths = (beside(config, each) for each in entry.queries)
    found = (file for path in paths for file in files_of(tree, path, endings=(".sql",), deep=False))
    for file in dict.fromkeys(found):
        if not posixpath.basename(file).startswith(".") and not file.endswith(".down.sql"):
            yield file


@dataclass(frozen=True, slots=True)
class _Code:
    """The queries of a folder of Go code; empty where the tree does not have it."""

    generated: Mapping[str, Query] = field(default_factory=dict)
    by_hand: tuple[Query, ...] = ()


def _code_of(entry: Entry, wanted: Wanted, config: str) -> _Code:
    if entry.go_folder is None:
        return _Code()
    tree, engine = wanted.tree, wanted.engine
    folder = beside(config, entry.go_folder)
    sources = {posixpath.basename(each) for each in _files_of(entry, tree, config)} | set(_SHARED_CODE)
    generated: dict[str, Query] = {}
    by_hand: list[Query] = []
    for file in tree.files(folder):
        if not file.endswith(".go") or file.endswith("_test.go") or folder_of(file) != folder:
            continue
        go = text_of(tree, file)
        if not is_generated(go):
            by_hand.extend(queries_of_go(go, tree.place(file), engine))
        elif source_of(go) in sources:
            generated.update({each.name: each for each in queries_of_go(go, tree.place(file), engine)})
    return _Code(generated, tuple(by_hand))


def _as_sent(written: tuple[Query, ...], generated: Mapping[str, Query]) -> Iterator[Query]:
    """Yield each query as the code sends it, at the place where people change it."""
    for each in written:
        sent = generated.get(each.name)
        yield replace(sent, place=each.place) if sent else each
    names = {each.name for each in written}
    yield from (each for name, each in generated.items() if name not in names)


def _out_of_date(place: str, entry: Entry, names: list[str]) -> Diagnostic:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return Diagnostic(
        "sqlc-out-of-date",
        Place(place),
        f"The code in `{entry.go_folder}` and the .sql files disagree about {', '.join(names[:_FEW])}{more}.",
        "One of them has the query and the other does not, so one of them is not what will run.",
        "Run `sqlc generate` and commit what it writes.",
        severity=Severity.WARNING,
    )


QUERIES: Final[QuerySource] = Sqlc()
