"""What would be created on a cluster, and the agent that travels with it; no cluster is needed to read it."""

from __future__ import annotations

import json
import subprocess
import sys

from harness.clusters.kube import manifests
from harness.clusters.kube.bundle import packed, probe_command, serve_command
from harness.clusters.kube.manifests import RUN_LABEL, PodOptions
from harness.model.topology import (
    METADATA_NAME,
    Listener,
    Namespace,
    Pod,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
)

WEB = Pod(
    "shop",
    "web",
    {"app": "web"},
    listeners=(Listener(80), Listener(8443, name="https"), Listener(53, Protocol.UDP)),
    service_account="gateway",
)


def test_a_pod_passes_podsecurity_restricted() -> None:
    spec = manifests.pod(WEB, "r1", "worker", PodOptions(image="python:3"))["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    safe = {item["name"] for item in spec["securityContext"]["sysctls"]}
    assert safe == {"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"}
    assert spec["serviceAccountName"] == "gateway"
    assert spec["automountServiceAccountToken"] is False


def test_a_pod_keeps_its_labels_and_ports() -> None:
    made = manifests.pod(WEB, "r1", "worker", PodOptions())
    assert made["metadata"]["labels"] == {"app": "web", RUN_LABEL: "r1"}
    assert made["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP"},
        {"containerPort": 8443, "protocol": "TCP", "name": "https"},
        {"containerPort": 53, "protocol": "UDP"},
    ]


def test_a_pod_on_the_hosts_network_asks_for_no_sysctl() -> None:
    pod = Pod("ops", "agent", host_network=True)
    spec = manifests.pod(pod, "r1", "worker", PodOptions())["spec"]
    assert spec["hostNetwork"] is True
    assert "sysctls" not in spec["securityContext"]


def test_the_api_server_labels_namespaces_itself() -> None:
    made = manifests.namespace(Namespace("shop", {METADATA_NAME: "shop", "team": "a"}), "r1")
    assert made["metadata"]["labels"] == {"team": "a", RUN_LABEL: "r1"}


def test_services_of_every_type() -> None:
    port = ServicePort(80, "http", node_port=30080)
    made = {
        kind: manifests.service(Service("shop", "web", {"app": "web"}, (port,), kind), "r1")["spec"]
        for kind in ServiceType
    }
    assert {spec["ipFamilyPolicy"] for spec in made.values()} == {"PreferDualStack"}
    assert made[ServiceType.HEADLESS]["clusterIP"] == "None"
    assert made[ServiceType.NODE_PORT]["type"] == "NodePort"
    assert made[ServiceType.CLUSTER_IP]["ports"][0]["targetPort"] == "http"


def test_the_packed_agent_speaks_the_protocol() -> None:
    """As in an exec stream: the agent is the first line of its input, then a sweep of no probes."""
    command = probe_command("shop/web")
    lines = [
        packed(),
        json.dumps({"op": "hello", "nonce": "n"}),
        json.dumps({"op": "sweep", "id": 1, "timeout": 0.1, "attempts": 1}),
        json.dumps({"op": "probes", "id": 1, "probes": [], "last": True}),
    ]
    process = subprocess.Popen(
        [sys.executable, "-I", *command[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(lines) + "\n")
    process.stdin.flush()
    ready = json.loads(process.stdout.readline())
    assert (ready["op"], ready["identity"]) == ("ready", "shop/web")
    assert json.loads(process.stdout.readline()) == {"op": "results", "id": 1, "results": [], "done": True}
    process.stdin.close()
    assert process.wait(timeout=10) == 0
    process.stdout.close()


def test_the_first_process_carries_the_agent_in_its_arguments() -> None:
    command = serve_command("shop/web", [[80, "TCP"]])
    assert command[-3:] == ["serve", "shop/web", '[[80, "TCP"]]']
    assert len("".join(command)) < 100_000


def test_a_service_keeps_its_labels() -> None:
    made = manifests.service(
        Service("shop", "web", {"app": "web"}, (ServicePort(80, 80),), labels={"tier": "front"}), "r1"
    )
    assert made["metadata"]["labels"] == {"tier": "front", RUN_LABEL: "r1"}
