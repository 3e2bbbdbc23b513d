"""How long a switch takes on a real cluster: from the patch to the first green answer, and to the last blue
one.

Two ways in one run, in turns, each in both directions: coordinator's switch (its look, the patch that tests
what was read, the wait until EndpointSlices and answers show it), and a bare replacement of the selector as
`kubectl patch` does it, without any check. Clients ask all the time, each time on a connection of its own.

    python bench/switch.py            50 switches of each; boots a node, or uses KUBECONFIG
    python bench/switch.py --count 10
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fixtures.cluster import obtained, until_served
from fixtures.cluster_clients import Stream
from fixtures.cluster_load import Load, loading
from fixtures.cluster_world import Echo

from coordinator.model import Colour, Version

VERSIONS = {Colour.BLUE: Version("1.4"), Colour.GREEN: Version("1.5")}
RATE = 200
CALM = 1.5
"""Seconds between two switches: kube-proxy writes rules once a second at most, and at once after a calm."""
SOON = timedelta(seconds=60)


class Way:
    """One way to switch, and what was measured of it, in seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spans: list[tuple[float, float, Colour]] = []
        self.took: list[float] = []

    def add(self, began: float, ended: float, to: Colour) -> None:
        self.spans.append((began, ended, to))
        self.took.append(ended - began)


def percentile(values: list[float], per_cent: float) -> float:
    return sorted(values)[max(0, math.ceil(per_cent / 100 * len(values)) - 1)]


def measure(echo: Echo, load: Load, count: int) -> tuple[Way, Way]:
    ours, bare = Way("coordinator"), Way("bare patch")
    path = f"/api/v1/namespaces/{echo.namespace}/services/{echo.service}"
    platform = echo.platform(VERSIONS[Colour.GREEN])
    platform.fence("bench@1")
    live = Colour.BLUE
    for _ in range(count):
        began = time.time()
        platform.switch(expected=live, to=live.other)
        answers = platform.after_switch(live.other, deadline=SOON)
        assert all(answer.ok for answer in answers), answers
        live = live.other
        ours.add(began, time.time(), live)
        load.wait_for(30, version=VERSIONS[live])
        time.sleep(CALM)
    for _ in range(count):
        began = time.time()
        echo.cluster.api.patch(path, {"spec": {"selector": {"color": live.other.value}}})
        live = live.other
        bare.add(began, time.time(), live)
        load.wait_for(30, version=VERSIONS[live])
        time.sleep(CALM)
    return ours, bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=50)
    count = parser.parse_args().count
    with obtained() as cluster, tempfile.TemporaryDirectory() as folder:
        namespace = f"bench-{int(time.time())}"
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        try:
            echo = Echo(cluster, namespace, Path(folder), settings={"confirm": None})
            echo.set_up()
            for colour, version in VERSIONS.items():
                echo.platform(version).deploy(colour, version, deadline=SOON)
            echo.platform().switch(expected=None, to=Colour.BLUE)
            until_served(f"{echo.url}/ready")
            with loading(echo.url, Stream(rate=RATE, path="/version")) as load:
                load.wait_for(100, version=VERSIONS[Colour.BLUE])
                ways = measure(echo, load, count)
                answers = load.stop()
        finally:
            cluster.api.delete(f"/api/v1/namespaces/{namespace}")
    print(f"{count} switches each way, {answers.told()}")
    print("| way | first new answer p50 / p99 | last old answer p50 / p99 | the call itself p50 / p99 |")
    print("|---|---|---|---|")
    for way in ways:
        first, last = [], []
        for began, _, to in way.spans:
            window = answers.between(began, began + 5)
            new = window.of(VERSIONS[to]).each
            first.append(min(answer.done for answer in new) - began)
            old = [answer.sent for answer in window.of(VERSIONS[to.other]).each if answer.sent < began + 1.5]
            last.append(max(old, default=began) - began)
        shown = [
            f"{percentile(values, 50) * 1000:.0f} / {percentile(values, 99) * 1000:.0f} ms"
            for values in (first, last, way.took)
        ]
        print(f"| {way.name} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
