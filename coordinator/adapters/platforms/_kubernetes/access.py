"""The way into a cluster: a context of the kubeconfig, or the Pod's own ServiceAccount.

Files, merging, exec plugins and the refreshing of tokens are the `kubernetes` package's; what it would pass
over in silence (a plugin that fails, a context without credentials, a certificate that nobody checks) is
refused here, with a next step. No message holds a token: a plugin's standard output is never shown.

The package is imported in functions only: it costs half a second, once, when the first service connects.
There is no cheaper door, for `import kubernetes.config` runs the package's `__init__`, which imports the
client, the dynamic client, watch and the leader election all the same; of the models none is loaded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread, get_ident
from typing import Any, Final
from urllib.parse import urlsplit

from coordinator.adapters.platforms._kubernetes.api import PATIENCE, Api
from coordinator.adapters.platforms._kubernetes.wire import Door
from coordinator.diagnostics import did_you_mean
from coordinator.errors import StepFailed

IN_CLUSTER: Final = "in-cluster"
_DEFAULT: Final = "~/.kube/config"
_PLUGIN_SECONDS: Final = 120.0
"""An exec plugin may ask a person to log in with a browser; it may not hang for ever."""
_POOL: Final = 32
"""Connections that are kept; more are opened when needed, and closed after their request."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def connect(context: str, *, kubeconfig: str | None = None, patience: float = PATIENCE) -> Api:
    """Return the API server of a kubeconfig's context, or of the Pod that we run in (`in-cluster`).

    Reads the files and runs an exec plugin; sends nothing to the server yet. `kubeconfig` is as in the
    variable KUBECONFIG, which is the default, and `~/.kube/config` where that is unset. `patience` is for how
    many seconds a call goes on asking a server that is away.

    Raises:
        StepFailed: `cluster-kubeconfig`, `cluster-context-unknown`, `cluster-insecure`,
            `cluster-credentials-missing`, `cluster-plugin-failed`, `cluster-not-inside`.
    """
    if context == IN_CLUSTER:
        return Api(partial(_enter_from_pod, _ACCOUNT), context=context, patience=patience)
    files = kubeconfig or os.environ.get("KUBECONFIG") or _DEFAULT
    return Api(partial(_enter_by_context, context, files), context=context, patience=patience)


# -- from outside ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """A context of the kubeconfig with what it names."""

    context: str
    files: str
    cluster: Mapping[str, Any]
    user_name: str
    user: Mapping[str, Any]


def _enter_by_context(context: str, files: str) -> Door:
    entry = _entry_of(context, files)
    _refuse_insecure(entry)
    configuration = _package().client.Configuration()
    said = _load(configuration, entry)
    if proxy := entry.cluster.get("proxy-url"):
        configuration.proxy = proxy  # the package honours it from version 37 only
    _refuse_stranger(entry, configuration, said)
    return _door(configuration)


def _entry_of(context: str, files: str) -> _Entry:
    """Read the kubeconfig for what the package does not tell: which contexts there are, what one lacks."""
    paths = [path for path in files.split(os.pathsep) if path]
    if not any(Path(path).expanduser().exists() for path in paths):
        raise _unusable(files, "It does not exist", next_step="Set KUBECONFIG, or log in to the cluster.")
    with _configuration_errors(files):
        merged = _package().config.kube_config.KubeConfigMerger(files).config.value
        contexts, clusters, users = (
            {each.value["name"]: each.value[kind] or {} for each in merged[f"{kind}s"]}
            for kind in ("context", "cluster", "user")
        )
        if context not in contexts:
            raise _context_unknown(context, files, contexts)
        cluster, user = contexts[context].get("cluster"), contexts[context].get("user")
        for kind, name, known in (("cluster", cluster, clusters), ("user", user, users)):
            if name and name not in known:
                raise _unusable(files, f"Its context `{context}` names a {kind} `{name}`, which it lacks")
        return _Entry(context, files, clusters[cluster], user or "", users[user] if user else {})


def _refuse_insecure(entry: _Entry) -> None:
    """Refuse a server that anybody could play: our token, and the Secrets that it reads, would be theirs."""
    where = urlsplit(str(entry.cluster.get("server", "")))
    if entry.cluster.get("insecure-skip-tls-verify"):
        what = "does not check the server's certificate (`insecure-skip-tls-verify`)"
    elif where.scheme != "https" and where.hostname not in _LOOPBACK:
        what = f"reaches its server without TLS (`{where.scheme}://{where.hostname}`)"
    else:
        return
    raise StepFailed(
        "cluster-insecure",
        f"The context `{entry.context}` of {entry.files} {what}.",
        why="Whoever stands between could take our credentials, and answer for the cluster.",
        next_step="Give its cluster `certificate-authority-data`, and `tls-server-name` if the name differs.",
    )


def _refuse_stranger(entry: _Entry, configuration: Any, said: str) -> None:
    """Refuse to go in as nobody: the server would answer 403 to everything, and the reason would be lost."""
    if configuration.api_key or configuration.cert_file or str(configuration.host).startswith("http:"):
        return  # plain HTTP is `kubectl proxy` on this machine, which has the credentials itself
    if "exec" in entry.user:
        raise _plugin_failed(entry, said or "It gave neither a token nor a certificate")
    raise StepFailed(
        "cluster-credentials-missing",
        f"The context `{entry.context}` of {entry.files} has no credentials.",
        why=f"Its user `{entry.user_name}` has none that still serve."
        if entry.user_name
        else "It names no user.",
        next_step="Log in to the cluster, so that the context has a user with credentials.",
    )


