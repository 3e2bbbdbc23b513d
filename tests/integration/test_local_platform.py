"""The local platform with real processes: kills, deaths, deletions, two commands at once, traffic."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE
from threading import Thread

import pytest
from fixtures.local import (
    ask,
    client_of,
    kill_router,
    kill_side,
    local_platform,
    processes_of,
    taken_down,
    until,
)
from fixtures.traffic import Traffic

from coordinator.adapters.platforms._local import processes, sides
from coordinator.adapters.platforms._local.service import Local
from coordinator.errors import StepFailed, Waiting
from coordinator.model import Colour, Version

BLUE, GREEN = Colour
V14, V15 = Version("1.4"), Version("1.5")
SOON = timedelta(seconds=60)
GRACE = timedelta(seconds=5)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Local]:
    with taken_down(local_platform(tmp_path), tmp_path) as platform:
        yield platform


# -- traffic --------------------------------------------------------------------------------------------


def test_no_request_fails_while_traffic_is_switched_drained_and_the_old_side_stopped(platform: Local):
    platform.bring_up(V14, deadline=SOON)

    with Traffic(platform.public_address(), clients=4) as traffic:
        for number in range(4):
            live = platform.survey().live
            platform.deploy(live.other, Version(f"1.5.{number}"), deadline=SOON)
            platform.switch(expected=live, to=live.other)
            until(lambda colour=live: platform.open_connections(colour) == 0)
            platform.stop(live, grace=GRACE)
            traffic.wait_for(20, version=f"1.5.{number}")

    assert traffic.failures == []


def test_a_client_that_ends_its_side_first_still_gets_the_whole_answer(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    port = platform.start_router().port

    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET /long HTTP/1.0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            received = answer.read()

    assert received.endswith(b"x" * 3_000_000)
    until(lambda: platform.open_connections(BLUE) == 0)


def test_a_connection_is_counted_until_its_client_leaves_and_no_longer(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    address = platform.public_address()

    with client_of(address) as first, client_of(address) as second:
        first(), second()
        during = platform.open_connections(BLUE)

    assert during == 2
    until(lambda: platform.open_connections(BLUE) == 0)
    assert platform.start_router().accepted == 2


def test_a_client_that_nobody_can_serve_is_refused_and_counted(platform: Local):
    platform.start_router()

    with pytest.raises(ConnectionError):
        ask(platform.public_address())

    assert platform.start_router().failed == 1


# -- the router -----------------------------------------------------------------------------------------


def test_a_killed_router_is_seen_and_comes_back_on_its_port_with_its_target(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    address = platform.public_address()

    kill_router(platform)

    assert platform.survey().live is BLUE
    assert platform.survey().sides[BLUE].ready
    assert platform.routing.status() is None
    assert platform.public_address() == address
    assert ask(address) == "1.4 blue"


def test_a_killed_router_leaves_no_socket_when_its_service_is_taken_down(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    control = Path(platform.state.router().control)
    kill_router(platform)

    platform.remove()

    assert not control.parent.exists()


def test_a_killed_router_whose_folder_is_deleted_leaves_a_socket_until_the_next_one_starts(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    control = Path(platform.state.router().control)
    kill_router(platform)
    shutil.rmtree(platform.state.path)

    platform.bring_up(V14, deadline=SOON)

    assert not control.parent.exists()
    assert Path(platform.state.router().control).exists()


def test_traffic_can_be_switched_although_the_router_was_killed(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    platform.deploy(GREEN, V15, deadline=SOON)
    kill_router(platform)

    platform.switch(expected=BLUE, to=GREEN)

    assert ask(platform.public_address()) == "1.5 green"


def test_a_switch_is_durable_before_it_is_confirmed(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    platform.deploy(GREEN, V15, deadline=SOON)

    platform.switch(expected=BLUE, to=GREEN)
    kill_router(platform)

    assert platform.survey().live is GREEN
    assert ask(platform.public_address()) == "1.5 green"


def test_a_switch_whose_answer_was_lost_is_known_to_have_happened(platform: Local, monkeypatch):
    platform.bring_up(V14, deadline=SOON)
    platform.deploy(GREEN, V15, deadline=SOON)
    asked = type(platform.routing)._ask
    lost = []

    def lose_the_first_switch(routing, question):
        answer = asked(routing, question)
        if question["command"] == "switch" and not lost:
            lost.append(answer)
            return None
        return answer

    monkeypatch.setattr(type(platform.routing), "_ask", lose_the_first_switch)
    platform.switch(expected=BLUE, to=GREEN)

    assert lost == [{"switched": True, "target": "green"}]
    assert platform.survey().live is GREEN


def test_a_public_port_that_another_program_has_is_named(tmp_path: Path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        platform = local_platform(tmp_path, port=port)
        with taken_down(platform, tmp_path), pytest.raises(StepFailed) as failure:
            platform.deploy(BLUE, V14, deadline=SOON)

    assert failure.value.code == "port-taken"
    assert str(port) in str(failure.value)


def test_a_running_router_is_not_moved_to_another_port(platform: Local, tmp_path: Path):
    platform.bring_up(V14, deadline=SOON)
    port = platform.start_router().port
    edited = local_platform(tmp_path, port=port - 1)

    with pytest.raises(StepFailed) as failure:
        edited.deploy(GREEN, V15, deadline=SOON)

    assert failure.value.code == "port-changed"
    assert ask(platform.public_address()) == "1.4 blue"


def test_a_state_folder_may_lie_deeper_than_a_socket_path_may_be_long(tmp_path: Path):
    folder = tmp_path / ("d" * 120) / ("e" * 120)
    folder.mkdir(parents=True)

    with taken_down(local_platform(folder), folder) as platform:
        platform.bring_up(V14, deadline=SOON)
        assert ask(platform.public_address()) == "1.4 blue"


def test_router_and_services_end_when_somebody_deletes_their_folder(platform: Local, tmp_path: Path):
    platform.bring_up(V14, deadline=SOON)
    platform.deploy(GREEN, V15, deadline=SOON)
    assert len(processes_of(tmp_path)) == 3

    subprocess.run(["rm", "-rf", str(platform.state.path)], check=True)

    until(lambda: processes_of(tmp_path) == {})


def test_a_service_whose_folder_was_deleted_without_a_router_is_found_when_it_is_taken_down(
    platform: Local, tmp_path: Path
):
    platform.bring_up(V14, deadline=SOON)
    kill_router(platform)
    subprocess.run(["rm", "-rf", str(platform.state.path)], check=True)

    platform.remove()

    assert processes_of(tmp_path) == {}


def test_a_service_comes_up_afresh_after_its_folder_was_deleted(platform: Local, tmp_path: Path):
    platform.bring_up(V14, deadline=SOON)
    subprocess.run(["rm", "-rf", str(platform.state.path)], check=True)

    platform.bring_up(V15, deadline=SOON)

    assert ask(platform.public_address()) == "1.5 blue"
    until(lambda: len(processes_of(tmp_path)) == 2)


# -- the sides ------------------------------------------------------------------------------------------

KILLED_AFTER_SPAWN = """
import os, signal, sys
from pathlib import Path
from datetime import timedelta
from fixtures.local import local_platform
from coordinator.adapters.platforms._local import sides
from coordinator.model import Colour

