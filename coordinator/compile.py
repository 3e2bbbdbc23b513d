"""Plan + Survey + Evidence → Graph: a list of small transforms, each of which adds one kind of step. Pure.

The order that comes out, for each service and the databases that it uses:

    acquire ─ expand … ─ deploy ─ verify ─ canary … ─ switch ─┬ monitor ─ keep ─┬ approve ─ stop ─ …
                                                              └ drain ──────────┘
    … ─ stop ─ contract … ─ release

A backfill begins after the migration that it needs and runs beside all of this. It holds up the start
of the versions that use its database, or the approval and the stop before contract, or a migration; whether
it is complete is asked again right before the migration that waits for it.

A worker has no traffic, and so no canary and nothing to drain; its switch marks which version does the work.
One whose versions must not work at once is handed over: live is stopped before next is deployed. Where a run
of such a release was lost, what works then is verified again before anything else.

The live version is stopped before contract begins, not after it: a version that still runs, with traffic or
without, may use the schema (a timer, a queue, a request that drain gave up on), and then the proof would
not hold. Approval comes before the stop, so that while people think, the way back is still one switch. A
service whose traffic is at the wanted version already (a run was lost, or given up) is not switched again:
nobody knows any more that its other side ever served, so a rollback must not send traffic there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from coordinator.backfills.order import CONTRACT, SWITCH, named, waiting
from coordinator.evidence import Evidence, Phased
from coordinator.graph import Graph, Step, StepId
from coordinator.model import BackfillSpec, DatabaseName, Phase, Plan, Role, ServiceName, Worker
from coordinator.survey import ServiceSurvey, Survey
from coordinator.turns import Turns

ACQUIRE = StepId("acquire-lease")
RELEASE = StepId("release-lease")
APPROVE = StepId("approve:contract")


def compile_release(plan: Plan, survey: Survey, evidence: Evidence) -> Graph:
    """Return the graph of the release; an empty one if there is nothing to do."""
    release = _Release.of(plan, survey, evidence)
    checks = tuple(_verify_again(plan, survey))
    pending = (*evidence.phased.values(), *release.backfills.values(), checks)
    if not release.moving and not any(pending):
        return Graph(())
    acquire, *others = (step for transform in TRANSFORMS for step in transform(release))
    steps = [acquire, *checks, *_behind(checks, others)]
    return Graph((*steps, _release_after(steps)))


@dataclass(frozen=True, slots=True)
class _Release:
    """What the transforms look up: who moves, and how each database's migrations are cut in two."""

    plan: Plan
    moving: dict[ServiceName, ServiceSurvey]
    before: dict[DatabaseName, tuple[Phased, ...]]
    """Applied before any next version is deployed: all up to the first contract migration."""
    after: dict[DatabaseName, tuple[Phased, ...]]
    """Applied when the live versions that do not bear them are gone, or all that use the database."""
    users: dict[DatabaseName, tuple[ServiceName, ...]]
    """The moving services that use a database."""
    turns: Turns
    """Which services wait until another one has moved and its live version is gone."""
    is_gated: bool
    """Contract begins at one gate for all: people approve it, or the services wait for each other."""
    backfills: dict[DatabaseName, tuple[BackfillSpec, ...]]
    """Those that have rows left."""

    @classmethod
    def of(cls, plan: Plan, survey: Survey, evidence: Evidence) -> _Release:
        moving = {name: service for name, service in survey.services.items() if not service.is_settled}
        users: dict[DatabaseName, list[ServiceName]] = {name: [] for name in plan.databases}
        for name in moving:
            for database in plan.services[name].uses:
                users[database].append(name)
        cuts = {name: _cut(phased) for name, phased in evidence.phased.items()}
        after = {name: evidence.phased[name][cut:] for name, cut in cuts.items()}
        return cls(
            plan,
            moving,
            {name: evidence.phased[name][:cut] for name, cut in cuts.items()},
            after,
            {name: tuple(services) for name, services in users.items()},
            turns=Turns.of(plan, survey, evidence, cuts=cuts),
            is_gated=any(after.values()) and (bool(plan.approve_contract) or len(moving) > 1),
            backfills={name: each.backfills for name, each in survey.databases.items()},
        )

    def contracts(self, service: ServiceName) -> bool:
        """Tell whether contract migrations wait until the service's live version is gone."""
        return any(
            len(self.before[database]) + len(self.after[database]) > self.between(database)
            or service in self.turns.gone_before(database, self.between(database))
            for database in self.plan.services[service].uses
            if self.after[database]
        )

    def switching(self) -> Iterator[ServiceName]:
        """Yield the services whose traffic has yet to move; of the others, only the old side is left."""
        return (name for name, each in self.moving.items() if not each.is_switched)

    def hands_over(self, service: ServiceName) -> bool:
        """Tell whether the live version of a worker is stopped before its next one starts."""
        each = self.moving[service]
        is_handover = self.plan.services[service].worker is Worker.HANDOVER
        return is_handover and not each.is_switched and each.live_colour is not None

    def ready(self, service: ServiceName) -> tuple[StepId, ...]:
        """Return the steps after which the schema has what the next version of a service needs."""
        late = self.turns.late.get(service, {})
        expanded = tuple(
            _apply_id(database, self._phased(database, state))
            for database in self.plan.services[service].uses
            if (state := late.get(database, len(self.before[database])))
        )
        return (*expanded, *self.backfilled(service)) or (ACQUIRE,)

    def backfilled(self, service: ServiceName, *, before: str = SWITCH) -> tuple[StepId, ...]:
        """Return the backfills that must be done before next runs, which may use rows before it has traffic.

        With another `before`, those that its contract waits for.
        """
        return tuple(
            _backfill_id("backfill", database, spec)
            for database in self.plan.services[service].uses
            for spec in self.backfills[database]
            if spec.before == before
        )

    def completed(self, database: DatabaseName, phased: Phased) -> tuple[BackfillSpec, ...]:
        """Return the backfills that must be complete right before a migration is applied."""
        of_database = (*self.before[database], *self.after[database])
        return tuple(
            spec for spec in self.plan.databases[database].backfills if waiting(spec, of_database) is phased
        )

    def _phased(self, database: DatabaseName, state: int) -> Phased:
        """Return the migration that leads to a state."""
        before = self.before[database]
        return before[state - 1] if state <= len(before) else self.after[database][state - len(before) - 1]

    def between(self, database: DatabaseName) -> int:
        """Return the last state of a database that a late service waits for; no less than the cut."""
        return self.turns.last_awaited(database, least=len(self.before[database]))

    def serving(self, service: ServiceName) -> tuple[StepId, ...]:
        """Return the steps after which traffic is at the next version of a service."""
        if self.moving[service].is_switched:
            return self.ready(service)
        return (_of("verify" if self.hands_over(service) else "switch", service),)

    def gone(self, service: ServiceName) -> tuple[StepId, ...]:
        """Return the steps after which contract may forget a live version; none where the gate waits."""
        if not self.hands_over(service):
            return (_of("stop", service),)
        return tuple(step for step in self.before_end(service) if step != APPROVE)

    def before_end(self, service: ServiceName) -> tuple[StepId, ...]:
        """Return the steps after which a service is past everything that it can still be rolled back from."""
        contracts = self.contracts(service)
        if self.is_gated and contracts and service not in self.turns.late:
            return (APPROVE,)
        backfilled = self.backfilled(service, before=CONTRACT) if contracts else ()
        return (*_settled_after(self, service), *backfilled)

    def replaced(self) -> Iterator[tuple[ServiceName, ServiceSurvey]]:
        """Yield the services whose live version must go."""
        return ((name, each) for name, each in self.moving.items() if each.live_colour is not None)


