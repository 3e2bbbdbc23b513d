"""What a plan may say of a service on Kubernetes, and what is refused before anything happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec, label_value
from coordinator.load import load_text
from coordinator.model import Colour

LEAST = {"context": "prod", "namespace": "shop", "image": "registry.example/shop:1.5"}
PLAN = """\
version: 1
release: shop-1.5
databases:
  shop: {{engine: sqlite, url: env:URL, migrations: {{tool: goose, dir: .}}}}
services:
  shop:
    version: "1.5"
    platform:
      kubernetes:
        context: prod
        namespace: shop
        image: registry.example/shop:1.5
        {line}
"""


def codes_of(line: str) -> list[str]:
    """Load a plan with one more line in its settings, and return the codes of its problems."""
    loaded = load_text(PLAN.format(line=line), Path("plan.yaml"), settings={}, environment={"URL": ""})
    return [each.code for each in loaded.diagnostics]


def spec(**settings: object) -> KubernetesSpec:
    return KubernetesSpec.model_validate({**LEAST, **settings})


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("service: Shop", "bad-kubernetes-name"),
        ("service: 1shop", "bad-kubernetes-name"),
        ("service: shop-", "bad-kubernetes-name"),
        (f"service: {'s' * 64}", "bad-kubernetes-name"),
        ("container: a.b", "bad-kubernetes-name"),
        ("names: {blue: shop_blue, green: shop-green}", "bad-kubernetes-name"),
        ("names: {blue: shop..blue, green: shop-green}", "bad-kubernetes-name"),
        (f"names: {{blue: {'b' * 254}, green: shop-green}}", "bad-kubernetes-name"),
        ("names: {blue: shop, green: shop}", "repeated-value"),
        ("names: {blue: shop}", "missing-key"),
        ("env: {VERSION: x}", "variable-is-set"),
        ("env: {1A: x}", "bad-form"),
        ("env: {PASSWORD: 'env:PASSWORD'}", "secret-for-container"),
        ("env: {PASSWORD: 'file:secret'}", "secret-for-container"),
        ("service: shop\n        preview: shop", "repeated-value"),
        ("confirm: {path: /version, contains: ok}", "confirm-without-version"),
        ("confirm: {path: /version, contains: '{version}'}", "confirm-without-service"),
        ("confirm: {path: version, contains: '{version}'}", "bad-form"),
        ("service: a\n        confirm: {path: /v, contains: '{version}', times: 0}", "out-of-range"),
        ("connections: {port: 0, gauge: open}", "out-of-range"),
        ("connections: {port: 9090, gauge: 'open connections'}", "bad-form"),
        ("stable: 5", "bad-duration"),
        ("replicas: 3", "unknown-key"),
    ],
)
def test_refuses_a_setting_that_cannot_be_meant(line: str, code: str):
    assert codes_of(line) == [code]


@pytest.mark.parametrize(
    "url", ["shop.example", "ftp://shop.example", "http://", "http://h:99999", "http://h/?a=b", "http://u@h"]
)
def test_refuses_what_is_no_address_of_a_service(url: str):
    assert codes_of(f"url: '{url}'") == ["bad-url"]


def test_never_shows_a_password_of_an_address():
    loaded = load_text(
        PLAN.format(line="url: http://me:s3cret@shop.example"), Path("plan.yaml"), settings={}, environment={}
    )

    assert loaded.plan is None
    assert "s3cret" not in " ".join(map(str, loaded.diagnostics))


@pytest.mark.parametrize(
    "line",
    [
        "service: shop",
        "env: {GREETING: hello, CA: 'file:///etc/ca.pem', COUNT: 5, ON: 'yes'}",
        "url: http://127.0.0.1:30080/",
        "url: https://[::1]:8443",
        "service: a\n        confirm: {path: /version, contains: '\"{version}\"'}",
        "connections: {port: 9090, path: /metrics, gauge: shop_open_connections}",
        "names: {blue: blue.shop, green: green.shop}",
        "stable: 10s",
    ],
)
def test_takes_a_setting_that_fits(line: str):
    assert codes_of(line) == []


@pytest.mark.parametrize(
    "image",
    [
        "shop:1.5",
        "localhost/shop:1.4",
        "registry.example:5000/team/shop_api:v1.5-rc.1",
        "registry.example/shop@sha256:" + "0" * 64,
        "registry.example/shop:latest@sha256:" + "0" * 64,
    ],
)
def test_takes_an_image_that_says_what_runs(image: str):
    assert spec(image=image).image == image


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("shop", "image-not-pinned"),
        ("localhost:5000/shop", "image-not-pinned"),
        ("shop:latest", "image-not-pinned"),
        ("shop:1 5", "bad-image"),
        ("Shop:1.5", "bad-image"),
        ("shop:", "bad-image"),
        ("https://registry.example/shop:1.5", "bad-image"),
        ("shop@sha256:12", "bad-image"),
        ("", "bad-image"),
    ],
)
def test_refuses_an_image_of_which_nobody_could_tell_what_runs(image: str, code: str):
    text = PLAN.format(line="stable: 0s").replace("registry.example/shop:1.5", f'"{image}"')
    loaded = load_text(text, Path("plan.yaml"), settings={}, environment={"URL": ""})

    assert [each.code for each in loaded.diagnostics] == [code]
    assert loaded.diagnostics[0].place.line == text[: text.index("image:")].count("\n") + 1


def test_names_the_objects_of_a_service_after_it():
    assert [spec().deployment_name("shop", each) for each in Colour] == ["shop-blue", "shop-green"]
    named = spec(names={"blue": "a", "green": "b"})
    assert [named.deployment_name("shop", each) for each in Colour] == ["a", "b"]


def test_names_the_preview_after_the_service_that_clients_use():
    assert spec(service="front").preview_name("shop") == "front-preview"
    assert spec().preview_name("shop") == "shop-preview"
    assert spec(preview="tried").preview_name("shop") == "tried"


@given(st.text(max_size=200))
@example("1.5")
@example("x" * 64)
@example("feature/pay now!")
def test_a_label_value_is_one_that_kubernetes_takes(text: str):
    value = label_value(text)

    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    assert 1 <= len(value) <= 63
    assert value[0] in allowed
    assert value[-1] in allowed
    assert set(value) <= set(allowed + "._-")
    assert label_value(value) == value


def test_a_label_value_stays_readable_and_tells_texts_apart():
    assert label_value("v1.5-rc.1") == "v1.5-rc.1"
    assert label_value("1.5+build 7").startswith("1.5-build-7-")
    assert label_value("1.5+a") != label_value("1.5 a")
