"""Boots the node of the tests for work by hand, says where it is in one line of JSON, and stays.

    python tests/cluster/node/up.py

It ends on SIGTERM or Ctrl-C; with --until-eof also when its standard input does, which is how a test run
holds one: a process that is killed can't keep its end of the pipe.
"""

from __future__ import annotations

import argparse
import json
import select
import signal
import sys
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fixtures.cluster_build import Missing
from fixtures.cluster_node import NoNode, booted, describe


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--until-eof", action="store_true", help="end with the standard input")
    until_eof = parser.parse_args().until_eof
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with booted() as layout:
            print(json.dumps(describe(layout)), flush=True)  # noqa: T201 - the result of this program
            select.select([sys.stdin] if until_eof else [], [], [])
    except (Missing, NoNode) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the same
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
