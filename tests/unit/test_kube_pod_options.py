"""How pods are made for a cluster: template, labels, nodes, meshes, refusals, images, agents."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.clusters.kube import admission, extra_labels, images, manifests, meshes, nodes
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.bundle import Agent, AgentError, packed
from harness.clusters.kube.errors import refusal
from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.pulling import read_secrets
from harness.clusters.kube.template import PodTemplate, load
from harness.cni import agents
from harness.cni.agents import first_node
from harness.engine.cluster import ClusterError
from harness.model.scenario import Scenario
from harness.model.topology import Listener, Pod
from harness.scenario import load as load_scenarios
from harness.source.render import render
from probes.version import digest
from tests.unit.loopback import free_port

WEB = Pod("shop", "web", {"app": "web"}, listeners=(Listener(80),), annotations={"team": "shop"})
WHOLE = """\
labels: {cost-centre: net}
annotations: {policies.example/exempt: "true"}
nodeSelector: {pool: tests}
tolerations:
  - {key: dedicated, value: tests, effect: NoSchedule}
  - {operator: Exists, effect: NoExecute}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions: [{key: zone, operator: In, values: [a, b]}]
resources: {requests: {cpu: 0.5, memory: 64Mi}, limits: {cpu: 1, memory: 128Mi}}
priorityClassName: low
runtimeClassName: gvisor
dnsConfig: {options: [{name: ndots, value: "2"}]}
securityContext: {runAsUser: cluster, runAsGroup: 2000, fsGroup: 3000}
injected: [oneagent]
"""


def read(folder: Path, text: str) -> tuple[PodTemplate, str]:
    """A template, and what is wrong with it."""
    path = folder / "pods.yaml"
    path.write_text(text)
    found, problems, sources = load(path)
    return found, render(problems, sources).replace(f"{folder}/", "") if problems else ""


# -- the template ---------------------------------------------------------------------------------------


def test_a_template_reaches_the_pods(tmp_path: Path) -> None:
    template, wrong = read(tmp_path, WHOLE)
    assert wrong == ""
    options = PodOptions(template=template, labels=template.labels, tolerate_control_plane=True)
    made = manifests.pod(WEB, "r1", "worker", options)
    spec = made["spec"]
    (container,) = spec["containers"]
    assert made["metadata"]["labels"] == {
        "cost-centre": "net",
        "app": "web",
        "netcheck.dev/run": "r1",
    }
    assert (
        made["metadata"]["annotations"].items() >= {"policies.example/exempt": "true", "team": "shop"}.items()
    )
    assert spec["nodeSelector"] == {"pool": "tests", "kubernetes.io/hostname": "worker"}
    assert spec["tolerations"] == [
        {"key": "dedicated", "value": "tests", "effect": "NoSchedule"},
        {"operator": "Exists", "effect": "NoExecute"},
        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
    ]
    assert container["resources"]["requests"] == {"cpu": "0.5", "memory": "64Mi"}
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("low", "gvisor")
    assert spec["dnsConfig"] == {"options": [{"name": "ndots", "value": "2"}]}
    assert "runAsUser" not in spec["securityContext"]
    assert spec["securityContext"]["runAsGroup"] == 2000
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tolerationz: []", ["pods.yaml:1:1: error[unknown-field]", 'did you mean "tolerations"?']),
        ("hostNetwork: true", ["unknown field `hostNetwork`", "at the scenario's pod"]),
        ("image: x", ["--probe-image"]),
        ("containers: []", ["netcheck's own"]),
        ("spec: {tolerations: []}", ["without `spec:`"]),
        ("securityContext: {privileged: true}", ["PodSecurity restricted"]),
        ("securityContext: {runAsUser: 0}", ["pods.yaml:1:30", "never run as root"]),
        ("securityContext: {runAsUser: root}", ["must be a number above 0, or `cluster`"]),
        ("securityContext: {seccompProfile: {type: Unconfined}}", ["one of RuntimeDefault, Localhost"]),
        ("labels: {netcheck.dev/run: x}", ["netcheck's own"]),
        ("labels: {team: yes}", ["must be a string"]),
        ('labels: {team: "a b"}', ["not a valid label value"]),
        ("resources: {requests: {cpu: lots}}", ["`lots` is no amount"]),
        ("resources: {request: {cpu: 1}}", ['did you mean "requests"?']),
        ("tolerations: [{value: x}]", ["needs a `key`"]),
        ("tolerations: [{key: x, effect: NoSchedul}]", ["must be one of NoSchedule"]),
        ("affinity: {podAffinity: {}}", ["netcheck places pods on nodes itself"]),
        ("priorityClassName: Very_High", ["not a valid name"]),
        ("[a]", ["must be a mapping, not a list"]),
        ("a: 1\n---\nb: 2", ["more than one document"]),
        ("a: [", ["yaml-syntax"]),
    ],
)
def test_what_a_template_may_not_say(tmp_path: Path, text: str, expected: list[str]) -> None:
    _, wrong = read(tmp_path, text + "\n")
    for words in expected:
        assert words in wrong


def test_a_broken_template_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text("tolerationz: []\n")
    done = CliRunner().invoke(cli, ["run", "--pod-template", str(tmp_path / "pods.yaml"), str(tmp_path)])
    assert done.exit_code == 4
    assert "pods.yaml:1:1: error[unknown-field]: the manifest: unknown field `tolerationz`" in done.stderr
    missing = CliRunner().invoke(cli, ["run", "--pod-template", str(tmp_path / "no.yaml"), str(tmp_path)])
    assert missing.exit_code == 4
    assert "error[file-not-found]" in missing.stderr


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--probe-image", "a b", "is no name of an image"),
        ("--image-registry", "https://mirror.example", "without https://"),
        ("--image-pull-secret", "regcred", "is no NAMESPACE/NAME"),
        ("--image-pull-policy", "Sometimes", "is not one of 'IfNotPresent', 'Always', 'Never'"),
        ("--pod-timeout", "90", "the unit is missing; write 90ms or 90s"),
        ("--pod-timeout", "2h", "is no duration; write a number with its unit"),
        ("--agent", "maybe", "is not one of 'auto', 'inject', 'image'"),
    ],
)
def test_options_are_checked_at_once(option: str, value: str, words: str) -> None:
    done = CliRunner().invoke(cli, ["run", option, value])
    assert done.exit_code == 4
    assert words in done.stderr


# -- labels that nothing may notice ---------------------------------------------------------------------

SCENARIO = """\
scenario: shop
pods:
  shop/web: {labels: {app: web}, listen: [80]}
  shop/cli: {}
