"""An autoscaler and a disruption budget of the team's manifest: each colour has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.cluster import Cluster
from fixtures.cluster_clients import Stream
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_release import running
from fixtures.cluster_world import Echo

from coordinator.model import Colour

pytestmark = pytest.mark.cluster

AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "echo"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "echo"},
        "minReplicas": 1,
        "maxReplicas": 4,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }
        ],
    },
}
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "echo"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "echo"}}},
}


@pytest.fixture
def release(cluster: Cluster, namespace: str, tmp_path: Path) -> EchoRelease:
    echo = Echo(cluster, namespace, tmp_path)
    echo.set_up(replicas=1)
    manifest = tmp_path / "echo.yaml"
    deployment = yaml.safe_load(manifest.read_text())
    del deployment["spec"]["replicas"]
    manifest.write_text(yaml.safe_dump_all([deployment, AUTOSCALER, BUDGET]))
    release = EchoRelease(echo)
    release.serve("1.4")
    return release


def read(release: EchoRelease, group: str, kind: str, colour: str) -> dict[str, Any]:
    path = f"/apis/{group}/namespaces/{release.echo.namespace}/{kind}/echo-{colour}"
    return release.echo.cluster.api.get(path)


def sizes(release: EchoRelease, colour: str) -> tuple[int, int]:
    spec = read(release, "autoscaling/v2", "horizontalpodautoscalers", colour)["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def test_next_is_as_large_as_live_has_grown_and_may_shrink_when_live_is_gone(
    release: EchoRelease, load, figure
):
    clients = load(release.url, Stream(rate=30, path="/version"))
    release.echo.scale_by_hand(Colour.BLUE, 3)  # as its autoscaler does under load

    release.lay_out(verify=[{"command": ["sh", "-c", "touch asked; while [ ! -e go ]; do sleep 0.1; done"]}])
    with running(release.start("run", version="1.5")) as process:
        release.wait_for_step("verify:echo")
        while_tried = sizes(release, "green"), release.size("green")
        (release.folder / "go").touch()
        out, _ = process.communicate(timeout=120)
    answers = clients.stop()

    figure("answers", answers.told())
    assert process.returncode == 0, out
    assert while_tried == ((3, 4), 3)
    assert (sizes(release, "green"), release.size("blue")) == ((1, 4), 0)
    assert not answers.failed(), answers.told()


def test_each_colour_has_an_autoscaler_and_a_budget_of_its_own(release: EchoRelease):
    release.release("1.5")

    for colour in ("blue", "green"):
        autoscaler = read(release, "autoscaling/v2", "horizontalpodautoscalers", colour)
        budget = read(release, "policy/v1", "poddisruptionbudgets", colour)
        assert autoscaler["spec"]["scaleTargetRef"]["name"] == f"echo-{colour}"
        assert budget["spec"]["selector"]["matchLabels"] == {"app": "echo", "color": colour}
