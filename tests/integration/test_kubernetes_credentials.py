"""Credentials that an API server refuses are read anew, once; and one client serves many threads."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from fixtures.api_calls import GOOD, PODS, READS, SERVICE, WRITES, api_at, door_at
from fixtures.api_stub import ApiStub, answer, status

from coordinator.adapters.platforms._kubernetes.api import Api
from coordinator.adapters.platforms._kubernetes.wire import Door
from coordinator.errors import StepFailed

UNAUTHORIZED = status(401, "Unauthorized", reason="Unauthorized")


class Doors:
    """A way in with another token each time."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opened = 0

    def __call__(self) -> Door:
        self.opened += 1
        return door_at(self.address, token=f"token-{self.opened}")


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_reads_credentials_anew_when_they_are_refused(call):
    with ApiStub(UNAUTHORIZED, GOOD) as stub:
        (READS | WRITES)[call](Api(Doors(stub.address), context="tests"))

    assert [each.headers["authorization"] for each in stub.received] == ["Bearer token-1", "Bearer token-2"]


def test_gives_up_when_new_credentials_are_refused_too():
    with ApiStub(UNAUTHORIZED, UNAUTHORIZED, GOOD) as stub, pytest.raises(StepFailed) as caught:
        Api(Doors(stub.address), context="tests").get(SERVICE)

    assert caught.value.code == "cluster-credentials-rejected"
    assert stub.left == 1
    assert "token-" not in str(caught.value)


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_believes_no_server_that_starts_and_knows_nobody_yet(call):
    """It took the same credentials before, and asks about tokens what is not there yet."""
    with ApiStub(GOOD, *[UNAUTHORIZED] * 4, GOOD, unready=[UNAUTHORIZED] * 2) as stub:
        api = Api(Doors(stub.address), context="tests")
        api.get(SERVICE)
        (READS | WRITES)[call](api)

    assert stub.left == 0


def test_gives_up_when_a_server_that_is_ready_takes_them_no_more():
    with ApiStub(GOOD, *[UNAUTHORIZED] * 3, GOOD) as stub:
        api = Api(Doors(stub.address), context="tests")
        api.get(SERVICE)
        with pytest.raises(StepFailed) as caught:
            api.get(SERVICE)

    assert caught.value.code == "cluster-credentials-rejected"
    assert stub.left == 1


def test_reads_credentials_anew_once_for_all_threads():
    threads = 8
    with ApiStub(*[UNAUTHORIZED] * threads, *[GOOD] * threads, hold=threads) as stub:
        doors = Doors(stub.address)
        api = Api(doors, context="tests")
        asking = [Thread(target=api.get, args=(SERVICE,)) for _ in range(threads)]
        for each in asking:
            each.start()
        for each in asking:
            each.join()

    assert doors.opened == 2
    assert len(stub.received) == 2 * threads


def test_serves_many_threads_at_once():
    threads, each_asks = 8, 5
    turns = [answer({"items": [{"n": 1}], "metadata": {}})] * (threads * each_asks)
    found: list[object] = []
    start = Barrier(threads)
    with ApiStub(*turns) as stub:
        api = api_at(stub.address)

        def ask() -> None:
            start.wait()
            found.extend(api.list(PODS) for _ in range(each_asks))

        asking = [Thread(target=ask) for _ in range(threads)]
        for each in asking:
            each.start()
        for each in asking:
            each.join()

    assert found == [({"n": 1},)] * (threads * each_asks)
