"""What `coordinator doctor --rbac` prints: YAML that an administrator applies, the same every time.

`make golden` (UPDATE_GOLDEN=1) writes the golden files anew; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.checkout import Ended
from fixtures.small_release import AUTOSCALER, MANIFEST, command, lay_out, web

GOLDEN = Path(__file__).parents[1] / "golden" / "rights"
CANARY = {"canary": {"percent": [10, 50], "for": "1m"}}
PLANS: dict[str, dict[str, Any]] = {
    "one": {"web": web()},
    "several": {
        "web": web(),
        "api": web(service="api", url="http://api.example"),
        "jobs": web(worker=True, namespace="batch"),
    },
    "clusters": {"web": web(context="east"), "api": web(context="west", service="api")},
    "canary": {"web": {**web(url="http://web.example"), **CANARY, "verify": []}},
    "worker": {"jobs": web(worker=True)},
    "patched": {"web": web(deployment=None)},
    "commands": {"web": {**web(), "verify": [{"command": ["./smoke.sh"]}]}},
}
"""`several`: two namespaces. `patched`: Deployments of the team, which nobody makes."""


def printed(folder: Path, *arguments: str, manifest: str = MANIFEST, **services: Any) -> Ended:
    """Return what doctor prints; the kubeconfig names a server that does not exist."""
    lay_out(folder, port=1, manifest=manifest, **services)
    return command(folder, "doctor", "--rbac", *arguments)


def documents_of(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("name", PLANS)
def test_prints_the_rights_as_before(tmp_path: Path, name: str):
    ended = printed(tmp_path, "--set", "VERSION=1.5", **PLANS[name])

    assert (ended.exit_code, ended.err) == (0, "")
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(ended.out, encoding="utf-8")
    assert ended.out == golden.read_text(encoding="utf-8"), (
        "If this is wanted, run `make golden` and read the diff."
    )


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_printed_is_a_role_and_its_binding_for_each_namespace(golden: Path):
    for part in golden.read_text().split("# For the cluster of ")[1:]:
        documents = documents_of("# " + part)

        places = [(each["kind"], each["metadata"].get("namespace")) for each in documents]
        assert len(set(places)) == len(places)
        for document in documents:
            assert document["apiVersion"] == "rbac.authorization.k8s.io/v1"
        roles = {where for kind, where in places if kind == "Role"}
        assert roles == {where for kind, where in places if kind == "RoleBinding"}
        assert {("ClusterRole", None), ("ClusterRoleBinding", None)} <= set(places)
        named = {(each["kind"], each["metadata"]["name"]) for each in documents}
        for binding in documents:
            if "roleRef" in binding:
                assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in named


def test_every_plan_here_has_a_golden_file_and_no_other_is_left():
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == PLANS.keys()


def test_an_autoscaler_of_the_manifest_has_a_rule_of_its_own(tmp_path: Path):
    without = printed(tmp_path, "--set", "VERSION=1.5", web=web())
    ended = printed(tmp_path, "--set", "VERSION=1.5", manifest=MANIFEST + AUTOSCALER, web=web())

    rules = [rule for each in documents_of(ended.out) for rule in each.get("rules", ())]
    assert [rule for each in documents_of(without.out) for rule in each.get("rules", ())] == [
        rule for rule in rules if rule["resources"] != ["horizontalpodautoscalers"]
    ]
    assert len(rules) == 12


def test_a_manifest_that_is_missing_counts_as_one_with_everything(tmp_path: Path):
    ended = printed(tmp_path, "--set", "VERSION=1.5", web=web(deployment="gone.yaml"))

    assert ended.exit_code == 0
    assert "horizontalpodautoscalers" in ended.out
    assert "poddisruptionbudgets" in ended.out


def test_says_so_where_nobody_has_to_grant_anything(tmp_path: Path):
    local = {"version": "1", "platform": {"local": {"command": ["./serve"]}}}
    ended = printed(tmp_path, "--set", "VERSION=1.5", web=local)

    assert (ended.exit_code, ended.err) == (0, "")
    assert ended.out == "# Nobody has to grant anything for this plan.\n"


def test_leaves_services_on_other_platforms_out(tmp_path: Path):
    local = {"version": "1", "platform": {"local": {"command": ["./serve"]}}}
    ended = printed(tmp_path, "--set", "VERSION=1.5", web=web(), here=local)

    assert ended.out == (GOLDEN / "one.yaml").read_text()


def test_a_plan_that_does_not_load_grants_nothing(tmp_path: Path):
    unset = printed(tmp_path, web=web())
    wrong = printed(tmp_path, "--set", "VERSION=1.5", web=web(namespace="No_Name"))
    absent = command(tmp_path, "doctor", "--rbac", "other.yaml")

    assert [each.exit_code for each in (unset, wrong, absent)] == [2, 2, 2]
    assert [each.out for each in (unset, wrong, absent)] == ["", "", ""]
    assert "plan.yaml:2:10 error[undefined-variable]" in unset.err
    assert "error[bad-kubernetes-name]" in wrong.err
    assert "other.yaml" in absent.err
