"""A release over connections to the API server that are cut, before and after it did what was asked."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fixtures.cluster import Cluster
from fixtures.cluster_clients import Stream
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_world import Echo
from fixtures.cutting_proxy import CuttingProxy

pytestmark = pytest.mark.cluster

EACH = 5
"""Every fifth of what a client says over TLS: handshakes are cut as well as requests and answers."""


def test_a_release_over_connections_that_are_cut_fails_no_request(
    cluster: Cluster, namespace: str, tmp_path: Path, load, figure
):
    echo = Echo(cluster, namespace, tmp_path)
    echo.set_up()
    release = EchoRelease(echo)
    release.serve("1.4")
    clients = load(release.url, Stream(rate=30, path="/version"))
    clients.wait_for(10, version="1.4")
    server = urlsplit(cluster.api.configuration.host)

    with CuttingProxy(to=server.port or 443, host=server.hostname or "", each=EACH) as proxy:
        kubeconfig = release.account.kubeconfig(release.folder)
        written = json.loads(kubeconfig.read_text())
        known = written["clusters"][0]["cluster"]
        known.setdefault("tls-server-name", server.hostname)
        known["server"] = f"https://127.0.0.1:{proxy.port}"
        kubeconfig.write_text(json.dumps(written))
        ran = release.call("run", version="1.5")
        cuts = list(proxy.cuts)
    clients.wait_for(10, version="1.5")
    answers = clients.stop()

    figure("cut", {kind: cuts.count(kind) for kind in sorted(set(cuts))})
    figure("answers", answers.told())
    assert ran.code == 0, str(ran)
    assert len(cuts) >= 10
    assert (release.serves(), release.size("blue")) == ("green", 0)
    assert not answers.failed(), answers.told()
