"""Which requests to an API server are repeated, when and for how long, and which never are."""

from __future__ import annotations

import socket
from contextlib import closing
from threading import Timer

import pytest
from fixtures.api_calls import GOOD, NOT_REPEATABLE, READS, REPEATABLE, SERVICE, SHOP, SWITCH, WRITES, api_at
from fixtures.api_stub import CUT, SILENT, UNREAD, Answer, ApiStub, Cut, answer, half, status

from coordinator.adapters.platforms._kubernetes.failures import Unanswered
from coordinator.errors import StepFailed

SICK = [
    UNREAD,
    CUT,
    half({"kind": "Any", "metadata": {"uid": "u"}}),
    status(500, "etcdserver: request timed out", reason="InternalError"),
    status(503, "apiserver not ready", reason="ServiceUnavailable"),
    status(504, "Timeout: request did not complete", reason="Timeout"),
]
UNHARMED = [
    status(429, "too many requests", reason="TooManyRequests", retry_after="0"),
    status(503, "the server is shutting down", reason="ServiceUnavailable", retry_after="0"),
    status(500, 'Internal error occurred: failed calling webhook "x": no endpoints', reason="InternalError"),
    status(403, 'services "shop" is forbidden: not yet ready to handle request', reason="Forbidden"),
]


@pytest.mark.parametrize("turn", [*SICK[:3], SICK[4], *UNHARMED[:2]], ids=str)
@pytest.mark.parametrize("call", READS)
def test_repeats_a_read_whatever_became_of_it(call, turn):
    with ApiStub(turn, GOOD) as stub:
        READS[call](api_at(stub.address))

    assert stub.left == 0


@pytest.mark.parametrize("turn", [*SICK, *UNHARMED], ids=str)
@pytest.mark.parametrize("call", REPEATABLE)
def test_repeats_a_write_that_may_be_done_twice(call, turn):
    with ApiStub(turn, GOOD) as stub:
        WRITES[call](api_at(stub.address))

    assert stub.left == 0
    assert len({request.body for request in stub.received}) == 1


@pytest.mark.parametrize("turn", SICK, ids=str)
@pytest.mark.parametrize("call", NOT_REPEATABLE)
def test_never_repeats_a_write_that_the_server_may_have_done(call, turn):
    with ApiStub(turn, GOOD) as stub, pytest.raises(Unanswered) as caught:
        WRITES[call](api_at(stub.address))

    assert stub.left == 1
    assert caught.value.code == "cluster-unanswered"


@pytest.mark.parametrize("turn", UNHARMED, ids=str)
@pytest.mark.parametrize("call", NOT_REPEATABLE)
def test_repeats_every_write_that_the_server_surely_has_not_done(call, turn):
    with ApiStub(turn, turn, GOOD) as stub:
        WRITES[call](api_at(stub.address))

    assert len(stub.received) == 3


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_waits_for_a_server_that_is_away(call):
    stub = ApiStub(GOOD, listen=False)
    back = Timer(0.3, stub.__enter__)
    back.start()
    try:
        (READS | WRITES)[call](api_at(stub.address))
    finally:
        back.join()
        stub.__exit__()

    assert len(stub.received) == 1


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_gives_up_on_a_server_that_stays_away(call):
    with closing(socket.socket()) as reserved:  # nobody listens there, and nobody else can
        reserved.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(StepFailed) as caught:
            (READS | WRITES)[call](api_at(address, patience=0.2))

    assert caught.value.code == "cluster-unreachable"
    assert "Connection refused" in caught.value.why


def test_goes_on_asking_while_each_answer_takes_too_long():
    with ApiStub(SILENT, SILENT, answer(SHOP)) as stub:
        assert api_at(stub.address, wait=0.2).get(SERVICE) == SHOP

    assert len(stub.received) == 3


def test_does_not_repeat_a_patch_whose_answer_takes_too_long():
    with ApiStub(SILENT, GOOD) as stub, pytest.raises(Unanswered) as caught:
        api_at(stub.address, wait=0.2).json_patch(SERVICE, SWITCH)

    assert "no answer within 0.2 s" in caught.value.why
    assert stub.left == 1


def test_says_that_an_apply_may_have_been_done_when_the_patience_is_over():
    with ApiStub(CUT, *[status(503, "etcd is away")] * 50) as stub, pytest.raises(Unanswered):
        api_at(stub.address, patience=0.5).apply(SERVICE, SHOP)

    assert len(stub.received) > 1


def test_says_that_a_read_was_not_answered_when_the_patience_is_over():
    with ApiStub(*[status(503, "etcd is away")] * 50) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address, patience=0.5).get(SERVICE)

    assert caught.value.code == "cluster-unreachable"
    assert "etcd is away" in caught.value.why
    assert len(stub.received) > 1


def test_does_not_ask_again_before_the_server_said():
    busy = status(429, "too many requests", retry_after="60")
    with ApiStub(busy, GOOD) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address, patience=30).json_patch(SERVICE, SWITCH)

    assert caught.value.code == "cluster-unreachable"
    assert len(stub.received) == 1


def test_limits_an_answer_that_comes_in_drops():
    with ApiStub(Answer(200, b"{}" + b" " * 500, drip=True)) as stub, pytest.raises(Unanswered) as caught:
        api_at(stub.address, wait=0.3).json_patch(SERVICE, SWITCH)

    assert "no whole answer within 0.3 s" in caught.value.why


def test_knows_every_way_in_which_a_connection_ends():
    assert {turn for turn in SICK if isinstance(turn, Cut)} | {SILENT} == set(Cut)
