"""`make bench-cluster`: one default-deny step on a real cluster, phase by phase, against `kubectl exec`.

Nine pods in three namespaces, ports 80 and 81 over TCP and UDP, every pod to every pod: 324 cells. Seconds
differ with the cluster and with what else the machine does (its load is printed); the ratio should not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.cli.clusters import open_cluster
from harness.cli.pods import DEFAULT_IMAGE, PodSettings
from harness.clusters.kube.world import CONNECT_TIMEOUT
from harness.engine.cluster import Cluster
from harness.engine.run import run
from harness.engine.scenario_run import EVIDENCE_TIMEOUT
from harness.model.probe import Probe
from harness.model.scenario import Scenario
from harness.model.topology import Protocol
from harness.model.verdict import Status
from harness.scenario import load

NAMESPACES = ("bench-x", "bench-y", "bench-z")
PODS = tuple(f"{namespace}/{name}" for namespace in NAMESPACES for name in "abc")
PORTS = ("80", "81", "80/UDP", "81/UDP")

CONNECT = """
import socket, sys
address, port, kind, timeout = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == 'UDP' else socket.SOCK_STREAM) as sock:
    sock.settimeout(timeout)
    try:
        sock.connect((address, port))
        if kind == 'UDP':
            sock.send(b'?')
            sock.recv(1)
        print('connected')
    except OSError as trouble:
        print(type(trouble).__name__)
"""
"""What one `kubectl exec` runs for one probe: hardly less than a connect."""


def text() -> str:
    """The scenario file."""
    lines = ["scenario: bench-cluster", "namespaces:"]
    lines += [f"  {name}: {{}}" for name in NAMESPACES]
    lines += ["pods:", *(f"  {pod}: {{listen: [{', '.join(PORTS)}]}}" for pod in PODS), "policies:"]
    for name in NAMESPACES:
        lines.append(
            "  - {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
            f"metadata: {{name: default-deny, namespace: {name}}}, "
            "spec: {podSelector: {}, policyTypes: [Ingress]}}"
        )
    lines.append("expect:")
    for source in PODS:
        for target in PODS:
            to = ", ".join(f'"{target}:{port}"' for port in PORTS)
            # Nothing can cut a pod off from itself.
            verdict = "allow" if source == target else "deny"
            lines.append(f"  - {{from: {source}, to: [{to}], verdict: {verdict}}}")
    return "\n".join(lines) + "\n"


def whole(scenario: Scenario, cluster: Cluster) -> dict[str, float]:
    """Seconds of a scenario by phase."""
    result = run([scenario], cluster, lambda event: None)
    (found,) = result.scenarios
    wrong = [cell for cell in found.cells if cell.status is not Status.PASSED]
    if found.error or wrong:
        what = (
            found.error
            or f"{len(wrong)} cells are not as expected, the first: {wrong[0].id}, {wrong[0].reason}"
        )
        raise SystemExit(f"bench-cluster: {what}")
    (step,) = found.steps
    return {**found.phases, **step.phases, "sweeps": step.sweeps, "scenario": found.seconds}


def compare(scenario: Scenario, cluster: Cluster, context: str, sample: int) -> dict[str, float]:
    """Seconds of one sweep, of one cell's evidence, and of probes by `kubectl exec`, one after another."""
    world = cluster.open(scenario, "bench", print)
    try:
        (step,) = scenario.steps
        probes = [cell.probe for cell in step.cells]
        world.apply(step.policies)
        world.in_force()
        began = time.perf_counter()
        seen = world.sweep(probes, world.connect_timeout)
        sweep = time.perf_counter() - began
        denied = next(probe for probe in probes if probe.source.name != probe.target.name)
        began = time.perf_counter()
        list(world.evidence([denied], EVIDENCE_TIMEOUT))
        evidence = time.perf_counter() - began
        # Allowed and denied cells as often as in the whole, each with the address that the sweep went to.
        chosen = random.Random(1).sample(range(len(probes)), min(sample, len(probes)))
        began = time.perf_counter()
        for index in chosen:
            by_exec(context, probes[index], seen[index].destination)
        executed = time.perf_counter() - began
    finally:
        world.close()
    return {
        "probes": len(probes),
        "one_sweep": sweep,
        "evidence_of_a_cell": evidence,
        "sample": len(chosen),
        "exec_sample": executed,
        "exec_all": executed / len(chosen) * len(probes),
    }