def _cut(phased: tuple[Phased, ...]) -> int:
    """Return how many migrations come before the first contract one: the tool's order allows no other cut."""
    contract = (position for position, each in enumerate(phased) if each.phase is Phase.CONTRACT)
    return next(contract, len(phased))


def _apply_id(database: DatabaseName, phased: Phased) -> StepId:
    return StepId(f"{phased.phase}:{database}:{phased.migration.name}")


def _apply(database: DatabaseName, phased: Phased, state: int, after: tuple[StepId, ...]) -> Step:
    return Step(
        _apply_id(database, phased),
        "apply",
        after,
        database=database,
        phase=phased.phase,
        migration=phased.migration.version,
        state=state,
        no_return=phased.phase is Phase.CONTRACT,
    )


def _backfill_id(kind: str, database: DatabaseName, spec: BackfillSpec) -> StepId:
    return StepId(f"{kind}:{database}:{spec.name}")


def _backfill_step(kind: str, database: DatabaseName, spec: BackfillSpec, after: tuple[StepId, ...]) -> Step:
    return Step(
        _backfill_id(kind, database, spec),
        kind,
        after,
        database=database,
        phase=Phase.MIGRATE,
        backfill=spec.name,
    )


def _applied(
    release: _Release, database: DatabaseName, phased: Phased, *, state: int, after: tuple[StepId, ...]
) -> Iterator[Step]:
    """Yield a migration, and before it the question whether the backfills are complete that it waits for."""
    asked = []
    for spec in release.completed(database, phased):
        is_open = spec in release.backfills[database]
        worked = (_backfill_id("backfill", database, spec),) if is_open else ()
        step = _backfill_step("complete", database, spec, tuple(dict.fromkeys((*after, *worked))))
        yield step
        asked.append(step.id)
    yield _apply(database, phased, state, (*after, *asked))


