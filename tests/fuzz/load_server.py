"""The loader behind a pipe: lengths and bytes in, codes or a traceback out; runs under limits of its own.

A crash of the C parser, a stack overflow or a runaway allocation ends this process, and the test sees it.
"""

from __future__ import annotations

import resource
import signal
import struct
import sys
import traceback
from pathlib import Path

from coordinator.load import load

SECONDS = 5
MEMORY = 1 << 30


def answer(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    # No handler: a hang kills the process, also inside C. CPU time, so that a busy machine changes nothing.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        loaded = load(path, settings={"N": "1"}, environment={"VERSION": "1.5", "BOMB": "x" * 100_000})
        assert (loaded.plan is None) == bool(loaded.diagnostics)
        assert all(str(each) for each in loaded.diagnostics)
        return " ".join(sorted({each.code for each in loaded.diagnostics}))
    except Exception:  # noqa: BLE001 - the test wants to see any of them
        return "Traceback: " + traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    path = Path(sys.argv[1])
    while header := sys.stdin.buffer.read(4):
        [length] = struct.unpack("<I", header)
        text = answer(path, sys.stdin.buffer.read(length)).encode()
        sys.stdout.buffer.write(struct.pack("<I", len(text)) + text)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
