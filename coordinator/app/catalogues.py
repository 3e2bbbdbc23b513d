"""Whose queries are read where: next in the working tree, live at the git ref of the version that serves.

A catalogue is whole or it is none: where one of a version's sources cannot be read, the version has no
catalogue, and a warning says why, because half of the queries would look like all of them. So a version that
is missing in what is returned here is never more than *unproven*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from coordinator import discovery
from coordinator.adapters.trees.folder import FolderTree
from coordinator.adapters.trees.git import GitRepository, GitTree
from coordinator.diagnostics import Diagnostic, Severity
from coordinator.errors import DatabaseError, Usage
from coordinator.evidence import Use
from coordinator.model import DatabaseName, Plan, QueriesSpec, Role, ServiceName, ServiceSpec, Version
from coordinator.ports import Ports
from coordinator.ports.databases import Session
from coordinator.queries import Catalogue, Query
from coordinator.query_ports import Tree, Wanted
from coordinator.survey import Survey, uses_of

_PLAIN_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]*")
"""Another one could mean something else to git: `1.4~1` is the commit before 1.4."""
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
"""A shorter one could be a number that happens to begin a commit's id."""
_SHRUNK = 2


def read_catalogues(
    ports: Ports, seen: Survey, *, live: Tree | None = None
) -> tuple[Mapping[Use, Catalogue], tuple[Diagnostic, ...]]:
    """Return the queries of each version that may be alive, and what is wrong with them.

    With `live` every live version is in that tree and no live database is asked. A version without a
    catalogue is not in the mapping; if its service names sources, a diagnostic says why.
    """
    sessions = (
        {}
        if live
        else {
            name: partial(ports.session, name, label="coordinator queries") for name in ports.plan.databases
        }
    )
    with ExitStack() as stack:
        places = _Places(ports.plan, seen, stack=stack, live=live)
        return _read(ports.plan, uses_of(ports.plan, seen), places, sessions=sessions)


_Sessions = Mapping[DatabaseName, Callable[[], AbstractContextManager[Session]]]


def _read(
    plan: Plan, uses: tuple[Use, ...], places: _Places, *, sessions: _Sessions
) -> tuple[Mapping[Use, Catalogue], tuple[Diagnostic, ...]]:
    catalogues: dict[Use, Catalogue] = {}
    problems: list[Diagnostic] = []
    for use in uses:
        service = plan.services[use[1]]
        specs = tuple(each for each in service.queries if each.database == use[0] and _speaks(each, use[2]))
        try:
            parts = [_part(plan, use, spec, places=places, sessions=sessions) for spec in specs]
        except _NoCatalogueError as reason:
            problems.append(reason.diagnostic)
            continue
        is_named = use[2] is Role.LIVE and not any(_is_versioned(each) for each in specs)
        catalogue = _joined(parts, is_named=is_named and places.is_named_by_commit(use[1]))
        problems.extend(catalogue.diagnostics)
        if catalogue.queries:
            catalogues[use] = catalogue
        elif specs:
            problems.append(_empty(service, specs[0], use, catalogue.source))
        elif any(each.database == use[0] for each in service.queries):
            problems.append(_one_sided(service, use))
    problems.extend(_shrunk(plan, catalogues))
    return catalogues, tuple(dict.fromkeys(problems))


def _speaks(spec: QueriesSpec, role: Role) -> bool:
    return role in discovery.query_source(spec.kind).roles


def _is_versioned(spec: QueriesSpec) -> bool:
    return discovery.query_source(spec.kind).is_versioned(spec.spec)


class _NoCatalogueError(Exception):
    """A source cannot be read, so there is no catalogue."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


def _part(plan: Plan, use: Use, spec: QueriesSpec, *, places: _Places, sessions: _Sessions) -> Catalogue:
    database, name, role = use
    source = discovery.query_source(spec.kind)
    service = plan.services[name]
    version = places.version(name, role)
    is_here = role is Role.NEXT or source.is_versioned(spec.spec) or Role.NEXT not in source.roles
    try:
        wanted = Wanted(
            role=role,
            version=version,
            engine=plan.databases[database].engine,
            tree=places.here if is_here else places.tree(name),
            session=sessions.get(database) if role is Role.LIVE else None,
            database_role=service.database_role,
        )
        return source.read(spec.spec, wanted)
    except (Usage, DatabaseError) as error:
        severity = Severity.ERROR if role is Role.NEXT else Severity.WARNING
        called = f"`{name}` {version or 'as it serves now'}"
        raise _NoCatalogueError(
            Diagnostic(
                error.code,
                spec.place,
                f"The queries of {called} are not known: {error.what}",
                error.why,
                error.next_step,
                severity=severity,
            )
        ) from error


@dataclass(slots=True)
class _Places:
    """Where the sources of each version are; git is asked only if one of them is there."""

    plan: Plan
    seen: Survey
    stack: ExitStack
    live: Tree | None = None
    """Where every live version is, if that is known."""
    here: FolderTree = field(init=False)
    _repository: GitRepository | None = None
    _trees: dict[ServiceName, Tree] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.here = FolderTree(self.plan.folder)

    def version(self, service: ServiceName, role: Role) -> Version | None:
        """Return a version's name; None where nobody knows it."""
        seen = self.seen.services[service]
        is_wanted = role is Role.NEXT or seen.is_settled
        return self.plan.services[service].version if is_wanted else seen.live_version

    def tree(self, service: ServiceName) -> Tree:
        """Return the sources of the live version. Raises: Usage `live-ref-unknown`, `not-a-repository`."""
        if self.live is not None:
            return self.live
        if self.seen.services[service].is_settled:
            return self.here
        if service not in self._trees:
            self._trees[service] = self._tree_of(self.plan.services[service])
        return self._trees[service]

    def is_named_by_commit(self, service: ServiceName) -> bool:
        """Tell whether the live version calls itself by the id of the commit that its tree is of."""
        version, tree = self.version(service, Role.LIVE), self._trees.get(service)
        is_id = version is not None and _COMMIT.fullmatch(version) is not None
        return is_id and isinstance(tree, GitTree) and tree.commit.startswith(str(version))

    def _tree_of(self, service: ServiceSpec) -> Tree:
        version = self.version(service.name, Role.LIVE)
        if version is None:
            raise _ref_unknown("Nobody knows which version serves.", service)
        if self._repository is None:
            self._repository = self.stack.enter_context(GitRepository(self.plan.folder))
        refs = tuple(_refs_of(service.ref, version))
        for ref in refs:
            try:
                return self._repository.tree(ref)
            except Usage as error:
                if error.code != "unknown-ref":
                    raise
        tried = (
            ", ".join(each.removeprefix("refs/tags/") for each in refs) or "nothing that git takes as a name"
        )
        raise _ref_unknown(f"No commit of version {version} was found in git (tried {tried}).", service)