def _of(kind: str, service: ServiceName) -> StepId:
    return StepId(f"{kind}:{service}")


def add_lease(_: _Release) -> Iterator[Step]:
    """Claim the databases for this release, before anything changes."""
    yield Step(ACQUIRE, "acquire-lease")


def _verify_again(plan: Plan, survey: Survey) -> Iterator[Step]:
    """Yield the checks of what an earlier run handed over and may not have verified."""
    for name, service in survey.services.items():
        if not service.is_verified:
            yield Step(
                _of("verify", name),
                "verify",
                (ACQUIRE,),
                service=name,
                role=Role.NEXT,
                colour=service.next_colour,
                version=plan.services[name].version,
            )


def _behind(checks: Sequence[Step], steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps, those that begin the release behind `checks`."""
    ids = tuple(each.id for each in checks)
    for step in steps:
        yield replace(step, after=(*step.after, *ids)) if ids and ACQUIRE in step.after else step


def add_expand(release: _Release) -> Iterator[Step]:
    """Apply what the live version can live with, in the tool's order; migrate steps stand among them."""
    for database, migrations in release.before.items():
        after = (ACQUIRE,)
        for state, phased in enumerate(migrations, 1):
            yield from _applied(release, database, phased, state=state, after=after)
            after = (_apply_id(database, phased),)


def add_backfill(release: _Release) -> Iterator[Step]:
    """Change rows in batches as soon as the schema has what they need; who waits for that says so itself."""
    for database, backfills in release.backfills.items():
        phased = (*release.before[database], *release.after[database])
        for spec in backfills:
            first = named([each.migration for each in phased], spec.after)
            after = next((_apply_id(database, each) for each in phased if each.migration is first), ACQUIRE)
            yield _backfill_step("backfill", database, spec, (after,))


def add_deploy(release: _Release) -> Iterator[Step]:
    """Start each next version when the databases that it uses are expanded."""
    for name in release.switching():
        after = (_of("stop", name),) if release.hands_over(name) else release.ready(name)
        yield _next_step("deploy", name, release, after)


def _next_step(kind: str, name: ServiceName, release: _Release, after: tuple[StepId, ...]) -> Step:
    return Step(
        _of(kind, name),
        kind,
        after,
        service=name,
        role=Role.NEXT,
        colour=release.moving[name].next_colour,
        version=release.plan.services[name].version,
    )


def add_verify(release: _Release) -> Iterator[Step]:
    """Question the next version before anybody depends on it."""
    for name in release.switching():
        yield _next_step("verify", name, release, (_of("deploy", name),))


def _canaries(release: _Release, name: ServiceName) -> tuple[StepId, ...]:
    """Return the canary steps of a service, in order; a first release has nobody to share traffic with."""
    canary = release.plan.services[name].canary
    if canary is None or release.moving[name].live_colour is None:
        return ()
    return tuple(_of(f"canary-{percent}", name) for percent in canary.percents)


def add_canary(release: _Release) -> Iterator[Step]:
    """Let the next version serve a part of the traffic, one share after the other."""
    for name in release.switching():
        canary = release.plan.services[name].canary
        after = (_of("verify", name),)
        for step_id, percent in zip(
            _canaries(release, name), canary.percents if canary else (), strict=False
        ):
            yield replace(_next_step("canary", name, release, after), id=step_id, percent=percent)
            after = (step_id,)


def add_switch(release: _Release) -> Iterator[Step]:
    """Send new connections to the next version."""
    for name in release.switching():
        if not release.hands_over(name):
            canaries = _canaries(release, name)
            after = canaries[-1:] or (_of("verify", name),)
            yield _next_step("switch", name, release, after)


def add_monitor(release: _Release) -> Iterator[Step]:
    """Watch the next version while it serves."""
    for name in release.moving:
        yield _next_step("monitor", name, release, release.serving(name))


def _live_step(kind: str, name: ServiceName, service: ServiceSurvey, after: tuple[StepId, ...]) -> Step:
    return Step(
        _of(kind, name),
        kind,
        after,
        service=name,
        role=Role.LIVE,
        colour=service.live_colour,
        version=service.live_version,
    )


def add_drain(release: _Release) -> Iterator[Step]:
    """Let the connections end that the live version still has."""
    for name, service in release.replaced():
        if release.plan.services[name].worker is None:
            yield _live_step("drain", name, service, release.serving(name))


def add_keep(release: _Release) -> Iterator[Step]:
    """Keep the live version at full size for the rollback window."""
    for name, service in release.replaced():
        if _is_kept(release, name):
            yield _live_step("keep", name, service, (_of("monitor", name),))


def _settled_after(release: _Release, name: ServiceName) -> tuple[StepId, ...]:
    """Return the steps after which nothing but approval stands between a service and the end."""
    has_live = release.moving[name].live_colour is not None
    watched = _of("keep" if has_live and _is_kept(release, name) else "monitor", name)
    is_drained = has_live and release.plan.services[name].worker is None
    return (watched, _of("drain", name)) if is_drained else (watched,)


def _is_kept(release: _Release, name: ServiceName) -> bool:
    return release.plan.services[name].keep_blue > timedelta() and not release.hands_over(name)


def add_approve(release: _Release) -> Iterator[Step]:
    """Wait before the point of no return for every service, and ask people.

    A contract migration takes the way back from all services, so one that is still watched holds it up. The
    late ones cannot: they wait for such a migration themselves, and have no way back from their start on.
    """
    if release.is_gated:
        first = (name for name in release.moving if name not in release.turns.late)
        settled = (step for name in first for step in _settled_after(release, name))
        backfilled = (
            _backfill_id("backfill", database, spec)
            for database, contract in release.after.items()
            for spec in release.backfills[database]
            if contract and spec.before in (SWITCH, CONTRACT)
        )
        after = (*settled, *backfilled)
        expanded = tuple(
            _apply_id(database, migrations[-1])
            for database, migrations in release.before.items()
            if migrations and release.turns.late.keys() >= set(release.users[database])
        )
        yield Step(
            APPROVE, "approve", after + expanded or (ACQUIRE,), approvers=release.plan.approve_contract
        )


def add_stop(release: _Release) -> Iterator[Step]:
    """Scale the live version down: from here on a rollback has to start it first."""
    for name, service in release.replaced():
        after = release.ready(name) if release.hands_over(name) else release.before_end(name)
        yield _live_step("stop", name, service, after)


def add_contract(release: _Release) -> Iterator[Step]:
    """Take away what only the live versions needed, when those that need it are gone.

    Up to what a late service waits for, these are the ones that do not bear it; from there on, all.
    """
    for database, migrations in release.after.items():
        cut, between = len(release.before[database]), release.between(database)
        previous = (_apply_id(database, release.before[database][-1]),) if cut else ()
        for state, phased in enumerate(migrations, cut + 1):
            if state <= between:
                names = release.turns.gone_before(database, state)
                gone = tuple(step for name in names for step in release.gone(name))
                gate = (APPROVE,) if release.is_gated and state == cut + 1 and not gone else ()
                after = (*previous, *gone, *gate) or (ACQUIRE,)
            elif state == between + 1:
                is_first = state == cut + 1
                settled = _settled_users(release, database)
                after = (settled or previous or (ACQUIRE,)) if is_first else (*previous, *settled)
            else:
                after = previous
            yield from _applied(release, database, phased, state=state, after=after)
            previous = (_apply_id(database, phased),)


def _settled_users(release: _Release, database: DatabaseName) -> tuple[StepId, ...]:
    """Return the steps after which no live version uses a database any more."""
    users = release.users[database]
    replaced = (name for name in users if release.moving[name].live_colour is not None)
    after = tuple(dict.fromkeys(step for name in replaced for step in release.gone(name)))
    if not release.is_gated:  # a gate waits for first releases, and so for their steps
        first_ones = (name for name in users if release.moving[name].live_colour is None)
        return after + tuple(step for name in first_ones for step in _settled_after(release, name))
    return after or (APPROVE,)


def _release_after(steps: Sequence[Step]) -> Step:
    """Return the step that gives the databases free, when every branch of the graph has ended."""
    followed = {before for step in steps for before in step.after}
    ends = [step for step in steps if step.id not in followed]
    return Step(
        RELEASE,
        "release-lease",
        tuple(step.id for step in sorted(ends, key=lambda step: step.database is None)),
    )


TRANSFORMS: tuple[Callable[[_Release], Iterator[Step]], ...] = (
    add_lease,
    add_expand,
    add_backfill,
    add_deploy,
    add_verify,
    add_canary,
    add_switch,
    add_monitor,
    add_drain,
    add_keep,
    add_approve,
    add_stop,
    add_contract,
)
