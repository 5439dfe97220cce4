"""Two runs on one cluster, of which one has a policy that reaches all of it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api
from harness.clusters.kube.presence import ALONE, LEASES, OPEN, STATE, WAITING
from tests.cluster.clusters import Process, Ran
from tests.cluster.test_runs import SHOP

pytestmark = pytest.mark.cluster

WIDE = """
scenario: $ns-wide
namespaces: {$ns-w: {}}
pods: {$ns-w/web: {listen: [8080], labels: {wide: $ns}}, $ns-w/cli: {}}
policies:
  - apiVersion: projectcalico.org/v3
    kind: GlobalNetworkPolicy
    metadata: {name: $ns-wide}
    spec: {selector: "has(wide) && wide == '$ns'", types: [Ingress]}
expect: [{from: $ns-w/cli, to: "$ns-w/web:8080", verdict: deny}]
"""
POLICIES = "/apis/projectcalico.org/v3/globalnetworkpolicies"


def leases(api: Api) -> dict[str, str]:
    """What each run says of its worlds, by the name of its Lease."""
    found = api.get(LEASES, labelSelector="netcheck.dev/run")["items"]
    return {item["metadata"]["name"]: item["metadata"]["annotations"][STATE] for item in found}


def holder(api: Api) -> str:
    """The run that has the cluster alone; empty when none has."""
    for item in api.get(LEASES, labelSelector="netcheck.dev/run")["items"]:
        if item["metadata"]["name"] == ALONE:
            return str(item["spec"]["holderIdentity"])
    return ""


def run_of(process: Process) -> str:
    """The id of a run that has begun."""
    process.await_line(", run ")
    found = re.search(r", run ([0-9a-f]{8})$", "".join(process._lines), re.MULTILINE)
    assert found
    return found[1]


def stands(api: Api, name: str) -> bool:
    """Whether a policy of the whole cluster is there."""
    return any(item["metadata"]["name"] == name for item in api.get(POLICIES)["items"])


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, f"{what}: never"
        time.sleep(0.05)


def test_a_run_waits_while_a_policy_of_another_may_reach_its_pods(
    calico_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    ns: str,
) -> None:
    server = api(calico_context)
    wide, shop = write(WIDE, "wide.yaml"), write(SHOP)
    with start("run", wide, context=calico_context) as first:
        mine = run_of(first)
        until(lambda: holder(server) == mine, "the cluster is one run's alone")
        with start("run", shop, context=calico_context) as second:
            theirs = f"netcheck-{run_of(second)}"
            until(lambda: leases(server).get(theirs) == WAITING, "another waits")
            seen: list[bool] = []

            def goes_on() -> bool:
                seen.append(stands(server, f"{ns}-wide"))
                return leases(server).get(theirs) == OPEN

            until(goes_on, "the other goes on")
            after: Ran = second.wait(300)
        ran: Ran = first.wait(300)
    assert any(seen), "the policy was never there"
    assert seen[-1] is False, "it went on while the policy stood"
    assert (ran.code, after.code) == (0, 0), f"{ran}\n{after}"


def test_a_killed_run_holds_nobody_up_and_its_policies_are_named(
    calico_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    netcheck: Callable[..., Ran],
    ns: str,
) -> None:
    server = api(calico_context)
    wide, shop = write(WIDE, "wide.yaml"), write(SHOP)
    with start("run", wide, context=calico_context) as process:
        until(lambda: stands(server, f"{ns}-wide"), "the policy is applied")
        process.signal(signal.SIGKILL)
        process.popen.wait()
    began = time.monotonic()
    ran = netcheck("run", shop, context=calico_context)
    assert ran.code == 6, str(ran)
    assert "is over and has left policies that reach the whole cluster" in ran.errors[0]
    assert f"GlobalNetworkPolicy {ns}-wide" in ran.errors[0]
    assert time.monotonic() - began < 60
    cleaned = netcheck("cleanup", context=calico_context)
    assert f"removed Lease default/{ALONE}" in cleaned.out, str(cleaned)
    again = netcheck("run", shop, context=calico_context)
    assert again.code == 0, str(again)