def _refs_of(pattern: str | None, version: Version) -> Iterator[str]:
    if not _PLAIN_VERSION.fullmatch(version):
        return
    if pattern is not None:
        yield pattern.replace("{version}", version)
        return
    # A branch of that name would move on, so only tags and commits are looked for.
    yield from (f"refs/tags/{version}", f"refs/tags/v{version}")
    if _COMMIT.fullmatch(version):
        yield version


def _ref_unknown(what: str, service: ServiceSpec) -> Usage:
    return Usage(
        "live-ref-unknown",
        what,
        why="The live version's queries are read from the commit that it was built from.",
        next_step="Fetch the tags (`git fetch --tags`)."
        if service.ref
        else "Fetch the tags (`git fetch --tags`), or say how versions are tagged: `ref: release-{version}`.",
    )


def _joined(parts: list[Catalogue], *, is_named: bool) -> Catalogue:
    """Return one catalogue of all; what a client sends twice in the same way is asked once.

    What cannot be asked stays, each by its name: of some such queries there is no text. `is_named` says that
    the tree is of the commit by whose id the live version calls itself.
    """
    queries: dict[tuple[str | bool, ...], Query] = {}
    for part in parts:
        for each in part.queries:
            same = (each.text, each.reads_result, each.freezes_star)
            queries.setdefault(same if each.obstacle is None else (*same, each.name), each)
    return Catalogue(
        source=" and ".join(dict.fromkeys(part.source for part in parts)),
        queries=tuple(queries.values()),
        diagnostics=tuple(problem for part in parts for problem in part.diagnostics),
        is_what_serves=is_named and all(part.is_of_files for part in parts),
    )


def _empty(service: ServiceSpec, spec: QueriesSpec, use: Use, source: str) -> Diagnostic:
    return Diagnostic(
        "catalogue-empty",
        spec.place,
        f"No query of `{service.name}` ({use[2]}) was found: {source}.",
        f"So nothing is known of what it asks `{use[0]}`, and its verdict is unproven.",
        f"Check the settings of `{spec.kind}`; if it asks nothing, take `{use[0]}` out of its `uses:`.",
        severity=Severity.WARNING,
    )


def _one_sided(service: ServiceSpec, use: Use) -> Diagnostic:
    spec = next(each for each in service.queries if each.database == use[0])
    return Diagnostic(
        "catalogue-one-sided",
        spec.place,
        f"`{spec.kind}` says nothing of `{service.name}` {service.version}: it was seen on the live version.",
        "So nothing is known of what the next version asks, and its verdict is unproven.",
        "Add a source that speaks for both versions, for example `{sql: queries}`.",
        severity=Severity.WARNING,
    )


def _shrunk(plan: Plan, catalogues: Mapping[Use, Catalogue]) -> Iterator[Diagnostic]:
    for (database, name), uses in groupby(sorted(catalogues), key=lambda use: use[:2]):
        sizes = {role: len(catalogues[database, name, role].queries) for _, _, role in uses}
        kinds = [each for each in plan.services[name].queries if each.database == database]
        # A source that speaks for one version alone makes the two differ for a good reason.
        is_comparable = all(_speaks(each, role) for each in kinds for role in Role)
        if is_comparable and len(sizes) > 1 and min(sizes.values()) * _SHRUNK < max(sizes.values()):
            yield Diagnostic(
                "catalogue-shrunk",
                kinds[0].place,
                f"`{name}` has {sizes[Role.LIVE]} queries as it serves now and {sizes[Role.NEXT]} as next.",
                "So large a difference comes mostly from a path that finds less than it did.",
                "Compare the two, and correct the source's settings if queries are missing.",
                severity=Severity.WARNING,
            )
