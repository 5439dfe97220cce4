"""Pods where a cluster is strict: PodSecurity, admission policies, images with and without the agent."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api
from tests.cluster import clusters
from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

RESTRICTED = """
scenario: $ns-strict
namespaces: {$ns: {labels: {pod-security.kubernetes.io/enforce: restricted}}}
pods:
  $ns/web: {labels: {app: web}, listen: [80, 53/UDP], node: a}
  $ns/cli: {labels: {app: cli}, node: b}
  $ns/bad: {node: a}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: web, namespace: $ns}
    spec:
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}]}]
expect:
  - {from: $ns/cli, to: ["$ns/web:80", "$ns/web:53/UDP"], verdict: allow}
  - {from: $ns/bad, to: ["$ns/web:80", "$ns/web:53/UDP"], verdict: deny}
"""
HOST = """
scenario: $ns-host
namespaces: {$ns: {labels: {pod-security.kubernetes.io/enforce: restricted}}}
pods:
  $ns/web: {listen: [18080], hostNetwork: true}
  $ns/cli: {}
expect: [{from: $ns/cli, to: "$ns/web:18080", verdict: allow}]
"""
PLAIN = """
scenario: $ns-plain
pods:
  $ns/web: {listen: [80]}
  $ns/cli: {}
expect: [{from: $ns/cli, to: "$ns/web:80", verdict: allow}]
"""
TEMPLATE = """
labels: {cost-centre: net}
annotations: {owner: me}
resources: {requests: {cpu: 5m, memory: 32Mi}, limits: {memory: 128Mi}}
tolerations: [{key: dedicated, operator: Exists}]
"""
ADMISSION = "admissionregistration.k8s.io/v1"


def built(tag: str, context: str, *lines: str) -> str:
    """An image with the agent on the nodes of a kind cluster; `lines` change it."""
    if not context.startswith("kind-") or shutil.which("kind") is None or shutil.which("docker") is None:
        pytest.skip("an image can only be loaded into a kind cluster, with kind and docker")
    base = clusters.probe_image(context)
    call([*clusters.CLI, "image", "build", "--base", base, "--tag", tag])
    if lines:
        text = "\n".join([f"FROM {tag}", *lines])
        call(["docker", "build", "--tag", tag, "-"], text, DOCKER_BUILDKIT="0")
    call([*clusters.CLI, "image", "load", "--cluster", f"context:{context}", "--image", tag])
    return tag


def call(command: list[str], text: str = "", **environment: str) -> None:
    done = subprocess.run(
        command,
        input=text,
        env={**os.environ, "PYTHONPATH": str(clusters.ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("agent", ["inject", "image"])
def test_pods_pass_podsecurity_restricted(
    enforcing_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran], agent: str
) -> None:
    """The scenario's pods, and the canaries, whose namespace is always so."""
    options = {}
    if agent == "image":
        options["NETCHECK_PROBE_IMAGE"] = built("netcheck-probe:test", enforcing_context)
    ran = netcheck("run", write(RESTRICTED), context=enforcing_context, **options)
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed"] * 4


def test_what_podsecurity_refuses_is_one_error(
    any_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran], ns: str
) -> None:
    ran = netcheck("run", write(HOST), context=any_context)
    assert ran.code == 6, str(ran)
    (error,) = ran.errors
    assert f"Pod {ns}/web was refused by PodSecurity restricted" in error
    assert "pod-security.kubernetes.io/enforce: privileged" in error


@contextmanager
def cost_centres(api: Api, ns: str) -> Iterator[None]:
    """A policy of the cluster: pods of the test's namespace need a label."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    policy: dict[str, Any] = {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": ns},
        "spec": {
            "matchConstraints": {
                "resourceRules": rules,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
            },
            "validations": [
                {"expression": "'cost-centre' in object.metadata.labels", "message": "no cost centre"}
            ],
        },
    }
    binding: dict[str, Any] = {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": ns},
        "spec": {"policyName": ns, "validationActions": ["Deny"]},
    }
    try:
        api.create(policy)
        api.create(binding)
        yield
    finally:
        for item in (binding, policy):
            api.delete(api.resource(ADMISSION, item["kind"]).path("", ns))


def test_a_policy_of_the_cluster_is_named_and_a_template_meets_it(
    any_context: str,
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    api: Callable[[str], Api],
    ns: str,
) -> None:
    file = write(PLAIN)
    with cost_centres(api(any_context), ns):
        # A new policy is in force a moment later; until then the first run would not be refused.
        ran = netcheck("run", file, context=any_context)
        for _ in range(5):
            if ran.code == 6:
                break
            ran = netcheck("run", file, context=any_context)
        (error,) = ran.errors
        assert f"was refused by ValidatingAdmissionPolicy {ns}" in error
        assert "no cost centre" in error
        template = write(TEMPLATE, "pods.yaml")
        met = netcheck("run", file, "--pod-template", template, context=any_context)
        assert (met.code, met.statuses()) == (0, ["passed"]), str(met)


def test_an_image_with_another_agent_is_one_error(
    any_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    change = ("USER 0", "RUN echo '# changed' >> /opt/netcheck/probes/wire.py", "USER 65532:65532")
    tag = built("netcheck-probe:test-other", any_context, *change)
    ran = netcheck("run", write(PLAIN), context=any_context, NETCHECK_PROBE_IMAGE=tag)
    assert ran.code == 6, str(ran)
    (error,) = ran.errors
    assert "image netcheck-probe:test-other has agent" in error
    assert "--agent inject" in error


def test_an_image_without_an_agent_is_one_error(
    any_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(PLAIN), "--agent", "image", context=any_context)
    assert ran.code == 6, str(ran)
    (error,) = ran.errors
    assert "No module named" in error
    assert "--agent inject" in error


RESTARTED = """
scenario: restarted
namespaces: {$ns: {}}
pods:
  $ns/web: {listen: [18091], hostNetwork: true, node: a}
  $ns/cli: {node: a}
steps:
  - name: before
    expect: &cells [{from: $ns/cli, to: "node:a:18091", verdict: allow}]
  - name: after
    restart: [$ns/web]
    expect: *cells
"""


def test_a_pod_on_its_nodes_network_gets_its_ports_again(
    any_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(RESTARTED), context=any_context)
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed", "passed"], str(ran)