services:
  shop/web: {selector: {tier: front}, ports: [80]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: p, namespace: shop}
    spec:
      podSelector: {matchExpressions: [{key: sidecar.istio.io/inject, operator: DoesNotExist}]}
      ingress: []
expect:
  - {from: shop/cli, to: "shop/web:80", verdict: deny}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Scenario:
    path = tmp_path / "shop.yaml"
    path.write_text(SCENARIO)
    (found,) = load_scenarios([path]).scenarios
    return found


def test_a_label_against_a_mesh_is_left_away_where_a_policy_could_see_it(shop: Scenario) -> None:
    against = meshes.labels_against(["apps", "networking.istio.io", "kuma.io"])
    assert set(against) == {"sidecar.istio.io/inject", "istio.io/dataplane-mode", "kuma.io/sidecar-injection"}
    made = extra_labels.for_scenario(PodOptions(), shop, against).labels
    assert set(made) == {"istio.io/dataplane-mode", "kuma.io/sidecar-injection"}
    assert meshes.labels_against(["apps", "notistio.io"]) == {}


@pytest.mark.parametrize(
    ("key", "who"),
    [("app", "pod shop/web"), ("tier", "service shop/web"), ("sidecar.istio.io/inject", "NetworkPolicy")],
)
def test_a_templates_label_must_not_change_what_is_tested(shop: Scenario, key: str, who: str) -> None:
    options = PodOptions(template=PodTemplate(labels={key: "x"}))
    with pytest.raises(ClusterError, match=f"the pod template sets the label {key}, which {who}"):
        extra_labels.for_scenario(options, shop, {})


