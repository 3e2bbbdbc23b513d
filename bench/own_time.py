"""What coordinator adds to a release whose waits are all zero: its whole command against the same by bare
requests.

One service without a database, on a real cluster, released to and fro. By bare requests: apply the
Deployment, wait until it is available, replace the selector, scale the other to 0, wait until its Pods are
gone. Both wait for the same Pods, so the difference is coordinator's own: its start, its checks, its
journal. The limit is one second.

    python bench/own_time.py          5 releases of each; boots a node, or uses KUBECONFIG
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fixtures.cluster import obtained
from fixtures.cluster_world import Echo
from fixtures.local import until

COUNT = 5
LIMIT = 1.0
PLAN = """
version: 1
release: echo-${VERSION}
services:
  echo:
    version: ${VERSION}
    platform:
      kubernetes:
        {context: CONTEXT, namespace: NAMESPACE, service: echo, deployment: echo.yaml, image: "IMAGE"}
    drain: {deadline: 1ms}
"""


def release(folder: Path, version: str, kubeconfig: str) -> float:
    environment = {**os.environ, "KUBECONFIG": kubeconfig}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs, and so does this
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "coordinator", "run", "--set", f"VERSION={version}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return time.monotonic() - began


def bare(echo: Echo, live: str, image: str) -> float:
    """Do the same by bare requests; `live` is the colour that goes."""
    api, other = echo.cluster.api, {"blue": "green", "green": "blue"}[live]
    deployments = f"/apis/apps/v1/namespaces/{echo.namespace}/deployments"
    pods = f"/api/v1/namespaces/{echo.namespace}/pods?labelSelector=color%3D{live}"
    began = time.monotonic()
    container = {"name": "echo", "image": image}
    patch = {"spec": {"replicas": 2, "template": {"spec": {"containers": [container]}}}}
    api.patch(f"{deployments}/echo-{other}", patch, kind="strategic")
    until(lambda: api.get(f"{deployments}/echo-{other}")["status"].get("availableReplicas") == 2)
    api.patch(
        f"/api/v1/namespaces/{echo.namespace}/services/{echo.service}",
        {"spec": {"selector": {"color": other}}},
    )
    api.patch(f"{deployments}/echo-{live}", {"spec": {"replicas": 0}})
    until(lambda: not api.get(pods)["items"])
    return time.monotonic() - began


def main() -> int:
    with obtained() as cluster, tempfile.TemporaryDirectory() as name:
        folder, namespace = Path(name), f"bench-{int(time.time())}"
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        try:
            echo = Echo(cluster, namespace, folder)
            echo.set_up()
            image = echo.image("1.0")
            versions = [f"1.{number}" for number in range(2 * COUNT + 1)]
            for version in versions:
                echo.image(version)
            plan = PLAN.replace("CONTEXT", cluster.context).replace("NAMESPACE", namespace)
            (folder / "plan.yaml").write_text(plan.replace("IMAGE", image.replace(":1.0", ":${VERSION}")))
            release(folder, versions[0], cluster.kubeconfig)
            ours, others, live = [], [], "blue"
            for at in range(COUNT):
                ours.append(release(folder, versions[2 * at + 1], cluster.kubeconfig))
                live = {"blue": "green", "green": "blue"}[live]
                others.append(bare(echo, live, image.replace(":1.0", f":{versions[2 * at + 2]}")))
                live = {"blue": "green", "green": "blue"}[live]
        finally:
            cluster.api.delete(f"/api/v1/namespaces/{namespace}")
    added = statistics.median(ours) - statistics.median(others)
    print("| release | median | all |\n|---|---|---|")
    for what, values in (("coordinator", ours), ("bare requests", others)):
        print(
            f"| {what} | {statistics.median(values):.2f} s | {', '.join(f'{each:.2f}' for each in values)} |"
        )
    print(f"coordinator adds {added:.2f} s (limit {LIMIT:g} s)")
    return 1 if added > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