def spawn_and_die(*arguments, **keywords):
    spawn(*arguments, **keywords)
    os.kill(os.getpid(), signal.SIGKILL)

spawn, sides.spawn = sides.spawn, spawn_and_die
local_platform(Path(sys.argv[1])).deploy(Colour.BLUE, "1.4", deadline=timedelta(seconds=60))
"""


def test_a_coordinator_killed_between_start_and_record_leaves_nothing_that_is_not_found(
    platform: Local, tmp_path: Path
):
    platform.start_router()

    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_SPAWN, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    platform.remove()

    assert killed.returncode == -signal.SIGKILL
    assert processes_of(tmp_path) == {}


def test_a_coordinator_killed_between_start_and_record_can_go_on(platform: Local, tmp_path: Path):
    platform.start_router()
    subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_SPAWN, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )

    platform.deploy(BLUE, V14, deadline=SOON)

    assert platform.survey().sides[BLUE].ready
    assert len(processes_of(tmp_path)) == 2


def test_a_version_that_ends_at_its_start_is_reported_with_its_last_words_but_no_secret(tmp_path: Path):
    platform = local_platform(
        tmp_path, env={"SECRET": "env:SHOP_SECRET"}, environment={"SHOP_SECRET": "hunter2-and-more"}
    )
    with taken_down(platform, tmp_path):
        with pytest.raises(StepFailed) as failure:
            platform.deploy(BLUE, Version("1.4-dies"), deadline=SOON)
        detail = platform.survey().sides[BLUE].detail

    assert "exit code 3" in str(failure.value)
    assert "no luck with ********" in str(failure.value)
    assert detail == "ended: no luck with ********"


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path):
    platform = local_platform(tmp_path, command=["./nowhere"])
    with taken_down(platform, tmp_path):
        with pytest.raises(StepFailed):
            local_platform(tmp_path).deploy(BLUE, Version("1.4-dies"), deadline=SOON)

        with pytest.raises(StepFailed) as failure:
            platform.deploy(BLUE, V14, deadline=SOON)

    assert failure.value.code == "start-failed"
    assert "nowhere cannot be started" in str(failure.value)
    assert "no luck" not in str(failure.value)  # the last words of the one before it


def test_a_version_that_never_gets_ready_is_reported_with_what_it_said(platform: Local):
    with pytest.raises(StepFailed) as failure:
        platform.deploy(BLUE, Version("1.4-unready"), deadline=timedelta(milliseconds=500))

    assert failure.value.code == "not-ready"
    assert "GET /ready" in str(failure.value)


def test_a_deployment_says_that_its_service_was_taken_down_meanwhile(platform: Local, tmp_path: Path):
    def deploy() -> None:
        with pytest.raises(StepFailed) as failure:
            platform.deploy(BLUE, Version("1.4-unready"), deadline=SOON)
        codes.append(failure.value.code)

    codes: list[str] = []
    waiting = Thread(target=deploy)
    waiting.start()
    until(lambda: platform.survey().sides[BLUE].running)

    local_platform(tmp_path).remove()
    waiting.join()

    assert codes[0] in ("never-deployed", "start-failed")


def test_whoever_changes_the_service_at_this_moment_is_named_and_waited_for(platform: Local):
    holds = f"""
