"""The Role that `coordinator doctor --rbac` prints: it suffices for a release, and each of its rules is
needed.
"""

from __future__ import annotations

import pytest
from fixtures.cluster_account import Account
from fixtures.cluster_api import ApiError
from fixtures.cluster_release import Shop
from fixtures.local import until

pytestmark = pytest.mark.cluster


@pytest.fixture
def limited(shop: Shop) -> Account:
    """Return the shop's account with what the command prints."""
    shop.lay_out("1.4")
    printed = shop.call("doctor", "--rbac", version="1.4")
    assert printed.code == 0, str(printed)
    shop.account.grant(printed.out)
    return shop.account


def test_releases_with_exactly_the_role_that_doctor_prints(shop: Shop, limited: Account, figure):
    shop.serve("1.4")
    shop.release("1.5")

    figure("rules", [" ".join((*rule["verbs"], *rule["resources"])) for _, _, rule in limited.rules()])
    assert (shop.serves(), shop.version("green"), shop.size("blue")) == ("green", "1.5", 0)
    with pytest.raises(ApiError) as refused:
        type(shop.cluster.api)(limited.kubeconfig(shop.folder.parent)).get(
            f"/api/v1/namespaces/{shop.namespace}/secrets"
        )
    assert refused.value.status == 403


def test_without_any_of_its_rules_doctor_names_what_is_missing(shop: Shop, limited: Account):
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
