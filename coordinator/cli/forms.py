"""The forms in which `coordinator plan` tells a release: for people, for programs, for pipelines.

A pipeline wants its report also where there is no proof, because the plan is invalid: then the problems are
all that there is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.edge import json_text, problems_text
from coordinator.diagnostics import Diagnostic, did_you_mean
from coordinator.errors import ExitCode, Usage

if TYPE_CHECKING:
    from coordinator.prove import Proof


class PlanOutput(StrEnum):
    """The forms of a plan."""

    TEXT = "text"
    JSON = "json"
    DOT = "dot"
    MERMAID = "mermaid"
    GITHUB = "github"
    GITLAB = "gitlab"
    SARIF = "sarif"
    JUNIT = "junit"


_FOR_PIPELINES = (PlanOutput.GITHUB, PlanOutput.GITLAB, PlanOutput.SARIF, PlanOutput.JUNIT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a plan came to: a proof, or only problems. `problems` are not those of the proof."""

    proof: Proof | None
    problems: Sequence[Diagnostic]


def form_of(outcome: Outcome, form: PlanOutput, *, width: int) -> str | None:
    """Return the outcome in a form, None where the form has no word for problems of an invalid plan."""
    if form in _FOR_PIPELINES:
        return _for_pipeline(outcome, form, width=width)
    if outcome.proof is None:
        return problems_text(ExitCode.INVALID, outcome.problems) if form is PlanOutput.JSON else None
    return _of_proof(outcome.proof, form, width=width)


def _of_proof(proof: Proof, form: PlanOutput, *, width: int) -> str:
    from coordinator.report import document, drawing, story

    match form:
        case PlanOutput.JSON:
            return json_text("plan", 1, document.as_json(proof))
        case PlanOutput.DOT:
            return "\n".join(drawing.as_dot(proof.graph))
        case PlanOutput.MERMAID:
            return "\n".join(drawing.as_mermaid(proof.graph))
        case _:
            return "\n".join(story.tell(proof, width=width))


def _for_pipeline(outcome: Outcome, form: PlanOutput, *, width: int) -> str:
    from coordinator.report import github, gitlab, junit, sarif
    from coordinator.report.annotations import annotate, from_diagnostic, in_order, with_names

    named = _named_from_root(Path.cwd())
    if outcome.proof is None:
        found = in_order(map(from_diagnostic, outcome.problems))
    else:
        found = annotate(outcome.proof, outcome.problems)
    found = with_names(found, named)
    match form:
        case PlanOutput.GITLAB:
            return gitlab.as_text(found)
        case PlanOutput.SARIF:
            return sarif.as_text(found)
        case PlanOutput.JUNIT:
            return junit.as_text(outcome.proof, found, named=named)
        case _:
            story = "" if outcome.proof is None else _of_proof(outcome.proof, PlanOutput.TEXT, width=width)
            return "\n".join([*github.plain([story]), *github.commands(found)])


def _named_from_root(folder: Path) -> Callable[[str], str]:
    """Return what names a file, given from `folder`, from the root of the repository that holds it."""
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)

    def named(file: str) -> str:
        return Path(os.path.relpath(folder / file, root)).as_posix()

    return named


def reports_from(arguments: Iterable[str]) -> list[tuple[PlanOutput, Path]]:
    """Read `--report FORM=FILE` arguments. Raises: Usage `unknown-name`."""
    reports: list[tuple[PlanOutput, Path]] = []
    for argument in arguments:
        form, _, file = argument.partition("=")
        if form not in list(PlanOutput) or not file:
            raise Usage(
                "unknown-name",
                f"`--report {argument}` names no form and file.",
                next_step=f"Write --report FORM=FILE. {did_you_mean(form, list(PlanOutput))}",
            )
        reports.append((PlanOutput(form), Path(file)))
    return reports
