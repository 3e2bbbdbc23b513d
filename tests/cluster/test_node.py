"""The node itself: what the other tests stand on, and that nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from fixtures.cluster import Cluster, kept, ours, until_served
from fixtures.cluster_api import Api, ApiError
from fixtures.cluster_build import ENVIRONMENT, SOURCES, build
from fixtures.cluster_clients import Stream
from fixtures.cluster_layout import Layout
from fixtures.cluster_load import Load
from fixtures.cluster_postgres import Database
from fixtures.local import processes_of, until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="session")
def echo(cluster: Cluster) -> str:
    """Return the name of the echo service's image."""
    program = SOURCES / "echo" if cluster.layout is None else build(SOURCES / "echo")
    return cluster.import_image("echo:1", program)


@pytest.fixture
def service(cluster: Cluster, namespace: str, echo: str) -> str:
    """Return the address of a Service in front of a blue and a green Deployment, both of which are ready."""
    of_namespace = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    for colour in ("blue", "green"):
        cluster.api.create(of_namespace, deployment(colour, echo))
    ports = [{"port": 80, "targetPort": 8080}]
    spec = {"type": "NodePort", "selector": {"app": "echo", "color": "blue"}, "ports": ports}
    cluster.api.create(
        f"/api/v1/namespaces/{namespace}/services", {"metadata": {"name": "echo"}, "spec": spec}
    )
    for colour in ("blue", "green"):
        cluster.api.wait(f"{of_namespace}/echo-{colour}", is_available)
    url = cluster.node_url(namespace, "echo")
    until_served(url)
    return url


def deployment(colour: str, image: str) -> dict:
    labels = {"app": "echo", "color": colour}
    container = {
        "name": "echo",
        "image": image,
        "env": [{"name": "VERSION", "value": colour}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"exec": {"command": ["/echo", "sleep", "3s"]}}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": f"echo-{colour}", "labels": labels}, "spec": spec}


def is_available(found: dict) -> bool:
    return found["status"].get("availableReplicas") == 2


def switch(api: Api, namespace: str, *, old: str, new: str) -> None:
    path = "/spec/selector/color"
    operations = [
        {"op": "test", "path": path, "value": old},
        {"op": "replace", "path": path, "value": new},
    ]
    api.patch(f"/api/v1/namespaces/{namespace}/services/echo", operations, kind="json")


def test_a_selector_patch_moves_all_traffic_and_fails_none(
    cluster: Cluster,
    namespace: str,
    service: str,
    *,
    load: Callable[..., Load],
    figure: Callable[[str, object], None],
) -> None:
    streams = (Stream(rate=60), Stream(rate=20, kept=4), Stream(rate=2, path="/slow?for=1s"))
    running = load(service, *streams)
    running.wait_for(50, version="blue")

    patched = time.time()
    switch(cluster.api, namespace, old="blue", new="green")
    running.wait_for(50, version="green")
    cluster.api.patch(
        f"/apis/apps/v1/namespaces/{namespace}/deployments/echo-blue", {"spec": {"replicas": 0}}
    )
    pods = f"/api/v1/namespaces/{namespace}/pods?labelSelector=color=blue"
    cluster.api.wait(pods, lambda found: not found["items"])
    answers = running.stop()

    first, last = answers.of("green").first("green"), answers.where(lambda each: not each.kept).last("blue")
    assert first is not None
    assert last is not None
    figure("requests", answers.told())
    figure("first green answer after the patch, ms", round((first.done - patched) * 1000))
    figure("last blue answer on a new connection was asked for, ms", round((last.sent - patched) * 1000))
    figure("latency p50 and p99, ms", [round(answers.percentile(each) * 1000, 1) for each in (50, 99)])
    assert not answers.failed(), answers.told()
    assert answers.of("blue").where(lambda each: each.path == "/slow?for=1s")
    assert answers.between(answers.each[-1].sent - 0.5).share("green") == 1.0


def test_load_counts_refusals_and_errors_as_failed(
    cluster: Cluster, namespace: str, service: str, load: Callable[..., Load]
) -> None:
    wrong = load(service, Stream(rate=20, path="/slow?for=ever"))
    cut = load(service, Stream(rate=40), Stream(rate=20, kept=2))
    cut.wait_for(20, version="blue")
    assert not cut.answers().failed()

    switch(cluster.api, namespace, old="blue", new="nobody")
    until(lambda: any("Refused" in answer.error for answer in cut.answers()))

    assert {answer.status for answer in wrong.stop()} >= {400}
    assert len(wrong.answers().failed()) == len(wrong.answers())
    failed = cut.stop().failed()
    assert failed.each
    assert not failed.versions()


def test_a_patch_is_refused_when_the_selector_is_another_one(
    cluster: Cluster, namespace: str, service: str
) -> None:
    with pytest.raises(ApiError) as refused:
        switch(cluster.api, namespace, old="green", new="blue")

    assert refused.value.status == 422


def test_logs_services_and_pods_are_reached_through_the_api_server(
    cluster: Cluster, namespace: str, service: str
) -> None:
    of_namespace = f"/api/v1/namespaces/{namespace}"
    [pod, *_] = cluster.api.get(f"{of_namespace}/pods?labelSelector=color=green")["items"]
    path = f"{of_namespace}/pods/{pod['metadata']['name']}"

    assert cluster.api.text(f"{path}/log") == "echo green serves\n"
    assert cluster.api.text(f"{path}:8080/proxy/version") == "green\n"
    assert cluster.api.text(f"{of_namespace}/services/echo:80/proxy/version") == "blue\n"


def test_takes_autoscalers_and_disruption_budgets(cluster: Cluster, namespace: str, service: str) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "echo-blue"}
    scaled = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 4}
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"color": "blue"}}}
    named = {"metadata": {"name": "blue"}}

    cluster.api.create(
        f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers", {**named, "spec": scaled}
    )
    cluster.api.create(
        f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", {**named, "spec": budget}
    )

    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/blue"
    cluster.api.wait(path, lambda found: found.get("status", {}).get("currentHealthy", 0) >= 2)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/echo-blue"
    cluster.api.wait(path, lambda found: found["spec"]["replicas"] == 3)