def test_a_templates_label_that_nobody_uses_is_set(shop: Scenario) -> None:
    options = PodOptions(template=PodTemplate(labels={"cost-centre": "x"}))
    assert extra_labels.for_scenario(options, shop, {}).labels == {"cost-centre": "x"}


# -- meshes ---------------------------------------------------------------------------------------------


def came_up(**change: Any) -> dict[str, Any]:
    made = manifests.pod(WEB, "r1", "worker", PodOptions())
    made["spec"].update(change.get("spec", {}))
    made["metadata"]["annotations"].update(change.get("annotations", {}))
    return made


def test_a_pod_as_it_was_asked_for_is_good() -> None:
    meshes.check(came_up(), "netcheck", ())
    assert came_up()["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


def test_a_sidecar_is_noticed() -> None:
    containers = [*came_up()["spec"]["containers"], {"name": "istio-proxy"}]
    with pytest.raises(
        meshes.MeshError, match="of Istio to pod shop/web: istio-proxy; verdicts would be theirs"
    ):
        meshes.check(came_up(spec={"containers": containers}), "netcheck", ())


def test_an_init_container_of_nobody_known_is_noticed_unless_it_is_allowed() -> None:
    pod = came_up(spec={"initContainers": [{"name": "oneagent"}]})
    with pytest.raises(meshes.MeshError, match="added containers to pod shop/web: oneagent"):
        meshes.check(pod, "netcheck", ())
    meshes.check(pod, "netcheck", {"oneagent"})


def test_an_ambient_mesh_is_noticed() -> None:
    with pytest.raises(meshes.MeshError, match="ambient mesh redirects the traffic of pod shop/web"):
        meshes.check(came_up(annotations={"ambient.istio.io/redirection": "enabled"}), "netcheck", ())
    namespace = {"metadata": {"name": "shop", "labels": {"istio.io/dataplane-mode": "ambient"}}}
    with pytest.raises(meshes.MeshError, match="namespace shop belongs to Istio's ambient mesh"):
        meshes.check_namespace(namespace)


# -- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "who", "advice"),
    [
        (
            'pods "web" is forbidden: exceeded quota: tight, requested: pods=1, limited: pods=0',
            "ResourceQuota tight",
            "raise the quota",
        ),
        (
            'pods "web" is forbidden: failed quota: mem: must specify limits.memory for: netcheck',
            "ResourceQuota mem",
            "--pod-template",
        ),
        (
            'pods "web" is forbidden: status unknown for quota: new, resources: pods',
            "ResourceQuota new, which the cluster has not counted yet,",
            "try again",
        ),
        (
            'pods "web" is forbidden: minimum memory usage per Container is 64Mi, but request is 32Mi',
            "a LimitRange",
            "--pod-template",
        ),
        (
            'pods "web" is forbidden: violates PodSecurity "restricted:latest": host namespaces',
            "PodSecurity restricted:latest",
            "pod-security.kubernetes.io/enforce: privileged",
        ),
        (
            "pods \"web\" is forbidden: ValidatingAdmissionPolicy 'no-pods' with binding 'b' denied it",
            "ValidatingAdmissionPolicy no-pods",
            "exempt",
        ),
        (
            'admission webhook "validate.kyverno.svc-fail" denied the request: policy Pod/shop/web for',
            "the admission webhook validate.kyverno.svc-fail",
            "exempt",
        ),
        (
            'Internal error occurred: failed calling webhook "x.example": Post "https://x": timeout',
            "the admission webhook x.example, which does not answer,",
            "mend the webhook",
        ),
        (
            'pods "web" is forbidden: unable to validate against any security context constraint: [...]',
            "SecurityContextConstraints",
            "runAsUser: cluster",
        ),
    ],
)
def test_who_refused_and_what_to_do(message: str, who: str, advice: str) -> None:
    data = json.dumps({"message": message, "reason": "Forbidden"}).encode()
    body = {"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}}
    error = refusal("POST", "/api/v1/namespaces/shop/pods", 403, data, body=body)
    assert str(error) == f"Pod shop/web was refused by {who}: {message}"
    assert advice in error.advice


def test_a_missing_right_is_no_admission() -> None:
    message = (
        'pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "shop"'
    )
    assert admission.refused(message) is None
    data = json.dumps({"message": message, "reason": "Forbidden"}).encode()
    assert (
        "kubectl auth can-i create pods" in refusal("POST", "/api/v1/namespaces/shop/pods", 403, data).advice
    )


# -- nodes ----------------------------------------------------------------------------------------------


def node(name: str, *taints: tuple[str, str], ready: str = "True", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {"taints": [{"key": key, "value": "tests", "effect": effect} for key, effect in taints]},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        },
    }


