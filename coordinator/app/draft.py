"""A first plan from what was found in a repository, or from what the command line says, with its reasons.

A plan is text that people go on with, so it is written as text: each find stands beside the line that it led
to, and what nobody can know is marked FILL IN. It loads and validates as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import relpath

from coordinator.app.finding import Found, MigrationFolder
from coordinator.app.finding.deployment import Workload
from coordinator.load.texts import example_of_server_version
from coordinator.model import Engine
from coordinator.wording import counted

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
"""A text that YAML reads as itself without quotes, if it is no word of YAML."""
_WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_GENERIC = re.compile(
    "migrations?|migrate|goose|sqlc?|schemas?|db|databases?|data|postgres(?:ql)?|pgsql|pg|sqlite3?"
    "|internal|pkg|src|cmd|apps?|services?|store|storage|repository"
)
"""Names of folders that say nothing of whose database it is."""
_INFRASTRUCTURE = re.compile(
    r"\b(?:postgres|mysql|mariadb|redis|valkey|rabbitmq|kafka|nats|minio|nginx|envoy|jaeger)"
)
"""What stands beside a service in its manifests and is none of its own."""
_OF_TESTS = re.compile(r"(?:^|/)(?:tests?|e2e|fixtures|examples?)/")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MOST_DATABASES = 8
_TOOL_HINTS = {
    "alembic": (
        "    # FILL IN: the interpreter that has Alembic and the project, unless it runs coordinator too:",
        "    # `python: .venv/bin/python`, beside `dir`.",
    )
}
"""What a person has to see to with a tool, above the line of its folder."""

SMALLEST = """\
version: 1
release: shop-1
databases:
  shop:
    engine: postgresql
    url: env:DATABASE_URL
    migrations: {tool: goose, dir: migrations}
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A database of the plan."""

    name: str
    engine: str
    tool: str
    folder: str
    why: str
    """Where it was found and what it was taken for, a sentence."""
    server_version: str | None = None
    """The live server's; no file of a repository tells it."""
    python: str | None = None
    """The interpreter of the project's own environment."""
    section: str | None = None
    """Which section of the tool's configuration it is."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source of the service's queries; `database` is the name of one of the plan's."""

    kind: str
    path: str
    database: str
    entry: str | None = None
    """Which entry of sqlc's configuration it is."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A service on Kubernetes, as a manifest has it."""

    service: str
    """The Service that clients use; where none was found, the Deployment's name."""
    manifest: str | None
    """None where the file holds more than the one Deployment."""
    image: str
    tag: str
    why: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan of one service on its databases; paths are relative to the plan file's folder."""

    service: str
    databases: tuple[Database, ...]
    sources: tuple[Source, ...] = ()
    command: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """What else was found, for a person who goes on with the plan."""
    deployed: Deployed | None = None
    """Where it runs on Kubernetes; None: as a process of this machine, until somebody says otherwise."""

    def found(self) -> Iterator[str]:
        """Yield a line for each find that the plan rests on."""
        for each in self.databases:
            yield f"database `{each.name}`: {each.why}"
        for source in self.sources:
            yield f"queries for `{source.database}`: {source.kind} {source.path}"


def draft_from(found: Found, *, name: str, folder: str) -> Draft:
    """Return the plan that the finds suggest; `name` is the repository's.

    `folder` is where the plan file will be, relative to the folder that was looked through.
    """
    usable = [each for each in found.migrations if each.unsupported is None]
    databases: list[Database] = []
    for each in usable[:_MOST_DATABASES]:
        why = f"{each.path}: {counted(each.files, 'file')} of {each.tool}. Engine: {each.reason}."
        taken = [one.name for one in databases]
        databases.append(
            Database(
                _unused(_name_of(each, name), taken),
                each.engine,
                each.tool,
                relpath(each.path, folder),
                why,
                python=each.python and relpath(each.python, folder),
                section=each.section,
            )
        )
    deployed = [
        each
        for each in found.workloads
        if each.kind != "Service"
        and not _OF_TESTS.search(each.path)
        and not any(map(_INFRASTRUCTURE.search, (each.name, *each.images)))
    ]
    return Draft(
        _name_from(deployed[0].name if deployed else name),
        tuple(databases),
        tuple(_sources(found, dict(zip(usable, databases, strict=False)), folder)),
        next((each.command for each in found.programs if each.command), ()),
        tuple(_remarks(found, usable[_MOST_DATABASES:])),
        _deployed(deployed, found.workloads, folder),
    )