# -- from inside -------------------------------------------------------------------------------------------


def _enter_from_pod(account: Path) -> Door:
    kubernetes = _package()
    configuration = kubernetes.client.Configuration()
    loader = kubernetes.config.incluster_config.InClusterConfigLoader(
        token_filename=str(account / "token"), cert_filename=str(account / "ca.crt"), environ=os.environ
    )
    try:
        loader.load_and_set(configuration)
    except (kubernetes.config.ConfigException, OSError) as error:
        raise StepFailed(
            "cluster-not-inside",
            f"The plan says `context: {IN_CLUSTER}`, and this is no Pod with a ServiceAccount.",
            why=_sentence(error),
            next_step="Name a context of your kubeconfig, or run coordinator in a Pod of the cluster.",
        ) from error
    return _door(configuration)


# -- both --------------------------------------------------------------------------------------------------


def _package() -> Any:
    """Return the package `kubernetes`, imported now; half of it is not typed."""
    import kubernetes  # noqa: PLC0415

    return kubernetes


def _door(configuration: Any) -> Door:
    if configuration.no_proxy is None:  # versions 34 and 35 read the variable and lose it
        configuration.no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    configuration.connection_pool_maxsize = _POOL
    configuration.retries = False
    fresh = Lock()

    def credentials() -> Mapping[str, str]:
        with fresh, _listening([]):  # the package refreshes a token that expires, in place and for one thread
            settings = configuration.auth_settings().values()
        return {each["key"]: each["value"] for each in settings if each["in"] == "header" and each["value"]}

    return Door(
        str(configuration.host).rstrip("/"),
        pool=_package().client.rest.RESTClientObject(configuration).pool_manager,
        credentials=credentials,
    )


def _load(configuration: Any, entry: _Entry) -> str:
    """Fill `configuration`, running an exec plugin if need be; return what the package logged about that.

    A plugin that hangs is left behind in its thread: the package waits for it without a limit.
    """
    load = _package().config.load_kube_config
    ended: SimpleQueue[StepFailed | None] = SimpleQueue()
    said: list[str] = []

    def run() -> None:
        failure = None
        try:
            with _listening(said), _configuration_errors(entry.files):
                load(entry.files, context=entry.context, client_configuration=configuration)
        except StepFailed as error:
            failure = error
        finally:
            ended.put(failure)

    Thread(target=run, daemon=True, name="kubeconfig").start()
    try:
        failure = ended.get(timeout=_PLUGIN_SECONDS)
    except Empty:
        raise _plugin_failed(entry, f"It did not end within {_PLUGIN_SECONDS:g} s") from None
    if failure is not None:
        raise failure
    return ". ".join(said)


@contextmanager
def _listening(said: list[str]) -> Iterator[None]:
    """Collect what the package logs in this thread: nowhere else does it tell why a plugin failed.

    With a handler there, logging also does not set itself up to print to our standard error.
    """
    thread, root = get_ident(), logging.getLogger()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                said.append(record.getMessage())

    listener = Listener(logging.ERROR)
    root.addHandler(listener)
    try:
        yield
    finally:
        root.removeHandler(listener)


@contextmanager
def _configuration_errors(files: str) -> Iterator[None]:
    """Translate what the package raises for a kubeconfig that it cannot read or does not understand."""
    config = _package().config
    not_yaml = config.kube_config.yaml.YAMLError  # as the package knows it: our own has one door, load
    try:
        yield
    except not_yaml as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise _unusable(files, f"It is no YAML{where}") from error
    except (config.ConfigException, OSError, ValueError) as error:
        raise _unusable(files, _sentence(error)) from error
    except (AttributeError, KeyError, TypeError) as error:
        raise _unusable(files, "It has not the form of a kubeconfig") from error


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}."
    return f"{' '.join(str(error).split()).rstrip('.')}."


def _unusable(files: str, why: str, *, next_step: str = "") -> StepFailed:
    return StepFailed(
        "cluster-kubeconfig",
        f"The kubeconfig {files} cannot be used.",
        why=f"{why.rstrip('.')}.",
        next_step=next_step or "Look at it with `kubectl config view`, or set KUBECONFIG to another one.",
    )


def _context_unknown(context: str, files: str, known: Mapping[str, object]) -> StepFailed:
    return StepFailed(
        "cluster-context-unknown",
        f"The kubeconfig {files} has no context `{context}`, which the plan names.",
        why="A release goes to the cluster of the plan, never to the one that happens to be current.",
        next_step=did_you_mean(context, known),
    )


def _plugin_failed(entry: _Entry, why: str) -> StepFailed:
    command = (entry.user.get("exec") or {}).get("command", "")
    return StepFailed(
        "cluster-plugin-failed",
        f"The plugin `{command}` of the context `{entry.context}` gave no credentials.",
        why=f"{why.rstrip('.')}.",
        next_step="Run `kubectl get namespaces` with the same context: it runs the plugin too.",
    )