def names(items: list[dict[str, Any]], template: PodTemplate) -> list[str]:
    return [name for name, _ in nodes.usable(items, template)[0]]


def test_nodes_with_taints_are_left_out_unless_they_are_tolerated(tmp_path: Path) -> None:
    three = [
        node("a"),
        node("b"),
        node("gpu", ("dedicated", "NoSchedule")),
        node("soft", ("x", "PreferNoSchedule")),
    ]
    assert names(three, PodTemplate()) == ["a", "b", "soft"]
    template, _ = read(tmp_path, "tolerations: [{key: dedicated, value: tests}]\n")
    assert names(three, template) == ["a", "b", "gpu", "soft"]
    other, _ = read(tmp_path, "tolerations: [{key: dedicated, value: other}]\n")
    assert names(three, other) == ["a", "b", "soft"]
    every, _ = read(tmp_path, "tolerations: [{operator: Exists}]\n")
    assert names(three, every) == ["a", "b", "gpu", "soft"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{key: zone, operator: In, values: [x]}", ["a"]),
        ("{key: zone, operator: NotIn, values: [x]}", ["b", "c"]),
        ("{key: zone, operator: Exists}", ["a", "b"]),
        ("{key: zone, operator: DoesNotExist}", ["c"]),
        ('{key: rank, operator: Gt, values: ["3"]}', ["b"]),
        ('{key: rank, operator: Lt, values: ["3"]}', ["a"]),
    ],
)
def test_nodes_by_affinity(tmp_path: Path, expression: str, expected: list[str]) -> None:
    template, wrong = read(
        tmp_path,
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
        f"{{nodeSelectorTerms: [{{matchExpressions: [{expression}]}}]}}}}}}\n",
    )
    assert wrong == ""
    items = [node("a", zone="x", rank="2"), node("b", zone="y", rank="4"), node("c")]
    assert names(items, template) == expected


def test_nodes_without_linux_are_left_out() -> None:
    windows = node("a", **{"kubernetes.io/os": "windows"})
    assert names([windows, node("b", **{"kubernetes.io/os": "linux"})], PodTemplate()) == ["b"]
    with pytest.raises(ClusterError, match="a runs windows"):
        nodes.usable([windows], PodTemplate())


def test_a_plugin_is_asked_on_a_node_that_is_ready() -> None:
    items = [node("a", ready="Unknown"), node("b", **{"kubernetes.io/os": "windows"}), node("d"), node("c")]
    assert first_node(cast("Api", SimpleNamespace(get=lambda path: {"items": items}))) == "c"
    with pytest.raises(agents.AgentError, match="no node that is ready"):
        first_node(cast("Api", SimpleNamespace(get=lambda path: {"items": items[:2]})))


