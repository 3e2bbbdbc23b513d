"""Two coordinators that share nothing but the cluster: the one that comes last goes on, the other is fenced
off.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.cluster import Cluster
from fixtures.cluster_clients import Stream
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_release import running
from fixtures.cluster_world import Echo

pytestmark = pytest.mark.cluster

WAITS_FOR_GO = [{"command": ["sh", "-c", "while [ ! -e go ]; do sleep 0.1; done"]}]


def test_of_two_checkouts_without_a_shared_database_exactly_one_goes_on(
    cluster: Cluster, namespace: str, tmp_path: Path, load, figure
):
    echo = Echo(cluster, namespace, tmp_path / "here")
    echo.folder.mkdir()
    echo.set_up(replicas=1)
    first = EchoRelease(echo)
    first.serve("1.4")
    second = EchoRelease(replace(echo, folder=tmp_path / "elsewhere"))
    shutil.copytree(first.folder, second.folder, ignore=shutil.ignore_patterns(".coordinator"))
    clients = load(first.url, Stream(rate=20, path="/version"))

    second.lay_out()
    first.lay_out(verify=WAITS_FOR_GO)  # the account is one, and this plan needs more rights
    with running(first.start("run", version="1.5")) as late:
        first.wait_for_step("verify:echo")
        ran = second.call("run", version="1.5")
        before = first.service(), first.deployment("blue")["spec"], first.deployment("green")["spec"]
        (first.folder / "go").touch()
        out, _ = late.communicate(timeout=60)
    after = first.service(), first.deployment("blue")["spec"], first.deployment("green")["spec"]
    answers = clients.stop()

    figure("answers", answers.told())
    assert ran.code == 0, str(ran)
    assert late.returncode == 4, out
    assert "Another coordinator took over `echo`: pid" in out, out
    assert after == before
    assert (first.serves(), first.version("green"), first.size("blue")) == ("green", "1.5", 0)
    assert not answers.failed(), answers.told()
