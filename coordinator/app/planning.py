"""From a plan to a graph that was checked: survey, classify, compile, prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.classify import classify
from coordinator.compile import compile_release
from coordinator.diagnostics import Diagnostic, errors_of
from coordinator.errors import PlanInvalid, Refused
from coordinator.evidence import Evidence
from coordinator.graph import Graph
from coordinator.model import Plan
from coordinator.ports import Ports
from coordinator.prove import Proof, prove
from coordinator.steps import StepKind
from coordinator.survey import Survey, survey


@dataclass(frozen=True, slots=True)
class Planned:
    """A release as it would be run now, with everything that led to it."""

    plan: Plan
    survey: Survey
    evidence: Evidence
    graph: Graph
    proof: Proof
    warnings: tuple[Diagnostic, ...]

    def refuse_if_broken(self) -> None:
        """Raise Refused if the proof found a version that may meet a state which breaks it."""
        if self.proof.diagnostics:
            raise Refused(self.proof.diagnostics)


def plan_release(ports: Ports, kinds: Mapping[str, StepKind]) -> Planned:
    """Look at the world and work out the release; changes nothing.

    Raises: PlanInvalid where files and databases do not fit together, DatabaseError and StepFailed where
    the world cannot be asked.
    """
    seen = survey(ports)
    evidence, problems = classify(ports.plan, seen)
    diagnostics = (*seen.diagnostics, *problems)
    if errors_of(diagnostics):
        raise PlanInvalid(diagnostics)
    graph = compile_release(ports.plan, seen, evidence)
    proof = prove(
        graph, evidence, seen, plan=ports.plan, effects_of=lambda step: kinds[step.kind].effects(step)
    )
    return Planned(ports.plan, seen, evidence, graph, proof, diagnostics)