def test_pods_reach_a_database_of_this_machine(
    cluster: Cluster, namespace: str, service: str, database: Database
) -> None:
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() is not None
    with psycopg.connect(database.from_pods) as connection:
        host, port = connection.info.host, connection.info.port

    reaches = f"/api/v1/namespaces/{namespace}/services/echo:80/proxy/reaches?address={host}:{port}"

    assert cluster.api.text(reaches) == "reached\n"


def test_the_api_server_comes_back_and_traffic_never_noticed(
    cluster: Cluster, namespace: str, service: str, load: Callable[..., Load]
) -> None:
    running = load(service)
    of_namespace = f"/apis/apps/v1/namespaces/{namespace}/deployments"

    with cluster.without_api_server():
        with pytest.raises(ConnectionError):
            cluster.api.get("/version")
        running.wait_for(50, version="blue")

    cluster.api.patch(f"{of_namespace}/echo-green", {"spec": {"replicas": 3}})
    cluster.api.wait(
        f"{of_namespace}/echo-green", lambda found: found["status"].get("availableReplicas") == 3
    )
    answers = running.stop()
    assert not answers.failed(), answers.told()


def test_an_account_may_do_what_was_bound_to_it_and_nothing_else(
    cluster: Cluster, namespace: str, limited_kubeconfig: Callable[[str, str], Path]
) -> None:
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}
    account = {"kind": "ServiceAccount", "name": "releaser", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "releaser"}
    kubeconfig = limited_kubeconfig(namespace, "releaser")
    cluster.api.create(f"{rights}/roles", {"metadata": {"name": "releaser"}, "rules": [rule]})
    cluster.api.create(
        f"{rights}/rolebindings", {"metadata": {"name": "releaser"}, "subjects": [account], "roleRef": role}
    )

    limited = Api(kubeconfig, cluster.context)

    until(lambda: may(limited, f"/api/v1/namespaces/{namespace}/services"))
    assert not may(limited, f"/api/v1/namespaces/{namespace}/pods")
    assert not may(limited, "/api/v1/namespaces/default/services")


def may(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except ApiError as error:
        if error.status != 403:
            raise
        return False
    return True


@pytest.fixture
def own_node(machine: None) -> Iterator[tuple[subprocess.Popen[bytes], dict]]:
    """Yield what keeps a node beside the one of this run, and what it says of itself."""
    with kept() as node:
        yield node


@pytest.mark.parametrize("ending", ["in order", "keeper killed"])
def test_leaves_no_process_mount_interface_or_rule(
    own_node: tuple[subprocess.Popen[bytes], dict], ending: str
) -> None:
    keeper, node = own_node
    folder, network = Path(node["folder"]), node["network"].removesuffix("0/24")
    run_pods(ours(node), named=str(folder))
    containers = Layout(folder, 0).containers
    assert network in rules()
    assert f"coord{node['number']}" in interfaces()
    assert groups(containers)

    if ending == "in order":
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(60)
    else:
        keeper.kill()
        keeper.wait()
        until(lambda: processes_of(folder) == {})
        until(lambda: f"coord{node['number']}" not in interfaces())
        subprocess.run(
            [sys.executable, "-c", "from fixtures.cluster_node import sweep; sweep()"],
            check=True,
            cwd=SOURCES.parents[1],
        )

    assert processes_of(folder) == {}
    assert not folder.exists()
    assert network not in rules()
    assert f"coord{node['number']}" not in interfaces()
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert not groups(containers)


def test_the_node_ends_with_a_test_run_that_is_killed(machine: None) -> None:
    script = (
        "import sys, time\n"
        "from fixtures.cluster import kept\n"
        "with kept() as (_, node):\n"
        "    print(node['folder'], flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=SOURCES.parents[1],
        env=ENVIRONMENT,
    ) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        assert processes_of(folder)

        os.kill(run.pid, signal.SIGKILL)
        run.wait()

    until(lambda: not folder.exists(), seconds=60)
    assert processes_of(folder) == {}


def run_pods(cluster: Cluster, *, named: str) -> None:
    """Run two Pods, whose processes are found by this name in their environment."""
    image = cluster.import_image("echo:1", build(SOURCES / "echo"))
    wanted = deployment("blue", image)
    wanted["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = named
    cluster.api.create("/apis/apps/v1/namespaces/default/deployments", wanted)
    cluster.api.wait("/apis/apps/v1/namespaces/default/deployments/echo-blue", is_available)
    found = processes_of(Path(named)).values()
    assert sum(each.startswith("/echo") for each in found) == 2, found


def groups(containers: list[str]) -> list[Path]:
    found = Path("/sys/fs/cgroup").glob("**/k8s.io/*")
    return [each for each in found if each.name in containers]


def rules() -> str:
    return subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout


def interfaces() -> list[str]:
    return [each.name for each in Path("/sys/class/net").iterdir()]
