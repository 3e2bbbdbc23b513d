"""Three services on one database, where no state suits all versions: they move in the order of the proof."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fixtures.cluster import Cluster, until_served
from fixtures.cluster_clients import Stream
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_postgres import Database
from fixtures.cluster_world import Echo

pytestmark = pytest.mark.cluster

IN_TURN = Path(__file__).resolve().parents[2] / "plans" / "in-turn"
OLD = {"robots": "3.0", "web": "5.0", "labels": "2.0"}
NEW = {"robots": "3.1", "web": "5.1", "labels": "2.1"}
"""Robots must be gone before the column is renamed, web needs its new name, labels reads neither."""


class Depot:
    """The services of plans/in-turn and a third one, in one namespace and one folder."""

    def __init__(self, cluster: Cluster, namespace: str, database: Database, folder: Path) -> None:
        self.echo = Echo(cluster, namespace, folder)
        self.release = EchoRelease(self.echo, environment={"DEPOT_URL": database.url})
        self.echo.set_up(replicas=1)
        self._prepare()

    def _prepare(self) -> None:
        folder, api = self.echo.folder, self.echo.cluster.api
        shutil.copytree(IN_TURN / "queries", folder / "queries")
        for version in ("2.0", "2.1"):
            (folder / "queries" / "labels" / version).mkdir(parents=True)
            query = "-- name: Weight\nSELECT weight FROM parcels WHERE id = $1;\n"
            (folder / "queries" / "labels" / version / "parcels.sql").write_text(query)
        manifest = (folder / "echo.yaml").read_text()
        for name in OLD:
            named = manifest.replace("name: echo", f"name: {name}").replace("app: echo", f"app: {name}")
            (folder / f"{name}.yaml").write_text(named)
            ports = [{"port": 80, "targetPort": "http"}]
            spec = {"type": "NodePort", "selector": {"app": name, "color": "blue"}, "ports": ports}
            services = f"/api/v1/namespaces/{self.echo.namespace}/services"
            api.create(services, {"metadata": {"name": name}, "spec": spec})

    def url(self, name: str) -> str:
        return self.echo.cluster.node_url(self.echo.namespace, name)

    def lay_out(self, versions: dict[str, str], *, migrations: int) -> None:
        """Write the plan of these versions, with so many migrations."""
        folder = self.echo.folder
        shutil.rmtree(folder / "migrations", ignore_errors=True)
        (folder / "migrations").mkdir()
        for each in sorted((IN_TURN / "migrations").iterdir())[:migrations]:
            shutil.copy(each, folder / "migrations")
        of_tool = {"tool": "goose", "dir": "migrations"}
        plan = {
            "version": 1,
            "release": "depot-${VERSION}",
            "databases": {"depot": {"engine": "postgresql", "url": "env:DEPOT_URL", "migrations": of_tool}},
            "services": {name: self._service(name, version) for name, version in versions.items()},
        }
        file = folder / "plan.yaml"
        file.write_text(yaml.safe_dump(plan, sort_keys=False))
        self.release.account.grant_needs(file, {"VERSION": "1"})

    def _service(self, name: str, version: str) -> dict[str, Any]:
        settings = {
            "context": self.echo.cluster.context,
            "namespace": self.echo.namespace,
            "service": name,
            "deployment": f"{name}.yaml",
            "image": self.echo.image("cut"),
            "url": self.url(name),
            "confirm": {"path": "/version", "contains": "{version}", "times": 3},
            "connections": {"port": 8080, "path": "/metrics", "gauge": "echo_open_connections"},
        }
        return {
            "version": version,
            "uses": ["depot"],
            "queries": {"sql": f"queries/{name}/{{version}}"},
            "platform": {"kubernetes": settings},
            "monitor": {"for": "100ms", "every": "200ms", "checks": [{"http": "/ready"}]},
            "drain": {"deadline": "5s"},
            "keep_blue": "0s",
        }


def test_three_services_move_in_the_order_that_the_proof_found(
    cluster: Cluster, namespace: str, database: Database, tmp_path: Path, load, figure
):
    depot = Depot(cluster, namespace, database, tmp_path)
    depot.lay_out(OLD, migrations=1)
    first = depot.release.call("run", version="1")
    assert first.code == 0, str(first)
    for name in OLD:
        until_served(f"{depot.url(name)}/ready")
    clients = {name: load(depot.url(name), Stream(rate=15, path="/version")) for name in OLD}

    depot.lay_out(NEW, migrations=2)
    ran = depot.release.call("run", version="2")
    for name, each in clients.items():
        each.wait_for(10, version=NEW[name])
    answers = {name: each.stop() for name, each in clients.items()}

    assert ran.code == 0, str(ran)
    events = [(each["type"], each.get("step", "")) for each in depot.release.events()]
    order = [step for kind, step in events if kind == "step-finished"]
    figure("order", " ".join(order))
    rename = next(step for _, step in events if step.endswith("rename_place") or "rename_place" in step)
    assert events.index(("step-finished", "stop:robots")) < events.index(("step-started", rename))
    assert events.index(("step-finished", rename)) < events.index(("step-started", "deploy:web"))
    assert {"stop:robots", "stop:web", "stop:labels"} <= set(order)
    for name, each in answers.items():
        figure(name, each.told())
        assert each.versions().keys() == {OLD[name], NEW[name]}
        assert not each.failed(), each.told()
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT shelf FROM parcels").fetchall() == []
