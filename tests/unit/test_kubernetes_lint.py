"""The rules of Pods that a switch rests on: each is broken once, and kept once; and the page has them all."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import Service

from coordinator.adapters.platforms._kubernetes.lint import lint_live
from coordinator.adapters.platforms._kubernetes.spec import Confirm, KubernetesSpec
from coordinator.adapters.platforms._kubernetes.workload_rules import RULES, delay_of, seconds_from
from coordinator.adapters.platforms.kubernetes import PLATFORM
from coordinator.diagnostics import Diagnostic, Severity
from coordinator.model import Colour, ServiceSpec, Worker

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kubernetes-platform.md"
SPEC = KubernetesSpec(
    context="prod",
    namespace="shop",
    service="web",
    deployment="web.yaml",
    image="registry.example/web:1.5",
    confirm=Confirm(path="/version", contains="{version}"),
)
GOOD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 0}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
        - name: main
          image: web:0
          readinessProbe: {httpGet: {path: /ready, port: 8080}}
          livenessProbe: {httpGet: {path: /health, port: 8080}}
          lifecycle: {preStop: {sleep: {seconds: 5}}}
        - name: proxy
          image: registry.example/proxy:1.30
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
"""
AUTOSCALER = """\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {kind: Deployment, name: web}, minReplicas: %d, maxReplicas: 9}
"""
BUDGET = GOOD[GOOD.index("---") :]
PRE_STOP = "          lifecycle: {preStop: {sleep: {seconds: 5}}}\n"


def service(**settings: Any) -> ServiceSpec:
    spec = SPEC.model_copy(update={"container": "main", **settings})
    return replace(Service().spec("web"), platform_spec=spec)


def worker() -> ServiceSpec:
    return replace(service(service=None), worker=Worker.OVERLAP)


def lint(text: str, folder: Path, spec: ServiceSpec | None = None) -> tuple[Diagnostic, ...]:
    (folder / "web.yaml").write_text(text)
    return PLATFORM.lint(spec or service(), folder=folder)


def without(text: str, part: str, new: str = "") -> str:
    assert part in text
    return text.replace(part, new, 1)


def live(**changes: Any) -> dict[str, Any]:
    """Return a Deployment as a cluster has it, that breaks no rule."""
    container = {
        "name": "main",
        "image": "registry.example/web:1.4",
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "env": [{"name": "COLOR", "value": "blue"}],
    }
    return {
        "metadata": {"name": "web-blue"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web", "color": "blue"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": "web", "color": "blue"}},
                "spec": {"terminationGracePeriodSeconds": 30, "containers": [container]},
            },
            **changes,
        },
    }


def test_a_manifest_that_keeps_every_rule_has_no_problem(tmp_path: Path):
    assert lint(GOOD, tmp_path) == ()


BROKEN = {
    "no-readiness-probe": (
        without(GOOD, "          readinessProbe: {httpGet: {path: /ready, port: 8080}}\n"),
        13,
    ),
    "probes-are-the-same": (without(GOOD, "/health", "/ready"), 16),
    "no-stop-delay": (without(GOOD, PRE_STOP), 13),
    "grace-too-short": (without(GOOD, "Seconds: 30", "Seconds: 9"), 11),
    "pods-may-be-missing": (without(GOOD, "maxUnavailable: 0", "maxUnavailable: 1"), 7),
    "recreates-pods": (without(GOOD, "{rollingUpdate: {maxUnavailable: 0}}", "{type: Recreate}"), 7),
    "no-disruption-budget": (without(GOOD, BUDGET), 1),
    "single-pod": (without(GOOD, "replicas: 2", "replicas: 1"), 5),
    "port-of-node": (
        without(GOOD, "image: web:0", "image: web:0\n          ports: [{containerPort: 80, hostPort: 80}]"),
        15,
    ),
    "image-moves": (without(GOOD, "proxy:1.30", "proxy:latest"), 18),
    "version-in-selector": (
        GOOD.replace("{app: web}", "{app: web, version: '1'}"),
        6,
    ),
    "sets-our-variable": (
        without(GOOD, "image: web:0", "image: web:0\n          env: [{name: COLOR, value: red}]"),
        15,
    ),
}


@pytest.mark.parametrize("code", BROKEN)
def test_tells_which_rule_is_broken_and_in_which_line(code: str, tmp_path: Path):
    text, line = BROKEN[code]

    [found] = lint(text, tmp_path)

    assert (found.code, found.place.line) == (code, line)
    assert found.place.file == str(tmp_path / "web.yaml")
    assert found.what.endswith(".")
    assert found.why.endswith(".")
    assert found.next_step.endswith(".")


