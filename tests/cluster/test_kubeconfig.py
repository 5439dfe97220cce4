"""Whatever is wrong with a kubeconfig is one clear line, said soon: 4 for the file, 6 for the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clusters.kube.api import Api
from tests.cluster.accounts import account, changed, kubeconfig_of, written
from tests.cluster.clusters import Ran
from tests.cluster.test_runs import SHOP

pytestmark = pytest.mark.cluster

STARTING = 15.0
"""Seconds that the command may take to start and end on a busy machine, beside what is measured."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds + STARTING, f"it took {took:.1f} s"


def _error(ran: Ran) -> tuple[str, str]:
    """The one error line on stderr, and the help below it."""
    lines = ran.err.splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    assert len(errors) == 1, str(ran)
    assert "Traceback" not in ran.err, str(ran)
    assert "ERROR:root" not in ran.err, str(ran)
    below = lines[errors[0] + 1] if len(lines) > errors[0] + 1 else ""
    return lines[errors[0]], below.strip()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no kubeconfig"),
        ("contexts: [", "it is no YAML: line 1"),
        ("just words", "it is no kubeconfig"),
        ("", "file is empty"),
        ("apiVersion: v1\nkind: Config\n", "no current context"),
    ],
)
def test_a_file_that_is_none_is_a_usage_error(
    text: str | None, says: str, tmp_path: Path, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_text(text)
    for command in (["run", write(SHOP)], ["cleanup"]):
        ran = netcheck(*command, "--cluster", f"kubeconfig:{file}")
        assert ran.code == 4, str(ran)
        assert says in _error(ran)[0]


def test_no_such_context(write: Callable[..., Path], netcheck: Callable[..., Ran], any_context: str) -> None:
    ran = netcheck("run", write(SHOP), "--cluster", "context:nowhere")
    assert ran.code == 4, str(ran)
    error, advice = _error(ran)
    assert "has no context 'nowhere'" in error
    assert any_context in advice


@pytest.mark.parametrize(
    ("server", "says", "seconds"),
    [
        ("https://127.0.0.1:9", "Connection refused", 8.0),
        ("https://192.0.2.1:6443", "", 15.0),
        ("https://no-such-host.invalid", "its name cannot be resolved", 15.0),
    ],
)
def test_a_server_that_is_not_there_is_said_soon(
    server: str,
    says: str,
    seconds: float,
    tmp_path: Path,
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    any_context: str,
) -> None:
    config = changed(kubeconfig_of(any_context), cluster={"server": server})
    file = written(config, tmp_path)
    with within(seconds):
        ran = netcheck("run", write(SHOP), "--cluster", f"kubeconfig:{file}")
    assert ran.code == 6, str(ran)
    error, advice = _error(ran)
    assert f"the API server {server} cannot be reached: " in error
    assert says in error
    assert "is the cluster up" in advice
    assert ran.errors == [error.removeprefix("error: ")]


def test_another_cluster_behind_the_address(
    tmp_path: Path, write: Callable[..., Path], netcheck: Callable[..., Ran], kinds: dict[str, str]
) -> None:
    if len(kinds) < 2:
        pytest.skip("it takes two clusters")
    one, other, *_ = kinds
    server = kubeconfig_of(other)["clusters"][0]["cluster"]["server"]
    file = written(changed(kubeconfig_of(one), cluster={"server": server}), tmp_path)
    ran = netcheck("run", write(SHOP), "--cluster", f"kubeconfig:{file}")
    assert ran.code == 6, str(ran)
    assert "cannot be reached: TLS: " in _error(ran)[0]


def test_credentials_that_are_no_longer_good(
    tmp_path: Path, write: Callable[..., Path], netcheck: Callable[..., Ran], any_context: str
) -> None:
    file = written(changed(kubeconfig_of(any_context), user={"token": "yesterday"}), tmp_path)
    for command in (["run", write(SHOP)], ["cleanup"]):
        ran = netcheck(*command, "--cluster", f"kubeconfig:{file}")
        assert ran.code == 6, str(ran)
        error, advice = _error(ran)
        assert "the credentials are refused or expired" in error
        assert "log in again" in advice
        assert "yesterday" not in ran.err + ran.out


def test_a_credential_plugin_that_is_not_installed(
    tmp_path: Path, write: Callable[..., Path], netcheck: Callable[..., Ran], any_context: str
) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-plugin",
        "interactiveMode": "Never",
    }
    file = written(changed(kubeconfig_of(any_context), user={"exec": plugin}), tmp_path)
    ran = netcheck("run", write(SHOP), "--cluster", f"kubeconfig:{file}")
    assert ran.code == 6, str(ran)
    error, advice = _error(ran)
    assert "no-such-plugin" in error
    assert "install it" in advice


READ = [
    {"apiGroups": [""], "resources": ["nodes", "services", "namespaces"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["list"]},
]
LEASES = {
    "apiGroups": ["coordination.k8s.io"],
    "resources": ["leases"],
    "verbs": ["list", "create", "patch", "delete"],
}


@pytest.mark.parametrize(
    ("rules", "missing", "check"),
    [
        ([], 'cannot list resource "nodes"', "kubectl auth can-i list nodes"),
        (READ, 'cannot create resource "leases"', "kubectl auth can-i create leases.coordination.k8s.io"),
        ([*READ, LEASES], 'cannot create resource "namespaces"', "kubectl auth can-i create namespaces"),
    ],
    ids=["nothing", "read-only", "leases"],
)
def test_a_right_that_is_missing_is_named(
    rules: list[dict[str, list[str]]],
    missing: str,
    check: str,
    tmp_path: Path,
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    any_context: str,
    api: Callable[[str], Api],
    ns: str,
) -> None:
    with account(api(any_context), ns, rules) as token:
        file = written(changed(kubeconfig_of(any_context), user={"token": token}), tmp_path)
        ran = netcheck("run", write(SHOP), "--cluster", f"kubeconfig:{file}")
    assert ran.code == 6, str(ran)
    (error,) = ran.errors
    assert missing in error, str(ran)
    assert check in ran.err + ran.out, str(ran)
    assert token not in ran.err + ran.out
