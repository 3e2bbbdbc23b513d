"""How long people wait before a command begins to work: `--help` and `validate`, as ratios to bare Python.

A machine's speed varies more from minute to minute than these figures do, so the commands run in turns and
the medians of the turns are compared with each other, never with a time of another day.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
PLAN = Path(__file__).parent.parent / "plans" / "quickstart" / "plan.yaml"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import typer, pydantic, yaml'": ["-c", "import typer, pydantic, yaml"],
    "coordinator --help": ["-m", "coordinator", "--help"],
    "coordinator validate plan.yaml": ["-m", "coordinator", "validate", str(PLAN), "--set", "VERSION=1.5"],
}


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one run, in seconds."""
    environment = {**os.environ, "SHOP_DATABASE_URL": "postgresql://nobody@localhost/nothing"}
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begin


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    medians = {name: statistics.median(each) for name, each in times.items()}
    bare, imports = list(medians.values())[:2]
    print(f"{'start-up, median of ' + str(ROUNDS):42} {'ms':>6} {'x bare':>7} {'x imports':>10}")
    for name, median in medians.items():
        print(f"{name:42} {median * 1000:6.0f} {median / bare:7.1f} {median / imports:10.1f}")


if __name__ == "__main__":
    main()