def test_each_rule_is_broken_here_and_stands_on_the_page():
    codes = [rule.code for rule in RULES]
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning) \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert {*BROKEN, "selector-without-colour"} == set(codes)
    assert rows == [(rule.code, str(rule.severity)) for rule in RULES]


def test_tells_all_problems_at_once_in_the_order_of_the_file(tmp_path: Path):
    text = without(without(GOOD, PRE_STOP), "replicas: 2", "replicas: 1")

    assert [each.code for each in lint(text, tmp_path)] == ["single-pod", "no-stop-delay"]


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("no-stop-delay", "seconds: 5", "seconds: 2"),
        ("no-stop-delay", "sleep: {seconds: 5}", "exec: {command: [/bin/sleep, '1']}"),
        ("grace-too-short", "seconds: 5", "seconds: 26"),
        ("grace-too-short", "sleep: {seconds: 5}", "exec: {command: [/echo, sleep, 28s]}"),
        ("pods-may-be-missing", "maxUnavailable: 0", "maxUnavailable: 50%"),
        ("port-of-node", "terminationGracePeriodSeconds: 30", "hostNetwork: true"),
        ("image-moves", "registry.example/proxy:1.30", "registry.example:5000/proxy"),
        ("image-moves", "containers:", "initContainers: [{name: init, image: init}]\n      containers:"),
        ("version-in-selector", "matchLabels: {app: web}", "matchLabels: {app: web, release: a}"),
    ],
)
def test_sees_a_broken_rule_in_every_form(code: str, old: str, new: str, tmp_path: Path):
    text = without(GOOD, old, new).replace("labels: {app: web}", "labels: {app: web, release: a}")

    assert [each.code for each in lint(text, tmp_path)] == [code]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("livenessProbe: {httpGet: {path: /health, port: 8080}}", "imagePullPolicy: Never"),
        ("sleep: {seconds: 5}", "exec: {command: [/app, sleep, 3s]}"),
        ("sleep: {seconds: 5}", "exec: {command: [sh, -c, 'sleep 5; nginx -s quit']}"),
        ("sleep: {seconds: 5}", "httpGet: {path: /drain, port: 8080}"),
        ("maxUnavailable: 0", "maxUnavailable: 25%"),
        ("maxUnavailable: 0", "maxSurge: 1"),
        ("terminationGracePeriodSeconds: 30", "serviceAccountName: web"),
        ("proxy:1.30", "proxy@sha256:" + "0" * 64),
        ("labels: {app: web}", "labels: {app: web, version: '0'}"),
    ],
)
def test_says_nothing_of_what_is_as_good(old: str, new: str, tmp_path: Path):
    assert lint(without(GOOD, old, new), tmp_path) == ()


def test_looks_at_the_least_that_an_autoscaler_may_choose(tmp_path: Path):
    assert lint(GOOD + AUTOSCALER % 2, tmp_path) == ()
    assert [each.code for each in lint(GOOD + AUTOSCALER % 1, tmp_path)] == ["single-pod"]


def test_a_default_of_kubernetes_counts_as_if_it_were_written(tmp_path: Path):
    text = without(
        without(GOOD, "  strategy: {rollingUpdate: {maxUnavailable: 0}}\n"), "replicas: 2", "replicas: 8"
    )

    [found] = lint(text, tmp_path)

    assert found.code == "pods-may-be-missing"
    assert "2 of 8 Pods" in found.what


def test_a_single_pod_needs_no_budget(tmp_path: Path):
    text = without(without(GOOD, BUDGET), "replicas: 2", "replicas: 1")

    assert [each.code for each in lint(text, tmp_path)] == ["single-pod"]


def test_a_worker_has_no_traffic_that_could_be_dropped(tmp_path: Path):
    bare = without(without(BROKEN["no-readiness-probe"][0], PRE_STOP), "replicas: 2", "replicas: 1")

    assert lint(bare, tmp_path, worker()) == ()
    assert [each.code for each in lint(BROKEN["image-moves"][0], tmp_path, worker())] == ["image-moves"]


def test_only_what_breaks_a_release_for_certain_is_an_error():
    assert {rule.code for rule in RULES if rule.severity is Severity.ERROR} == {
        "no-readiness-probe",
        "version-in-selector",
        "selector-without-colour",
    }


ODD: tuple[object, ...] = (None, "", -1, 1.5, True, [], {}, "x", ["a"], [{}], {"a": 1}, [None], "5%")


