"""What is read off Kubernetes objects: sizes, versions, endpoints, gauges, shares, and who works."""

from __future__ import annotations

import pytest

from coordinator.adapters.platforms._kubernetes import objects
from coordinator.adapters.platforms._kubernetes.checks import strangers_among
from coordinator.adapters.platforms._kubernetes.connections import gauge_from
from coordinator.adapters.platforms._kubernetes.service import nearest_size
from coordinator.adapters.platforms._kubernetes.workers import working
from coordinator.errors import StepFailed
from coordinator.model import Colour

BLUE, GREEN = Colour


def deployment(*, size: int | None = 2, marks: dict[str, str] | None = None, **status: int):
    wanted = {} if size is None else {"replicas": size}
    return {"metadata": {"generation": 3, "annotations": marks or {}}, "spec": wanted, "status": status}


def complete(**change: int):
    counts = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return deployment(**{**counts, **change})


def test_a_deployment_is_complete_when_every_pod_is_new_and_available():
    assert objects.is_complete(complete())


@pytest.mark.parametrize(
    "change", [{"observedGeneration": 2}, {"replicas": 3}, {"updatedReplicas": 1}, {"availableReplicas": 1}]
)
def test_a_deployment_is_not_complete_while_one_number_says_otherwise(change):
    assert not objects.is_complete(complete(**change))


def test_the_size_of_a_deployment_that_says_none_is_one():
    assert objects.size_of(deployment(size=None)) == 1
    assert objects.size_of(deployment(size=0)) == 0


def test_pods_of_an_older_template_are_not_counted_as_available():
    assert objects.available_of(complete(updatedReplicas=1)) == 1


@pytest.mark.parametrize(
    ("labels", "marks", "image", "version"),
    [
        ({"version": "1.5"}, {"coordinator/version": "1.5+exp/7"}, "shop:9", "1.5+exp/7"),
        ({"version": "1.5"}, {}, "shop:9", "1.5"),
        ({}, {}, "host:5000/team/shop:1.4", "1.4"),
        ({}, {}, "host:5000/team/shop:1.4@sha256:abc", "1.4"),
        ({}, {}, "host:5000/team/shop", None),
    ],
)
def test_a_version_is_what_was_written_down_else_the_label_else_the_tag(labels, marks, image, version):
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "shop", "image": image}]}}
    found = {"metadata": {"annotations": marks}, "spec": {"template": template}}

    assert objects.version_of(found, None) == version


def test_endpoints_that_end_or_are_not_ready_are_not_reached():
    def endpoint(name: str, **conditions: bool | None):
        return {"targetRef": {"uid": f"uid-{name}", "name": name}, "conditions": conditions}

    slices = [
        {"endpoints": [endpoint("a", ready=True), endpoint("b", ready=False)]},
        {"endpoints": [endpoint("c", ready=None), endpoint("d", ready=True, terminating=True)]},
        {"endpoints": None},
    ]

    assert objects.reachable_in(slices) == {"uid-a": "a", "uid-c": "c"}


def test_annotations_are_added_replaced_and_taken_away_in_one_patch():
    thing = {"metadata": {"annotations": {"coordinator/canary": "green"}}}

    operations = objects.annotate(thing, {"coordinator/live": "blue", "coordinator/canary": None})

    assert operations == [
        {"op": "add", "path": "/metadata/annotations/coordinator~1live", "value": "blue"},
        {"op": "remove", "path": "/metadata/annotations/coordinator~1canary"},
    ]


def test_an_object_without_annotations_gets_them_first():
    assert objects.annotate({"metadata": {}}, {"a": "1", "b": None}) == [
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/a", "value": "1"},
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("# TYPE open gauge\nopen 3\n", 3.0),
        ('open{port="a"} 1\nopen{port="b"} 2 1700000000\nopened 9\n', 3.0),
        ("open 0\n", 0.0),
        ("opened 9\n", None),
        ("open NaN\n", None),
        ("open many\n", None),
        ("", None),
    ],
)
def test_a_gauge_is_the_sum_of_its_samples_and_nothing_where_it_cannot_be_read(text, value):
    assert gauge_from(text, "open") == value


@pytest.mark.parametrize(
    ("beside", "percent", "size"), [(9, 10, 1), (9, 25, 3), (9, 50, 9), (4, 10, 1), (2, 50, 2), (1, 99, 99)]
)
def test_a_share_is_as_near_as_whole_pods_come_and_never_nothing(beside, percent, size):
    assert nearest_size(beside, percent) == size


@pytest.mark.parametrize("percent", range(1, 100))
@pytest.mark.parametrize("beside", [1, 2, 3, 7, 40])
def test_no_other_size_is_nearer_to_the_share(beside, percent):
    def error(size: int) -> float:
        return abs(100 * size / (size + beside) - percent)

    chosen = nearest_size(beside, percent)

    assert all(error(chosen) <= error(size) for size in range(1, 100 * beside))


def worker(size: int, since: int = 0):
    return deployment(size=size, marks={"coordinator/works-since": str(since)} if since else {})


@pytest.mark.parametrize(
    ("blue", "green", "works"),
    [
        (worker(1), None, BLUE),
        (worker(0), worker(1), GREEN),
        (worker(1, 3), worker(1), BLUE),
        (worker(1, 3), worker(1, 4), GREEN),
        (worker(0, 5), worker(1, 4), BLUE),
        (None, None, None),
        (worker(0), worker(0), None),
    ],
)
def test_the_marked_colour_works_else_the_only_one_that_runs(blue, green, works):
    assert working({BLUE: blue, GREEN: green}, name="mailer") is works


def test_nobody_guesses_which_of_two_unmarked_workers_works():
    with pytest.raises(StepFailed) as problem:
        working({BLUE: worker(1), GREEN: worker(1)}, name="mailer")

    assert problem.value.code == "worker-ambiguous"


def test_pods_of_neither_deployment_are_strangers():
    def pod(name: str, **labels: str):
        return {"metadata": {"name": name, "labels": labels}, "status": {}}

    deployments = {
        colour: {"spec": {"selector": {"matchLabels": {"app": "shop", "color": colour.value}}}}
        for colour in Colour
    }
    pods = [
        pod("mine", app="shop", color="blue"),
        pod("other", app="shop"),
        pod("foreign", app="mail", color="green"),
    ]

    assert strangers_among(pods, deployments) == ["other", "foreign"]