def _deployed(own: Sequence[Workload], found: Sequence[Workload], folder: str) -> Deployed | None:
    """Return the first Deployment of the service's own whose image has a tag that tells versions apart."""
    for each in own:
        image = each.images[0] if len(each.images) == 1 else ""
        tag = image.rpartition("/")[2].partition(":")[2]
        if each.kind == "Deployment" and _TAG.fullmatch(tag) and tag != "latest":
            services = [work.name for work in found if work.kind == "Service"]
            is_alone = [work.name for work in found if work.path == each.path] == [each.name]
            return Deployed(
                next((name for name in services if name in each.name), each.name),
                relpath(each.path, folder) if is_alone else None,
                image,
                tag,
                f"{each.path}: Deployment `{each.name}`.",
            )
    return None


def _sources(found: Found, databases: Mapping[MigrationFolder, Database], folder: str) -> Iterator[Source]:
    """Yield the query sources, each with the database whose migrations it names, else the first that fits."""
    sources: dict[Source, None] = {}
    for entry in found.sqlc:
        fitting = [each for each in databases.items() if each[1].engine == entry.engine]
        if fitting:
            # The only database gets every entry that fits its engine.
            which = entry.name if len(databases) > 1 else None
            _, database = max(fitting, key=lambda each: entry.covers(each[0].path))
            sources[Source("sqlc", relpath(entry.config, folder), database.name, which)] = None
    yield from sources
    for queries in found.query_folders:
        if databases:
            yield Source("sql", relpath(queries.path, folder), next(iter(databases.values())).name)


def _remarks(found: Found, more: Iterable[MigrationFolder]) -> Iterator[str]:
    if not found.migrations:
        yield "no migrations of goose, golang-migrate or Alembic: the plan has no database yet."
    for each in found.migrations:
        if each.unsupported:
            yield f"{each.path}: {each.tool} for {each.unsupported}, which coordinator does not support."
    for each in more:
        files = counted(each.files, "file")
        yield f"{each.path}: {files} of {each.tool}; left out, there are many such folders."
    for entry in found.sqlc:
        if entry.engine not in {each.engine for each in found.migrations if not each.unsupported}:
            yield f"{entry.config}: queries for {entry.engine}, of which no migrations were found."
    for work in found.workloads:
        images = f", image {', '.join(work.images)}" if work.images else ""
        ports = f", ports {', '.join(work.ports)}" if work.ports else ""
        yield f"{work.path}: Kubernetes {work.kind} `{work.name}`{images}{ports}."
    for program in found.programs:
        how = " ".join(program.command) or "through a shell or with variables: see there"
        yield f"{program.path}: starts {how}."
    yield from found.notes


def _name_of(migrations: MigrationFolder, repository: str) -> str:
    if migrations.section:
        return _name_from(migrations.section)
    parts = [part for part in reversed(migrations.path.split("/")) if part not in ("", ".")]
    return _name_from(next((part for part in parts if not _GENERIC.fullmatch(part.lower())), repository))


def _name_from(text: str) -> str:
    """Return the text as a name that a plan may hold."""
    fitting = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-0123456789")[:40].strip("-")
    return fitting or "app"


def _unused(name: str, taken: Sequence[str]) -> str:
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def as_yaml(draft: Draft) -> Iterator[str]:
    """Yield the plan's lines."""
    yield "# Written by `coordinator init` from what it found here. Read it, and complete what says FILL IN."
    yield "# `coordinator validate` checks it; docs/reference/plan-file.md has every key."
    yield "version: 1"
    yield "# FILL IN: a name of its own for each release. Where `${VERSION}` stands, a command takes it"
    yield "# from the environment or from `--set VERSION=1.5`."
    yield f"release: {draft.service}-1"
    if draft.databases:
        yield "databases:"
    for database in draft.databases:
        yield from _database(database, is_only=len(draft.databases) == 1)
    yield from _service(draft)
    if draft.remarks:
        yield ""
        yield "# Also found:"
        yield from (f"# - {_on_one_line(each)}" for each in draft.remarks)


