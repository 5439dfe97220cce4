"""An API server with hiccups: a run waits them out or ends in errors, and never says anything wrong."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.accounts import changed, kubeconfig_of, written
from tests.cluster.clusters import Ran, probe_image
from tests.cluster.proxy import Fault, Proxy
from tests.cluster.test_runs import SHOP

pytestmark = pytest.mark.cluster

EXPIRED = {
    "type": "ERROR",
    "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"},
}


@pytest.fixture
def proxied(enforcing_context: str) -> Iterator[Callable[..., Proxy]]:
    """Puts a proxy with faults in front of a cluster that enforces policies."""
    made: list[Proxy] = []

    def make(*faults: Fault) -> Proxy:
        config = kubeconfig_of(enforcing_context)
        if "client-certificate-data" not in config["users"][0]["user"]:
            pytest.skip("the proxy needs a context with a client certificate in the kubeconfig")
        made.append(Proxy(config, list(faults)))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def through(tmp_path: Path, enforcing_context: str, start: Callable[..., Any]) -> Callable[..., Any]:
    """Starts a run through a proxy."""

    def begin(proxy: Proxy, *arguments: str | Path, user: dict[str, Any] | None = None) -> Any:
        cluster = {"server": proxy.url}
        config = changed(kubeconfig_of(enforcing_context), user=user or {}, cluster=cluster)
        config["clusters"][0]["cluster"].pop("certificate-authority-data", None)
        file = written(config, tmp_path)
        image = probe_image(enforcing_context)
        return start(*arguments, "--cluster", f"kubeconfig:{file}", NETCHECK_PROBE_IMAGE=image)

    return begin


def _passed(ran: Ran) -> None:
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed"] * 3, str(ran)
    assert ran.report["left_behind"] == []


def test_hiccups_of_every_kind_are_waited_out(
    proxied: Callable[..., Proxy], through: Callable[..., Any], write: Callable[..., Path]
) -> None:
    faults = [
        Fault("/version", status=503),
        Fault("/version", status=0),
        Fault("/api/v1/nodes", status=429, headers={"Retry-After": "1"}),
        Fault("/api/v1/namespaces", "POST", status=500, times=2),
        Fault("/pods", "POST", status=504, times=2),
        # The object is made, but nobody hears of it.
        Fault("/pods", "POST", after=5, times=2),
        Fault("/api/v1/namespaces?", "POST", after=0, times=1),
        Fault("watch=true", "GET", status=200, line=EXPIRED, times=2),
        Fault("watch=true", "GET", after=400, times=2),
        Fault("/exec?", status=500, times=2),
        Fault("/exec?", status=0, times=2),
        Fault("/networkpolicies/", "PATCH", status=429, headers={"Retry-After": "1"}),
        Fault("/networkpolicies/", "PATCH", status=0),
        Fault("/namespaces/", "DELETE", status=502, times=2),
        Fault("/api/v1/namespaces?", "GET", status=0, times=1),
    ]
    proxy = proxied(*faults)
    with through(proxy, "run", "-v", write(SHOP)) as process:
        ran = process.wait(400)
    _passed(ran)
    missed = [fault for fault in faults if not fault.met]
    assert not missed, [fault.path for fault in missed]


def test_streams_that_break_once_are_opened_again(
    proxied: Callable[..., Proxy], through: Callable[..., Any], write: Callable[..., Path]
) -> None:
    proxy = proxied()
    with through(proxy, "run", "-v", write(SHOP)) as process:
        process.await_line("applying policies")
        proxy.hang_up()
        ran = process.wait(400)
    _passed(ran)
    execs = sum("/exec?" in line for line in proxy.seen)
    assert execs > len({line for line in proxy.seen if "/exec?" in line}), "no stream was opened twice"


def test_streams_that_break_for_good_are_errors(
    proxied: Callable[..., Proxy],
    through: Callable[..., Any],
    write: Callable[..., Path],
) -> None:
    proxy = proxied()
    with through(proxy, "run", "-v", write(SHOP)) as process:
        process.await_line("applying policies")
        proxy.faults.append(Fault("/exec?", status=500, times=10**6))
        proxy.hang_up()
        ran = process.wait(400)
    assert ran.code == 6, str(ran)
    assert "passed" not in ran.statuses(), str(ran)
    assert "failed" not in ran.statuses(), str(ran)
    assert ran.report["left_behind"] == []


PLUGIN = """#!/bin/sh
cat <<END
{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
 "status": {"token": "$$(cat $token)"}}
END
"""


def _is_first(headers: Mapping[str, str]) -> bool:
    return headers.get("authorization") == "Bearer one"


@pytest.mark.parametrize("renewed", [True, False], ids=["renewed", "gone"])
def test_credentials_that_expire_in_mid_run(
    renewed: bool,
    proxied: Callable[..., Proxy],
    through: Callable[..., Any],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    enforcing_context: str,
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    plugin = write(PLUGIN, "plugin", token=str(token))
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    proxy = proxied()
    with through(proxy, "run", "-v", write(SHOP), user=user) as process:
        process.await_line("control sweep")
        if renewed:
            token.write_text("two")
        proxy.faults.append(
            Fault(
                "/",
                status=401,
                times=10**6,
                when=lambda headers: headers.get("authorization") == "Bearer one",
            )
        )
        began = time.monotonic()
        ran = process.wait(400)
    if renewed:
        _passed(ran)
        return
    assert ran.code == 6, str(ran)
    assert any("the credentials are refused or expired" in error for error in ran.errors), str(ran)
    assert "not everything could be removed" in ran.err
    assert time.monotonic() - began < 120, "a refusal is no hiccup"
    run = ran.report["run"]
    assert netcheck("cleanup", "--run", run, context=enforcing_context).code == 0