import sys, time
from pathlib import Path
from coordinator.adapters.platforms._local.records import StateFolder
with StateFolder(Path({str(platform.state.path)!r})).lock("lock", seconds=60):
    print(flush=True)
    sys.stdin.read()
"""
    platform.start_router()
    with subprocess.Popen([sys.executable, "-c", holds], stdin=PIPE, stdout=PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()

        with pytest.raises(Waiting, match=rf"`shop` for 0\.1 s: pid {other.pid}\.") as busy:
            platform.deploy(BLUE, V14, deadline=timedelta(seconds=0.1))

        other.communicate()
    assert busy.value.code == "local-busy"


def test_a_service_that_ignores_sigterm_is_killed_after_its_grace(platform: Local):
    platform.deploy(BLUE, Version("1.4-stubborn"), deadline=SOON)

    platform.stop(BLUE, grace=timedelta(milliseconds=200))

    assert not platform.survey().sides[BLUE].running


def test_stop_ends_a_child_that_left_its_process_group(platform: Local, tmp_path: Path):
    platform.deploy(BLUE, Version("1.4-parent"), deadline=SOON)
    assert len(processes_of(tmp_path)) == 3

    platform.stop(BLUE, grace=GRACE)

    assert len(processes_of(tmp_path)) == 1


def test_a_port_that_was_taken_meanwhile_is_reported_and_the_next_try_takes_another(
    platform: Local, monkeypatch
):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken, monkeypatch.context() as patched:
        patched.setattr(sides, "free_port", lambda **_: taken.getsockname()[1])
        with pytest.raises(StepFailed) as failure:
            platform.deploy(BLUE, V14, deadline=SOON)

    platform.deploy(BLUE, V14, deadline=SOON)

    assert "Address already in use" in str(failure.value)
    assert platform.survey().sides[BLUE].ready


def test_a_process_that_has_the_number_of_a_dead_one_is_left_alone():
    with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, start_new_session=True) as bystander:
        processes.end(bystander.pid, birth="of another", grace=0)

        heard, _ = bystander.communicate(b"still here")

    assert heard == b"still here"


def test_a_service_gets_what_the_plan_says_and_not_the_whole_environment(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SOMETHING_OF_OURS", "secret")
    platform = local_platform(
        tmp_path,
        env={"GREETING": "hello", "SECRET": "env:SHOP_SECRET"},
        environment={"SHOP_SECRET": "hunter2-and-more"},
    )
    with taken_down(platform, tmp_path):
        platform.bring_up(V14, deadline=SOON)
        found = dict(line.split("=", 1) for line in ask(platform.public_address(), "/env").splitlines())

    assert (found["VERSION"], found["COLOR"], found["GREETING"]) == ("1.4", "blue", "hello")
    assert found["SECRET"] == "hunter2-and-more"
    assert "SOMETHING_OF_OURS" not in found


def test_a_secret_is_in_no_file_and_in_no_argument(tmp_path: Path):
    platform = local_platform(
        tmp_path, env={"SECRET": "env:SHOP_SECRET"}, environment={"SHOP_SECRET": "hunter2-and-more"}
    )
    with taken_down(platform, tmp_path):
        platform.bring_up(V14, deadline=SOON)
        written = "".join(path.read_text() for path in platform.state.path.iterdir())
        arguments = " ".join(processes_of(tmp_path).values())

    assert "SHOP_SECRET" in written
    assert "hunter2" not in written + arguments


def test_restore_starts_what_was_deployed_and_not_what_the_plan_says_now(platform: Local, tmp_path: Path):
    platform.deploy(BLUE, V14, deadline=SOON)
    platform.stop(BLUE, grace=GRACE)
    edited = local_platform(tmp_path, command=["./nowhere"])

    edited.restore(BLUE, deadline=SOON)

    assert ask(platform.address(BLUE)) == "1.4 blue"


def test_a_process_that_was_being_stopped_when_its_command_was_killed_is_not_used_again(platform: Local):
    platform.deploy(BLUE, V14, deadline=SOON)
    before = platform.state.side(BLUE)
    platform.state.write_side(BLUE, before.as_stopped())

    platform.restore(BLUE, deadline=SOON)

    assert platform.state.side(BLUE).pid != before.pid
    assert not before.is_alive


def test_a_side_that_serves_nobody_and_cannot_start_does_not_keep_the_other_one_down(platform: Local):
    platform.bring_up(V14, deadline=SOON)
    with pytest.raises(StepFailed):
        platform.deploy(GREEN, Version("1.5-dies"), deadline=SOON)
    kill_side(platform, BLUE)

    done = platform.bring_up(V14, deadline=SOON)

    assert done[0] == "started blue again"
    assert done[1].startswith("green serves nobody and cannot be started again")
    assert ask(platform.public_address()) == "1.4 blue"


def test_new_settings_never_replace_the_colour_that_serves(platform: Local, tmp_path: Path):
    platform.bring_up(V14, deadline=SOON)
    edited = local_platform(tmp_path, env={"GREETING": "hello"})

    with pytest.raises(StepFailed) as failure:
        edited.deploy(BLUE, V14, deadline=SOON)

    assert failure.value.code == "colour-serves"
