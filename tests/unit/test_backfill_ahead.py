"""In which order batches that are under way at once are committed, and what becomes of them if one fails."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Lock

import pytest
from fixtures.backfilling import COUNT_UP

from coordinator.backfills import ahead as ahead_module
from coordinator.backfills.ahead import Ahead, going_ahead
from coordinator.backfills.cursor import Cursor
from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Target

START = Cursor(0, 0, None, is_done=False)
TWO = replace(COUNT_UP, sessions=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Server:
    """What happened, in its order; a statement ends when it is let, and says what it is told to say."""

    happened: list[str] = field(default_factory=list)
    let: dict[str, Event] = field(default_factory=dict)
    says: dict[str, Exception] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def answer(self, name: str) -> None:
        if error := self.says.get(name):
            raise error

    def happens(self, what: str) -> None:
        with self.lock:
            self.happened.append(what)


class FakeSession:
    """Keeps what ports.Session promises of a batch with `before_fence`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def target(self, table: str | None) -> Target:
        return Target(Engine.POSTGRESQL, "shop", "public", table)

    def execute(self, batch: Batch) -> None:
        [name] = batch.statements
        assert batch.before_fence is not None
        try:
            if name in self._server.let:
                assert self._server.let[name].wait(60)
            self._server.answer(name)
            self._server.happens(f"{name} changed")
            batch.before_fence()
            self._server.happens(f"{name} committed")
        except Exception:
            self._server.happens(f"{name} taken back")
            raise


@contextmanager
def under_way(server: Server, *names: str) -> Iterator[Ahead]:
    """Begin batches, each in a session of its own."""
    sessions = [FakeSession(server) for _ in names]
    with ThreadPoolExecutor(len(names)) as threads:
        ahead = Ahead([*sessions], threads, TWO, now=lambda: NOW)  # type: ignore[list-item]
        cursor = START
        for name in names:
            ahead.begin(cursor, cursor := cursor.past((name,), 10), (name,))
        try:
            yield ahead
        finally:
            for each in server.let.values():
                each.set()


def until(server: Server, what: str) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while what not in server.happened:
        assert datetime.now(UTC) < deadline, server.happened


def refused(code: str = "statement-failed") -> DatabaseError:
    return DatabaseError(code, "No.")


def test_a_batch_that_is_ready_first_is_committed_after_the_one_before_it() -> None:
    server = Server(let={"first": Event()})
    with under_way(server, "first", "second", "third") as ahead:
        until(server, "second changed")
        until(server, "third changed")
        before = sorted(server.happened)
        server.let["first"].set()

        ended = [ahead.end_oldest() for _ in range(3)]

    assert before == ["second changed", "third changed"]
    assert server.happened[-3:] == ["first committed", "second committed", "third committed"]
    assert [(each.was.batches, each.now.place, each.rows) for each in ended if each] == [
        (0, ("first",), 10),
        (1, ("second",), 10),
        (2, ("third",), 10),
    ]
    assert ahead.is_empty


@pytest.mark.parametrize("code", ["statement-failed", "lock-timeout", "cursor-moved"])
def test_those_behind_one_that_fails_are_taken_back_before_anybody_hears_of_it(code: str) -> None:
    server = Server(let={"first": Event(), "third": Event()}, says={"first": refused(code)})
    with under_way(server, "first", "second", "third") as ahead, ThreadPoolExecutor(1) as other:
        until(server, "second changed")
        server.let["first"].set()
        heard = other.submit(ahead.end_oldest)
        until(server, "second taken back")
        is_early = heard.done()
        server.let["third"].set()

        ended = heard.result(60)
        happened = list(server.happened)

    assert not is_early, "the third is still at work"
    assert ended is None
    assert ahead.is_empty
    assert {each for each in happened if "taken back" in each} == {
        f"{name} taken back" for name in ("first", "second", "third")
    }
    assert not [each for each in happened if "committed" in each]


def test_one_that_fails_early_leaves_the_one_before_it_and_is_no_error() -> None:
    server = Server(let={"first": Event()}, says={"second": refused()})
    with under_way(server, "first", "second", "third") as ahead:
        until(server, "second taken back")
        server.let["first"].set()

        first, second = ahead.end_oldest(), ahead.end_oldest()

    assert first is not None
    assert second is None
    assert [each for each in server.happened if "committed" in each] == ["first committed"]


@pytest.mark.parametrize("lost", ["first", "second"])
def test_a_lost_connection_is_told_because_its_commit_may_have_happened(lost: str) -> None:
    server = Server(says={lost: refused("connection-lost")})
    with under_way(server, "first", "second") as ahead:
        if lost == "second":
            assert ahead.end_oldest() is not None
        with pytest.raises(DatabaseError) as caught:
            ahead.end_oldest()

    assert caught.value.code == "connection-lost"
    assert "second committed" not in server.happened


def test_one_that_waits_too_long_for_its_turn_lets_its_rows_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "_PATIENCE", 0.01)
    server = Server(let={"first": Event()})
    with under_way(server, "first", "second") as ahead:
        until(server, "second taken back")
        server.let["first"].set()

        ended = [ahead.end_oldest(), ahead.end_oldest()]

    assert ended[0] is not None
    assert ended[1] is None
    assert server.happened[-1] == "first committed"


def test_a_session_is_idle_again_when_its_batch_is_seen_to_have_ended() -> None:
    server = Server()
    with under_way(server, "first", "second") as ahead:
        assert ahead.idle is None

        ended = ahead.end_oldest()

        assert ended is not None
        assert ahead.idle is ended.session
        ahead.end_oldest()


def test_a_server_that_gives_no_more_connections_has_it_done_in_those_it_gave() -> None:
    server, notes = Server(), []
    given = iter([FakeSession(server)])

    @contextmanager
    def connect() -> Iterator[FakeSession]:
        session = next(given, None)
        if session is None:
            raise refused("database-unreachable")
        yield session

    own, now = FakeSession(server), lambda: NOW
    spec = replace(COUNT_UP, sessions=4)
    with going_ahead(own, connect, spec, now=now, note=notes.append) as ahead:  # type: ignore[arg-type]
        ahead.begin(START, middle := START.past(("1",), 1), ("first",))
        ahead.begin(middle, middle.past(("2",), 1), ("second",))
        is_full = ahead.idle is None
        ends = [ahead.end_oldest(), ahead.end_oldest()]

    assert is_full
    assert all(ends)
    assert notes == ["No. Going on in 2 sessions."]
