"""The Role that `coordinator doctor --rbac` prints: it suffices for a release, and each of its rules is
needed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.cluster import Cluster
from fixtures.cluster_api import ApiError
from fixtures.cluster_release import Shop
from fixtures.local import until

pytestmark = pytest.mark.cluster

API = "/apis/rbac.authorization.k8s.io/v1"
KINDS = {
    "ClusterRole": f"{API}/clusterroles",
    "ClusterRoleBinding": f"{API}/clusterrolebindings",
    "Role": f"{API}/namespaces/{{namespace}}/roles",
    "RoleBinding": f"{API}/namespaces/{{namespace}}/rolebindings",
}


class Granted:
    """What an administrator has applied of what doctor prints."""

    def __init__(self, cluster: Cluster, printed: str) -> None:
        self._api = cluster.api
        self.documents: list[dict[str, Any]] = list(yaml.safe_load_all(printed))
        for each in self.documents:
            self._api.create(self._collection(each), each)

    def take_away(self, document: dict[str, Any], number: int) -> None:
        without = copy.deepcopy(document["rules"])
        del without[number]
        self._api.patch(self._path(document), {"rules": without})

    def give_back(self, document: dict[str, Any]) -> None:
        self._api.patch(self._path(document), {"rules": document["rules"]})

    def rules(self) -> Iterator[tuple[dict[str, Any], int, dict[str, Any]]]:
        for document in self.documents:
            for number, rule in enumerate(document.get("rules", ())):
                yield document, number, rule

    def remove(self) -> None:
        """Take away what is of no namespace; the rest goes with its namespace."""
        for each in self.documents:
            if "namespace" not in each["metadata"]:
                self._api.delete(self._path(each))

    def _collection(self, document: dict[str, Any]) -> str:
        return KINDS[document["kind"]].format(namespace=document["metadata"].get("namespace"))

    def _path(self, document: dict[str, Any]) -> str:
        return f"{self._collection(document)}/{document['metadata']['name']}"


@pytest.fixture
def limited(
    shop: Shop, cluster: Cluster, limited_kubeconfig: Callable[[str, str], Path]
) -> Iterator[Granted]:
    """Make the shop's coordinator an account with what doctor prints, and nothing else."""
    shop.lay_out("1.4")
    printed = shop.call("doctor", "--rbac", version="1.4")
    assert printed.code == 0, str(printed)
    granted = Granted(cluster, printed.out)
    shop.kubeconfig = limited_kubeconfig(shop.namespace, "coordinator")
    yield granted
    granted.remove()


def test_releases_with_exactly_the_role_that_doctor_prints(shop: Shop, limited: Granted, figure):
    shop.serve("1.4")
    shop.release("1.5")

    figure("rules", [" ".join((*rule["verbs"], *rule["resources"])) for _, _, rule in limited.rules()])
    assert (shop.serves(), shop.version("green"), shop.size("blue")) == ("green", "1.5", 0)
    with pytest.raises(ApiError) as refused:
        type(shop.cluster.api)(shop.kubeconfig).get(f"/api/v1/namespaces/{shop.namespace}/secrets")
    assert refused.value.status == 403


def test_without_any_of_its_rules_doctor_names_what_is_missing(shop: Shop, limited: Granted):
    shop.serve("1.4")
    whole = shop.call("doctor", version="1.4")
    assert whole.code == 0, str(whole)

    for document, number, rule in limited.rules():
        limited.take_away(document, number)
        said = until_refused(shop)
        limited.give_back(document)

        assert any(each.split("/")[0] in said for each in rule["resources"]), f"{rule}\n{said}"
        assert any(verb in said for verb in rule["verbs"]), f"{rule}\n{said}"


def until_refused(shop: Shop) -> str:
    """Return what doctor says when the API server has heard of the change."""
    said: list[str] = []

    def is_refused() -> bool:
        ran = shop.call("doctor", version="1.4")
        said.append(ran.out)
        return ran.code != 0

    until(is_refused)
    return said[-1]
