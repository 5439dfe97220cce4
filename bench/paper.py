"""`make bench`: all pairs of 1,000 pods on paper, 300 policies, 10 ports: 10 million cells.

Each size runs in a process of its own, so that memory is its own. `--json` writes the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness.dialects.registry import parse_manifest
from harness.model.policy import Policy
from harness.model.topology import METADATA_NAME, Listener, Namespace, Pod, Protocol, Topology
from harness.oracle.matrix import Matrix, Port
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text

NAMESPACES, APPS = 50, 5
NUMBERS = (80, 443, 5432, 6379, 8080, 8443, 9090, 9100)
PORTS: tuple[Port, ...] = tuple((Protocol.TCP, number) for number in NUMBERS)
ALL_PORTS: tuple[Port, ...] = (*PORTS, (Protocol.UDP, 53), (Protocol.UDP, 8080))


def topology(pods: int) -> Topology:
    """Pods in 50 namespaces, five apps in each; every pod has a label of its own, as pods have."""
    namespaces = {
        f"team-{number}": Namespace(
            f"team-{number}", {METADATA_NAME: f"team-{number}", "zone": f"zone-{number % 7}"}
        )
        for number in range(NAMESPACES)
    }
    listeners = (Listener(8080, Protocol.TCP, "http"), Listener(9090, Protocol.TCP, "metrics"))
    found = {}
    for number in range(pods):
        namespace, turn = f"team-{number % NAMESPACES}", number // NAMESPACES
        labels = {"app": f"app-{turn % APPS}", "instance": str(number), "tier": f"tier-{turn % 2}"}
        pod = Pod(namespace, f"pod-{number}", labels, listeners=listeners)
        found[pod.id] = pod
    return Topology(namespaces, found)


def manifest(number: int, dice: random.Random) -> dict[str, Any]:
    """Every tenth is an admin policy, the others are NetworkPolicies of some namespace."""
    app = {"matchLabels": {"app": f"app-{dice.randrange(APPS)}"}}
    peer = {"matchLabels": {"app": f"app-{dice.randrange(APPS)}", "tier": f"tier-{dice.randrange(2)}"}}
    zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": [f"zone-{dice.randrange(7)}"]}]}
    ports = [dice.choice(PORTS)[1] for _ in range(2)]
    if number % 10 == 0:
        rules = [
            {
                "action": dice.choice(["Accept", "Deny", "Pass"]),
                "from": [{"pods": {"namespaceSelector": zone, "podSelector": peer}}],
                "protocols": [{"tcp": {"destinationPort": {"number": port}}} for port in ports],
            }
            for _ in range(2)
        ]
        spec = {"tier": "Admin", "priority": number % 1000, "subject": {"namespaces": zone}, "ingress": rules}
        return {
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": f"p{number}"},
            "spec": spec,
        }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"p{number}", "namespace": f"team-{dice.randrange(NAMESPACES)}"},
        "spec": {
            "podSelector": app,
            "policyTypes": ["Ingress", "Egress"] if number % 3 else ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": peer}], "ports": [{"port": port} for port in ports]},
                {"from": [{"namespaceSelector": zone, "podSelector": app}], "ports": [{"port": "http"}]},
            ],
            "egress": [
                {"to": [{"namespaceSelector": zone}]},
                {"ports": [{"port": 53, "protocol": "UDP"}]},
            ],
        },
    }


def policies(count: int) -> list[Policy]:
    dice = random.Random(5)
    found = []
    for number in range(count):
        problems = Problems()
        (document,) = read_text(json.dumps(manifest(number, dice)), "bench.yaml", problems)
        assert isinstance(document.root, MappingNode)
        policy = parse_manifest(document.root, "default", problems)
        assert policy is not None, problems.found
        found.append(policy)
    return found


def measure(pods: int, count: int) -> dict[str, Any]:
    world, found = topology(pods), policies(count)
    began = time.perf_counter()
    cpu = time.process_time()
    answers = Matrix(world, found, ALL_PORTS).count()
    return {
        "pods": pods,
        "policies": count,
        "cells": sum(answers.values()),
        "answers": {str(answer): number for answer, number in sorted(answers.items())},
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def apart(pods: int, count: int) -> dict[str, Any]:
    """The figures of one size, from a process of its own."""
    command = [sys.executable, __file__, "--one", str(pods), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, nargs=2, metavar=("PODS", "POLICIES"), help="one size, as JSON")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    print("pods   policies      cells   seconds   CPU seconds    MB   ms per policy")
    rows = []
    for pods, count in ((1000, 0), (1000, 100), (1000, 200), (1000, 300), (1000, 600)):
        row = apart(pods, count)
        rows.append(row)
        each = (row["cpu_seconds"] - rows[0]["cpu_seconds"]) / count * 1000 if count else 0.0
        print(
            f"{pods:4} {count:10} {row['cells']:10} {row['seconds']:9.2f} {row['cpu_seconds']:13.2f}"
            f" {row['mb']:5.0f} {each:15.1f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
