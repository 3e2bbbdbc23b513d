"""Rights put together and written as Roles: they grant what was asked for, nothing less and nothing more."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.platforms._kubernetes.rights import Right, Subject, manifest, merged

Granted = set[tuple[str | None, str, str, str, str | None]]
COORDINATOR = Subject("ServiceAccount", "coordinator", "shop")
SWITCHES = Right("shop", "", "services", ("get", "patch"), "switches the traffic", ("web",))


def granted(rights: tuple[Right, ...]) -> Granted:
    """Return each thing that may be done: namespace, group, resource, verb, name (None for any)."""
    return {
        (each.namespace, each.group, each.resource, verb, name)
        for each in rights
        for verb, name in product(each.verbs, each.names or (None,))
    }


def documents_of(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def granted_by(text: str) -> Granted:
    """Return the same of what is printed, as the API server reads it."""
    return {
        (each["metadata"].get("namespace"), group, resource, verb, name)
        for each in documents_of(text)
        for rule in each.get("rules", ())
        for group, resource, verb, name in product(
            rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames", (None,))
        )
    }


def some(*words: str, least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(words), min_size=least, max_size=3, unique=True).map(tuple)


RIGHTS = st.lists(
    st.builds(
        Right,
        namespace=st.sampled_from([None, "shop", "batch"]),
        group=st.sampled_from(["", "apps"]),
        resource=st.sampled_from(["pods", "services", "services/proxy"]),
        verbs=some("get", "list", "patch", "create"),
        why=st.sampled_from(["looks", "changes", "looks\nand changes"]),
        names=some("a", "b", "c", least=0),
    ),
    max_size=8,
).map(tuple)


@given(RIGHTS)
def test_rights_that_were_put_together_grant_the_same(rights: tuple[Right, ...]):
    assert granted(merged(rights)) == granted(rights)


@given(RIGHTS)
def test_what_is_printed_grants_the_same(rights: tuple[Right, ...]):
    assert granted_by(manifest(rights, name="c", subject=COORDINATOR)) == granted(rights)


@given(RIGHTS, st.randoms())
def test_the_order_in_which_rights_are_found_changes_what_is_granted_in_nothing(rights, random):
    shuffled = list(rights)
    random.shuffle(shuffled)

    def without_reasons(found: tuple[Right, ...]) -> list[tuple[object, ...]]:
        return [(each.namespace, each.group, each.resource, each.verbs, each.names) for each in found]

    assert without_reasons(merged(shuffled)) == without_reasons(merged(rights))


@given(RIGHTS)
def test_every_reason_is_kept(rights: tuple[Right, ...]):
    text = manifest(rights, name="c", subject=COORDINATOR)

    for line in {line for each in rights for line in each.why.splitlines()}:
        assert f"  # {line}\n" in text


def test_rights_that_differ_in_verbs_alone_or_in_names_alone_become_one():
    more = Right("shop", "", "services", ("create",), "makes it", ("web",))
    other = Right("shop", "", "services", ("create", "get", "patch"), "the same", ("api",))

    assert merged([SWITCHES, more, other]) == (
        Right(
            "shop",
            "",
            "services",
            ("create", "get", "patch"),
            "switches the traffic\nmakes it\nthe same",
            ("api", "web"),
        ),
    )


def test_rights_that_differ_in_both_stay_two():
    other = Right("shop", "", "services", ("create",), "makes it", ("api",))

    assert len(merged([SWITCHES, other])) == 2


def test_a_right_to_any_name_takes_in_none_to_one():
    anyone = Right("shop", "", "services", ("get", "patch"), "all of them")

    assert {each.names for each in merged([SWITCHES, anyone])} == {(), ("web",)}


def test_what_is_of_no_namespace_is_a_cluster_role_and_stands_first():
    cluster = Right(None, "", "namespaces", ("get",), "tells clusters apart", ("kube-system",))

    documents = documents_of(manifest([SWITCHES, cluster], name="coordinator-shop-web", subject=COORDINATOR))

    assert [(each["kind"], each["metadata"]) for each in documents] == [
        ("ClusterRole", {"name": "coordinator-shop-web"}),
        ("ClusterRoleBinding", {"name": "coordinator-shop-web"}),
        ("Role", {"name": "coordinator-shop-web", "namespace": "shop"}),
        ("RoleBinding", {"name": "coordinator-shop-web", "namespace": "shop"}),
    ]


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        (COORDINATOR, {"kind": "ServiceAccount", "name": "coordinator", "namespace": "shop"}),
        (
            Subject("Group", "deployers"),
            {"kind": "Group", "name": "deployers", "apiGroup": "rbac.authorization.k8s.io"},
        ),
    ],
)
def test_a_binding_names_its_subject_as_the_api_wants_it(subject: Subject, written: dict[str, str]):
    _, binding = documents_of(manifest([SWITCHES], name="c", subject=subject))

    assert binding["subjects"] == [written]
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "c"}


@pytest.mark.parametrize("odd", ["yes", "1.5", "a: b", "it's", 'say "so"', "é", "#no", "null"])
def test_a_value_is_a_text_whatever_it_looks_like(odd: str):
    right = Right(odd, odd, odd, (odd,), "is odd", (odd,))

    text = manifest([right], name=odd, subject=Subject("User", odd))

    assert granted_by(text) == {(odd, odd, odd, odd, odd)}
    assert documents_of(text)[0]["metadata"]["name"] == odd


def test_nothing_is_granted_where_nothing_is_needed():
    assert manifest([], name="c", subject=COORDINATOR) == ""
