"""Every plan of plans/ and what `coordinator plan` shows of it, in a world that world.json describes.

{"set": the settings, "live": each service's version that serves, "applied": each database's migrations}

Only the world is made up. The queries are read, the migrations rehearsed and the engines asked as in a
release; which engine that was and how long it took is left out, because that differs from machine to machine.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from coordinator.app.catalogues import read_catalogues
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import demand_sound, work_out
from coordinator.app.scripts import with_scripts
from coordinator.diagnostics import Diagnostic, errors_of
from coordinator.evidence import Rehearsal, Verdict
from coordinator.load import load_plan
from coordinator.model import Colour, DatabaseName, Engine, MigrationId, Plan, SecretRef, ServiceSpec, Version
from coordinator.ports.databases import Target
from coordinator.ports.migrations import Ledger
from coordinator.ports.platforms import Serving, Side
from coordinator.prove import Proof, risks
from coordinator.report import document, drawing, story
from coordinator.survey import DatabaseSurvey, Survey, service_survey

HERE = Path(__file__).parent
PLANS = HERE.parent.parent / "plans"
CATALOGUE = sorted(path.parent.name for path in PLANS.glob("*/plan.yaml"))
Found = tuple[Proof, tuple[Diagnostic, ...]]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PLANS.parent)  # messages name a plan's files as they are named on the command line


@pytest.fixture(scope="session")
def proof_of(postgres: str) -> Callable[[str], Found]:
    """Return what gives the proof of a plan of the catalogue in its world; each is worked out once."""
    return cache(
        lambda name: worked_out(Path("plans") / name / "plan.yaml", world_of(name), scratch=postgres)
    )


def world_of(name: str) -> dict[str, Any]:
    return dict(json.loads((HERE / name / "world.json").read_text()))


def worked_out(path: Path, world: Mapping[str, Any], *, scratch: str) -> Found:
    """Return the proof of a plan, and what was found besides; PostgreSQL is rehearsed at `scratch`."""
    plan = _rehearsed_at("SCRATCH_URL", load_plan(path, settings=world["set"], environment={}))
    live = {spec.url.name: "sqlite:///nowhere" for spec in plan.databases.values()}
    ports = ConnectedPorts(plan, environment={**live, "SCRATCH_URL": scratch})
    seen = with_scripts(ports, _survey(ports, world))
    catalogues, problems = read_catalogues(ports, seen)
    demand_sound(problems)
    proof, warnings = work_out(
        ports,
        seen,
        catalogues,
        kinds=step_kinds(),
        reads_live=False,
        watches_statements=False,
        cache=None,
    )
    return _anywhere(proof), (*problems, *warnings)


def _rehearsed_at(variable: str, plan: Plan) -> Plan:
    url = SecretRef("env", variable)
    databases = {
        name: replace(spec, rehearsal=replace(spec.rehearsal, url=url))
        if spec.engine is Engine.POSTGRESQL
        else spec
        for name, spec in plan.databases.items()
    }
    return replace(plan, databases=databases)


def _anywhere(proof: Proof) -> Proof:
    """Return a proof without what differs from machine to machine."""
    rehearsals = {name: _timeless(each) for name, each in proof.evidence.rehearsals.items()}
    return replace(proof, evidence=replace(proof.evidence, rehearsals=rehearsals))


def _timeless(rehearsal: Rehearsal) -> Rehearsal:
    engine, _, _ = rehearsal.engine.partition(" ")
    statements = tuple(replace(each, seconds=0.0) for each in rehearsal.statements)
    return replace(rehearsal, engine=f"{engine} (some version)", statements=statements)


def _survey(ports: ConnectedPorts, world: Mapping[str, Any]) -> Survey:
    databases = {
        name: _database(ports, name, tuple(reversed(world["applied"][name]))) for name in ports.plan.databases
    }
    services = {
        name: service_survey(spec, _serving(spec, world["live"][name]))
        for name, spec in ports.plan.services.items()
    }
    return Survey(databases, services, ())


def _database(ports: ConnectedPorts, name: DatabaseName, applied: tuple[MigrationId, ...]) -> DatabaseSurvey:
    ledger = Ledger(exists=bool(applied), applied=applied)
    pending = ports.tool(name).pending(ports.migrations(name), ledger)
    assert not errors_of(pending.diagnostics)
    spec = ports.plan.databases[name]
    target = Target(spec.engine, name, None, None)
    return DatabaseSurvey(target, len(applied), pending.migrations, backfills=spec.backfills)


def _serving(spec: ServiceSpec, live: str | None) -> Serving:
    assert live != spec.version
    blue = Side() if live is None else Side(Version(live), running=True, ready=True)
    return Serving(None if live is None else Colour.BLUE, {Colour.BLUE: blue, Colour.GREEN: Side()})


def shown(found: Found, form: str) -> Iterator[str]:
    """Yield what a command shows of a plan in one form."""
    proof, problems = found
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
def test_shows_the_plan_as_before(name: str, form: str, proof_of: Callable[[str], Found]):
    golden = HERE / name / form
    found = "\n".join(shown(proof_of(name), form)) + "\n"

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


def test_each_plan_shows_another_end(proof_of: Callable[[str], Found]):
    verdicts = {name: proof_of(name)[0].verdict for name in CATALOGUE}

    assert verdicts == {
        "alembic": Verdict.PROVEN,
        "backfill": Verdict.PROVEN,
        "database-only": Verdict.UNPROVEN,
        "gated": Verdict.UNPROVEN,
        "in-turn": Verdict.PROVEN,
        "quickstart": Verdict.PROVEN,
        "refused": Verdict.BROKEN,
        "shop": Verdict.PROVEN,
        "sqlite": Verdict.PROVEN,
        "stop-on-failure": Verdict.UNPROVEN,
        "two-services": Verdict.PROVEN,
    }


@pytest.mark.parametrize(("mistake", "is_seen"), [("rehearsal", True), ("verify", False), ("monitor", False)])
def test_the_rehearsal_sees_one_of_the_quickstarts_mistakes(
    mistake: str, *, is_seen: bool, postgres: str, tmp_path: Path
):
    shutil.copytree(PLANS / "quickstart", tmp_path, dirs_exist_ok=True)
    shutil.copytree(PLANS / "quickstart" / "broken" / mistake, tmp_path, dirs_exist_ok=True)

    proof, _ = worked_out(tmp_path / "plan.yaml", world_of("quickstart"), scratch=postgres)

    assert proof.verdict is (Verdict.UNPROVEN if is_seen else Verdict.PROVEN)
    assert bool(risks(proof)) is is_seen
    assert ("fullname" in "\n".join(map(str, risks(proof)))) is is_seen


def test_no_golden_knows_this_machine():
    texts = [path.read_text(encoding="utf-8") for path in HERE.glob("*/*.*")]

    assert not [text for text in texts if str(PLANS.parent) in text or str(Path.home()) in text]