def _database(database: Database, *, is_only: bool) -> Iterator[str]:
    variable = "DATABASE_URL" if is_only else f"{database.name.upper().replace('-', '_')}_DATABASE_URL"
    yield f"  {database.name}:"
    yield f"    # {_on_one_line(database.why)}"
    if database.engine == Engine.MYSQL:
        yield "    # A mysql:// URL may lead to a MariaDB, and no file tells: then write mariadb. The server"
        yield "    # is asked before anything is done, and a plan that names the other one is refused."
    yield f"    engine: {database.engine}"
    if database.server_version is not None:
        yield f"    server_version: {json.dumps(database.server_version)}"
    elif database.engine != Engine.SQLITE:
        yield "    # FILL IN: the live server's version, for `plan --against`, which does not ask it:"
        yield f'    # server_version: "{example_of_server_version(Engine(database.engine))}"'
    yield "    # FILL IN: the environment variable (or file:PATH) that holds the URL; never the URL itself."
    yield f"    url: env:{variable}"
    if database.python is None:
        yield from _TOOL_HINTS.get(database.tool, ())
    python = "" if database.python is None else f", python: {_text(database.python)}"
    section = "" if database.section is None else f", section: {_text(database.section)}"
    yield f"    migrations: {{tool: {database.tool}, dir: {_text(database.folder)}{section}{python}}}"


def _service(draft: Draft) -> Iterator[str]:
    yield "services:"
    yield f"  {draft.service}:"
    yield "    # FILL IN: the version that shall serve when the release is done."
    yield f"    version: {json.dumps(draft.deployed.tag if draft.deployed else '1')}"
    if draft.databases:
        yield f"    uses: [{', '.join(each.name for each in draft.databases)}]"
    if draft.sources:
        yield "    # What the rehearsal asks the engine about, of the old version and of the new one."
        yield "    queries:"
        yield from (f"      - {_source(each, draft)}" for each in draft.sources)
    elif draft.databases:
        yield "    # No queries were found. Without `queries:` here, no verdict is more than unproven."
        yield from _without_queries(draft.databases)
    yield "    platform:"
    yield from _on_kubernetes(draft.deployed) if draft.deployed else _on_this_machine(draft)


def _without_queries(databases: Iterable[Database]) -> Iterator[str]:
    """Yield how a project that has SQLAlchemy, as each that has Alembic, can say its queries itself."""
    database = next((each for each in databases if each.tool == "alembic"), None)
    if database is not None:
        python = f", python: {_text(database.python)}" if database.python else ""
        yield "    # A function of the project can return its SQLAlchemy statements, here in shop/queries.py:"
        yield f'    # queries: {{sqlalchemy: {{callable: "shop.queries:statements"{python}}}}}'


def _on_kubernetes(deployed: Deployed) -> Iterator[str]:
    yield f"      # {_on_one_line(deployed.why)}"
    yield "      # FILL IN: the kubeconfig's context, the namespace, and the Service that clients use, whose"
    yield "      # selector must name `color: blue` or `color: green` (docs/how-to/existing-cluster.md)."
    yield "      kubernetes:"
    yield "        context: my-cluster"
    yield "        namespace: default"
    yield f"        service: {_text(_name_from(deployed.service))}"
    if deployed.manifest is None:
        yield "        # FILL IN: `deployment:` with a file that holds this one Deployment and nothing else:"
        yield "        # both colours are made from it. Without it they must be there already."
    else:
        yield f"        deployment: {_text(deployed.manifest)}"
    yield f"        image: {json.dumps(deployed.image)}"
    yield "        # Where clients are answered, and what the new version must answer there after the switch:"
    yield "        # url: https://shop.example"
    yield "        # confirm: {path: /version, contains: '{version}'}"


def _on_this_machine(draft: Draft) -> Iterator[str]:
    yield "      # FILL IN: how the service is started on this machine. It listens on $PORT of 127.0.0.1 and"
    yield "      # answers 200 at `ready`; nothing of this matters to `plan --against`."
    yield "      local:"
    command = draft.command or (f"./{draft.service}",)
    yield f"        command: [{', '.join(map(_text, command))}]"
    yield "        ready: /ready"


def _source(source: Source, draft: Draft) -> str:
    """Return a source as the plan has it; a service with one database need not say whose queries they are."""
    if len(draft.databases) == 1:
        return f"{source.kind}: {_text(source.path)}"
    settings = {_PATH_KEYS[source.kind]: source.path, "database": source.database, "entry": source.entry}
    given = ", ".join(f"{key}: {_text(value)}" for key, value in settings.items() if value)
    return f"{source.kind}: {{{given}}}"


_PATH_KEYS = {"sqlc": "config", "sql": "files"}
"""The keys of adapters/queries that hold the path."""


def _text(text: str) -> str:
    """Return a text as YAML; JSON's quotes are YAML's, and a `${` is no variable."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return json.dumps(text, ensure_ascii=False).replace("${", "$${")


def _on_one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
