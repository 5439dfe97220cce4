"""However a run ends, nothing of it stays on the cluster, and nothing that is not its own has changed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from harness.clusters.kube.api import Api
from harness.clusters.kube.watching import await_gone
from tests.cluster.clusters import Ran
from tests.cluster.snapshots import difference, snapshot
from tests.cluster.test_runs import SHOP

pytestmark = pytest.mark.cluster

KILLS = int(os.environ.get("NETCHECK_TEST_KILLS", "20"))

PHASES = {
    "build": "building the world",
    "control": "control sweep",
    "apply": "applying policies",
    "sweep": "probing",
    "close": "taking the world down",
}

FOREIGN = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "", "labels": {"team": "theirs"}}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"a": "b"}},
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "theirs"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "theirs", "labels": {"app": "theirs"}},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    },
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "theirs", "labels": {"app": "theirs"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "theirs", "image": "", "command": ["sleep", "86400"]}],
        },
    },
]


@pytest.fixture
def foreign(ns: str, basic_context: str, api: Callable[[str], Api]) -> Iterator[str]:
    """A namespace with workloads of somebody else's; gives its name."""
    from tests.cluster.clusters import probe_image

    server, name = api(basic_context), f"{ns}-theirs"
    for manifest in FOREIGN:
        metadata: dict[str, Any] = {**manifest["metadata"]}  # type: ignore[dict-item]
        if manifest["kind"] == "Namespace":
            metadata["name"] = name
        else:
            metadata["namespace"] = name
        whole = {**manifest, "metadata": metadata}
        if manifest["kind"] == "Pod":
            container = {**manifest["spec"]["containers"][0], "image": probe_image(basic_context)}  # type: ignore[index]
            whole["spec"] = {**manifest["spec"], "containers": [container]}  # type: ignore[dict-item]
        server.apply(whole)
    deadline = time.monotonic() + 120
    while server.get(f"/api/v1/namespaces/{name}/pods/theirs")["status"].get("phase") != "Running":
        assert time.monotonic() < deadline, "the foreign pod never ran"
        time.sleep(0.5)
    yield name
    # The next test compares all objects, so they must be gone by then.
    server.delete(f"/api/v1/namespaces/{name}")
    await_gone(server, "/api/v1/namespaces", [name])


@contextmanager
def unchanged(api: Api) -> Iterator[None]:
    """Nothing of the cluster is another afterwards."""
    before = snapshot(api)
    yield
    deadline = time.monotonic() + 30
    while (left := difference(before, snapshot(api))) and time.monotonic() < deadline:
        # Controllers finish what deletions began, such as ConfigMaps of namespaces that are going.
        time.sleep(1)
    assert left == []


def test_a_run_changes_nothing_that_is_not_its_own(
    foreign: str,
    basic_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
) -> None:
    file = write(SHOP)
    with unchanged(api(basic_context)):
        ran = netcheck("run", file, context=basic_context)
        assert ran.code == 1, str(ran)
        again = netcheck("cleanup", context=basic_context)
        assert again.code == 0, str(again)


def test_a_namespace_that_exists_is_refused_untouched(
    foreign: str,
    basic_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
) -> None:
    text = SHOP.replace("$ns", foreign)
    with unchanged(api(basic_context)):
        ran = netcheck("run", write(text), context=basic_context)
    assert ran.code == 6, str(ran)
    (error,) = ran.errors
    assert f"namespace {foreign} exists on the cluster and is not of this run" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_in_any_phase_leaves_nothing(
    phase: str,
    number: signal.Signals,
    basic_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    tmp_path: Path,
) -> None:
    file, junit = write(SHOP), tmp_path / "junit.xml"
    with (
        unchanged(api(basic_context)),
        start("run", "-v", file, "--report", f"junit:{junit}", context=basic_context) as process,
    ):
        process.await_line(PHASES[phase])
        process.signal(number)
        ran = process.wait(240)
    assert ran.code == 2, str(ran)
    assert ran.report["interrupted"] is True
    assert ran.report["left_behind"] == []
    assert list(JUnitXml.fromfile(str(junit)))


def test_killed_at_any_moment_and_cleaned_up(
    basic_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    netcheck: Callable[..., Ran],
) -> None:
    file, server = write(SHOP), api(basic_context)
    moments = random.Random(4)
    phases: list[str] = []
    with unchanged(server):
        for _ in range(KILLS):
            with start("run", "-v", file, context=basic_context) as process:
                phase = moments.choice(list(PHASES))
                process.await_line(PHASES[phase])
                time.sleep(moments.uniform(0, 3))
                process.signal(signal.SIGKILL)
                process.popen.wait()
            phases.append(phase)
            ran = netcheck("cleanup", context=basic_context)
            assert ran.code == 0, str(ran)
            assert "left alone" not in ran.err, str(ran)
    assert set(phases) == set(PHASES) or KILLS < 20