def test_no_node_is_left() -> None:
    items = [node("a", ready="False"), node("b", ("dedicated", "NoSchedule"))]
    with pytest.raises(ClusterError, match="a is not ready; b has the taint dedicated"):
        nodes.usable(items, PodTemplate())


# -- images and secrets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("python:3.13-alpine", "mirror.example:5000/hub/python:3.13-alpine"),
        ("acme/python:3", "mirror.example:5000/hub/acme/python:3"),
        ("ghcr.io/acme/python:3", "mirror.example:5000/hub/acme/python:3"),
        ("localhost/python", "mirror.example:5000/hub/python"),
        ("registry:5000/python@sha256:ab", "mirror.example:5000/hub/python@sha256:ab"),
    ],
)
def test_images_from_another_registry(image: str, expected: str) -> None:
    assert images.from_registry(image, "mirror.example:5000/hub/") == expected
    assert images.from_registry(image, "") == image


@pytest.mark.parametrize(
    ("image", "own"),
    [
        ("netcheck-probe", True),
        ("netcheck-probe:0.1.0", True),
        ("registry:5000/net/netcheck-probe@sha256:ab", True),
        ("netcheck-probe/python:3", False),
        ("python:netcheck-probe", False),
    ],
)
def test_which_image_has_the_agent(image: str, own: bool) -> None:
    assert images.has_agent(image) is own


class Secrets:
    """An API server that has one secret."""

    def __init__(self, answer: dict[str, Any] | ApiError) -> None:
        self._answer = answer

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/api/v1/namespaces/ops/secrets/regcred"
        if isinstance(self._answer, ApiError):
            raise self._answer
        return self._answer


def test_pull_secrets_are_copied_and_never_shown() -> None:
    kind = "kubernetes.io/dockerconfigjson"
    api: Any = Secrets({"type": kind, "data": {".dockerconfigjson": "aHVzaA=="}})
    (secret,) = read_secrets(api, ["ops/regcred"])
    assert "aHVzaA" not in repr(PodOptions(secrets=(secret,)))
    copy = secret.manifest("shop", {"netcheck.dev/run": "r1"})
    assert copy["metadata"] == {
        "name": "netcheck-pull-1",
        "namespace": "shop",
        "labels": {"netcheck.dev/run": "r1"},
    }
    assert (copy["type"], copy["data"]) == (kind, {".dockerconfigjson": "aHVzaA=="})
    spec = manifests.pod(WEB, "r1", "worker", PodOptions(secrets=(secret,)))["spec"]
    assert spec["imagePullSecrets"] == [{"name": "netcheck-pull-1"}]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ApiError("no", 404), "image pull secret ops/regcred does not exist"),
        (ApiError("no", 403), "image pull secret ops/regcred may not be read"),
        ({"type": "Opaque", "data": {"password": "aHVzaA=="}}, "its type is Opaque"),
    ],
)
def test_a_secret_that_cannot_be_used(answer: dict[str, Any] | ApiError, words: str) -> None:
    api: Any = Secrets(answer)
    with pytest.raises(ClusterError, match=words) as caught:
        read_secrets(api, ["ops/regcred"])
    assert "aHVzaA" not in str(caught.value) + caught.value.advice


# -- the agent ------------------------------------------------------------------------------------------


def test_an_agent_in_the_image_is_not_sent_along() -> None:
    inside = Agent(inside=True, image="netcheck-probe:1")
    assert inside.preamble == ""
    assert inside.probe("shop/web") == ["python3", "-m", "probes.agent", "probe", "shop/web"]
    assert inside.serve("shop/web", [[80, "TCP"]])[-3:] == ["serve", "shop/web", '[[80, "TCP"]]']
    sent = Agent()
    assert sent.preamble == packed() + "\n"
    assert packed() in sent.serve("shop/web", [])
    options = PodOptions(image="netcheck-probe:1", agent_inside=True)
    (container,) = manifests.pod(WEB, "r1", "worker", options)["spec"]["containers"]
    assert len("".join(container["command"])) < 200


