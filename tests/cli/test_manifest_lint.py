"""The rules of Pods as a person meets them: where in the manifest, what, why and what to do, and whether the
command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.small_cluster import SmallCluster
from fixtures.checkout import Ended
from fixtures.small_release import MANIFEST, command, lay_out
from fixtures.small_release import web as service

PROBE = "          readinessProbe: {httpGet: {path: /ready, port: 8080}}\n"
WHAT = "Container `main` has no readinessProbe."
WHY = "Without one every Pod counts as ready, and traffic would move to what does not serve yet."
NEXT = "Add one that asks whether the service can do its work, its database included."
NO_PROBE = f"web.yaml:13:11 error[no-readiness-probe]: {WHAT} {WHY} {NEXT}\n"
SHORT_SLEEP = (
    "web.yaml:17:23 warning[no-stop-delay]: The preStop of container `main` waits 1 s, and 3 s is the least"
    " that helps. A Pod that ends at once refuses the connections of nodes that have not heard of it yet. Let"
    " it sleep for 5 s; on a large cluster, or behind a cloud's load balancer, for 15 s.\n"
)
COMMANDS = ("validate", "plan", "run")


@dataclass
class Web:
    cluster: SmallCluster
    folder: Path
    known: dict[str, str]

    """A plan and a manifest that keep every rule."""

    def write(self, old: str, new: str) -> None:
        """Change the manifest."""
        assert old in MANIFEST
        (self.folder / "web.yaml").write_text(MANIFEST.replace(old, new))

    def call(self, name: str, *arguments: str) -> Ended:
        more = ("--accept-unproven",) if name == "run" else ()
        return command(self.folder, name, "--set", "VERSION=1.5", *more, *arguments, **self.known)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with SmallCluster() as cluster:
        confirmed = service(url=cluster.clients, confirm={"path": "/version", "contains": "{version}"})
        yield Web(cluster, tmp_path, lay_out(tmp_path, port=cluster.port, web=confirmed))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_error_is_told_at_its_place_and_nothing_begins(web: Web, name: str):
    web.write(PROBE, "")

    ended = web.call(name)

    assert (ended.exit_code, ended.out, ended.err) == (2, "", NO_PROBE)
    assert web.cluster.asked == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_warning_is_told_at_its_place_and_the_command_goes_on(web: Web, name: str):
    web.write("seconds: 5}", "seconds: 1}")

    ended = web.call(name)

    assert ended.exit_code == 0
    assert ended.err.startswith(SHORT_SLEEP)
    assert ended.err.count("warning[") == 1
    assert "warning[" not in ended.out
    assert web.cluster.selected[-1] == ("blue" if name == "run" else "none")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_clean_manifest_has_nothing_told_of_it(web: Web, name: str):
    ended = web.call(name)

    assert ended.exit_code == 0
    assert "warning[" not in ended.err + ended.out
    assert "error[" not in ended.err + ended.out


def test_every_problem_is_told_in_the_order_of_the_file(web: Web):
    text = MANIFEST.replace(PROBE, "").replace("seconds: 5}", "seconds: 1}")
    text = text.replace("  replicas: 2\n", "  replicas: 1\n").replace("Seconds: 30", "Seconds: 3")
    (web.folder / "web.yaml").write_text(text)

    ended = web.call("validate")

    assert ended.exit_code == 2
    assert [line.split(": ")[0] for line in ended.err.splitlines()] == [
        "web.yaml:5:3 warning[single-pod]",
        "web.yaml:11:7 warning[grace-too-short]",
        "web.yaml:13:11 error[no-readiness-probe]",
        "web.yaml:16:23 warning[no-stop-delay]",
    ]


def test_a_worker_is_held_to_fewer_rules(web: Web):
    lay_out(web.folder, port=web.cluster.port, jobs=service(worker=True))
    web.write(PROBE, "")

    ended = web.call("validate")

    assert (ended.exit_code, ended.err) == (0, "")


def test_validate_shows_problems_as_json(web: Web):
    web.write(PROBE, "")

    wrong = web.call("validate", "--output", "json")
    web.write("seconds: 5}", "seconds: 1}")
    warned = web.call("validate", "--output", "json")
    web.write("seconds: 5}", "seconds: 5}")
    clean = web.call("validate", "--output", "json")

    ends = (wrong, warned, clean)
    assert [(each.exit_code, each.err) for each in ends] == [(2, ""), (0, ""), (0, "")]
    documents = [each.json("coordinator/validate/1") for each in ends]
    assert [each["valid"] for each in documents] == [False, True, True]
    assert documents[0]["diagnostics"] == [
        {
            "code": "no-readiness-probe",
            "severity": "error",
            "file": "web.yaml",
            "line": 13,
            "column": 11,
            "what": WHAT,
            "why": WHY,
            "next": NEXT,
        }
    ]
    [warning] = documents[1]["diagnostics"]
    assert (warning["severity"], warning["code"], warning["line"]) == ("warning", "no-stop-delay", 17)
    assert documents[2]["diagnostics"] == []


@pytest.mark.parametrize("name", ["plan", "run"])
def test_json_of_a_release_is_whole_or_has_the_problems_that_stand_on_stderr(web: Web, name: str):
    web.write(PROBE, "")
    wrong = web.call(name, "--output", "json")
    web.write("seconds: 5}", "seconds: 1}")
    warned = web.call(name, "--output", "json")

    assert (wrong.exit_code, wrong.err) == (2, NO_PROBE)
    [problem] = wrong.json("coordinator/problems/1")["diagnostics"]
    assert (problem["code"], problem["line"], problem["what"]) == ("no-readiness-probe", 13, WHAT)
    assert warned.exit_code == 0
    assert warned.json(f"coordinator/{name}/1")["release"] == "web-1.5"
    assert warned.err.startswith(SHORT_SLEEP)


def test_a_review_shows_problems_of_the_manifest_at_their_lines(web: Web):
    web.write(PROBE, "")

    gitlab = web.call("plan", "--output", "gitlab")
    github = web.call("plan", "--output", "github")

    assert (gitlab.exit_code, github.exit_code) == (2, 2)
    [finding] = json.loads(gitlab.out)
    assert finding["check_name"] == "no-readiness-probe"
    assert finding["location"] == {"path": "web.yaml", "lines": {"begin": 13}}
    assert "::error file=web.yaml,line=13,col=11" in github.out


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("kind: Deployment", "kind: StatefulSet", "manifest-other-object"),
        ("metadata: {name: web}\nspec:\n  replicas", "metadata: {}\nspec:\n  replicas", "bad-manifest"),
        ("image: web:0", "image: web:0\n          image: web:1", "bad-manifest"),
        ("apiVersion: apps/v1", "apiVersion: {{ .Values.version }}", "bad-manifest"),
    ],
)
def test_a_manifest_that_cannot_be_applied_is_told_before_anybody_is_asked(
    web: Web, old: str, new: str, code: str
):
    web.write(old, new)

    ended = web.call("run")

    assert (ended.exit_code, ended.out) == (2, "")
    assert f"error[{code}]" in ended.err
    assert web.cluster.asked == []
