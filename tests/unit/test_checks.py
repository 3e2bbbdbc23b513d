"""The checks: what is an answer, what is not, and that none of them holds us longer than its time."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fixtures.local import processes_of, until
from pydantic import ValidationError

from coordinator import discovery
from coordinator.adapters import web
from coordinator.model import Version
from coordinator.ports.checks import Answer, Subject

ANSWERS = {
    "/ready": (200, b"ready"),
    "/version": (200, b'{"version": "1.5"}'),
    "/shop/inside": (200, b""),
    "/missing": (404, b"nothing"),
    "/moved": (302, b""),
    "/big": (200, b"x" * web.BODY_LIMIT + b"needle"),
}


class Requests(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Location", "/ready")
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the client has read enough

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(kind: str, written: object, address: str, folder: Path = Path()) -> Answer:
    check = discovery.check(kind)
    subject = Subject(service="shop", version=Version("1.5"), address=address, folder=folder)
    return check.ask(check.spec.model_validate(written), subject)


# -- http -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("/ready", Answer(ok=True, detail="GET /ready answered 200")),
        ({"path": "/missing"}, Answer(ok=False, detail="GET /missing answered 404, not 200")),
        ({"path": "/missing", "status": 404}, Answer(ok=True, detail="GET /missing answered 404")),
        ({"path": "/version", "contains": "1.5"}, Answer(ok=True, detail="GET /version answered 200")),
        (
            {"path": "/version", "contains": "1.6"},
            Answer(ok=False, detail="GET /version answered 200 without '1.6'"),
        ),
        ("/moved", Answer(ok=False, detail="GET /moved answered 302, not 200")),
    ],
)
def test_http_compares_status_and_body_and_follows_no_redirect(address: str, written, answer):
    assert ask("http", written, address) == answer


def test_http_looks_at_no_more_of_a_body_than_its_limit(address: str):
    assert not ask("http", {"path": "/big", "contains": "needle"}, address).ok


def test_http_keeps_the_path_of_an_address(address: str):
    assert ask("http", "/inside", f"{address}/shop").ok


def test_http_takes_a_refused_connection_for_an_answer():
    with closing(socket.socket()) as reserved:  # nobody listens there, and nobody else can
        reserved.bind(("127.0.0.1", 0))
        answer = ask("http", "/ready", f"http://127.0.0.1:{reserved.getsockname()[1]}")

    assert answer == Answer(ok=False, detail="GET /ready: connection refused")


def test_http_takes_what_is_no_http_for_an_answer():
    def speak_gibberish(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail ready\r\n")

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=speak_gibberish, args=(server,))
        thread.start()
        answer = ask("http", "/ready", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()

    assert answer == Answer(ok=False, detail="GET /ready: not an HTTP answer (BadStatusLine)")


@pytest.mark.parametrize(
    "first_words",
    [b"", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
)
def test_http_is_not_held_by_a_server_that_drips(first_words: bytes):
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            try:
                connection.sendall(first_words)
                while not over.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                return

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        answer = ask("http", {"path": "/ready", "timeout": "300ms"}, address)
        over.set()
        thread.join()

    assert not answer.ok
    assert "within 0.3 s" in answer.detail


@pytest.mark.parametrize(
    "written",
    [
        "ready",
        {"path": "/a b"},
        {"path": "/ready", "contians": "x"},
        {"path": "/r", "status": "200"},
        {"path": "/r", "timeout": "0s"},
    ],
)
def test_http_refuses_what_it_does_not_understand(written):
    with pytest.raises(ValidationError):
        discovery.check("http").spec.model_validate(written)


# -- command --------------------------------------------------------------------------------------------


def python(source: str) -> list[str]:
    return ["python3", "-c", source]


def test_a_command_that_ends_with_zero_is_content_and_its_last_line_is_told(tmp_path: Path):
    answer = ask("command", python("print('one'); print('two')"), "http://x", tmp_path)

    assert answer == Answer(ok=True, detail="python3 ended with exit code 0: two")


def test_a_command_that_ends_with_anything_else_is_not_content(tmp_path: Path):
    answer = ask("command", python("import sys; sys.exit('no stock')"), "http://x", tmp_path)

    assert answer == Answer(ok=False, detail="python3 ended with exit code 1: no stock")


def test_a_command_runs_in_the_plans_folder_and_knows_whom_to_ask(tmp_path: Path):
    (tmp_path / "smoke.sh").write_text(
        '#!/bin/sh\necho "$COORDINATOR_URL $COORDINATOR_SERVICE $COORDINATOR_VERSION $(pwd)"\n'
    )
    (tmp_path / "smoke.sh").chmod(0o755)

    answer = ask("command", ["./smoke.sh"], "http://blue", tmp_path)

    assert answer == Answer(
        ok=True, detail=f"./smoke.sh ended with exit code 0: http://blue shop 1.5 {tmp_path}"
    )


def test_a_command_gets_no_shell(tmp_path: Path):
    answer = ask("command", [*python("import sys; print(sys.argv[1])"), "$HOME; rm *"], "http://x", tmp_path)

    assert answer.detail.endswith(": $HOME; rm *")


def test_a_command_is_killed_with_its_children_when_time_is_up(tmp_path: Path):
    sleeps = "import subprocess, sys, time; "
    sleeps += "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"

    answer = ask("command", {"argv": [*python(sleeps), str(tmp_path)], "timeout": "1s"}, "http://x", tmp_path)

    assert answer == Answer(ok=False, detail="python3 did not end within 1 s")
    until(lambda: processes_of(tmp_path) == {})  # SIGKILL is not waited for


def test_a_child_that_a_command_leaves_behind_neither_holds_us_nor_lives_on(tmp_path: Path):
    leaves = "import subprocess, sys; print('done'); "
    leaves += "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])"

    answer = ask("command", [*python(leaves), str(tmp_path)], "http://x", tmp_path)

    assert answer == Answer(ok=True, detail="python3 ended with exit code 0: done")
    until(lambda: processes_of(tmp_path) == {})  # SIGKILL is not waited for


def test_a_command_that_does_not_exist_is_not_content(tmp_path: Path):
    answer = ask("command", ["./nowhere"], "http://x", tmp_path)

    assert answer == Answer(ok=False, detail="./nowhere could not be started: No such file or directory")


def test_a_command_with_much_to_say_is_read_at_its_end(tmp_path: Path):
    answer = ask("command", python("print('x' * 10_000_000); print('the end')"), "http://x", tmp_path)

    assert answer.detail.endswith(": the end")


@pytest.mark.parametrize("written", [[], "./smoke.sh --all", [1], {"argv": ["a"], "timeout": 3}])
def test_a_command_refuses_what_it_does_not_understand(written):
    with pytest.raises(ValidationError):
        discovery.check("command").spec.model_validate(written)


# -- both -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "command"])
def test_an_editor_is_told_both_forms_of_a_check(kind: str):
    schema = discovery.check(kind).spec.model_json_schema()

    assert {each["type"] for each in schema["anyOf"]} == {"object", "string" if kind == "http" else "array"}
    assert json.dumps(schema)
