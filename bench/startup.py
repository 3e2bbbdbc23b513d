"""How long people wait before a command begins to work: `--help` and `validate`, as ratios to bare Python.

A machine's speed varies more from minute to minute than these figures do, so the commands run in turns and
the medians of the turns are compared with each other, never with a time of another day. The processor's time
says what was computed and hardly hears the neighbours; the time on the clock says what somebody waited.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 25
QUICKSTART = Path(__file__).parent.parent / "plans" / "quickstart"
BARE = "python -c pass"
IMPORTS = "python -c 'import typer, pydantic, yaml'"
COMMANDS = {
    BARE: ["-c", "pass"],
    IMPORTS: ["-c", "import typer, pydantic, yaml"],
    "coordinator --help": ["-m", "coordinator", "--help"],
    "coordinator validate plan.yaml": ["-m", "coordinator", "validate", "plan.yaml"],
}
PROMISES = {"coordinator --help": (BARE, 8.0), "coordinator validate plan.yaml": (IMPORTS, 2.0)}
"""At most so many times as long as the other one."""


@dataclass(frozen=True)
class Cost:
    """One run of a command, in milliseconds."""

    wall: float
    processor: float


def cost_of(arguments: list[str]) -> Cost:
    environment = {
        **os.environ,
        "VERSION": "1.5",
        "SHOP_DATABASE_URL": "postgresql://nobody@localhost/nothing",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs, and so does this
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=QUICKSTART, env=environment
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{arguments} ended with {child.returncode}")
    return Cost(wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def medians_of(rounds: int) -> dict[str, Cost]:
    costs: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            costs[name].append(cost_of(arguments))
    return {
        name: Cost(
            statistics.median(each.wall for each in found),
            statistics.median(each.processor for each in found),
        )
        for name, found in costs.items()
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    medians_of(2)  # the first runs write .pyc files and fill the disk's cache
    medians = medians_of(rounds)
    print(f"{f'start-up, medians of {rounds} in turns':42} {'wall ms':>8} {'cpu ms':>7}")
    for name, cost in medians.items():
        print(f"{name:42} {cost.wall:8.0f} {cost.processor:7.0f}")
    for name, (other, limit) in PROMISES.items():
        wall = medians[name].wall / medians[other].wall
        processor = medians[name].processor / medians[other].processor
        print(
            f"{name}: {wall:.2f} (wall) and {processor:.2f} (cpu) times {other}; promised: at most {limit:g}"
        )


if __name__ == "__main__":
    main()
