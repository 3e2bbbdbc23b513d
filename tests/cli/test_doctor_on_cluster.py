"""`coordinator doctor` where a cluster is asked: what it says of rights, of who serves, and with which exit
code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.small_cluster import SmallCluster
from fixtures.checkout import Ended
from fixtures.small_release import command, lay_out


@dataclass
class Web:
    cluster: SmallCluster
    folder: Path
    known: dict[str, str]

    def doctor(self, *arguments: str) -> Ended:
        return command(self.folder, "doctor", "--set", "VERSION=1.5", *arguments, **self.known)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with SmallCluster() as cluster:
        yield Web(cluster, tmp_path, lay_out(tmp_path, port=cluster.port))


def test_is_content_where_all_is_granted_and_changes_nothing(web: Web):
    before = dict(web.cluster.objects)

    ended = web.doctor()

    assert (ended.exit_code, ended.err) == (0, "")
    assert (
        ended.out.splitlines()[-1] == "✔ service web: nobody serves (blue: not running, green: not running)"
    )
    assert web.cluster.objects == before
    assert {each.verb for each in web.cluster.asked} <= {"get", "list", "create"}
    assert {each.resource for each in web.cluster.asked if each.verb == "create"} == {
        "selfsubjectaccessreviews"
    }


def test_names_each_right_that_is_missing_also_those_that_it_needs_itself(web: Web):
    web.cluster.deny("get", "services", "web")
    web.cluster.deny("get", "deployments", "web-blue")
    web.cluster.deny("patch", "services", "web")
    web.cluster.deny("get", "namespaces")

    ended = web.doctor()

    assert ended.exit_code == 1
    [found] = [line for line in ended.out.splitlines() if line.startswith("✘")]
    assert found.startswith("✘ service web: error[rights-missing]: We ")
    for right in (
        "may not get services/web: switches the traffic",
        "may not patch services/web: switches the traffic",
        "may not get deployments/web-blue: deploys and scales both colours",
        "may not get namespaces/kube-system: tells this cluster from every other one",
    ):
        assert right in found
    assert found.count("may not") == 4
    assert found.endswith("`coordinator doctor --rbac` prints what an administrator grants.")


def test_says_the_same_as_json(web: Web):
    web.cluster.deny("list", "endpointslices")

    ended = web.doctor("--output", "json")

    assert ended.exit_code == 1
    findings = ended.json("coordinator/doctor/1")["findings"]
    assert [(each["subject"], each["ok"]) for each in findings] == [
        ("plan", True),
        ("journal", True),
        ("service web", False),
    ]
    assert "may not list endpointslices: sees where clients are really sent" in findings[-1]["found"]


def test_looks_at_every_service_also_after_one_that_lacks_a_right(web: Web):
    plan = web.folder / "plan.yaml"
    again = plan.read_text().partition("services:\n")[2].replace("  web:", "  also:", 1)
    plan.write_text(plan.read_text() + again)
    web.cluster.deny("patch", "deployments", "web-green")

    ended = web.doctor()

    lines = [line.partition(": ")[0] for line in ended.out.splitlines()]
    assert lines[-2:] == ["✘ service web", "✔ service also"]
    assert ended.exit_code == 1


def test_a_release_names_the_right_that_it_lacks_and_what_grants_it(web: Web):
    web.cluster.deny("patch", "services", "web")

    ended = command(web.folder, "run", "--set", "VERSION=1.5", "--accept-unproven", **web.known)

    assert ended.exit_code == 1
    assert "error[cluster-forbidden]: The API server of `tests`" in ended.err
    assert "does not let us `patch` `services/web` in namespace `shop`" in ended.err
    assert "`coordinator doctor --rbac` prints the Role that the plan needs" in ended.err
    assert web.cluster.selected == ["none"]


@pytest.mark.parametrize(
    ("takes", "code"),
    [("reviews", "cluster-missing"), ("service", "service-missing"), ("server", "cluster-kubeconfig")],
)
def test_says_what_else_is_in_the_way(web: Web, takes: str, code: str):
    if takes == "reviews":
        web.cluster.has_reviews = False
    elif takes == "service":
        web.cluster.objects.clear()
    else:
        (web.folder / "kubeconfig").unlink()

    ended = web.doctor()

    assert ended.exit_code == 1
    assert f"✘ service web: error[{code}]: " in ended.out
