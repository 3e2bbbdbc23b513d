"""Every plan of plans/ and what `coordinator plan` shows of it, in a world that world.json describes.

{"set": the settings, "live": each service's version that serves, "applied": each database's migrations}
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import effects_of

from coordinator import discovery
from coordinator.classify import classify
from coordinator.compile import compile_release
from coordinator.diagnostics import Diagnostic, errors_of
from coordinator.load import load_plan
from coordinator.load.migrations import read_migrations
from coordinator.model import Colour, DatabaseSpec, Plan, ServiceSpec, Version
from coordinator.ports import Ledger, Serving, Side, Target
from coordinator.prove import Proof, prove
from coordinator.report import document, drawing, story
from coordinator.survey import DatabaseSurvey, Survey, service_survey

HERE = Path(__file__).parent
PLANS = HERE.parent.parent / "plans"
CATALOGUE = sorted(path.parent.name for path in PLANS.glob("*/plan.yaml"))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PLANS.parent)  # messages name a plan's files as they are named on the command line


def proof_of(name: str) -> tuple[Proof, tuple[Diagnostic, ...]]:
    """Return the proof of a plan of the catalogue in its world, and what was found besides."""
    world = json.loads((HERE / name / "world.json").read_text())
    path = Path("plans") / name / "plan.yaml"
    plan = load_plan(path, settings=world["set"], environment={})
    seen = _survey(plan, world)
    evidence, problems = classify(plan, seen)
    graph = compile_release(plan, seen, evidence)
    proof = prove(graph, evidence, seen, plan=plan, effects_of=effects_of)
    return proof, (*seen.diagnostics, *problems)


def _survey(plan: Plan, world: dict[str, Any]) -> Survey:
    databases = {
        name: _database(spec, tuple(reversed(world["applied"][name])))
        for name, spec in plan.databases.items()
    }
    services = {
        name: service_survey(spec, _serving(spec, world["live"][name]))
        for name, spec in plan.services.items()
    }
    return Survey(databases, services, ())


def _database(spec: DatabaseSpec, applied: tuple[int, ...]) -> DatabaseSurvey:
    reading = read_migrations(spec.migrations)
    ledger = Ledger(exists=bool(applied), applied=applied)
    pending = discovery.migration_tool(spec.migrations.tool).pending(reading.migrations, ledger)
    assert not errors_of((*reading.diagnostics, *pending.diagnostics))
    return DatabaseSurvey(Target(spec.engine, spec.name, None, None), len(applied), pending.migrations)


def _serving(spec: ServiceSpec, live: str | None) -> Serving:
    assert live != spec.version
    blue = Side() if live is None else Side(Version(live), running=True, ready=True)
    return Serving(None if live is None else Colour.BLUE, {Colour.BLUE: blue, Colour.GREEN: Side()})


def shown(name: str, form: str) -> Iterator[str]:
    """Yield what a command shows of a plan in one form."""
    proof, problems = proof_of(name)
    match form:
        case "story.txt":
            yield from story.tell(proof)
            yield from (str(each) for each in (*problems, *proof.diagnostics))
        case "plan.json":
            yield json.dumps(document.as_json(proof), indent=2, ensure_ascii=False)
        case "graph.dot":
            yield from drawing.as_dot(proof.graph)
        case "graph.mmd":
            yield from drawing.as_mermaid(proof.graph)


@pytest.mark.parametrize("form", ["story.txt", "plan.json", "graph.dot", "graph.mmd"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_shows_the_plan_as_before(name: str, form: str):
    golden = HERE / name / form
    found = "\n".join(shown(name, form)) + "\n"

    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    before = golden.read_text(encoding="utf-8") if golden.exists() else ""
    lines = difflib.unified_diff(before.splitlines(), found.splitlines(), "before", "now", lineterm="")
    assert found == before, "\n".join(("If this is wanted, run `make golden` and read the diff.", *lines))


def test_every_golden_has_its_plan():
    assert sorted(path.parent.name for path in HERE.glob("*/world.json")) == CATALOGUE


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_plan_says_what_it_is_for(name: str):
    text = (PLANS / name / "README.md").read_text(encoding="utf-8")

    assert text.startswith("# ")
    assert "coordinator " in text or "make " in text


def test_one_plan_alone_is_refused():
    assert [name for name in CATALOGUE if proof_of(name)[0].diagnostics] == ["refused"]


def test_no_golden_knows_this_machine():
    texts = [path.read_text(encoding="utf-8") for path in HERE.glob("*/*.*")]

    assert not [text for text in texts if str(PLANS.parent) in text or str(Path.home()) in text]
