"""What a terminal, a pipe and a log get; and that a release never depends on who reads it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import pytest
import yaml
from fixtures.checkout import Checkout, waiting_check

ESCAPE = "\x1b["
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
RUN = [sys.executable, "-m", "coordinator", "run", "--set", "VERSION=1.4"]


def test_a_log_gets_a_line_an_event_with_its_time_and_no_escapes(checkout: Checkout):
    ended = checkout.release("1.4")

    assert re.search(r"^\d\d:\d\d:\d\d ✔ switch:shop  [0-9.]+ s  nobody → blue$", ended.err, re.MULTILINE)
    assert ESCAPE not in ended.err + ended.out


def test_force_color_colours_a_log_and_no_color_wins(checkout: Checkout):
    forced = checkout.run("run", "--set", "VERSION=1.4", FORCE_COLOR="1")
    refused = checkout.run("run", "--set", "VERSION=1.5", FORCE_COLOR="1", NO_COLOR="1")

    assert COLOUR.search(forced.err)
    assert ESCAPE not in refused.err


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_release_goes_on_when_its_reader_left(checkout: Checkout, stream):
    reader, writer = os.pipe()
    os.close(reader)

    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writer}
    done = subprocess.run(RUN, cwd=checkout.folder, env=checkout.environment, check=False, **streams)
    os.close(writer)

    assert done.returncode == 0
    assert checkout.serving() == "1.4"


def test_a_release_goes_on_without_any_stream(checkout: Checkout):
    command = f"exec {shlex.join(RUN)} <&- >&- 2>&-"

    done = subprocess.run(command, shell=True, cwd=checkout.folder, env=checkout.environment, check=False)

    assert done.returncode == 0
    assert checkout.serving() == "1.4"


def test_a_terminal_without_our_signs_gets_plain_ones(checkout: Checkout):
    ended = checkout.run("run", "--set", "VERSION=1.4", PYTHONIOENCODING="ascii")

    assert ended.exit_code == 0
    assert "+ switch:shop" in ended.err
    assert "nobody -> blue" in ended.err
    assert ended.err.isascii()


def test_what_has_no_plain_form_is_escaped_and_ends_no_command(checkout: Checkout):
    ended = checkout.run("run", "pläne.yaml", PYTHONIOENCODING="ascii")

    assert ended.exit_code == 2
    assert "pl\\xe4ne.yaml error[file-missing]" in ended.err


class Terminal:
    """A terminal of `columns` and `lines` that a release draws on."""

    def __init__(
        self, checkout: Checkout, command: Sequence[str], *, columns: int, lines: int, **environment: str
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            cwd=checkout.folder,
            env=checkout.environment | {"TERM": "xterm-256color"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=slave,
        )
        os.close(slave)

    def chunks(self) -> Iterator[str]:
        """Yield what is drawn, as it comes, until the command has ended."""
        while True:
            try:
                chunk = os.read(self._master, 1 << 16)
            except OSError:  # Linux says EIO where the last writer has gone
                return
            yield chunk.decode(errors="replace")

    def vanish(self) -> None:
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._master != -1:
            os.close(self._master)


@contextmanager
def terminal(
    checkout: Checkout,
    command: Sequence[str] = RUN,
    *,
    columns: int = 80,
    lines: int = 24,
    **environment: str,
):
    del checkout.environment["COLUMNS"]
    with closing(Terminal(checkout, command, columns=columns, lines=lines, **environment)) as opened:
        yield opened


def test_a_terminal_shows_every_step_in_place_and_keeps_the_last_state(checkout: Checkout):
    with terminal(checkout) as shown:
        drawn = "".join(shown.chunks())

    assert shown.process.returncode == 0
    assert COLOUR.search(drawn)
    last = drawn.rpartition("▶")[2]
    assert "release-lease" in last
    assert drawn.count("Verdict") == 1


def test_a_terminal_without_colour_is_drawn_without_colour(checkout: Checkout):
    with terminal(checkout, NO_COLOR="1") as shown:
        drawn = "".join(shown.chunks())

    assert "✔ switch:shop" in drawn
    assert not COLOUR.search(drawn)


def test_a_dumb_terminal_gets_plain_lines(checkout: Checkout):
    with terminal(checkout, TERM="dumb") as shown:
        drawn = "".join(shown.chunks())

    assert "✔ switch:shop  " in drawn
    assert ESCAPE not in drawn


def test_no_line_of_the_drawing_is_wider_than_the_terminal(checkout: Checkout):
    checkout.migration(2, "a_name_that_is_much_longer_than_the_terminal_is_wide", "SELECT 1;")
    checkout.migration(2, "a_name_that_is_much_longer_than_the_terminal_is_wide", "DROP TABLE IF EXISTS no;")
    with terminal(checkout, columns=50) as shown:
        drawn = "".join(shown.chunks())

    drawing = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.partition("Verdict")[2].partition("✔")[2])
    assert max(len(line) for line in re.split(r"[\r\n]+", drawing)) <= 50


def test_a_release_goes_on_when_its_terminal_vanishes(checkout: Checkout):
    checkout.write_plan(verify=[waiting_check()])
    with terminal(checkout) as shown:
        next(chunk for chunk in shown.chunks() if "verify:shop" in chunk)
        checkout.until_waiting()
        shown.vanish()
        checkout.go()

        assert shown.process.wait(60) == 0
    assert checkout.serving() == "1.4"


def test_the_shell_completes_commands(checkout: Checkout):
    completed = checkout.run(
        _COORDINATOR_COMPLETE="complete_bash", COMP_WORDS="coordinator ro", COMP_CWORD="1"
    )

    assert completed.out.split() == ["rollback"]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_terminal_tells_how_far_a_rehearsal_is_and_nothing_of_it_stays(checkout: Checkout, command: str):
    (checkout.folder / "queries").mkdir()
    (checkout.folder / "queries" / "users.sql").write_text("-- name: GetUser :one\nSELECT id FROM users;\n")
    file = checkout.folder / "plan.yaml"
    plan = yaml.safe_load(file.read_text())
    plan["services"]["shop"]["queries"] = {"sql": "queries"}
    file.write_text(yaml.safe_dump(plan))
    argv = [sys.executable, "-m", "coordinator", command, "--set", "VERSION=1.4"]

    with terminal(checkout, argv, columns=50, XDG_CACHE_HOME=str(checkout.folder / "empty")) as shown:
        drawn = "".join(shown.chunks())

    told = re.findall(r"\r\x1b\[2K(Rehearsing [^\r]*)\r", drawn)
    assert told[0].startswith("Rehearsing shop, 0 %: 0")
    assert max(map(len, told)) < 50
    assert drawn.rpartition(told[-1])[2].startswith("\r\r\x1b[2K")
