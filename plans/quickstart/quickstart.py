"""`make quickstart`: the shop's release from 1.4 to 1.5 while clients write and read, from nothing to an end.

It starts a PostgreSQL, releases 1.4 with the first migration into it, sends requests through the router,
releases 1.5 with the other migrations, and counts what the clients met. All of it happens on a copy of this
folder in a temporary one, and nothing is left of it. With --mistake the copy gets one (broken/), that the
rehearsal, verification or monitoring finds: then the release has to end where it began.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import postgresql
from load import Load, Tally

HERE = Path(__file__).parent
LIVE, NEXT = "1.4", "1.5"
REFUSED = 3
"""The exit code of a release that nothing was done of."""
ENOUGH = 200
"""Requests that are served before the release begins, so that each client has met 1.4."""


def say(text: str) -> None:
    print(f"quickstart: {text}", flush=True)


@contextmanager
def checkout_of_live() -> Iterator[Path]:
    """Yield the shop's files as they were when 1.4 was released: with the first migration only."""
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        checkout = Path(folder)
        (checkout / "migrations").mkdir()
        shutil.copy(HERE / "migrations" / "00001_customers.sql", checkout / "migrations")
        shutil.copytree(HERE / "queries", checkout / "queries")
        for name in ("plan.yaml", "service.py", "smoke.py"):
            shutil.copy(HERE / name, checkout)
        yield checkout


def update_to_next(checkout: Path, *, mistake: str | None) -> None:
    """Bring what 1.5 comes with, and the mistake that somebody shall find."""
    shutil.copytree(HERE / "migrations", checkout / "migrations", dirs_exist_ok=True)
    if mistake is not None:
        shutil.copytree(HERE / "broken" / mistake, checkout, dirs_exist_ok=True)


class Shop:
    """The checkout and what `coordinator` does with it."""

    def __init__(self, checkout: Path, database_url: str) -> None:
        self._checkout = checkout
        self._environment = {**os.environ, "SHOP_DATABASE_URL": database_url}

    def release(self, version: str) -> int:
        """Run `coordinator run` in the open and return its exit code."""
        arguments = ["run", "plan.yaml", "--set", f"VERSION={version}"]
        print("\n$ coordinator " + " ".join(arguments), flush=True)
        child = self._start(arguments)
        try:
            return child.wait()
        except BaseException:
            child.terminate()  # it ends after the step at hand
            child.wait()
            raise
        finally:
            print(flush=True)

    def address(self) -> str:
        """Return where clients reach the shop."""
        arguments = ["local", "status", "plan.yaml", "--set", f"VERSION={LIVE}", "--output", "json"]
        child = self._start(arguments, stdout=subprocess.PIPE)
        text, _ = child.communicate()
        return str(json.loads(text)["services"]["shop"]["router"]["address"])

    def close(self) -> None:
        """Stop the router and both versions."""
        arguments = ["local", "down", "plan.yaml", "--set", f"VERSION={LIVE}"]
        with postgresql.undisturbed():
            self._start(arguments, stdout=subprocess.DEVNULL).wait()

    def _start(self, arguments: Sequence[str], *, stdout: int | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "coordinator", *arguments],
            cwd=self._checkout,
            env=self._environment,
            stdout=stdout,
        )


def wait_for(tally: Tally, *, more: int) -> None:
    """Return when the clients were served so many more times, or after ten seconds."""
    wanted, end = tally.served.total() + more, time.monotonic() + 10
    while tally.served.total() < wanted and time.monotonic() < end:
        time.sleep(0.05)


def verdict(exit_code: int, tally: Tally, *, mistake: str | None) -> str | None:
    """Return the last line of a quickstart that showed what it should; None if it did not."""
    served, failed = tally.served.total(), tally.failed()
    if mistake is None:
        is_good = exit_code == 0 and not failed and tally.served[NEXT]
        line = f"{LIVE} → {NEXT} released, {served} requests served, 0 failed"
    elif mistake == "rehearsal":
        is_good = exit_code == REFUSED and not failed and not tally.served[NEXT]
        line = f"{NEXT} refused before anything was done, {LIVE} serves, {served} requests served, 0 failed"
    elif mistake == "verify":
        is_good = exit_code == 1 and not failed and not tally.served[NEXT]
        line = f"{NEXT} refused by verification, back on {LIVE}, {served} requests served, 0 failed"
    else:
        bad = tally.failed(at_version=NEXT)
        is_good = exit_code == 1 and failed == bad
        line = (
            f"{NEXT} refused by monitoring, back on {LIVE}, {served} requests served, 0 failed at {LIVE},"
            f" {bad} answered with an error by {NEXT} while it served"
        )
    return line if is_good else None


def show_release(*, mistake: str | None) -> bool:
    """Do it all; return whether it went as it should."""
    with ExitStack() as stack:
        url = stack.enter_context(postgresql.running())
        say("PostgreSQL is up")
        checkout = stack.enter_context(checkout_of_live())
        shop = Shop(checkout, url)
        stack.callback(shop.close)
        if shop.release(LIVE) != 0:
            say(f"{LIVE} could not be released: the lines above say why")
            return False
        with Load(shop.address()) as tally:
            wait_for(tally, more=ENOUGH)
            say(f"6 clients write and read; {tally.served.total()} requests served by {LIVE} so far")
            update_to_next(checkout, mistake=mistake)
            exit_code = shop.release(NEXT)
            last = NEXT if mistake is None else LIVE
            wait_for(tally, more=ENOUGH)
        return report(exit_code, tally, mistake=mistake, last=last)


def report(exit_code: int, tally: Tally, *, mistake: str | None, last: str) -> bool:
    """Print how it ended; return whether that is what it should be."""
    for version in (LIVE, NEXT):
        say(
            f"{tally.served[version]} requests served by {version}, {tally.failed(at_version=version)} failed"
        )
    line = verdict(exit_code, tally, mistake=mistake)
    if line is None or tally.last_version != last:
        for version, what in tally.failures[:10]:
            say(f"failed at {version or 'no version'}: {what}")
        say(
            f"FAILED: coordinator ended with {exit_code}, {tally.last_version or 'nobody'} serves,"
            f" {tally.served.total()} requests served, {tally.failed()} failed"
        )
        return False
    say(line)
    return True


def interrupt(_signal: int, _frame: object) -> None:
    for each in postgresql.STOP:
        signal.signal(each, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleanup
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description="Release the shop from 1.4 to 1.5 under load.")
    choices = ("rehearsal", "verify", "monitor")
    parser.add_argument("--mistake", choices=choices, help="who finds the one that 1.5 has")
    mistake = parser.parse_args().mistake
    for each in postgresql.STOP:
        signal.signal(each, interrupt)
    try:
        return 0 if show_release(mistake=mistake) else 1
    except KeyboardInterrupt:
        say("interrupted; everything is stopped and removed")
        return 130


if __name__ == "__main__":
    sys.exit(main())
