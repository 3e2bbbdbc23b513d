"""From a plan to a graph that was checked: survey, rehearse, derive, compile, prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from coordinator.app.catalogues import read_catalogues
from coordinator.app.rehearsed import rehearse_release
from coordinator.app.scripts import with_scripts
from coordinator.backfills.verdicts import begin_too_late, judged
from coordinator.classify import classify
from coordinator.compile import compile_release
from coordinator.derive import derive, fully_asked
from coordinator.diagnostics import Diagnostic, errors_of
from coordinator.errors import PlanInvalid
from coordinator.evidence import Use
from coordinator.load.command import missing_of_backfills, missing_programs
from coordinator.load.platforms import lint_services
from coordinator.model import Plan
from coordinator.ports import Ports
from coordinator.prove import Proof, prove
from coordinator.queries import Catalogue
from coordinator.rehearsal_ports import EvidenceCache, Tell
from coordinator.steps import StepKind
from coordinator.survey import Survey, survey, uses_of


def plan_release(
    ports: Ports,
    kinds: Mapping[str, StepKind],
    *,
    watches_statements: bool = False,
    cache: EvidenceCache | None = None,
    tell: Tell = lambda _: None,
) -> tuple[Proof, tuple[Diagnostic, ...]]:
    """Look at the world and work out the release; changes nothing. Returns warnings beside the proof.

    `tell` is told how far a rehearsal is.

    Raises: PlanInvalid where files and databases do not fit together, DatabaseError and StepFailed where
    the world cannot be asked.
    """
    linted = lint_services(ports.plan)
    demand_sound(linted)
    seen = survey(ports)
    demand_sound((*seen.diagnostics, *missing_programs_of(ports.plan, seen)))
    seen = with_scripts(ports, seen, reads_live=True)
    catalogues, problems = read_catalogues(ports, seen)
    demand_sound(problems)
    proof, warnings = work_out(
        ports,
        seen,
        catalogues,
        kinds=kinds,
        of_queries=problems,
        reads_live=True,
        watches_statements=watches_statements,
        cache=cache,
        tell=tell,
    )
    return proof, (*linted, *seen.diagnostics, *problems, *warnings)


def missing_programs_of(plan: Plan, seen: Survey) -> tuple[Diagnostic, ...]:
    """Return what a pending migration that is code, or an open backfill, needs and is not there."""
    specs = plan.databases
    of_migrations = missing_programs(
        specs[name]
        for name, each in seen.databases.items()
        if any(migration.is_code for migration in each.pending)
    )
    return of_migrations + missing_of_backfills(
        backfill for each in seen.databases.values() for backfill in each.backfills
    )


def work_out(
    ports: Ports,
    seen: Survey,
    catalogues: Mapping[Use, Catalogue],
    *,
    kinds: Mapping[str, StepKind],
    of_queries: tuple[Diagnostic, ...] = (),
    reads_live: bool,
    watches_statements: bool,
    cache: EvidenceCache | None,
    tell: Tell = lambda _: None,
) -> tuple[Proof, tuple[Diagnostic, ...]]:
    """Return the proof of a release whose world and queries are known already, and warnings.

    `of_queries` is what was found when those were read: without them a phase is guessed, and must be declared
    where it cannot be.

    Raises: PlanInvalid where a phase is declared wrongly, or must be declared.
    """
    plan = ports.plan
    rehearsed = rehearse_release(
        ports,
        seen,
        catalogues,
        reads_live=reads_live,
        watches_statements=watches_statements,
        cache=cache,
        tell=tell,
    )
    asked = fully_asked(seen, rehearsed.spans, uses_of(plan, seen))
    classified, undecided = classify(plan, seen, asked=asked)
    evidence, contradicted = derive(
        seen, classified, rehearsed=rehearsed.spans, rehearsals=rehearsed.rehearsals, asked=asked
    )
    evidence = replace(evidence, backfills=judged(plan, evidence))
    diagnostics = (*rehearsed.diagnostics, *undecided, *contradicted, *begin_too_late(plan, evidence))
    if errors_of(diagnostics):
        raise PlanInvalid((*seen.diagnostics, *of_queries, *diagnostics))  # what was seen may be why
    graph = compile_release(plan, seen, evidence)
    proof = prove(graph, evidence, seen, plan=plan, effects_of=lambda step: kinds[step.kind].effects(step))
    return proof, diagnostics


def demand_sound(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Raise PlanInvalid with all diagnostics if one of them is an error."""
    if errors_of(diagnostics):
        raise PlanInvalid(diagnostics)