def _paths(value: object, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield above
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        yield from _paths(below, (*above, key))


def _with(documents: list[Any], path: tuple[str | int, ...], value: object) -> list[Any]:
    result = copy.deepcopy(documents)
    place: Any = result
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return result


def test_a_manifest_with_anything_anywhere_is_read_or_refused_with_a_place(tmp_path: Path):
    text = BROKEN["port-of-node"][0].replace("image: web:0", "image: web:0\n          env: [{name: A}]")
    documents = list(yaml.safe_load_all(text + AUTOSCALER % 2))
    refused = 0

    for path in list(_paths(documents))[1:]:
        for value in ODD:
            odd = yaml.safe_dump_all(_with(documents, path, value))
            found = lint(odd, tmp_path)
            refused += any(each.severity is Severity.ERROR for each in found)
            assert all(each.place.file for each in found)

    assert refused > 500


# -- the settings --------------------------------------------------------------------------------------------


def test_a_service_has_either_traffic_or_work(tmp_path: Path):
    neither = service(service=None)
    both = replace(service(), worker=Worker.HANDOVER)

    for spec in (neither, both):
        [found] = lint(GOOD, tmp_path, spec)
        assert (found.code, found.place) == ("service-or-worker", spec.place)


def test_a_switch_that_nobody_confirms_at_the_clients_address_is_warned_of(tmp_path: Path):
    [found] = lint(GOOD, tmp_path, service(confirm=None))

    assert (found.code, found.severity, found.place) == ("no-confirm", Severity.WARNING, service().place)
    assert (
        lint(
            GOOD, tmp_path, replace(worker(), platform_spec=service(service=None, confirm=None).platform_spec)
        )
        == ()
    )


def test_a_preview_has_a_name_that_kubernetes_takes(tmp_path: Path):
    name = "w" * 60

    assert [each.code for each in lint(GOOD, tmp_path, service(service=name))] == ["bad-kubernetes-name"]
    assert lint(GOOD, tmp_path, service(service=name, preview="tried")) == ()


def test_a_manifest_that_is_not_there_is_told_at_the_plans_service(tmp_path: Path):
    [found] = PLATFORM.lint(service(), folder=tmp_path)

    assert (found.code, found.place) == ("file-missing", service().place)


# -- in the cluster ------------------------------------------------------------------------------------------


def test_deployments_that_are_there_keep_the_same_rules():
    without_manifest = service(deployment=None)
    bare = live()
    del bare["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]

    assert lint_live(without_manifest, {Colour.BLUE: live(), Colour.GREEN: None}) == ()
    [found] = lint_live(without_manifest, {Colour.BLUE: bare, Colour.GREEN: live()})
    assert (found.code, str(found.place)) == ("no-readiness-probe", "deployment/web-blue")


@pytest.mark.parametrize("deployment", [None, "web.yaml"])
def test_a_selector_without_a_colour_is_told_whoever_made_it(deployment: str | None):
    shared = live(selector={"matchLabels": {"app": "web"}})

    [found] = lint_live(service(deployment=deployment), {Colour.BLUE: shared, Colour.GREEN: None})

    assert found.code == "selector-without-colour"


def test_with_a_manifest_the_next_release_mends_the_rest():
    bare = live()
    del bare["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]

    assert lint_live(service(), {Colour.BLUE: bare, Colour.GREEN: None}) == ()


# -- how long a preStop takes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("3s", 3), ("1m30s", 90), ("500ms", 0.5), ("0.5", 0.5), ("2h", 7200), ("", None), ("x", None)],
)
def test_reads_durations_as_sleep_and_go_write_them(text: str, seconds: float | None):
    assert seconds_from(text) == seconds


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ({"sleep": {"seconds": 7}}, 7),
        ({"exec": {"command": ["/bin/sleep", "10"]}}, 10),
        ({"exec": {"command": ["/echo", "sleep", "3s"]}}, 3),
        ({"exec": {"command": ["/bin/sh", "-c", "touch /x && sleep 4"]}}, 4),
        ({"exec": {"command": ["/drain.sh"]}}, None),
        ({"exec": {"command": ["/oversleep", "4"]}}, None),
        ({"exec": {"command": "sleep 4"}}, None),
        ({"httpGet": {"port": 80}}, None),
        ({"sleep": {"seconds": "many"}}, None),
        (None, None),
    ],
)
def test_knows_how_long_a_pre_stop_sleeps_or_that_it_does_not_know(hook: object, seconds: float | None):
    assert delay_of({"lifecycle": {"preStop": hook}}) == seconds
