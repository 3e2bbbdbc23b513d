"""From a plan to a graph that was checked: survey, classify, compile, prove."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.classify import classify
from coordinator.compile import compile_release
from coordinator.diagnostics import Diagnostic, errors_of
from coordinator.errors import PlanInvalid
from coordinator.ports import Ports
from coordinator.prove import Proof, prove
from coordinator.steps import StepKind
from coordinator.survey import survey


def plan_release(ports: Ports, kinds: Mapping[str, StepKind]) -> tuple[Proof, tuple[Diagnostic, ...]]:
    """Look at the world and work out the release; changes nothing. Returns warnings beside the proof.

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
    return proof, diagnostics