def test_cleanup_leaves_a_live_run_alone_until_it_is_named(
    basic_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    netcheck: Callable[..., Ran],
    ns: str,
) -> None:
    file = write(SHOP)
    with start("run", "-v", file, context=basic_context) as process:
        process.await_line(PHASES["control"])
        spared = netcheck("cleanup", context=basic_context)
        assert spared.code == 0, str(spared)
        assert "it runs on this machine" in spared.err
        ran = process.wait(240)
    assert ran.code == 1, f"the run was disturbed: {ran}"

    with start("run", "-v", file, context=basic_context) as process:
        process.await_line(PHASES["control"])
        labels = api(basic_context).get(f"/api/v1/namespaces/{ns}")["metadata"]["labels"]
        named = netcheck("cleanup", "--run", labels["netcheck.dev/run"], context=basic_context)
        assert named.code == 0, str(named)
        assert f"removed namespace {ns}" in named.out
        ran = process.wait(240)
    assert ran.code == 6, f"a world that was removed under a run is no verdict: {ran}"


def test_a_run_of_another_machine_is_left_alone_while_it_is_young(
    basic_context: str, api: Callable[[str], Api], netcheck: Callable[..., Ran], ns: str
) -> None:
    server = api(basic_context)
    server.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": ns,
                "labels": {"netcheck.dev/run": ns},
                "annotations": {"netcheck.dev/owner": "0123456789abcdef.1.2"},
            },
        }
    )
    ran = netcheck("cleanup", context=basic_context)
    assert f"left alone: run {ns}: it may run on another machine" in ran.err, str(ran)
    assert server.get(f"/api/v1/namespaces/{ns}")["status"]["phase"] == "Active"
    ran = netcheck("cleanup", "--run", ns, context=basic_context)
    assert f"removed namespace {ns}" in ran.out, str(ran)


def test_what_cannot_be_removed_is_said_with_the_command_that_does_it_later(
    basic_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    netcheck: Callable[..., Ran],
    ns: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A finalizer of somebody's keeps a namespace from going."""
    server, file = api(basic_context), write(SHOP)
    path = f"/api/v1/namespaces/{ns}/configmaps/stuck"
    with start("run", "-v", file, context=basic_context) as process:
        process.await_line(PHASES["control"])
        server.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "stuck", "namespace": ns, "finalizers": ["example.com/stuck"]},
            }
        )
        ran = process.wait(400)
    try:
        assert "warning: not everything could be removed" in ran.err, str(ran)
        run = ran.report["run"]
        command = f"netcheck cleanup --cluster context:{basic_context} --run {run}"
        assert command in ran.err
        assert len(ran.report["left_behind"]) == 1
        assert ns in ran.report["left_behind"][0]
        assert ran.code == 1, "the verdicts stand"
    finally:
        server.patch(path, {"metadata": {"finalizers": None}})
    later = netcheck("cleanup", "--run", run, context=basic_context)
    assert later.code == 0, str(later)


WIDE = """
scenario: $ns-wide
pods: {$ns/web: {listen: [8080]}, $ns/cli: {}}
policies:
  - apiVersion: projectcalico.org/v3
    kind: GlobalNetworkPolicy
    metadata: {name: $ns-wide}
    spec: {selector: "projectcalico.org/namespace == '$ns'", types: [Ingress]}
expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: deny}]
"""


def test_a_policy_of_the_whole_cluster_that_exists_is_refused_untouched(
    calico_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    ns: str,
) -> None:
    server = api(calico_context)
    theirs = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": f"{ns}-wide", "labels": {"team": "theirs"}},
        "spec": {"selector": f"nobody == '{ns}'", "types": ["Egress"]},
    }
    path = "/apis/projectcalico.org/v3/globalnetworkpolicies"
    before = server.create(theirs)
    try:
        ran = netcheck("run", write(WIDE), context=calico_context)
        after = server.get(f"{path}/{ns}-wide")
    finally:
        server.delete(f"{path}/{ns}-wide")
    assert ran.code == 6, str(ran)
    (error,) = ran.errors
    assert f"GlobalNetworkPolicy {ns}-wide exists on the cluster and is not of this run" in error
    assert ran.report["left_behind"] == []
    assert (after["metadata"], after["spec"]) == (before["metadata"], before["spec"])


IN_DEFAULT = """
scenario: $ns-default
pods: {$ns/web: {listen: [8080]}, $ns/cli: {}}
steps:
  - name: change
    $change
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: allow}]
"""
DENY_ALL = """apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: deny-all}
        spec: {podSelector: {}}"""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (DENY_ALL, "NetworkPolicy default/deny-all would stand in namespace default"),
        (
            "label: [{namespace: kube-system, set: {a: b}}]",
            "a step changes the labels of namespace kube-system",
        ),
    ],
    ids=["policy", "labels"],
)
def test_the_clusters_own_namespaces_stay_as_they_are(
    change: str,
    why: str,
    basic_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
) -> None:
    with unchanged(api(basic_context)):
        ran = netcheck("run", write(IN_DEFAULT, change=change), context=basic_context)
    assert ran.code == 6, str(ran)
    assert why in ran.errors[0]