def test_another_agent_is_one_clear_error() -> None:
    agent = Agent(inside=True, image="netcheck-probe:0.0.1")
    agent.check({"op": "ready", "agent": digest()})
    with pytest.raises(
        AgentError, match=r"image netcheck-probe:0\.0\.1 has agent 0badc0ffee00; this netcheck needs"
    ) as no:
        agent.check({"op": "ready", "agent": "0badc0ffee00"})
    assert "netcheck image build" in no.value.advice
    with pytest.raises(AgentError, match="an agent that says no version"):
        agent.check({"op": "ready"})


def older_python(version: str) -> str:
    """A Python of that version on this machine: on PATH, or one that pyenv has."""
    name = f"python{version}"
    for place in (name, *map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}")))):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if (
                subprocess.run([place, "-c", ""], capture_output=True, timeout=30, check=False).returncode
                == 0
            ):
                return place
    pytest.skip(f"no {name} on this machine")


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_the_agent_runs_on_other_pythons(version: str) -> None:
    """Both processes of a pod, as text in arguments and input, and the kinds that need no rights."""
    python = older_python(version)
    identity, port = f"old/{version}-{os.getpid()}", free_port("TCP")
    agent = Agent()
    serve = [python, "-I", *agent.serve(identity, [[port, "TCP"], [port, "UDP"]])[1:]]
    probe = [python, "-I", *agent.probe(identity)[1:]]
    http = {"method": "GET", "path": "/", "headers": []}
    plan = [
        [0, identity, "tcp", "127.0.0.1", port, {}],
        [1, identity, "udp", "127.0.0.1", port, {}],
        [2, identity, "http", "127.0.0.1", port, http],
        [3, identity, "tcp", "127.0.0.1", free_port("TCP"), {}],
        [
            4,
            identity,
            "dns",
            "127.0.0.1",
            free_port("UDP"),
            {"names": ["a.example"], "type": "A", "tcp": False},
        ],
    ]
    requests = [
        {"op": "await", "seconds": 20},
        {"op": "hello", "nonce": "n"},
        {"op": "sweep", "id": 1, "timeout": 4, "attempts": 1},
        {"op": "probes", "id": 1, "probes": plan, "last": True},
    ]
    with (
        subprocess.Popen(serve) as server,
        subprocess.Popen(probe, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as prober,
    ):
        assert prober.stdin is not None
        assert prober.stdout is not None
        prober.stdin.write(agent.preamble + "".join(json.dumps(item) + "\n" for item in requests))
        prober.stdin.flush()
        ready, listening, answer = (json.loads(prober.stdout.readline()) for _ in range(3))
        prober.stdin.write('{"op": "receipts", "id": 1}\n')
        prober.stdin.flush()
        receipts = json.loads(prober.stdout.readline())
        prober.stdin.close()
        assert prober.wait(20) == 0
        server.terminate()
    agent.check(ready)
    assert ready["python"].startswith(f"{version}.")
    assert listening["op"] == "listening"
    seen = {result[0]: tuple(result[1:3]) for result in answer["results"]}
    assert seen == {
        0: ("connected", ""),
        1: ("connected", ""),
        2: ("http", "200"),
        3: ("refused", ""),
        4: ("refused", ""),
    }
    assert sorted(receipts["counts"]) == [[0, 1], [1, 1], [2, 1]]


def test_a_python_that_is_too_old_says_so() -> None:
    python = older_python("3.8")
    for command in (Agent().serve("n/p", []), Agent().probe("n/p")):
        done = subprocess.run(
            [python, "-I", *command[1:]], input="\n", capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("the agent needs python3 from 3.9 on, this is 3.8.")
