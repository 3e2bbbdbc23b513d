"""`coordinator plan --html FILE`: a file that is whole or as it was, beside what is printed as ever."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from fixtures.checkout import Checkout

PLAN = ("plan", "--set", "VERSION=1.4")


def files(checkout: Checkout) -> set[str]:
    return {path.name for path in checkout.folder.iterdir()}


def test_writes_a_page_and_tells_the_story_as_ever(checkout: Checkout):
    story = checkout.run(*PLAN).out
    before = files(checkout)

    ended = checkout.run(*PLAN, "--html", "release.html")

    assert ended.exit_code == 0, ended.err
    assert ended.out == story
    page = (checkout.folder / "release.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "Release shop-1.4" in page
    assert files(checkout) - before == {"release.html"}


def test_a_page_goes_with_every_form(checkout: Checkout):
    ended = checkout.run(*PLAN, "--output", "json", "--html", "release.html")

    assert ended.json("coordinator/plan/1")["release"] == "shop-1.4"
    assert (checkout.folder / "release.html").exists()


def test_a_page_knows_nothing_of_the_machine_that_made_it(checkout: Checkout):
    checkout.run(*PLAN, "--html", "release.html")

    assert str(checkout.folder) not in (checkout.folder / "release.html").read_text("utf-8")


def test_a_page_that_cannot_be_written_is_said_before_anything_is_asked(checkout: Checkout):
    checkout.run(*PLAN)
    before = files(checkout)

    ended = checkout.run(*PLAN, "--html", "nowhere/release.html")

    assert ended.exit_code == 2
    assert (
        "error[file-unwritable]: nowhere/release.html cannot be written: No such file or directory."
        in ended.err
    )
    assert (ended.out, files(checkout)) == ("", before)


def test_a_folder_is_no_page(checkout: Checkout):
    ended = checkout.run(*PLAN, "--html", "migrations")

    assert ended.exit_code == 2
    assert "is a directory" in ended.err


def test_a_page_takes_the_place_of_an_older_one_through_which_somebody_reads(checkout: Checkout):
    file = checkout.folder / "release.html"
    file.write_text("older")
    with file.open() as reader:
        checkout.run(*PLAN, "--html", "release.html")

        assert reader.read() == "older"
    assert file.read_text("utf-8").startswith("<!doctype html>")


def test_the_story_is_as_wide_as_the_terminal(checkout: Checkout):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    command = [sys.executable, "-m", "coordinator", *PLAN]

    done = subprocess.run(
        command,
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=slave,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    os.close(slave)
    shown = b""
    with os.fdopen(master, "rb", buffering=0) as reader:
        try:
            while chunk := reader.read(1 << 16):
                shown += chunk
        except OSError:  # Linux says EIO where the last writer has gone
            pass

    assert done.returncode == 0
    verdict = shown.decode().partition("Verdict: ")[2].splitlines()
    assert len(verdict) > 1
    assert max(map(len, verdict)) <= 60
