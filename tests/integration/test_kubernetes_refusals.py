"""What the answers of an API server that refuses are called, against a scripted one.

What the answers look like was taken from a real server of version 1.34; tests/cluster holds it against one.
"""

from __future__ import annotations

import pytest
from fixtures.api_calls import DEPLOYMENT, GOOD, READS, SERVICE, WRITES, api_at
from fixtures.api_stub import Answer, ApiStub, answer, does_not_fit, status, text

from coordinator.adapters.platforms._kubernetes.failures import (
    AlreadyExists,
    Changed,
    Conflict,
    Missing,
    OwnedField,
)
from coordinator.errors import StepFailed

DENIED = status(
    403,
    'deployments.apps "shop-blue" is forbidden: User "bot" cannot create resource "deployments" in API group '
    '"apps" in the namespace "shop"',
    reason="Forbidden",
)


def review(*, allowed: bool) -> Answer:
    """What a server answers to a SelfSubjectAccessReview."""
    return answer({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}}, status=201)


def refusal_of(turn: Answer, call: str) -> StepFailed:
    with ApiStub(turn) as stub, pytest.raises(StepFailed) as caught:
        WRITES[call](api_at(stub.address))
    assert len(stub.received) == 1
    return caught.value


def test_tells_a_patch_that_does_not_fit():
    error = refusal_of(does_not_fit(), "json_patch")

    assert isinstance(error, Changed)
    assert (error.code, error.exit_code) == ("cluster-changed", 1)


def test_tells_an_object_that_is_not_valid_from_a_patch_that_does_not_fit():
    details = {"name": "shop", "kind": "Service", "causes": [{"message": "bad", "field": "spec.type"}]}
    turn = status(422, 'Service "shop" is invalid: spec.type: bad', reason="Invalid", details=details)
    error = refusal_of(turn, "json_patch")

    assert not isinstance(error, Changed)
    assert error.code == "cluster-refused"
    assert "spec.type: bad" in str(error)


def test_names_the_fields_that_others_manage():
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "helm" using apps/v1',
            "field": ".spec.replicas",
        },
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit"',
            "field": ".spec.paused",
        },
    ]
    turn = status(409, "Apply failed with 2 conflicts", reason="Conflict", details={"causes": causes})
    error = refusal_of(turn, "apply")

    assert isinstance(error, Conflict)
    assert error.fields == (OwnedField("helm", ".spec.replicas"), OwnedField("kubectl-edit", ".spec.paused"))
    assert "`.spec.replicas` of `helm`" in error.what


def test_tells_an_old_version_from_a_field_that_others_manage():
    turn = status(409, "the object has been modified", reason="Conflict", details={"name": "shop"})
    error = refusal_of(turn, "merge_patch")

    assert isinstance(error, Conflict)
    assert error.fields == ()


def test_tells_that_an_object_is_there_already():
    turn = status(409, 'services "shop" already exists', reason="AlreadyExists")
    error = refusal_of(turn, "create")

    assert isinstance(error, AlreadyExists)
    assert error.code == "cluster-already-exists"


@pytest.mark.parametrize("call", ["json_patch", "merge_patch", "create"])
def test_tells_that_what_was_to_be_changed_is_not_there(call):
    error = refusal_of(status(404, "not found", reason="NotFound"), call)

    assert isinstance(error, Missing)


def test_names_the_right_that_we_lack_and_how_to_get_it():
    with ApiStub(DENIED, DENIED) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address).apply(DEPLOYMENT, {})

    assert caught.value.code == "cluster-forbidden"
    assert "`create` `deployments.apps/shop-blue` in namespace `shop`" in caught.value.what
    assert 'User "bot"' in caught.value.why
    assert "coordinator doctor --rbac" in caught.value.next_step


@pytest.mark.parametrize(
    "unready", [DENIED, status(500, "[-]informer-sync failed")], ids=["denied", "failed"]
)
@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_believes_no_denial_of_a_server_that_is_not_ready(call, unready):
    with ApiStub(DENIED, DENIED, GOOD, unready=(unready, unready)) as stub:
        (READS | WRITES)[call](api_at(stub.address))

    assert stub.left == 0


def test_does_not_take_the_no_of_a_server_that_is_not_ready_for_an_answer():
    with ApiStub(review(allowed=False), review(allowed=True), unready=(DENIED,)) as stub:
        assert api_at(stub.address).may("patch", "", "services")


def test_takes_the_no_of_a_server_that_is_ready_for_an_answer():
    with ApiStub(review(allowed=False), review(allowed=False)) as stub:
        assert not api_at(stub.address).may("patch", "", "services")


def test_believes_a_denial_when_the_patience_with_a_server_that_is_never_ready_is_over():
    with ApiStub(*[DENIED] * 9, unready=[DENIED] * 9) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address, patience=0.5).get(DEPLOYMENT)

    assert caught.value.code == "cluster-forbidden"


def test_does_not_take_a_quota_for_a_right_that_we_lack():
    turn = status(403, 'pods "x" is forbidden: exceeded quota: q, requested: pods=1', reason="Forbidden")
    error = refusal_of(turn, "create")

    assert error.code == "cluster-refused"
    assert "exceeded quota" in str(error)


def test_refuses_at_once_a_manifest_with_a_field_that_the_server_does_not_know():
    said = (
        "failed to create typed patch object (/shop; apps/v1, Kind=Deployment): .spec.x: field not declared"
    )
    error = refusal_of(status(500, said), "apply")

    assert error.code == "cluster-refused"
    assert "field not declared" in error.why


@pytest.mark.parametrize("turn", [text("<html>", status=200), text("", status=302, location="/login")])
def test_refuses_a_server_that_is_no_api_server(turn):
    with ApiStub(turn) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address).get(SERVICE)

    assert caught.value.code == "cluster-refused"
    assert len(stub.received) == 1