def by_exec(context: str, probe: Probe, destination: str) -> None:
    namespace, pod = probe.source.name.split("/")
    address, port = destination.rsplit(":", 1)
    kind = "UDP" if probe.target.protocol is Protocol.UDP else "TCP"
    command = ["python3", "-c", CONNECT, address.strip("[]"), port, kind, str(CONNECT_TIMEOUT)]
    subprocess.run(
        ["kubectl", "--context", context, "-n", namespace, "exec", pod, "--", *command],
        check=True,
        capture_output=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", default=os.environ.get("NETCHECK_CLUSTER", ""), help="context:NAME")
    parser.add_argument("--image", default=os.environ.get("NETCHECK_PROBE_IMAGE", DEFAULT_IMAGE))
    parser.add_argument("--sample", type=int, default=24, help="probes by kubectl exec; 324 = all of them")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    if not options.cluster.startswith("context:"):
        sys.exit("bench-cluster: name a cluster: make bench-cluster ARGS='--cluster context:NAME'")
    figures: dict[str, Any] = {"cluster": options.cluster, "load": os.getloadavg()[0], "cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench-cluster.yaml"
        file.write_text(text())
        (scenario,) = load([file]).scenarios
        began = time.perf_counter()
        cluster = open_cluster(options.cluster, keep=False, pods=PodSettings(image=options.image))
        figures["backend"] = dict(cluster.backend.versions)
        try:
            figures["connect"] = time.perf_counter() - began
            figures |= whole(scenario, cluster)
            figures["until_judged"] = time.perf_counter() - began
            figures |= compare(scenario, cluster, options.cluster.partition(":")[2], options.sample)
        finally:
            began = time.perf_counter()
            cluster.close()
        figures["namespaces_gone"] = time.perf_counter() - began
    figures["total"] = figures["until_judged"] + figures["namespaces_gone"]
    figures["ratio"] = figures["exec_all"] / figures["one_sweep"]
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def show(figures: dict[str, Any]) -> None:
    versions = ", ".join(f"{key} {value}" for key, value in figures["backend"].items())
    print(f"{figures['cluster']} ({versions}); load {figures['load']:.1f} on {figures['cpus']} CPUs\n")
    rows = [
        ("connect", "the API server, nodes, DNS, plugin", figures["connect"]),
        ("build", "9 pods and the run's canaries, a stream to each", figures["build"]),
        ("control", "324 probes without policies", figures["control"]),
        ("apply", "3 policies accepted", figures["apply"]),
        ("in force", "known on every node", figures["in-force"]),
        ("converge", f"{figures['sweeps']:.0f} sweeps that agree", figures["sweep"]),
        ("evidence", "none, as no cell failed", figures["evidence"]),
        ("teardown", "policies, pods, streams", figures["close"]),
        ("the end", "namespaces and canaries gone", figures["namespaces_gone"]),
        ("total", "", figures["total"]),
    ]
    for name, what, seconds in rows:
        print(f"{name:10} {seconds:8.2f} s   {what}".rstrip())
    print(
        f"\none sweep of {figures['probes']} probes      {figures['one_sweep']:8.2f} s"
        f"   (timeout {CONNECT_TIMEOUT} s)"
    )
    print(f"evidence of one cell        {figures['evidence_of_a_cell']:8.2f} s")
    print(
        f"one kubectl exec per probe  {figures['exec_all']:8.0f} s   "
        f"(from {figures['sample']} probes in {figures['exec_sample']:.1f} s): "
        f"{figures['ratio']:.0f} times as long"
    )


if __name__ == "__main__":
    main()
