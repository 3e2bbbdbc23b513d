"""The way into a cluster, by kubeconfigs and servers with real certificates: who gets in, who does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures.api_stub import ApiStub, Authority, answer, status

from coordinator.adapters.platforms._kubernetes import access
from coordinator.adapters.platforms._kubernetes.access import connect
from coordinator.errors import StepFailed

SHOP = "/api/v1/namespaces/shop"
FOUND = answer({"metadata": {"name": "shop"}})
UNAUTHORIZED = status(401, "Unauthorized", reason="Unauthorized")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("authority") / "ca")


def kubeconfig(
    folder: Path,
    server: str,
    *,
    name: str = "shop",
    user: dict[str, Any] | None = None,
    **cluster: object,
) -> str:
    """Write a kubeconfig with one context; JSON is YAML."""
    named = {key.replace("_", "-"): value for key, value in cluster.items()}
    file = folder / f"{name}.yaml"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": f"{name}-cluster", "cluster": {"server": server, **named}}],
        "users": [{"name": f"{name}-user", "user": user}] if user is not None else [],
        "contexts": [
            {
                "name": name,
                "context": {"cluster": f"{name}-cluster", **({"user": f"{name}-user"} if user else {})},
            }
        ],
    }
    file.write_text(json.dumps(content))
    return str(file)


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """Return a user whose credentials come from a plugin, a Python program."""
    program = folder / "plugin.py"
    program.write_text(script)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(program)],
            "interactiveMode": "Never",
        }
    }


def credential(expression: str) -> str:
    return (
        "import json, pathlib\n"
        f"status = {expression}\n"
        "kind = {'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential'}\n"
        "print(json.dumps(kind | {'status': status}))\n"
    )


def refusal(*args: Any, **settings: Any) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        connect(*args, **settings)
    return caught.value


# -- who gets in -------------------------------------------------------------------------------------------


def test_enters_by_a_token_over_a_certificate_that_it_checked(tmp_path, authority):
    with ApiStub(FOUND, tls=authority.server()) as stub:
        file = kubeconfig(
            tmp_path,
            stub.address,
            user={"token": "of-the-file"},
            certificate_authority=str(authority.certificate),
        )
        assert connect("shop", kubeconfig=file).get(SHOP) == {"metadata": {"name": "shop"}}

    assert stub.received[0].headers["authorization"] == "Bearer of-the-file"


def test_enters_by_a_certificate_of_its_own(tmp_path, authority):
    certificate, key = authority.sign("client")
    with ApiStub(FOUND, tls=authority.server(clients=True)) as stub:
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        file = kubeconfig(tmp_path, stub.address, user=user, certificate_authority=str(authority.certificate))
        assert connect("shop", kubeconfig=file).get(SHOP) == {"metadata": {"name": "shop"}}

    assert "authorization" not in stub.received[0].headers


def test_checks_the_name_that_the_kubeconfig_gives_the_server(tmp_path, authority):
    with ApiStub(FOUND, tls=authority.server(host="DNS:api.shop.example")) as stub:
        file = kubeconfig(
            tmp_path,
            stub.address,
            user={"token": "t"},
            certificate_authority=str(authority.certificate),
            tls_server_name="api.shop.example",
        )
        assert connect("shop", kubeconfig=file).get(SHOP) is not None


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_sends_no_token_to_a_server_that_cannot_prove_itself(tmp_path, authority, wrong):
    trusted = Authority.new(tmp_path / "other") if wrong == "authority" else authority
    host = "DNS:somebody.example" if wrong == "name" else "IP:127.0.0.1"
    with ApiStub(FOUND, tls=authority.server(host=host)) as stub:
        file = kubeconfig(
            tmp_path, stub.address, user={"token": "t"}, certificate_authority=str(trusted.certificate)
        )
        with pytest.raises(StepFailed) as caught:
            connect("shop", kubeconfig=file).get(SHOP)

    assert caught.value.code == "cluster-untrusted"
    assert stub.received == []


def test_finds_a_context_in_the_second_of_two_files(tmp_path, monkeypatch):
    with ApiStub(FOUND) as stub:
        other = kubeconfig(tmp_path, "http://127.0.0.1:1", name="other", user={"token": "o"})
        shop = kubeconfig(tmp_path, stub.address, user={"token": "s"})
        monkeypatch.setenv("KUBECONFIG", f"{other}:{tmp_path / 'absent'}:{shop}")
        connect("shop").get(SHOP)

    assert stub.received[0].headers["authorization"] == "Bearer s"


def test_needs_no_current_context_and_heeds_none(tmp_path):
    with ApiStub(FOUND) as stub:
        file = kubeconfig(tmp_path, stub.address, user={"token": "t"})
        content = json.loads(Path(file).read_text()) | {"current-context": "gone"}
        Path(file).write_text(json.dumps(content))

        assert connect("shop", kubeconfig=file).get(SHOP) is not None


def test_asks_through_the_proxy_of_the_kubeconfig(tmp_path):
    with ApiStub(FOUND) as proxy:
        file = kubeconfig(tmp_path, "http://127.0.0.1:1", user={"token": "t"}, proxy_url=proxy.address)
        connect("shop", kubeconfig=file).get(SHOP)

    assert proxy.asked() == [f"GET {SHOP}"]


def test_asks_past_the_proxy_where_the_environment_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with ApiStub(FOUND) as stub:
        file = kubeconfig(tmp_path, stub.address, user={"token": "t"})
        assert connect("shop", kubeconfig=file).get(SHOP) is not None


# -- plugins -----------------------------------------------------------------------------------------------


def test_enters_by_the_token_of_a_plugin(tmp_path):
    user = plugin(tmp_path, credential("{'token': 'of-the-plugin'}"))
    with ApiStub(FOUND) as stub:
        connect("shop", kubeconfig=kubeconfig(tmp_path, stub.address, user=user)).get(SHOP)

    assert stub.received[0].headers["authorization"] == "Bearer of-the-plugin"


def test_runs_the_plugin_again_when_its_token_is_refused(tmp_path):
    runs = tmp_path / "runs"
    runs.write_text("")
    user = plugin(
        tmp_path,
        f"import pathlib\nruns = pathlib.Path({str(runs)!r})\nruns.write_text(runs.read_text() + 'x')\n"
        + credential("{'token': 'number-' + str(len(runs.read_text()))}"),
    )
    with ApiStub(FOUND, UNAUTHORIZED, FOUND) as stub:
        api = connect("shop", kubeconfig=kubeconfig(tmp_path, stub.address, user=user))
        api.get(SHOP)
        api.get(SHOP)

    sent = [each.headers["authorization"] for each in stub.received]
    assert sent == ["Bearer number-1", "Bearer number-1", "Bearer number-2"]


def test_tells_why_a_plugin_failed_and_prints_nothing_itself(tmp_path, authority, capfd):
    script = "import sys\nprint('token: hidden')\nsys.exit('the login has expired')\n"
    file = kubeconfig(tmp_path, "https://127.0.0.1:1", user=plugin(tmp_path, script))
    error = refusal("shop", kubeconfig=file)

    assert error.code == "cluster-plugin-failed"
    assert "the login has expired" in error.why
    assert "hidden" not in str(error)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("script", ["print('no JSON: hidden')", credential("{'expires': 'hidden'}")])
def test_refuses_a_plugin_that_gives_no_credentials(tmp_path, script):
    error = refusal(
        "shop", kubeconfig=kubeconfig(tmp_path, "https://127.0.0.1:1", user=plugin(tmp_path, script))
    )

    assert error.code == "cluster-plugin-failed"
    assert "hidden" not in str(error)


def test_tells_that_a_plugin_is_not_installed(tmp_path):
    user = plugin(tmp_path, "")
    user["exec"]["command"] = "login-of-nobody"
    error = refusal("shop", kubeconfig=kubeconfig(tmp_path, "https://127.0.0.1:1", user=user))

    assert error.code == "cluster-plugin-failed"
    assert "`login-of-nobody`" in error.what
    assert "No such file" in error.why


def test_does_not_wait_for_ever_for_a_plugin(tmp_path, monkeypatch):
    monkeypatch.setattr(access, "_PLUGIN_SECONDS", 0.5)
    hangs = tmp_path / "hangs"
    script = f"import os, sys\nos.mkfifo({str(hangs)!r})\nopen({str(hangs)!r}).read()\n"
    file = kubeconfig(tmp_path, "https://127.0.0.1:1", user=plugin(tmp_path, script))
    error = refusal("shop", kubeconfig=file)
    if hangs.exists():
        hangs.open("w").close()  # lets the plugin end

    assert error.code == "cluster-plugin-failed"
    assert "0.5 s" in error.why


# -- what is refused ---------------------------------------------------------------------------------------


def test_names_the_context_that_was_meant(tmp_path):
    error = refusal("shpo", kubeconfig=kubeconfig(tmp_path, "https://127.0.0.1:1", user={"token": "t"}))

    assert error.code == "cluster-context-unknown"
    assert error.next_step == "Did you mean `shop`?"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "- a\n- list\n",
        "text",
        "\x00",
        "clusters: 5",
        "contexts: [{name: shop}]",
        "contexts: [{name: shop, context: {cluster: gone}}]",
        "contexts: [{name: shop, context: {}}]",
    ],
)
def test_says_that_a_file_is_no_kubeconfig(tmp_path, content):
    file = tmp_path / "config"
    file.write_text(content)
    error = refusal("shop", kubeconfig=str(file))

    assert error.code == "cluster-kubeconfig"
    assert str(file) in error.what


def test_says_that_there_is_no_kubeconfig(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    error = refusal("shop")

    assert error.code == "cluster-kubeconfig"
    assert "It does not exist" in error.why


def test_names_the_user_that_the_kubeconfig_lacks(tmp_path):
    file = Path(kubeconfig(tmp_path, "https://127.0.0.1:1", user={"token": "t"}))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"users": []}))
    error = refusal("shop", kubeconfig=str(file))

    assert error.code == "cluster-kubeconfig"
    assert "names a user `shop-user`, which it lacks" in error.why


def test_names_the_file_that_the_kubeconfig_names_and_that_is_not_there(tmp_path):
    file = kubeconfig(
        tmp_path, "https://127.0.0.1:1", user={"token": "t"}, certificate_authority=str(tmp_path / "no.crt")
    )
    error = refusal("shop", kubeconfig=file)

    assert error.code == "cluster-kubeconfig"
    assert "no.crt" in error.why


@pytest.mark.parametrize(
    ("server", "cluster"),
    [("https://127.0.0.1:1", {"insecure_skip_tls_verify": True}), ("http://api.shop.example", {})],
)
def test_refuses_a_server_that_anybody_could_play(tmp_path, server, cluster):
    marker = tmp_path / "ran"
    user = plugin(tmp_path, f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    error = refusal("shop", kubeconfig=kubeconfig(tmp_path, server, user=user, **cluster))

    assert error.code == "cluster-insecure"
    assert not marker.exists()


@pytest.mark.parametrize("user", [None, {}, {"username": "without-password"}])
def test_does_not_go_in_as_nobody(tmp_path, user):
    error = refusal("shop", kubeconfig=kubeconfig(tmp_path, "https://127.0.0.1:1", user=user))

    assert error.code == "cluster-credentials-missing"


# -- from inside of the cluster ----------------------------------------------------------------------------


def test_says_that_this_is_no_pod(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert refusal("in-cluster").code == "cluster-not-inside"


def test_enters_from_a_pod_by_its_account(tmp_path, authority, monkeypatch):
    (tmp_path / "token").write_text("of-the-pod")
    (tmp_path / "ca.crt").write_bytes(authority.certificate.read_bytes())
    monkeypatch.setattr(access, "_ACCOUNT", tmp_path)
    with ApiStub(FOUND, UNAUTHORIZED, FOUND, tls=authority.server()) as stub:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", stub.address.rpartition(":")[2])
        api = connect("in-cluster")
        api.get(SHOP)
        (tmp_path / "token").write_text("that-was-rotated")
        api.get(SHOP)

    sent = [each.headers["authorization"].lower() for each in stub.received]
    assert sent == ["bearer of-the-pod", "bearer of-the-pod", "bearer that-was-rotated"]


def test_loads_the_package_only_when_it_connects():
    code = (
        "import sys\n"
        "from coordinator.adapters.platforms._kubernetes import access, relay, rights\n"
        "print({'kubernetes', 'urllib3', 'yaml'} & set(sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout == "set()\n"
